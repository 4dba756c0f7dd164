use std::fmt::Debug;
use std::fs;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// Waits until `state` gives a value that `wanted` accepts, and returns it.
///
/// # Panics
/// After `limit` (in real time a multiple of it), with what was waited for and the last value seen.
#[track_caller]
pub fn eventually<T: Debug>(
    what: &str,
    limit: Duration,
    mut state: impl FnMut() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let (start, limit) = (Instant::now(), patience(limit));
    loop {
        let seen = state();
        if wanted(&seen) {
            return seen;
        }
        if start.elapsed() >= limit {
            panic!("not within {limit:?}: {what}; last seen: {seen:#?}");
        }
        sleep(INTERVAL);
    }
}

/// Waits until `condition` holds. It returns what it saw as an error, which is shown when time is up.
///
/// # Panics
/// As [`eventually`].
#[track_caller]
pub fn wait_for<T, E: Debug>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<T, E>,
) -> T {
    let (start, limit) = (Instant::now(), patience(limit));
    loop {
        match condition() {
            Ok(value) => return value,
            Err(seen) if start.elapsed() >= limit => {
                panic!("not within {limit:?}: {what}; last seen: {seen:?}")
            }
            Err(_) => sleep(INTERVAL),
        }
    }
}

/// In virtual time a limit is exact; in real time a slow or busy machine is nobody's fault.
fn patience(limit: Duration) -> Duration {
    static VIRTUAL: OnceLock<bool> = OnceLock::new();
    let is_virtual =
        || fs::read_to_string("/proc/cmdline").is_ok_and(|words| words.contains("time-travel"));
    if *VIRTUAL.get_or_init(is_virtual) { limit } else { limit.saturating_mul(10) }
}
