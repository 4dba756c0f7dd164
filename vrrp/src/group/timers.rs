//! What is due when: setting, clearing and finding the first cost the logarithm of their number.

use super::Held;
use crate::packet::Vrid;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What comes due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The virtual router's own: an advertisement, or a take-over.
    Router(Vrid),
    /// Of a virtual router that is handed over: to say so again, or to end it.
    Leave(Vrid),
    /// To probe what an Active router holds.
    Probe(Vrid),
    /// The next repetition of these announcements.
    Announce(u64),
    /// What is undecided about one address.
    Address(Held),
    /// To tell peers that we are there.
    Presence,
    /// The peer that was silent for longest may be gone.
    Peers,
    /// A peer was heard anew.
    Met,
    /// To renew lifetimes.
    Renew,
    /// To ask whether anybody is heard.
    Ask,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    order: BTreeSet<(Duration, Timer)>,
    at: BTreeMap<Timer, Duration>,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Duration) {
        if let Some(before) = self.at.insert(timer.clone(), at) {
            self.order.remove(&(before, timer.clone()));
        }
        self.order.insert((at, timer));
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        if let Some(before) = self.at.remove(&timer) {
            self.order.remove(&(before, timer));
        }
    }

    pub(super) fn at(&self, timer: &Timer) -> Option<Duration> {
        self.at.get(timer).copied()
    }

    pub(super) fn first(&self) -> Option<Duration> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes the first one that is due.
    pub(super) fn pop(&mut self, now: Duration) -> Option<Timer> {
        if self.first()? > now {
            return None;
        }
        let (_, timer) = self.order.pop_first()?;
        self.at.remove(&timer);
        Some(timer)
    }

    /// Makes everything that is overdue due now.
    pub(super) fn catch_up(&mut self, now: Duration) {
        while let Some((at, _)) = self.order.first()
            && *at < now
        {
            let Some((_, timer)) = self.order.pop_first() else { return };
            self.at.insert(timer.clone(), now);
            self.order.insert((now, timer));
        }
    }
}
