use std::fmt::Debug;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// Waits until `state` gives a value that `wanted` accepts, and returns it.
///
/// # Panics
/// After `limit`, with what was waited for and the last value seen.
#[track_caller]
pub fn eventually<T: Debug>(
    what: &str,
    limit: Duration,
    mut state: impl FnMut() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let start = Instant::now();
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
/// After `limit`, with what was waited for and the last thing seen.
#[track_caller]
pub fn wait_for<T, E: Debug>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<T, E>,
) -> T {
    let start = Instant::now();
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
