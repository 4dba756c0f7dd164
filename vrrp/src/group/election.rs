//! What becomes of the virtual routers' own machines for addresses, announcements and the report.

use super::renumber::Former;
use super::{Action, Change, Group, Heard, Held, LAST_WORD, Timer};
use crate::packet::{Advertisement, Vrid};
use crate::router::{Cause, Outcome, Router, State};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// How often what an Active router holds is probed.
const PROBE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// `None`: it takes no part.
    pub(super) router: Option<Router>,
    pub(super) addresses: BTreeSet<Held>,
    /// Those of them that advertisements tell of.
    pub(super) advertised: Vec<IpAddr>,
    /// A peer was heard to carry it: its addresses are the group's.
    pub(super) heard: bool,
    /// The last advertisement of one that carries it, or gives it up: from whom, its priority, and when.
    pub(super) last: Option<(IpAddr, u8, Duration)>,
    /// While not Active: some of its addresses may be held or probed, until a peer is heard to carry it.
    pub(super) unsettled: bool,
    /// It is being handed over: until when, and who was heard last to carry it.
    pub(super) leaving: Option<(Duration, Option<IpAddr>)>,
    /// Ids that it had, the last one last.
    pub(super) former: Vec<Former>,
}

impl Entry {
    pub(super) fn is_active(&self) -> bool {
        self.router.as_ref().is_some_and(|router| router.state() == State::Active)
    }
}

impl Group {
    /// A peer's advertisement.
    pub(super) fn hear(&mut self, from: IpAddr, heard: &Advertisement, actions: &mut Vec<Action>) {
        let now = self.now;
        let meant = self.meant(from, heard);
        if heard.priority <= LAST_WORD {
            self.announce_told(heard, meant, actions);
        }
        let Some(vrid) = meant else {
            self.report.counters.unknown += 1;
            return;
        };
        let Some(entry) = self.routers.get_mut(&vrid) else { return };
        if let Some((_, successor)) = &mut entry.leaving {
            entry.last = Some((from, heard.priority, now));
            // One alone may come from an heir that gives up to a better one.
            if heard.priority > LAST_WORD && successor.replace(from) == Some(from) {
                self.left(vrid, true, actions);
            }
            return;
        }
        if heard.priority == LAST_WORD {
            if entry.is_active() {
                self.silence(vrid);
                self.contradict(vrid, actions);
            }
            return;
        }
        entry.last = Some((from, heard.priority, now));
        let Some(router) = &mut entry.router else { return };
        match router.hear(from, heard, now) {
            Outcome::Contended => self.contradict(vrid, actions),
            Outcome::GaveUp => {
                let to = self.heard(from, heard.priority, now);
                self.changed(vrid, Change::GaveUp { to });
                // The better one may never have heard of us, and hosts may send here: it announces again when it hears this.
                // The last word comes after the addresses are gone, and by then we may be dead or cut off.
                self.advertise(vrid, actions);
                self.step_down(vrid);
                self.hand_over(vrid, actions);
            }
            Outcome::Nothing | Outcome::Advertise | Outcome::TookOver(_) => {}
        }
        self.arm(vrid);
        if heard.priority > 0 {
            self.carried(vrid, from, actions);
        }
    }

    /// Somebody else held what this Active router holds.
    fn contradict(&mut self, vrid: Vrid, actions: &mut Vec<Action>) {
        self.advertise(vrid, actions);
        self.announce_all(vrid, actions);
        self.unblock(vrid);
    }

    /// A member lets go of addresses. By its configuration they are, or were, another router's than by ours: what we hold of
    /// them hosts have to hear of, as if it had named ours.
    pub(super) fn announce_told(
        &mut self,
        heard: &Advertisement,
        meant: Option<Vrid>,
        actions: &mut Vec<Action>,
    ) {
        let held = heard.addresses.iter().filter_map(|address| self.by_address.get(address));
        let routers = held.flatten().filter_map(|held| Some(self.claims.get(held)?.vrid));
        for vrid in routers.filter(|vrid| Some(*vrid) != meant).collect::<BTreeSet<_>>() {
            if !self.routers.get(&vrid).is_some_and(Entry::is_active) {
                continue;
            }
            if heard.priority == LAST_WORD {
                self.silence(vrid);
            }
            self.announce_all(vrid, actions);
        }
    }

    /// Whether or not a peer carries this router: if we do not, what is left of it here goes.
    fn carried(&mut self, vrid: Vrid, from: IpAddr, actions: &mut Vec<Action>) {
        let Some(entry) = self.routers.get_mut(&vrid) else { return };
        if entry.is_active() {
            return;
        }
        entry.heard = true;
        if let Some(report) = self.report.routers.get_mut(&vrid) {
            report.carrier = Some(from);
        }
        if std::mem::take(&mut entry.unsettled) {
            self.let_go_in_words(vrid, actions);
        }
    }

    /// The router's timer has run out.
    pub(super) fn router_due(&mut self, vrid: Vrid, actions: &mut Vec<Action>) {
        if self.is_deaf() {
            self.listen_on(vrid);
        }
        let now = self.now;
        let Some(router) = self.routers.get_mut(&vrid).and_then(|entry| entry.router.as_mut())
        else {
            return;
        };
        match router.tick(now) {
            Outcome::Advertise | Outcome::Contended => self.advertise(vrid, actions),
            Outcome::TookOver(cause) => self.take_over(vrid, cause, actions),
            Outcome::Nothing | Outcome::GaveUp => {}
        }
        self.arm(vrid);
    }

