//! Planned hand-over: addresses stay until a successor is heard to hold them.

use super::{Action, Group, Timer, Timers};
use crate::packet::Vrid;
use crate::router::{State, centiseconds};
use std::time::Duration;

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
                entry.leaving = Some((until, 0));
                self.timers.set(Timer::Leave(vrid), self.now);
            }
            self.arm(vrid);
            self.note(vrid, State::Initialize);
            let leaving = self.routers.get(&vrid).is_some_and(|entry| entry.leaving.is_some());
            if leaving {
                self.timers.clear(Timer::Probe(vrid));
                self.leave_due(vrid, actions);
            } else if for_good || self.any_live() {
                self.let_go(vrid, actions);
            }
        }
        self.all_left(actions);
    }

    /// How long a successor may take: its active-down interval is not longer.
    fn patience(&self) -> Duration {
        4 * centiseconds(self.interval)
    }

    /// Says again that we go, for it may have been lost; ends it in the end.
    pub(super) fn leave_due(&mut self, vrid: Vrid, actions: &mut Vec<Action>) {
        let Some((until, adverts)) = self.routers.get(&vrid).and_then(|entry| entry.leaving) else {
            return;
        };
        if self.now >= until {
            self.left(vrid, false, actions);
            return;
        }
        if adverts == 0 {
            self.say(vrid, 0, actions);
        }
        let next = self.now + centiseconds(self.interval);
        self.timers.set(Timer::Leave(vrid), next.min(until));
    }

    /// Somebody has taken over, or nobody did.
    pub(super) fn left(&mut self, vrid: Vrid, taken: bool, actions: &mut Vec<Action>) {
        self.timers.clear(Timer::Leave(vrid));
        self.silence(vrid);
        if let Some(entry) = self.routers.get_mut(&vrid) {
            entry.leaving = None;
        }
        let for_good = self.leaving.is_some_and(|leaving| leaving.for_good);
        if taken || for_good || self.any_live() {
            self.let_go(vrid, actions);
        }
        self.all_left(actions);
    }

    fn all_left(&mut self, actions: &mut Vec<Action>) {
        if self.leaving.is_some() && self.routers.values().all(|entry| entry.leaving.is_none()) {
            self.stopped(actions);
        }
    }

    pub(super) fn stopped(&mut self, actions: &mut Vec<Action>) {
        self.stopped = true;
        self.timers = Timers::default();
        self.send_presence(0, actions);
        actions.push(Action::Stopped);
    }
}
