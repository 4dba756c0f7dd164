//! Planned hand-over: addresses stay until a successor is heard to hold them, and a moment longer.

use super::address::Pending;
use super::{Action, Change, Group, LAST_WORD, Timer, Timers};
use crate::packet::Vrid;
use crate::router::{State, centiseconds};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long one who gives an address to another member serves it after that, or for an interval if that is shorter: hosts
/// have to hear of the other one first, and what they sent before that is on its way. A kernel that forwards would pass it
/// on to the other member, who may be a real server too, and would take it for balanced already.
const PARTING: Duration = Duration::from_millis(50);
/// And as much longer for each address: the other member has to make and announce all of them, and says that it is Active
/// before it has.
const EACH: Duration = Duration::from_micros(500);
/// But not longer than this.
const MOST: Duration = Duration::from_millis(500);

/// That this member stops.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// It lets go of what nobody takes over.
    pub(super) for_good: bool,
}

impl Group {
    pub(super) fn leave(&mut self, for_good: bool, actions: &mut Vec<Action>) {
        if let Some(leaving) = &mut self.leaving {
            leaving.for_good |= for_good;
            return;
        }
        self.leaving = Some(Leaving { for_good });
        for vrid in self.routers.keys().copied().collect::<Vec<_>>() {
            let until = self.now + self.patience();
            let Some(entry) = self.routers.get_mut(&vrid) else { continue };
            let Some(router) = &mut entry.router else { continue };
            if router.shut_down() {
                entry.leaving = Some((until, None));
                self.timers.set(Timer::Leave(vrid), self.now);
            }
            self.arm(vrid);
            self.note(vrid, State::Initialize);
            let leaving = self.routers.get(&vrid).is_some_and(|entry| entry.leaving.is_some());
            if leaving {
                self.changed(vrid, Change::Leaving);
                self.timers.clear(Timer::Probe(vrid));
                self.leave_due(vrid, actions);
            } else if for_good || self.any_live() {
                self.let_go_in_words(vrid, actions);
            }
        }
        self.all_left(actions);
    }

    /// How long a successor may take: its active-down interval is not longer.
    pub(super) fn patience(&self) -> Duration {
        4 * centiseconds(self.interval)
    }

    /// Says again that we go, for it may have been lost; ends it in the end.
    pub(super) fn leave_due(&mut self, vrid: Vrid, actions: &mut Vec<Action>) {
        let Some((until, successor)) = self.routers.get(&vrid).and_then(|entry| entry.leaving)
        else {
            return;
        };
        if self.now >= until {
            self.left(vrid, false, actions);
            return;
        }
        if successor.is_none() {
            self.say(vrid, 0, actions);
        }
        let next = self.now + centiseconds(self.interval);
        self.timers.set(Timer::Leave(vrid), next.min(until));
    }

    /// Somebody has taken over, or nobody did.
    pub(super) fn left(&mut self, vrid: Vrid, taken: bool, actions: &mut Vec<Action>) {
        self.timers.clear(Timer::Leave(vrid));
        self.silence(vrid);
        let mut last = None;
        if let Some(entry) = self.routers.get_mut(&vrid) {
            entry.leaving = None;
            last = entry.last.filter(|_| taken);
        }
        let to = last.map(|(from, priority, at)| self.heard(from, priority, at));
        self.changed(vrid, Change::HandedOver { to });
        let for_good = self.leaving.is_some_and(|leaving| leaving.for_good);
        if taken {
            self.hand_over(vrid, actions);
        } else if for_good || self.any_live() {
            self.let_go_in_words(vrid, actions);
        }
        self.all_left(actions);
    }

    /// What is held goes. A member that was out of reach until now may carry it too.
    pub(super) fn let_go_in_words(&mut self, vrid: Vrid, actions: &mut Vec<Action>) {
        if self.let_go(vrid, actions) {
            self.say(vrid, LAST_WORD, actions);
        }
    }

    fn all_left(&mut self, actions: &mut Vec<Action>) {
        let parting = |claim: &super::Claim| claim.pending == Some(Pending::Parting);
        if self.leaving.is_some()
            && self.routers.values().all(|entry| entry.leaving.is_none())
            && !self.claims.values().any(parting)
        {
            self.stopped(actions);
        }
    }

    /// A peer carries the router from now on: what is held goes in a moment, all of it at once.
    pub(super) fn hand_over(&mut self, vrid: Vrid, actions: &mut Vec<Action>) {
        let held = self.held_of(vrid);
        let at = self.parted_at(held.len());
        for held in held {
            let Some(claim) = self.claims.get_mut(&held) else { continue };
            if claim.pending.is_none() {
                claim.pending = Some(Pending::Parting);
                claim.known = true;
                claim.rival = None;
                self.timers.set(Timer::Address(held), at);
            }
        }
        self.let_go(vrid, actions);
    }

    /// When so many addresses are let go that somebody else holds from now on.
    pub(super) fn parted_at(&self, addresses: usize) -> Duration {
        let each = u32::try_from(addresses).map_or(MOST, |count| EACH.saturating_mul(count));
        self.now + PARTING.min(centiseconds(self.interval)) + each.min(MOST)
    }

    /// What stayed for a moment of these routers is gone.
    pub(super) fn parted(&mut self, routers: BTreeSet<Vrid>, actions: &mut Vec<Action>) {
        for vrid in routers {
            self.say(vrid, LAST_WORD, actions);
        }
        self.all_left(actions);
    }

    pub(super) fn stopped(&mut self, actions: &mut Vec<Action>) {
        self.stopped = true;
        self.timers = Timers::default();
        self.send_presence(0, actions);
        actions.push(Action::Stopped);
    }
}
