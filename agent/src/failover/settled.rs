//! Addresses that the engine has put on an interface to stay: another director may have had them a moment ago, as when a
//! group shrinks to one, so the link is told where they are now, as it is of those that float.

use lvs_vrrp::Held;
use std::time::Duration;

/// At once, and again beyond the lifetime of what another one may still have.
const AFTER: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(4),
];

/// What is to be announced, and when.
#[derive(Debug, Default)]
pub(super) struct Settled {
    batches: Vec<Batch>,
}

#[derive(Debug)]
struct Batch {
    addresses: Vec<Held>,
    since: Duration,
    step: usize,
}

impl Batch {
    fn deadline(&self) -> Option<Duration> {
        AFTER.get(self.step).map(|after| self.since + *after)
    }
}

impl Settled {
    /// These have come.
    pub(super) fn add(&mut self, addresses: Vec<Held>, now: Duration) {
        self.batches.push(Batch { addresses, since: now, step: 0 });
    }

    /// When something is to be announced next.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.batches.iter().filter_map(Batch::deadline).min()
    }

    /// What is to be announced now, of what `stands` still.
    pub(super) fn due(&mut self, now: Duration, stands: impl Fn(&Held) -> bool) -> Vec<Held> {
        let mut due = Vec::new();
        for batch in &mut self.batches {
            if batch.deadline().is_some_and(|deadline| deadline <= now) {
                batch.step += 1;
                batch.addresses.retain(&stands);
                due.extend(batch.addresses.iter().cloned());
            }
        }
        self.batches.retain(|batch| batch.deadline().is_some() && !batch.addresses.is_empty());
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_is_announced_until_another_ones_lifetime_is_over_unless_it_has_gone() {
        let held = |text: &str| Held {
            interface: "eth0".to_owned(),
            address: text.parse().expect("an address"),
        };
        let (stays, goes) = (held("10.0.0.1/24"), held("10.0.0.2/24"));
        let mut settled = Settled::default();
        assert_eq!(settled.deadline(), None);
        let start = Duration::from_secs(100);
        settled.add(vec![stays.clone(), goes.clone()], start);
        assert_eq!(settled.due(start, |_| true), [stays.clone(), goes.clone()]);
        assert!(settled.due(start, |_| true).is_empty());
        let mut times = 0;
        let mut last = start;
        while let Some(deadline) = settled.deadline() {
            assert_eq!(settled.due(deadline, |it| *it != goes), std::slice::from_ref(&stays));
            (times, last) = (times + 1, deadline);
        }
        assert_eq!((times, last - start), (6, Duration::from_secs(4)));
    }
}
