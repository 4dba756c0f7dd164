//! How often a target is checked, and how many results count.

use std::time::Duration;

/// The settings of one target's check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between the beginnings of two checks.
    pub interval: Duration,
    /// Passed in a row until a target that is down is up; at least 1.
    pub rise: u32,
    /// Failed in a row until a target that is up is down; at least 1.
    pub fall: u32,
    /// Whether a target of which nothing is known counts as up.
    pub initial_up: bool,
    /// By how many percent of the interval each wait is shorter or longer, at most 50.
    pub jitter_percent: u32,
}

impl Default for Timing {
    /// A death is seen within a second: three checks each 250 ms.
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(250),
            rise: 2,
            fall: 3,
            initial_up: true,
            jitter_percent: 5,
        }
    }
}

impl Timing {
    /// One wait. `random`: any number.
    pub(crate) fn wait(&self, random: u64) -> Duration {
        let spread = self.interval * self.jitter_percent.min(50) / 100;
        let range = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX).saturating_mul(2);
        let within = if range == 0 { 0 } else { random % range };
        (self.interval - spread + Duration::from_nanos(within)).max(Duration::from_millis(1))
    }

    /// Where in its interval a target's checks begin.
    pub(crate) fn phase(&self, random: u64) -> Duration {
        let range = u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(random % range)
    }
}
