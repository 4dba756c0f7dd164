//! Starts one guest, or fresh namespaces, and waits for its end.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _, stdout};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, geteuid};

use super::folder::{Folder, memory_folder, root};
use super::guest::{self, made_by};
use super::slot::Slot;
use super::{Guest, Kernel};
use crate::control_plane::{PROGRAMS, seed};
use crate::kubernetes;

/// Folders over which the guest mounts a tmpfs (see init.sh).
const COVERED: [&str; 7] = ["/tmp", "/run", "/dev", "/var/lib", "/var/log", "/mnt", "/var/run"];
/// Variables with these prefixes reach the command inside.
const PASSED_ON: [&str; 5] = ["LVS_", "BED_", "RUST_", "PROPTEST_", "KUBE_LVS_"];

/// One run of a command in a guest.
pub(super) struct Launch<'a> {
    pub(super) guest: &'a Guest,
    pub(super) command: Vec<OsString>,
    pub(super) environment: Vec<(String, String)>,
    /// Give the command this process's terminal instead of a file.
    pub(super) terminal: bool,
    /// Where the guest's folder is moved to unless it passed.
    pub(super) kept: PathBuf,
    /// What to take out of the guest's folder if it exits with 0, and where to.
    pub(super) take: Option<(&'a str, &'a Path)>,
}

/// How a run ended.
pub(super) struct Run {
    pub(super) end: End,
    /// The closure inside ran to its end: what it cost.
    pub(super) passed: Option<String>,
    /// From the start of the guest, not counting the wait for a CPU.
    pub(super) took: Duration,
}

pub(super) enum End {
    Exited(i32),
    Died(String),
    TimedOut,
}

