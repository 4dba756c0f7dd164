//! A guest is one CPU's worth of work, and several times slower when it is moved about: it gets a CPU of its own.

use std::fs::File;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// One CPU, held until this is dropped. Other threads and processes of the same user wait for it.
pub(super) struct Slot {
    pub(super) cpu: usize,
    _lock: File,
}

impl Slot {
    /// Waits for a CPU that no other guest has. `root` holds a file a CPU, locked by whoever has it.
    pub(super) fn wait(root: &Path) -> anyhow::Result<Slot> {
        let ours = sched_getaffinity(Pid::from_raw(0)).context("which CPUs we may use")?;
        let cpus: Vec<_> =
            (0..CpuSet::count()).filter(|&cpu| ours.is_set(cpu).unwrap_or(false)).collect();
        ensure!(!cpus.is_empty(), "no CPU in our affinity mask");
        loop {
            for &cpu in cpus.iter().rev() {
                let path = root.join(format!("cpu-{cpu}"));
                let lock = File::create(&path)
                    .with_context(|| format!("cannot create {}", path.display()))?;
                if lock.try_lock().is_ok() {
                    return Ok(Slot { cpu, _lock: lock });
                }
            }
            sleep(Duration::from_millis(50));
        }
    }
}
