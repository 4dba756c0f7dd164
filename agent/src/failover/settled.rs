//! Addresses that everybody on the link is to hear of again although no virtual router has moved: those that the engine has put
//! on an interface to stay, which another director may have had a moment ago, as when a group shrinks to one; and all of an
//! interface that has got another MAC address, another device, or its carrier back.

use lvs_vrrp::Held;
use std::time::Duration;

/// At once, and again: beyond the lifetime of what another one may still have, and until a port that has just come up forwards.
const AFTER: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(4),
];
/// An interface that changes all the time is announced this often.
const AGAIN: Duration = Duration::from_millis(100);

/// What is to be announced, and when.
#[derive(Debug, Default)]
pub(super) struct Settled {
    batches: Vec<Batch>,
}

#[derive(Debug)]
struct Batch {
    /// Whose addresses they all are, if it is about a whole interface.
    interface: Option<String>,
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
        self.batches.push(Batch { interface: None, addresses, since: now, step: 0 });
    }

    /// All that stands on this interface is elsewhere for whoever sends to it. Whether that is to be told at once, and not within
    /// a moment, with what has just been told.
    pub(super) fn moved(&mut self, interface: &str, addresses: Vec<Held>, now: Duration) -> bool {
        let same = |batch: &Batch| batch.interface.as_deref() == Some(interface);
        if let Some(batch) = self.batches.iter_mut().find(|batch| same(batch))
            && now < batch.since + AGAIN
        {
            batch.addresses = addresses;
            return false;
        }
        self.batches.retain(|batch| !same(batch));
        let interface = Some(interface.to_owned());
        self.batches.push(Batch { interface, addresses, since: now, step: 0 });
        true
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
                if batch.interface.is_none() {
                    batch.addresses.retain(&stands);
                }
                // On an interface that is another device they may not stand again yet.
                due.extend(batch.addresses.iter().filter(|held| stands(held)).cloned());
            }
        }
        self.batches.retain(|batch| batch.deadline().is_some() && !batch.addresses.is_empty());
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(text: &str) -> Held {
        Held { interface: "eth0".to_owned(), address: text.parse().expect("an address") }
    }

    #[test]
    fn what_has_come_is_announced_until_another_ones_lifetime_is_over_unless_it_has_gone() {
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

    #[test]
    fn an_interface_that_moves_all_the_time_is_announced_ten_times_a_second_and_never_later_than_100_ms()
     {
        let mut settled = Settled::default();
        let start = Duration::from_secs(100);
        let all = vec![held("10.0.0.1/24")];
        let (mut announced, mut told) = (0, None);
        for millisecond in 0..1000 {
            let now = start + Duration::from_millis(millisecond);
            settled.moved("eth0", all.clone(), now);
            if settled.deadline().is_some_and(|deadline| deadline <= now) {
                announced += settled.due(now, |_| true).len();
                told = Some(now);
            }
            assert!(told.is_some_and(|told| now < told + AGAIN + Duration::from_millis(1)));
        }
        assert!((10..=11).contains(&announced), "{announced}");
        assert_eq!(settled.batches.len(), 1);
    }
}