impl Launch<'_> {
    pub(super) fn run(&self) -> anyhow::Result<Run> {
        let host = self.wants_host()?;
        let kernel = if host { None } else { Some(self.guest.kernel_binary()?) };
        let folder = Folder::new()?;
        self.fill(folder.path(), host)?;
        let slot = Slot::wait(&root()?)?;
        let start = Instant::now();
        let mut child = match &kernel {
            None => self.namespaces(folder.path()),
            Some(kernel) => self.guest_process(kernel, folder.path(), slot.cpu)?,
        }
        .spawn()
        .context(
            "cannot start the guest: are setpriv, taskset and unshare (package util-linux) there?",
        )?;
        let status = wait(&mut child, start + self.guest.limit, &folder.path().join("out"))?;
        drop(slot);
        let end = match (status, fs::read_to_string(folder.path().join("rc"))) {
            (None, _) => End::TimedOut,
            (Some(_), Ok(rc)) if !rc.is_empty() => End::Exited(rc.trim().parse()?),
            (Some(status), _) => End::Died(status.to_string()),
        };
        let passed = fs::read_to_string(folder.path().join("passed")).ok();
        if let (Some((name, to)), End::Exited(0)) = (self.take, &end) {
            let copied =
                Command::new("cp").arg("-r").arg(folder.path().join(name)).arg(to).output()?;
            ensure!(
                copied.status.success(),
                "cannot take {name}: {}",
                String::from_utf8_lossy(&copied.stderr)
            );
        }
        if !(passed.is_some() && matches!(end, End::Exited(0))) {
            keep(folder.path(), &self.kept)?;
        }
        Ok(Run { end, passed, took: start.elapsed() })
    }

    /// `BED=host` asks for the host's own kernel. What that cannot do still boots a guest.
    fn wants_host(&self) -> anyhow::Result<bool> {
        let asked = std::env::var_os("BED").unwrap_or_default();
        if asked.is_empty()
            || asked == "guest"
            || self.guest.virtual_time
            || self.guest.kernel == Kernel::Debian
            || !self.guest.parameters.is_empty()
        {
            return Ok(false);
        }
        ensure!(asked == "host", "BED={asked:?}: it is either \"host\" or \"guest\" (the default)");
        ensure!(
            geteuid().is_root(),
            "BED=host needs root. Run as root, or leave BED away: a guest needs no root"
        );
        if !Path::new("/proc/net/ip_vs").exists() {
            // It may be a module that nobody has asked for yet.
            let _ = Command::new("modprobe").arg("ip_vs").stderr(Stdio::null()).status();
        }
        ensure!(
            Path::new("/proc/net/ip_vs").exists(),
            "BED=host needs a host kernel with IPVS: there is no /proc/net/ip_vs, and `modprobe ip_vs` did not bring it. \
             Leave BED away: a guest brings its own kernel"
        );
        Ok(true)
    }

    /// Puts into the guest's folder what init.sh expects there.
    fn fill(&self, folder: &Path, host: bool) -> anyhow::Result<()> {
        let init = Path::new(env!("CARGO_MANIFEST_DIR")).join("bed/init.sh");
        fs::copy(&init, folder.join("init.sh"))
            .with_context(|| format!("cannot copy {}", init.display()))?;
        fs::set_permissions(folder.join("init.sh"), fs::Permissions::from_mode(0o755))?;
        let mut environment = self.environment.clone();
        if !host {
            environment.push((crate::wait::LIMIT.into(), self.guest.limit.as_secs().to_string()));
        }
        if self.guest.control_plane {
            let script = if self.guest.oldest { "oldest.sh" } else { "control-plane.sh" };
            let programs = made_by(script)?;
            if self.guest.oldest {
                environment.push((guest::KUBERNETES.into(), guest::OLDEST.into()));
            }
            if self.guest.cluster {
                environment.push((kubernetes::PROGRAMS.into(), text(made_by("cluster.sh")?)?));
                // Whoever has built them already says where.
                let built = std::env::var_os(kubernetes::IMAGES).map(PathBuf::from);
                let images = built.map_or_else(|| made_by("images.sh"), Ok)?;
                environment.push((kubernetes::IMAGES.into(), text(images)?));
                if self.guest.previous {
                    let folder = made_by("previous.sh")?;
                    environment.push((kubernetes::PREVIOUS.into(), text(folder)?));
                }
            } else if !self.guest.making_seed {
                let seed = seed::ensure_made(&programs, self.guest.oldest)?;
                environment.push((seed::VARIABLE.into(), text(seed)?));
            }
            environment.push((PROGRAMS.into(), text(programs)?));
        }
        fs::write(folder.join("cmd"), self.script(&environment)?)?;

        let workspace =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent");
        let mut keep = vec![workspace.to_owned(), super::target(), std::env::current_dir()?];
        let given = [
            PROGRAMS,
            seed::VARIABLE,
            kubernetes::PROGRAMS,
            kubernetes::IMAGES,
            kubernetes::PREVIOUS,
        ];
        let folders = environment.iter().filter(|(name, _)| given.contains(&name.as_str()));
        keep.extend(folders.map(|(_, folder)| PathBuf::from(folder)));
        if !host && let Some(modules) = self.guest.modules()? {
            let left_out: String = self
                .guest
                .without
                .iter()
                .map(|name| format!("install {name} /bin/false\n"))
                .collect();
            fs::write(folder.join("modprobe.conf"), left_out)?;
            fs::write(folder.join("modules"), format!("{}\n", text(modules.clone())?))?;
            keep.push(modules);
        }
        keep.retain(|path| COVERED.iter().any(|covered| path.starts_with(covered)));
        let keep: Vec<_> = keep.into_iter().map(text).collect::<anyhow::Result<_>>()?;
        fs::write(
            folder.join("keep"),
            keep.iter().map(|path| format!("{path}\n")).collect::<String>(),
        )?;
        if self.terminal {
            fs::write(folder.join("terminal"), "")?;
        }
        Ok(())
    }

    fn script(&self, environment: &[(String, String)]) -> anyhow::Result<Vec<u8>> {
        let mut script = Vec::new();
        let passed_on = std::env::vars()
            .filter(|(name, _)| PASSED_ON.iter().any(|prefix| name.starts_with(prefix)))
            .filter(|(name, _)| !environment.iter().any(|(set, _)| set == name));
        for (name, value) in passed_on.chain(environment.iter().cloned()) {
            script.extend(
                format!("export {name}=").bytes().chain(quoted(value.as_ref())).chain(*b"\n"),
            );
        }
        script.extend(b"cd ".iter().copied().chain(quoted(std::env::current_dir()?.as_os_str())));
        script.extend(b" || exit 125\nexec");
        for word in &self.command {
            script.extend(b" ".iter().copied().chain(quoted(word)));
        }
        script.push(b'\n');
        Ok(script)
    }

    fn guest_process(&self, kernel: &Path, folder: &Path, cpu: usize) -> anyhow::Result<Command> {
        let shown = folder.display();
        // Its end follows ours, whatever becomes of us: UML takes its processes with it on SIGTERM.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "taskset", "-c", &cpu.to_string()]).arg(kernel);
        command.args(
            [
                &format!("mem={}", self.guest.memory),
                "rootfstype=hostfs root=/dev/root rootflags=/",
                // Since Linux 6.16; one before it passes the word on to init.
                "ro quiet panic=-1 con=null seccomp=auto",
                &format!("uml_dir={shown}/ umid=uml init={shown}/init.sh"),
            ]
            .iter()
            .flat_map(|words| words.split(' ')),
        );
        command.arg(format!("BED_DIR={shown}"));
        command.args(if self.guest.virtual_time { &["time-travel=inf-cpu"][..] } else { &[] });
        command.args(&self.guest.parameters);
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.env("HOME", folder).env("TMPDIR", memory_folder()?);
        let console = File::create(folder.join("console"))?;
        if self.terminal {
            // The kernel's console is the user's terminal then: nothing below a panic belongs there.
            command.args(["con0=fd:0,fd:1", "con1=null", "loglevel=3"]).stderr(console);
        } else {
            command.args(["con0=null,fd:2", "con1=null,fd:2"]).stdin(Stdio::null());
            command.stdout(console.try_clone()?).stderr(console).process_group(0);
        }
        Ok(command)
    }

    /// The same init in fresh namespaces of the host's kernel; its processes end with its pid namespace.
    fn namespaces(&self, folder: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--net",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
        ]);
        command.args(["--kill-child", "env", "-u", "BED"]).arg("BED_HOST=1");
        command.arg(format!("BED_DIR={}", folder.display())).arg(folder.join("init.sh"));
        if !self.terminal {
            let console = File::create(folder.join("console")).ok();
            command.stdin(Stdio::null()).process_group(0);
            command.stdout(Stdio::null()).stderr(console.map_or(Stdio::null(), Stdio::from));
        }
        command
    }
}

