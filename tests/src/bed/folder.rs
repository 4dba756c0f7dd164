//! The scratch folder of each guest, and what interrupted runs left of theirs.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, Pid, access, geteuid};

/// A guest's folder: short, without spaces (the kernel's command line knows no quotes), not under `/dev` (which the
/// guest covers before its init is looked up).
pub(super) struct Folder {
    path: PathBuf,
    _owner: File,
}

impl Folder {
    /// Makes a folder for one more guest of this process.
    pub(super) fn new() -> anyhow::Result<Folder> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        static SWEEP: Once = Once::new();
        let root = root()?;
        // Between a folder's creation and the lock that says it is in use nobody may sweep.
        let gate = lock(&root.join("gate"))?;
        gate.lock().context("cannot lock the scratch folder")?;
        SWEEP.call_once(|| sweep(&root));
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("{}-{number}", std::process::id()));
        if path.exists() {
            remove(&path);
        }
        fs::create_dir_all(path.join("logs"))
            .with_context(|| format!("cannot create {}", path.display()))?;
        let owner = lock(&path.join("owner"))?;
        owner.lock().context("cannot lock a new folder")?;
        Ok(Folder { path, _owner: owner })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// The user's folder for scratch folders and CPU locks.
pub(super) fn root() -> anyhow::Result<PathBuf> {
    let usable = |path: &PathBuf| {
        let text = path.to_string_lossy();
        let plain = !text.contains(|c: char| c.is_whitespace() || c == ',' || c == '"');
        plain
            && !path.starts_with("/dev")
            && text.len() < 60
            && access(path, AccessFlags::W_OK).is_ok()
    };
    let parent = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()].into_iter().find(usable);
    let root = parent
        .context(
            "neither TMPDIR nor /tmp nor /var/tmp is writable and short, with no space in its name",
        )?
        .join(format!("kube-lvs-{}", geteuid()));
    let made = DirBuilder::new().mode(0o700).create(&root);
    let owner = fs::symlink_metadata(&root).or_else(|_| made.and(fs::symlink_metadata(&root)));
    let owner = owner.with_context(|| format!("cannot create {}", root.display()))?;
    ensure!(
        owner.is_dir() && owner.uid() == geteuid().as_raw(),
        "{} belongs to somebody else: set TMPDIR to a folder of yours",
        root.display()
    );
    Ok(root)
}

/// A folder for the guest's memory file: in RAM if possible. UML maps it executable.
pub(super) fn memory_folder() -> anyhow::Result<PathBuf> {
    let usable = |path: &PathBuf| {
        access(path, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
            && statvfs(path).is_ok_and(|at| !at.flags().contains(FsFlags::ST_NOEXEC))
    };
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    ["/dev/shm".into()]
        .into_iter()
        .chain(runtime)
        .chain([std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()])
        .find(usable)
        .context(
            "no folder for a guest's memory: /dev/shm, /tmp and /var/tmp are read-only or noexec",
        )
}

fn lock(path: &Path) -> anyhow::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

/// Removes the folders whose owner is gone, and ends what still runs in them.
fn sweep(root: &Path) {
    for path in fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let stale =
            path.is_dir() && lock(&path.join("owner")).is_ok_and(|owner| owner.try_lock().is_ok());
        if stale {
            remove(&path);
        }
    }
}

/// Ends the processes of a guest, known by its folder on their command line, and removes the folder.
fn remove(path: &Path) {
    let folder = format!("BED_DIR={}", path.display());
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if let Some(pid) = pid
            && line.split(|&byte| byte == 0).any(|argument| argument == folder.as_bytes())
        {
            // It may be gone by now.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    let _ = fs::remove_dir_all(path);
}
