//! The clock that everything here goes by.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Time since boot, that in which the machine slept too: one that was suspended must notice.
pub(super) fn now() -> Duration {
    // It fails for clocks only that the kernel does not have; this one is as old as 2.6.39.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}
