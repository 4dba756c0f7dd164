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

/// Set in a guest: after so many seconds of real time it is ended.
pub(crate) const LIMIT: &str = "BED_LIMIT";
/// Before that a wait has to be over, for what it has seen to be told.
const SPARE: Duration = Duration::from_secs(5);

/// In virtual time a limit is exact; in real time a slow or busy machine is nobody's fault, but the guest's end comes all the same.
fn patience(limit: Duration) -> Duration {
    static VIRTUAL: OnceLock<bool> = OnceLock::new();
    let is_virtual =
        || fs::read_to_string("/proc/cmdline").is_ok_and(|words| words.contains("time-travel"));
    if *VIRTUAL.get_or_init(is_virtual) {
        return limit;
    }
    let all = limit.saturating_mul(10);
    left().map_or(all, |left| all.min(left.saturating_sub(SPARE)))
}

/// Until the guest is ended, which has lived as long as its kernel; `None` where this is no guest.
fn left() -> Option<Duration> {
    let limit = std::env::var(LIMIT).ok()?.parse().ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime = uptime.split(' ').next()?.parse().ok()?;
    Some(Duration::from_secs(limit).saturating_sub(Duration::from_secs_f64(uptime)))
}