/// Waits until the guest ends, and prints its output meanwhile. `None`: it had to be ended.
fn wait(child: &mut Child, deadline: Instant, output: &Path) -> anyhow::Result<Option<ExitStatus>> {
    let mut shown = 0;
    loop {
        let status = child.try_wait()?;
        shown += print_from(output, shown);
        if status.is_some() {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            break;
        }
        sleep(Duration::from_millis(10));
    }
    let group = Pid::from_raw(child.id().try_into()?);
    for (signal, patience) in [(Signal::SIGTERM, 2000), (Signal::SIGKILL, 2000)] {
        // It may be gone by now.
        let _ = killpg(group, signal);
        let end = Instant::now() + Duration::from_millis(patience);
        while Instant::now() < end && child.try_wait()?.is_none() {
            sleep(Duration::from_millis(10));
        }
    }
    print_from(output, shown);
    Ok(None)
}

fn print_from(output: &Path, offset: u64) -> u64 {
    let Ok(mut file) = File::open(output) else { return 0 };
    let mut new = Vec::new();
    let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_to_end(&mut new));
    print!("{}", String::from_utf8_lossy(&new));
    // A part of a line is worth seeing too.
    let _ = stdout().flush();
    read.unwrap_or(0) as u64
}

/// Keeps what is worth reading of a guest's folder.
fn keep(folder: &Path, kept: &Path) -> anyhow::Result<()> {
    let _ = fs::remove_dir_all(kept);
    fs::create_dir_all(kept.join("logs"))
        .with_context(|| format!("cannot create {}", kept.display()))?;
    for (from, to) in
        [(folder.to_owned(), kept.to_owned()), (folder.join("logs"), kept.join("logs"))]
    {
        for entry in fs::read_dir(from)?.flatten().filter(|entry| entry.path().is_file()) {
            let _ = fs::copy(entry.path(), to.join(entry.file_name()));
        }
    }
    Ok(())
}

fn text(path: PathBuf) -> anyhow::Result<String> {
    path.into_os_string().into_string().map_err(|path| anyhow::anyhow!("{path:?} is not UTF-8"))
}

/// A word for a shell, whatever is in it.
fn quoted(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend(br"'\''"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}
