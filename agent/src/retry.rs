//! Waiting longer after each failure, and telling a failure with its causes.

use kube::runtime::utils::Backoff;
use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// First wait. An API server that restarts is back within seconds, and then hundreds of agents are waiting.
const FIRST: Duration = Duration::from_millis(200);
/// The longest wait, before it is spread.
const LONGEST: Duration = Duration::from_secs(5);

/// So long without a failure and the next one is a first one.
const FORGIVEN: Duration = Duration::from_secs(20);

/// Waits that double, spread by a half either way so that agents do not come all at once.
#[derive(Clone, Debug)]
pub(crate) struct Retry {
    next: Duration,
    failed: Option<Instant>,
}

impl Default for Retry {
    fn default() -> Self {
        Self { next: FIRST, failed: None }
    }
}

impl Iterator for Retry {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.failed = Some(Instant::now());
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        // Each RandomState has keys of its own: random enough, and nothing to depend on.
        let percent = 50 + RandomState::new().hash_one(()) % 101;
        Some(wait * u32::try_from(percent).unwrap_or(100) / 100)
    }
}

impl Backoff for Retry {
    /// A watch that begins a listing calls this a success; one that fails right after must not begin anew.
    fn reset(&mut self) {
        if self.failed.is_some_and(|failed| failed.elapsed() >= FORGIVEN) {
            *self = Self::default();
        }
    }
}

/// An error with its causes, each once.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_begin_anew_after_a_while() {
        let mut retry = Retry::default();
        let waits: Vec<Duration> = retry.by_ref().take(20).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST * 3 / 2, "{waits:?}");
        assert!(waits[19] >= LONGEST / 2 && waits[19] <= LONGEST * 3 / 2, "{waits:?}");
        assert!(waits[12..].iter().any(|wait| *wait != waits[19]), "all the same: {waits:?}");
        retry.reset();
        assert!(retry.next().unwrap() >= LONGEST / 2);
        retry.failed = Instant::now().checked_sub(FORGIVEN);
        retry.reset();
        assert!(retry.next().unwrap() <= FIRST * 3 / 2);
    }
}
