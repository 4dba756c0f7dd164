use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Node;

/// A running program; killed when this is dropped. Its output goes to a log that is shown if the test fails.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command` on a thread in the node's namespace: no process in between, so signals reach the program.
    #[track_caller]
    pub(super) fn start(node: &Node, command: &mut Command) -> Daemon {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let program = Path::new(command.get_program());
        let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{program}@{}", node.name());
        let log = Path::new("/run/bed/logs").join(format!("{number:02}-{name}.log"));
        let file = File::create(&log).unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        let same = file.try_clone().unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        command.stdin(Stdio::null()).stdout(same).stderr(file);
        let child = node.run(|| command.spawn());
        let child = child.unwrap_or_else(|e| panic!("cannot start {program}: {e}"));
        Daemon { name, child, log }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGSTOP: it stands still with all it holds.
    #[track_caller]
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// SIGCONT: it goes on.
    #[track_caller]
    pub fn cont(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// SIGTERM: it should end by itself; see [`Daemon::wait`].
    #[track_caller]
    pub fn term(&self) {
        self.signal(Signal::SIGTERM);
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).unwrap_or_else(|e| panic!("{signal} to {}: {e}", self.name));
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().context("wait")? {
                return Ok(status);
            }
            if Instant::now() >= end {
                bail!("{} still runs after {limit:?}", self.name);
            }
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
