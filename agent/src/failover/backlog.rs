//! What may wait for a deadline: a thousand addresses are made and announced in small parts, between which advertisements go
//! out. Pure.

use lvs_vrrp::Held;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Addresses in one part: some milliseconds at most.
const PART: usize = 64;

/// What is to be done with addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Add or renew them, for that long.
    Hold(Option<Duration>),
    /// Tell everybody where they are.
    Announce,
    /// Ask whether somebody has them.
    Probe,
}

/// Parts in the order in which they came. An address is in it at most once for each kind of task, so that it does not grow where
/// the node cannot keep up.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    parts: VecDeque<(Task, Vec<Held>)>,
}

impl Backlog {
    /// A newer task takes the place of an older one of its kind.
    pub(super) fn push(&mut self, task: Task, addresses: Vec<Held>) {
        if !self.parts.is_empty() {
            let new: BTreeSet<&Held> = addresses.iter().collect();
            let kind = std::mem::discriminant(&task);
            self.retain(|other, held| {
                std::mem::discriminant(&other) != kind || !new.contains(held)
            });
        }
        let mut addresses = addresses.into_iter().peekable();
        while addresses.peek().is_some() {
            self.parts.push_back((task, addresses.by_ref().take(PART).collect()));
        }
    }

    /// Nothing is done with these any more.
    pub(super) fn cancel(&mut self, addresses: &[Held]) {
        if !self.parts.is_empty() {
            let gone: BTreeSet<&Held> = addresses.iter().collect();
            self.retain(|_, held| !gone.contains(held));
        }
    }

    fn retain(&mut self, keep: impl Fn(Task, &Held) -> bool) {
        for (task, addresses) in &mut self.parts {
            addresses.retain(|held| keep(*task, held));
        }
        self.parts.retain(|(_, addresses)| !addresses.is_empty());
    }

    /// What is to be held or announced still.
    pub(super) fn waiting(&self) -> BTreeSet<&Held> {
        let parts = self.parts.iter().filter(|(task, _)| *task != Task::Probe);
        parts.flat_map(|(_, addresses)| addresses).collect()
    }

    pub(super) fn next(&mut self) -> Option<(Task, Vec<Held>)> {
        self.parts.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(numbers: impl Iterator<Item = u32>) -> Vec<Held> {
        let address = |number: u32| std::net::Ipv4Addr::from(number);
        let held = |number| Held {
            interface: "eth0".to_owned(),
            address: std::net::IpAddr::V4(address(number)).into(),
        };
        numbers.map(held).collect()
    }

    fn drain(mut backlog: Backlog) -> Vec<(Task, usize)> {
        std::iter::from_fn(|| backlog.next()).map(|(task, held)| (task, held.len())).collect()
    }

    #[test]
    fn parts_are_small_and_keep_their_order() {
        let mut backlog = Backlog::default();
        backlog.push(Task::Hold(None), held(0..130));
        backlog.push(Task::Announce, held(0..64));
        let (hold, announce) = (Task::Hold(None), Task::Announce);
        assert_eq!(drain(backlog), [(hold, 64), (hold, 64), (hold, 2), (announce, 64)]);
    }

    #[test]
    fn a_renewal_takes_the_place_of_one_that_still_waits() {
        let mut backlog = Backlog::default();
        let lifetime = Task::Hold(Some(Duration::from_secs(3)));
        backlog.push(Task::Hold(None), held(0..10));
        backlog.push(Task::Announce, held(0..10));
        backlog.push(lifetime, held(0..9));
        assert_eq!(drain(backlog), [(Task::Hold(None), 1), (Task::Announce, 10), (lifetime, 9)]);
    }

    #[test]
    fn what_is_let_go_of_is_neither_held_nor_announced_later() {
        let mut backlog = Backlog::default();
        backlog.push(Task::Hold(None), held(0..10));
        backlog.push(Task::Announce, held(0..10));
        backlog.cancel(&held(0..9));
        assert_eq!(drain(backlog), [(Task::Hold(None), 1), (Task::Announce, 1)]);
        let mut backlog = Backlog::default();
        backlog.push(Task::Probe, held(0..10));
        backlog.cancel(&held(0..10));
        assert!(backlog.is_empty());
    }
}
