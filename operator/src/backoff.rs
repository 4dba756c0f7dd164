//! How long to wait before a broken watch is tried again.

use kube::runtime::utils;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The first wait: the server may only have ended the connection.
const FIRST: Duration = Duration::from_millis(200);
/// The longest. kube's default is 30 s and as much again by chance, and needs several attempts once the server is back.
const LONGEST: Duration = Duration::from_secs(5);

/// Waits that double from attempt to attempt, each shortened by chance to as little as its half, so that not everybody
/// comes at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let wait = FIRST.saturating_mul(factor).min(LONGEST);
        // A new state has new keys; the standard library has no other source of chance.
        let chance = u32::try_from(RandomState::new().hash_one(()) % 1000).unwrap_or(0);
        Some(wait - wait / 2 * chance / 1000)
    }
}

impl utils::Backoff for Backoff {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_limit_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        for wait in [200, 400, 800, 1600, 3200].into_iter().chain([5000; 100]) {
            let wait = Duration::from_millis(wait);
            let waited = backoff.next().unwrap();
            assert!(waited <= wait && waited > wait / 2, "{waited:?} of {wait:?}");
        }
        utils::Backoff::reset(&mut backoff);
        assert!(backoff.next().unwrap() <= FIRST);
    }
}
