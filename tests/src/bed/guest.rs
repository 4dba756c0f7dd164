use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

/// Which kernel a guest boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Built by `tests/bed/kernel.sh`: Linux 6.12 with everything of IPVS, no modules, and virtual time.
    Ours,
    /// Debian's package `user-mode-linux`: Linux 6.1 with modules, all of IPVS but the scheduler `twos`.
    Debian,
    /// Built by `tests/bed/newest-kernel.sh`: the same of the newest that Debian packages, of which a system call costs half as much.
    Newest,
}

/// A guest to boot: an ordinary process with a kernel of its own.
#[derive(Clone, Debug)]
pub struct Guest {
    pub(super) kernel: Kernel,
    pub(super) memory: String,
    pub(super) limit: Duration,
    pub(super) virtual_time: bool,
    pub(super) control_plane: bool,
    pub(super) oldest: bool,
    pub(super) making_seed: bool,
    pub(super) cluster: bool,
    pub(super) previous: bool,
    pub(super) without: Vec<String>,
    pub(super) parameters: Vec<String>,
}

/// Which control plane is meant.
pub(super) const KUBERNETES: &str = "BED_KUBERNETES";
pub(super) const OLDEST: &str = "oldest";

/// Whether the oldest control plane is asked for, or, in a guest, at hand.
pub(crate) fn is_oldest() -> bool {
    std::env::var_os(KUBERNETES).is_some_and(|which| which == OLDEST)
}

impl Guest {
    /// The bed's own kernel in real time, with 1 GB of memory (used only where touched), for two minutes at most.
    /// `BED_KERNEL=newest` makes it the newest.
    pub fn kernel() -> Guest {
        let newest = std::env::var("BED_KERNEL").is_ok_and(|kernel| kernel == "newest");
        Guest {
            kernel: if newest { Kernel::Newest } else { Kernel::Ours },
            memory: "1G".into(),
            limit: Duration::from_secs(120),
            virtual_time: false,
            control_plane: false,
            oldest: false,
            making_seed: false,
            cluster: false,
            previous: false,
            without: Vec::new(),
            parameters: Vec::new(),
        }
    }

    /// Debian's packaged kernel with modules, which are loaded when asked for. It has no virtual time.
    pub fn debian() -> Guest {
        Guest::kernel().on_debian()
    }

    /// This guest with Debian's packaged kernel: see [`Guest::debian`].
    pub fn on_debian(self) -> Guest {
        self.on(Kernel::Debian)
    }

    /// This guest with that kernel.
    pub fn on(self, kernel: Kernel) -> Guest {
        Guest { kernel, ..self }
    }

    /// The newest kernel, on which both are twice as quick, with an etcd and a kube-apiserver at hand: see
    /// [`crate::control_plane`]. `BED_KUBERNETES=oldest` makes it a [`Guest::oldest_control_plane`].
    pub fn control_plane() -> Guest {
        Guest {
            kernel: Kernel::Newest,
            control_plane: true,
            oldest: is_oldest(),
            memory: "3G".into(),
            ..Guest::kernel()
        }
    }

    /// As [`Guest::control_plane`], with the oldest kube-apiserver that is supported.
    pub fn oldest_control_plane() -> Guest {
        Guest { oldest: true, ..Guest::control_plane() }
    }

    /// The newest kernel with all that a Kubernetes cluster with nodes and pods takes: see [`crate::kubernetes`].
    pub fn cluster() -> Guest {
        Guest {
            cluster: true,
            memory: "6G".into(),
            limit: Duration::from_secs(1800),
            ..Guest::control_plane()
        }
    }

    /// This cluster with the chart and the images of the version before at hand:
    /// [`crate::kubernetes::Kubernetes::import_previous`].
    pub fn with_previous(self) -> Guest {
        Guest { previous: true, ..self }
    }

    /// The guest in which the data of every other control plane is made.
    pub(crate) fn making_seed(self) -> Guest {
        Guest { making_seed: true, ..self }
    }

    /// The clock jumps to the next timer whenever all sleep, and computing takes no time at all.
    pub fn virtual_time(self) -> Guest {
        Guest { virtual_time: true, ..self }
    }

    /// How much memory the guest sees, as `512M` or `2G`.
    pub fn memory(self, memory: &str) -> Guest {
        Guest { memory: memory.into(), ..self }
    }

    /// How much wall-clock time the guest may take; waiting for a free CPU does not count.
    pub fn limit(self, limit: Duration) -> Guest {
        Guest { limit, ..self }
    }

    /// Debian's kernel as if it had been built without this module, such as `ip_vs` or `ip_vs_lblcr`.
    pub fn without_module(mut self, module: &str) -> Guest {
        self.without.push(module.into());
        self
    }

    /// A word on the kernel's command line, such as a parameter of a built-in module: `ip_vs.conn_tab_bits=20`.
    pub fn parameter(mut self, word: &str) -> Guest {
        self.parameters.push(word.into());
        self
    }

    /// The kernel that is booted in the end: `BED_KERNEL=debian` spares the build of ours where Debian's will do.
    pub(super) fn chosen_kernel(&self) -> Kernel {
        let asked = std::env::var("BED_KERNEL").is_ok_and(|kernel| kernel == "debian");
        if asked && !self.virtual_time && !self.cluster { Kernel::Debian } else { self.kernel }
    }

    pub(super) fn kernel_binary(&self) -> anyhow::Result<PathBuf> {
        match self.chosen_kernel() {
            Kernel::Ours => made_by("kernel.sh"),
            Kernel::Newest => made_by("newest-kernel.sh"),
            Kernel::Debian => {
                ensure!(
                    !self.virtual_time,
                    "Debian's kernel has no virtual time: use Guest::kernel()"
                );
                let binary = PathBuf::from("/usr/bin/linux.uml");
                ensure!(
                    binary.exists(),
                    "no {}. Install Debian's package user-mode-linux (tests/bed/packages.sh does)",
                    binary.display()
                );
                Ok(binary)
            }
        }
    }

    pub(super) fn modules(&self) -> anyhow::Result<Option<PathBuf>> {
        match self.chosen_kernel() {
            Kernel::Debian => made_by("modules.sh").map(Some),
            _ if self.without.is_empty() => Ok(None),
            _ => bail!("our kernels have no modules to leave out: use Guest::debian()"),
        }
    }
}

/// The path that a script of `tests/bed` prints as its last line. It is quick when there is nothing left to make, and
/// shows its progress on stderr otherwise. Asked once a process.
pub(crate) fn made_by(script: &str) -> anyhow::Result<PathBuf> {
    static KNOWN: Mutex<Vec<(String, PathBuf)>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some((_, path)) = known.iter().find(|(name, _)| name == script) {
        return Ok(path.clone());
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("bed").join(script);
    let output = Command::new("bash")
        .arg(&file)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", file.display()))?;
    ensure!(output.status.success(), "{} failed: what it says is above", file.display());
    let text = String::from_utf8(output.stdout)?;
    let path =
        text.lines().last().with_context(|| format!("{} printed no path", file.display()))?;
    known.push((script.to_owned(), path.into()));
    Ok(path.into())
}
