//! Boots a guest and runs the calling test's closure in it.
//!
//! The host side re-executes this same test binary as the guest's command, with `--exact` and the name of the running
//! test. Inside, the same call runs the closure and leaves the process with the verdict.

mod folder;
mod guest;
mod launch;
mod slot;

use std::any::Any;
use std::cell::Cell;
use std::ffi::OsString;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};

pub use guest::{Guest, Kernel};
pub(crate) use guest::{is_oldest, made_by};
use launch::{End, Launch};

/// Set inside a guest: which of the test's calls of [`in_guest`] this guest is for.
const INSIDE: &str = "BED_INSIDE";
/// Where the guest sees its folder.
const RESULTS: &str = "/run/bed";

/// What the closure of a test may return.
pub trait Outcome {
    /// The error to show, if the test failed without a panic.
    fn into_result(self) -> anyhow::Result<()>;
}

impl Outcome for () {
    fn into_result(self) -> anyhow::Result<()> {
        Ok(())
    }
}

impl Outcome for anyhow::Result<()> {
    fn into_result(self) -> anyhow::Result<()> {
        self
    }
}

/// How a test in a guest failed, with everything there is to see.
#[derive(Debug)]
pub struct Failure {
    reason: String,
    /// The folder with all of it, if there was a guest.
    kept: Option<PathBuf>,
    /// What daemons and the kernel said.
    logs: String,
    output: String,
}

impl Failure {
    /// The one-line reason: the exit status, or how the guest died.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    fn verdict(&self) -> String {
        let all = self.kept.as_ref().map(|kept| format!(". All of it is in {}", kept.display()));
        format!("{}{}", self.reason, all.unwrap_or_default())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}{}", self.logs, self.output, self.verdict())
    }
}

/// Whether this process runs inside a guest (or in the namespaces of `BED=host`).
pub fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs `test` in `guest`: for use in a `#[test]`, anywhere in its body, any number of times.
///
/// # Panics
/// When the closure panics or returns an error, or the guest dies or does not end in time.
#[track_caller]
pub fn in_guest<R: Outcome>(guest: Guest, test: impl FnOnce() -> R) {
    if let Err(failure) = try_in_guest(guest, test) {
        // The output has been printed as it came.
        panic!("\n{}{}", failure.logs, failure.verdict());
    }
}

/// As [`in_guest`], but gives back what went wrong.
pub fn try_in_guest<R: Outcome>(guest: Guest, test: impl FnOnce() -> R) -> Result<(), Failure> {
    thread_local!(static CALLS: Cell<usize> = const { Cell::new(0) });
    let call = CALLS.replace(CALLS.get() + 1);
    match std::env::var(INSIDE) {
        Ok(mine) if mine == call.to_string() => run_inside(test),
        Ok(_) => Ok(()),
        Err(_) => run_outside(&guest, call),
    }
}

/// Runs the closure and leaves the process: what follows in the test belongs to the host's side.
fn run_inside<R: Outcome>(test: impl FnOnce() -> R) -> ! {
    let verdict = catch_unwind(AssertUnwindSafe(test))
        .map_err(|panic| message(&*panic))
        .and_then(Outcome::into_result);
    let status = match verdict {
        Ok(()) => std::fs::write(Path::new(RESULTS).join("passed"), spent()).map_or(102, |()| 0),
        Err(error) => {
            // Not {:?}: its backtrace, if any, is of this function.
            let causes: Vec<_> = error.chain().map(ToString::to_string).collect();
            println!("failed: {}", causes.join("\n  because: "));
            101
        }
    };
    std::process::exit(status)
}

/// What this kernel has spent since its start, for those who look for why a test takes long: its own time, which may be
/// virtual, and how many processes and threads were started.
fn spent() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let uptime = read("/proc/uptime");
    let stat = read("/proc/stat");
    let started = stat.lines().find_map(|line| line.strip_prefix("processes "));
    let uptime = uptime.split('.').next().unwrap_or_default();
    format!("{uptime} s of its own time, {} processes and threads", started.unwrap_or_default())
}

fn message(panic: &(dyn Any + Send)) -> anyhow::Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    anyhow!("{}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)"))
}

