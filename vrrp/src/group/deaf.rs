//! A link that has just come up may carry nothing yet: a switch that makes sure that there is no loop (STP) lets no frame pass
//! for up to 30 s. Silence is no news then.
//!
//! What tells it from others that are dead: those were heard on this very link before they fell silent. After the link came
//! up nobody was, so nothing is taken over before a peer is heard, who says how things are; or before somebody else on the
//! link is, and no peer for a second and a half after that; or before the longest time that a switch takes is over.

use super::{Action, Change, Group, Timer};
use crate::router::State;
use std::time::Duration;

/// Twice the forward delay of IEEE 802.1D, 15 s, and some for the port itself.
const LONGEST: Duration = Duration::from_secs(35);
/// Peers say each second that they are there, and ask for our MAC address each second as long as there is no answer.
const PEERS: Duration = Duration::from_millis(1500);
/// Between two times of asking.
const ASK: Duration = Duration::from_secs(1);

impl Group {
    /// Whether [`super::Event::Frame`] is worth telling.
    pub fn is_deaf(&self) -> bool {
        self.deaf.is_some()
    }

    /// The link has come up. What is carried is let go, as if it had been seen down.
    pub(super) fn link_up(&mut self, actions: &mut Vec<Action>) {
        if self.peers.is_empty() || self.leaving.is_some() {
            return;
        }
        let now = self.now;
        for vrid in self.routers.keys().copied().collect::<Vec<_>>() {
            let router = self.routers.get_mut(&vrid).and_then(|entry| entry.router.as_mut());
            let Some(router) = router else { continue };
            let active = router.state() == State::Active;
            router.listen(now);
            self.arm(vrid);
            if active {
                self.changed(vrid, Change::Down("its link was down for a moment".to_owned()));
                self.step_down(vrid);
                self.let_go_in_words(vrid, actions);
            }
        }
        self.deaf = Some(now + LONGEST);
        self.ask(actions);
    }

    /// Somebody is to say something.
    pub(super) fn ask(&mut self, actions: &mut Vec<Action>) {
        match self.deaf {
            Some(until) if self.now < until => {
                actions.push(Action::Ask);
                self.timers.set(Timer::Ask, until.min(self.now + ASK));
            }
            _ => self.deaf = None,
        }
    }

    /// Somebody else on the link was heard.
    pub(super) fn frame(&mut self) {
        let soon = self.now + PEERS;
        if let Some(until) = self.deaf.as_mut().filter(|until| soon < **until) {
            *until = soon;
        }
    }

    /// A peer was heard. From now on silence is one.
    pub(super) fn hears(&mut self) {
        if self.deaf.take().is_none() {
            return;
        }
        self.timers.clear(Timer::Ask);
        for vrid in self.routers.keys().copied().collect::<Vec<_>>() {
            self.listen_on(vrid);
        }
    }

    /// Whoever listens begins anew.
    pub(super) fn listen_on(&mut self, vrid: crate::Vrid) {
        let router = self.routers.get_mut(&vrid).and_then(|entry| entry.router.as_mut());
        if let Some(router) = router.filter(|router| router.state() == State::Backup) {
            router.listen(self.now);
            self.arm(vrid);
        }
    }
}