    pub(super) fn arm(&mut self, vrid: Vrid) {
        let router = self.routers.get(&vrid).and_then(|entry| entry.router.as_ref());
        match router.and_then(Router::deadline) {
            Some(at) => self.timers.set(Timer::Router(vrid), at),
            None => self.timers.clear(Timer::Router(vrid)),
        }
    }

    pub(super) fn take_over(&mut self, vrid: Vrid, cause: Cause, actions: &mut Vec<Action>) {
        let since = self.report.routers.get(&vrid).map(|report| report.since);
        let last = self.routers.get(&vrid).and_then(|entry| entry.last);
        // What was heard before it was carried here the last time is no reason.
        let from = last.filter(|(_, _, at)| since.is_none_or(|since| *at >= since));
        let from = from.map(|(from, priority, at)| self.heard(from, priority, at));
        self.changed(vrid, Change::TookOver { cause, from });
        self.note(vrid, State::Active);
        if let Some(report) = self.report.routers.get_mut(&vrid) {
            report.carrier = None;
        }
        // Others that wait for the same silence hear that it is over before they have waited long enough. But whoever is
        // relieved begins to let go when it hears of it, so it hears of it last.
        if cause != Cause::Preempted {
            self.advertise(vrid, actions);
        }
        self.claim_all(vrid, actions);
        if cause != Cause::Silence {
            self.advertise(vrid, actions);
        }
        self.timers.set(Timer::Probe(vrid), self.now + PROBE);
    }

    /// Not Active any more, for whatever reason. What becomes of its addresses is the caller's.
    pub(super) fn step_down(&mut self, vrid: Vrid) {
        self.silence(vrid);
        self.timers.clear(Timer::Probe(vrid));
        let state = self.routers.get(&vrid).and_then(|entry| entry.router.as_ref());
        self.note(vrid, state.map_or(State::Initialize, Router::state));
    }

    pub(super) fn probe_held(&mut self, vrid: Vrid, actions: &mut Vec<Action>) {
        self.timers.set(Timer::Probe(vrid), self.now + PROBE);
        let held = self.held_of(vrid);
        if !held.is_empty() {
            actions.push(Action::Probe(held));
        }
    }

    pub(super) fn advertise(&mut self, vrid: Vrid, actions: &mut Vec<Action>) {
        let router = self.routers.get(&vrid).and_then(|entry| entry.router.as_ref());
        if let Some(priority) = router.map(|router| router.settings().priority) {
            self.say(vrid, priority, actions);
        }
    }

    /// An advertisement of this priority.
    pub(super) fn say(&mut self, vrid: Vrid, priority: u8, actions: &mut Vec<Action>) {
        let Some(entry) = self.routers.get(&vrid) else { return };
        let (addresses, interval) = (entry.advertised.clone(), self.interval);
        let also: Vec<Vrid> = entry.also(self.now).collect();
        for vrid in also {
            let addresses = addresses.clone();
            self.send(Advertisement { vrid, priority, interval, addresses }, actions);
        }
        self.send(Advertisement { vrid, priority, interval, addresses }, actions);
    }

    /// For the report.
    pub(super) fn changed(&mut self, vrid: Vrid, change: Change) {
        if let Some(report) = self.report.routers.get_mut(&vrid) {
            report.change = Some(change);
            report.changes += 1;
            self.report.generation += 1;
        }
    }

    pub(super) fn heard(&self, from: IpAddr, priority: u8, at: Duration) -> Heard {
        let name = self.peers.get(&from).map(|peer| peer.name.clone());
        let member = name.unwrap_or_else(|| from.to_string());
        Heard { member, priority, ago: self.now.saturating_sub(at) }
    }

    pub(super) fn note(&mut self, vrid: Vrid, state: State) {
        if let Some(report) = self.report.routers.get_mut(&vrid)
            && report.state != state
        {
            report.state = state;
            report.since = self.now;
            report.transitions += 1;
            self.report.generation += 1;
        }
    }

    /// A wake-up came so late that peers may have taken over: everything goes, and listening begins anew.
    pub(super) fn stall(&mut self, late: Duration, actions: &mut Vec<Action>) {
        let now = self.now;
        self.timers.catch_up(now);
        // Their silence was ours.
        for peer in self.peers.values_mut().filter(|peer| peer.heard.is_some()) {
            peer.heard = Some(now);
        }
        let alone = !self.any_live();
        if !alone {
            self.report.stalls += 1;
            self.report.last_stall = Some(now);
            let held: Vec<_> = std::mem::take(&mut self.held).into_iter().collect();
            if !held.is_empty() {
                actions.push(Action::Release(held));
            }
        }
        for vrid in self.routers.keys().copied().collect::<Vec<_>>() {
            let Some(entry) = self.routers.get_mut(&vrid) else { continue };
            let active = entry.is_active();
            let Some(router) = &mut entry.router else { continue };
            if active && alone {
                continue;
            }
            router.listen(now);
            self.arm(vrid);
            if active {
                self.changed(vrid, Change::Stalled(late));
                self.say(vrid, 0, actions);
                self.step_down(vrid);
                self.let_go(vrid, actions);
            }
        }
        if !alone && self.leaving.is_some() {
            self.stopped(actions);
        }
    }
}