fn run_outside(guest: &Guest, call: usize) -> Result<(), Failure> {
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main");
    let test = test.expect("in_guest runs in a #[test], on the test's own thread");
    let kept = target().join("bed").join(test.replace("::", "/"));
    let binary = std::env::current_exe().expect("the test binary has a path");
    let launch = Launch {
        guest,
        command: [binary.as_os_str()]
            .into_iter()
            .chain(
                ["--exact", test, "--nocapture", "--include-ignored", "--test-threads=1"]
                    .map(AsRef::as_ref),
            )
            .map(OsString::from)
            .collect(),
        environment: vec![(INSIDE.into(), call.to_string())],
        terminal: false,
        kept: kept.clone(),
        take: None,
    };
    let run = launch.run().map_err(|error| Failure {
        reason: format!("no guest: {error:#}"),
        kept: None,
        logs: String::new(),
        output: String::new(),
    })?;
    let spent = run.passed.as_deref().unwrap_or("did not pass");
    note_duration(&format!("{test} ({spent})"), run.took);
    let reason = match run.end {
        End::Exited(0) if run.passed.is_some() => return Ok(()),
        End::Exited(0) => "the test did not run in the guest".to_owned(),
        End::Exited(status) => format!("failed in the guest (status {status})"),
        End::Died(how) => format!("the guest died: {how}"),
        End::TimedOut => format!("the guest did not end within {:?}", guest.limit),
    };
    Err(Failure {
        reason,
        logs: logs(&kept),
        output: tail(&kept.join("out"), 200),
        kept: Some(kept),
    })
}

/// What the daemons and the kernel of a failed guest said.
fn logs(kept: &Path) -> String {
    let entries = std::fs::read_dir(kept.join("logs")).into_iter().flatten().flatten();
    let mut logs: Vec<_> = entries.map(|entry| entry.path()).collect();
    logs.sort();
    let ends: String = logs.iter().map(|log| tail(log, 30)).collect();
    // A panic has its message before some fifty lines of stack.
    ends + &tail(&kept.join("console"), 80)
}

/// The last lines of a file under its name; nothing if there are none.
fn tail(path: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let all: Vec<_> = text.lines().collect();
    let last = &all[all.len().saturating_sub(lines)..];
    if last.is_empty() {
        return String::new();
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("--- {name}, its last {} lines\n{}\n", last.len(), last.join("\n"))
}

/// Cargo's target folder: this binary is `target/PROFILE/deps/NAME-HASH` or `target/PROFILE/NAME`.
pub fn target() -> PathBuf {
    let binary = std::env::current_exe().expect("the binary has a path");
    let folders: Vec<_> = binary.ancestors().skip(1).collect();
    let up = if folders[0].ends_with("deps") { 2 } else { 1 };
    folders[up].to_owned()
}

/// Adds a line to the list from which CI prints the slowest tests.
fn note_duration(test: &str, took: Duration) {
    let list = std::env::var_os("BED_DURATIONS")
        .map_or_else(|| target().join("bed/durations"), PathBuf::from);
    let folder = list.parent().map_or(Ok(()), std::fs::create_dir_all);
    let opened = folder.and_then(|()| OpenOptions::new().create(true).append(true).open(&list));
    let added = opened.and_then(|mut list| {
        list.write_all(format!("{:.1}\t{test}\n", took.as_secs_f64()).as_bytes())
    });
    added.with_context(|| format!("cannot write {}", list.display())).expect("durations");
}

/// Runs a command in a guest with this process's terminal, and returns its exit status.
pub fn run_command(guest: &Guest, command: Vec<OsString>) -> anyhow::Result<i32> {
    launch_command(guest, command, true)
}

/// Runs a command in a guest, shows what it prints as it comes, and returns its exit status.
pub fn show_command(guest: &Guest, command: Vec<OsString>) -> anyhow::Result<i32> {
    launch_command(guest, command, false)
}

fn launch_command(guest: &Guest, command: Vec<OsString>, terminal: bool) -> anyhow::Result<i32> {
    let kept = target().join("bed/run");
    let environment = vec![(INSIDE.into(), "command".into())];
    let launch = Launch { guest, command, environment, terminal, kept: kept.clone(), take: None };
    match launch.run()?.end {
        End::Exited(status) => Ok(status),
        End::Died(how) => Err(anyhow!("{}\nthe guest died: {how}", logs(&kept))),
        End::TimedOut => Err(anyhow!("{}\nit did not end within {:?}", logs(&kept), guest.limit)),
    }
}

/// Runs a command in a guest and takes what it leaves under `name` in `/run/bed`.
pub(crate) fn run_and_take(
    guest: &Guest,
    command: Vec<OsString>,
    kept: &Path,
    name: &str,
    to: &Path,
) -> anyhow::Result<()> {
    let environment = vec![(INSIDE.into(), "command".into())];
    let take = Some((name, to));
    let launch =
        Launch { guest, command, environment, terminal: false, kept: kept.to_owned(), take };
    match launch.run()?.end {
        End::Exited(0) => Ok(()),
        End::Exited(status) => Err(anyhow!("{}\nit exited with {status}", logs(kept))),
        End::Died(how) => Err(anyhow!("{}\nthe guest died: {how}", logs(kept))),
        End::TimedOut => Err(anyhow!("{}\nit did not end within {:?}", logs(kept), guest.limit)),
    }
}
