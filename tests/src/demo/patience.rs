//! Waits of a play. Each is a small part of what the play may take, and one that fails says what was seen last.

use std::fmt::Debug;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;

/// How long anything may take that is to be seen: a machine that is busy with something else is slow, and nobody's fault.
const PATIENCE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(50);

/// Waits until `condition` holds. It returns what it saw as an error.
pub(crate) fn within<T, E: Debug>(
    what: &str,
    mut condition: impl FnMut() -> Result<T, E>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        match condition() {
            Ok(value) => return Ok(value),
            Err(seen) if start.elapsed() >= PATIENCE => {
                bail!("not within {} s: {what}; seen last: {seen:?}", PATIENCE.as_secs())
            }
            Err(_) => sleep(INTERVAL),
        }
    }
}
