//! Addresses that could not be added: others come first while they count, and they are tried again.

use crate::state::HeldAddress;
use std::collections::BTreeMap;
use std::time::Duration;

/// After the first failure; twice as long after each that follows. Where another director is well, each try is a
/// take-over and a way back.
const FIRST: Duration = Duration::from_secs(10);
/// The longest.
const LONGEST: Duration = Duration::from_secs(600);

/// Which, and since when.
#[derive(Debug, Default)]
pub(super) struct Failed {
    /// What counts now, and why.
    why: BTreeMap<HeldAddress, String>,
    /// When each is tried again, or was, and how long after that the next time would be.
    again: BTreeMap<HeldAddress, (Duration, Duration)>,
}

impl Failed {
    /// Those that count, and why.
    pub(super) fn all(&self) -> &BTreeMap<HeldAddress, String> {
        &self.why
    }

    /// It could not be added. Whether that is new.
    pub(super) fn add(&mut self, held: HeldAddress, why: String, now: Duration) -> bool {
        if self.why.insert(held.clone(), why).is_some() {
            return false;
        }
        let wait = self.again.get(&held).map_or(FIRST, |(_, wait)| *wait);
        self.again.insert(held, (now + wait, (2 * wait).min(LONGEST)));
        true
    }

    /// It stands. Whether it did not before.
    pub(super) fn remove(&mut self, held: &HeldAddress) -> bool {
        self.again.remove(held);
        self.why.remove(held).is_some()
    }

    /// Things have changed: all may be well.
    pub(super) fn clear(&mut self) {
        self.why.clear();
        self.again.clear();
    }

    /// Those whose time has come count no more, until they fail again. Whether there are any.
    pub(super) fn forgive(&mut self, now: Duration) -> bool {
        let before = self.why.len();
        let due = |held: &HeldAddress| self.again.get(held).is_none_or(|(at, _)| *at <= now);
        self.why.retain(|held, _| !due(held));
        self.why.len() < before
    }

    /// When [`Failed::forgive`] is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.why.keys().filter_map(|held| Some(self.again.get(held)?.0)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(address: &str) -> HeldAddress {
        HeldAddress { interface: "eth0".to_owned(), address: address.parse().unwrap() }
    }

    #[test]
    fn what_fails_is_tried_again_ever_later_until_it_stands() {
        let mut failed = Failed::default();
        let vip = held("10.0.0.10/24");
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert!(failed.add(vip.clone(), "no".to_owned(), now));
            assert!(!failed.add(vip.clone(), "no".to_owned(), now + FIRST / 2), "a renewal");
            let next = failed.deadline().unwrap();
            assert!(!failed.forgive(next - Duration::from_nanos(1)));
            waits.push((next - now).as_secs());
            now = next;
            assert!(failed.forgive(now));
            assert!(failed.all().is_empty());
            assert_eq!(failed.deadline(), None);
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 600, 600]);
        failed.add(vip.clone(), "no".to_owned(), now);
        assert!(failed.remove(&vip) && !failed.remove(&vip));
        failed.add(vip, "no".to_owned(), now);
        assert_eq!(failed.deadline(), Some(now + FIRST));
    }

    #[test]
    fn a_change_lets_all_be_tried_at_once_and_forgets_how_often_they_failed() {
        let mut failed = Failed::default();
        let vip = held("10.0.0.10/24");
        failed.add(vip.clone(), "no".to_owned(), Duration::ZERO);
        assert!(failed.forgive(FIRST));
        failed.add(vip.clone(), "no".to_owned(), FIRST);
        failed.clear();
        assert!(failed.all().is_empty() && failed.deadline().is_none());
        failed.add(vip, "no".to_owned(), FIRST);
        assert_eq!(failed.deadline(), Some(2 * FIRST));
    }
}
