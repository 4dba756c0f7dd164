//! One address of the group's: held or not, and what is undecided about it: whether somebody else has it.

use super::peers::PeerState;
use super::{Action, Conflict, Group, Held, Timer};
use crate::neighbor::Mac;
use crate::packet::Vrid;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How long an answer to a probe may take.
const ANSWER: Duration = Duration::from_millis(200);
/// How long an address that somebody else has is left alone before the next probe: longer each time, but not if it is a
/// member that has it by another configuration, which may change any time.
const BLOCKED: Duration = Duration::from_secs(1);
/// The longest of these times.
const LONGEST: Duration = Duration::from_secs(10);
/// Somebody who was not seen for so long is not there any more: longer than the time between two probes.
const GONE: Duration = Duration::from_secs(15);
/// How long after somebody else was seen with an address of ours we announce it again: not before whoever takes it over
/// rightly has said so.
const DEFENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) vrid: Vrid,
    /// The group had it before, or a probe found nobody: it may be claimed without a probe.
    pub(super) known: bool,
    pub(super) pending: Option<Pending>,
    /// Since when it is held.
    since: Duration,
    pub(super) rival: Option<Rival>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// Not held: an answer may come. After one of ours was found to have it, an answer of theirs counts too while it is heard.
    Probing { lost: bool, tries: u8 },
    /// Not held: somebody else has it.
    Blocked { lost: bool, tries: u8 },
    /// Held for a moment, until its new router's Active member announces it.
    Lingering,
    /// Held for a moment, after another member was heard to hold it.
    Parting,
}

impl Pending {
    /// It is held, although that is over.
    fn stays(self) -> bool {
        matches!(self, Pending::Lingering | Pending::Parting)
    }
}

/// Somebody who answers for what we hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rival {
    first: Duration,
    last: Duration,
}

impl Claim {
    pub(super) fn new(vrid: Vrid, known: bool) -> Self {
        Self { vrid, known, pending: None, since: Duration::ZERO, rival: None }
    }
}

impl Group {
    /// Of this router.
    pub(super) fn held_of(&self, vrid: Vrid) -> Vec<Held> {
        let Some(entry) = self.routers.get(&vrid) else { return Vec::new() };
        entry.addresses.iter().filter(|held| self.held.contains(held)).cloned().collect()
    }

    /// The router is Active now: its addresses are claimed, those that may be somebody else's probed first.
    pub(super) fn claim_all(&mut self, vrid: Vrid, actions: &mut Vec<Action>) {
        let Some(entry) = self.routers.get(&vrid) else { return };
        let heard = entry.heard;
        let mut claim = Vec::new();
        for held in entry.addresses.clone() {
            let here = self.held.contains(&held);
            let Some(state) = self.claims.get_mut(&held) else { continue };
            match state.pending {
                Some(pending) if pending.stays() => {
                    state.pending = None;
                    self.timers.clear(Timer::Address(held.clone()));
                    claim.push(held);
                }
                Some(_) => {}
                None if here || heard || state.known => claim.push(held),
                None => {}
            }
        }
        self.claim(claim, actions);
        self.probe_new(vrid, actions);
    }

    /// Of an Active router to which addresses were added.
    pub(super) fn claim_missing(&mut self, vrid: Vrid, actions: &mut Vec<Action>) {
        let Some(entry) = self.routers.get(&vrid) else { return };
        let missing = |held: &&Held| {
            let known = |claim: &Claim| claim.known && claim.pending.is_none();
            !self.held.contains(held) && self.claims.get(held).is_some_and(known)
        };
        let claim = entry.addresses.iter().filter(missing).cloned().collect();
        self.claim(claim, actions);
        self.probe_new(vrid, actions);
    }

    /// Holds and announces them.
    fn claim(&mut self, addresses: Vec<Held>, actions: &mut Vec<Action>) {
        if addresses.is_empty() {
            return;
        }
        let mut of: BTreeMap<Vrid, Vec<Held>> = BTreeMap::new();
        for held in &addresses {
            let Some(claim) = self.claims.get_mut(held) else { continue };
            claim.known = true;
            claim.since = self.now;
            claim.rival = None;
            self.held.insert(held.clone());
            self.report.end_conflict(held.address.addr());
            of.entry(claim.vrid).or_default().push(held.clone());
        }
        actions.push(Action::Hold { addresses, lifetime: self.lifetime() });
        for (vrid, addresses) in of {
            self.announce(vrid, addresses, actions);
        }
    }

    /// Probes those of the router's addresses that may be somebody else's.
    pub(super) fn probe_new(&mut self, vrid: Vrid, actions: &mut Vec<Action>) {
        let Some(entry) = self.routers.get(&vrid) else { return };
        if entry.router.is_none() {
            return;
        }
        let mut probe = Vec::new();
        for held in &entry.addresses {
            let here = self.held.contains(held);
            let Some(claim) = self.claims.get_mut(held) else { continue };
            if !here && !claim.known && claim.pending.is_none() {
                claim.pending = Some(Pending::Probing { lost: false, tries: 0 });
                self.timers.set(Timer::Address(held.clone()), self.now + ANSWER);
                probe.push(held.clone());
            }
        }
        if !probe.is_empty() {
            actions.push(Action::Probe(probe));
        }
    }

    /// A peer carries the router, or we gave it up: none of its addresses is ours, and nothing about them undecided.
    /// Those that stay for a moment do so: they have come from another router, or are handed over already. Whether something
    /// was held.
    pub(super) fn let_go(&mut self, vrid: Vrid, actions: &mut Vec<Action>) -> bool {
        let Some(entry) = self.routers.get(&vrid) else { return false };
        let heard = entry.heard;
        let mut release = Vec::new();
        for held in &entry.addresses {
            let Some(claim) = self.claims.get_mut(held) else { continue };
            let here = self.held.contains(held);
            if here && claim.pending.is_some_and(Pending::stays) {
                continue;
            }
            claim.known |= heard;
            claim.rival = None;
            if claim.pending.take().is_some() {
                self.report.end_conflict(held.address.addr());
            }
            self.timers.clear(Timer::Address(held.clone()));
            if here {
                self.held.remove(held);
                release.push(held.clone());
            }
        }
        let held = !release.is_empty();
        if held {
            actions.push(Action::Release(release));
        }
        held
    }

    /// Whatever was to be decided about these addresses now.
    pub(super) fn addresses_due(&mut self, due: Vec<Held>, actions: &mut Vec<Action>) {
        let (mut claim, mut probe, mut release) = (Vec::new(), Vec::new(), Vec::new());
        let (mut defend, mut parted) = (Vec::new(), BTreeSet::new());
        for held in due {
            let Some(state) = self.claims.get_mut(&held) else { continue };
            let (vrid, pending, rivalled) = (state.vrid, state.pending, state.rival.is_some());
            let Some(entry) = self.routers.get(&vrid) else { continue };
            let active = entry.is_active();
            match pending {
                Some(Pending::Probing { .. }) => {
                    state.pending = None;
                    state.known = true;
                    if active {
                        claim.push(held);
                    }
                }
                Some(Pending::Blocked { lost, tries }) if active || !entry.heard => {
                    state.pending = Some(Pending::Probing { lost, tries });
                    self.timers.set(Timer::Address(held.clone()), self.now + ANSWER);
                    probe.push(held);
                }
                Some(Pending::Blocked { .. }) => state.pending = None,
                Some(Pending::Lingering | Pending::Parting) => {
                    parted.insert(vrid);
                    state.pending = None;
                    self.held.remove(&held);
                    release.push(held);
                }
                None if active && rivalled && self.held.contains(&held) => {
                    defend.push(held.clone());
                    probe.push(held);
                }
                None => {}
            }
        }
        if !release.is_empty() {
            actions.push(Action::Release(release));
        }
        if !defend.is_empty() {
            actions.push(Action::Announce(defend));
        }
        if !probe.is_empty() {
            actions.push(Action::Probe(probe));
        }
        self.claim(claim, actions);
        // Which may be the end.
        self.parted(parted, actions);
    }

    /// Somebody else uses an address.
    pub(super) fn neighbor(&mut self, address: IpAddr, mac: Mac, actions: &mut Vec<Action>) {
        if let Some(peer) = self.peers.get_mut(&address) {
            // What one of ours held was not to be blocked.
            if peer.learn(mac) && self.report.conflicts.values().any(|known| known.mac == mac) {
                for vrid in self.routers.keys().copied().collect::<Vec<_>>() {
                    self.unblock(vrid);
                }
            }
            return;
        }
        let Some(of_us) = self.by_address.get(&address).cloned() else { return };
        for held in of_us {
            self.seen(held, mac, actions);
        }
    }

    fn seen(&mut self, held: Held, mac: Mac, actions: &mut Vec<Action>) {
        let peer = self.peers.values().find(|peer| peer.has(mac));
        let (member, lives) = (peer.is_some(), peer.is_some_and(|peer| self.lives(peer)));
        let here = self.held.contains(&held);
        let Some(claim) = self.claims.get_mut(&held) else { return };
        match claim.pending {
            Some(Pending::Lingering) => {
                let timer = Timer::Address(held);
                let (soon, at) = (self.parted_at(1), self.timers.at(&timer));
                self.timers.set(timer, at.map_or(soon, |at| at.min(soon)));
            }
            Some(Pending::Parting) => {}
            Some(Pending::Probing { lost, tries }) if !member || lost && lives => {
                self.block(held, mac, lost, tries);
            }
            Some(Pending::Probing { .. }) => {}
            Some(Pending::Blocked { .. }) => self.report_conflict(&held, mac),
            None if here => self.rivalled(held, mac, actions),
            None => {}
        }
    }

    /// What is blocked in this router may have been blocked by one of ours, who lets go of it now.
    pub(super) fn unblock(&mut self, vrid: Vrid) {
        let Some(entry) = self.routers.get(&vrid) else { return };
        let soon = self.now + crate::router::centiseconds(self.interval);
        for held in &entry.addresses {
            let pending = self.claims.get(held).and_then(|claim| claim.pending);
            if matches!(pending, Some(Pending::Blocked { .. })) {
                let timer = Timer::Address(held.clone());
                let at = self.timers.at(&timer).map_or(soon, |at| at.min(soon));
                self.timers.set(timer, at);
            }
        }
    }

    fn block(&mut self, held: Held, mac: Mac, lost: bool, tries: u8) {
        if let Some(claim) = self.claims.get_mut(&held) {
            claim.pending = Some(Pending::Blocked { lost, tries: tries.saturating_add(1) });
            claim.rival = None;
        }
        self.report_conflict(&held, mac);
        let times = if lost { 1 } else { 1 << tries.min(5) };
        self.timers.set(Timer::Address(held), self.now + LONGEST.min(times * BLOCKED));
    }

    /// Somebody uses what we hold. A member that held it before us may do so for its lifetime and a second, and so may
    /// one that takes it over and has not said so yet. Whoever is still there after that is in conflict with us.
    fn rivalled(&mut self, held: Held, mac: Mac, actions: &mut Vec<Action>) {
        let (now, grace) = (self.now, self.config.lifetime + Duration::from_secs(1));
        let peer = self.peers.iter().find(|(_, peer)| peer.has(mac));
        let peer = peer.map(|(address, peer)| (*address, self.lives(peer)));
        let ours = self.is_ours(&held, mac);
        let Some(claim) = self.claims.get_mut(&held) else { return };
        let active = self.routers.get(&claim.vrid).is_some_and(super::Entry::is_active);
        if !active || now < claim.since + grace {
            return;
        }
        let rival = match &mut claim.rival {
            Some(rival) if now < rival.last + GONE => rival,
            rival => rival.insert(Rival { first: now, last: now }),
        };
        rival.last = now;
        let lasting = now >= rival.first + grace;
        if lasting {
            self.report_conflict(&held, mac);
        }
        match peer {
            // Both hold it, by configurations that differ. Whatever those say, both know who has the higher address.
            Some((other, true)) if lasting && ours && other > self.config.own => {
                self.held.remove(&held);
                actions.push(Action::Release(vec![held.clone()]));
                self.block(held, mac, true, 0);
            }
            _ if self.timers.at(&Timer::Address(held.clone())).is_some() => {}
            // RFC 5227, 2.4: one who means to keep the address all the same says so every 10 s at most.
            _ if lasting && !ours => self.timers.set(Timer::Address(held), now + LONGEST),
            _ => self.timers.set(Timer::Address(held), now + DEFENCE),
        }
    }

    /// Whoever holds something says so each interval; the kernel of one that was frozen meanwhile still answers.
    fn lives(&self, peer: &PeerState) -> bool {
        peer.heard.is_some_and(|heard| self.now < heard + self.patience())
    }

    /// Whether the answer is that of a member which says that it carries the address, or said so until a moment ago. Somebody
    /// else on its machine may answer too: another balancer, or whoever left the address there.
    fn is_ours(&self, held: &Held, mac: Mac) -> bool {
        let address = held.address.addr();
        let entry = self.claims.get(held).and_then(|claim| self.routers.get(&claim.vrid));
        let is_told = entry.is_some_and(|entry| entry.advertised.contains(&address));
        let since = self.said_since();
        let mut members = self.peers.values().filter(|peer| peer.has(mac));
        members.any(|peer| peer.has_said(address, is_told, since))
    }

    fn report_conflict(&mut self, held: &Held, mac: Mac) {
        let ours = self.is_ours(held, mac);
        let peer = self.peers.values().find(|peer| peer.has(mac)).map(|peer| peer.name.clone());
        let now = self.now;
        let conflict = Conflict { mac, peer, ours, since: now, last: now };
        let known = self.report.conflicts.entry(held.address.addr());
        let known = known.or_insert_with(|| conflict.clone());
        if known.mac != mac {
            *known = conflict;
        }
        known.ours = ours;
        known.last = now;
        self.report.generation += 1;
    }

    pub(super) fn forget_conflicts(&mut self) {
        let now = self.now;
        self.report.conflicts.retain(|_, conflict| now < conflict.last + 2 * GONE);
    }

    /// Rebuilds what is known of each address after a change of the routers, and returns those that are of none. Those that
    /// others hold already, and that are a router's now that is Active here, are claimed anew.
    pub(super) fn reclaim(&mut self, actions: &mut Vec<Action>) -> BTreeSet<Held> {
        let mut taken_back = Vec::new();
        let mut before = std::mem::take(&mut self.claims);
        self.by_address.clear();
        for (vrid, entry) in &mut self.routers {
            entry.addresses.retain(|held| !self.claims.contains_key(held));
            for held in &entry.addresses {
                let claim = match before.remove(held) {
                    Some(claim) if claim.vrid == *vrid => claim,
                    // It moves between routers: the group had it.
                    Some(claim) => {
                        self.timers.clear(Timer::Address(held.clone()));
                        if entry.is_active() && claim.pending.is_some_and(Pending::stays) {
                            taken_back.push(held.clone());
                        }
                        Claim::new(*vrid, claim.known || claim.pending.is_none())
                    }
                    None => Claim::new(*vrid, false),
                };
                self.claims.insert(held.clone(), claim);
                let same = self.by_address.entry(held.address.addr()).or_default();
                same.insert(held.clone());
            }
        }
        for (held, _) in before {
            self.report.end_conflict(held.address.addr());
            self.timers.clear(Timer::Address(held));
        }
        self.claim(taken_back, actions);
        self.held.iter().filter(|held| !self.claims.contains_key(held)).cloned().collect()
    }

    /// It stays for a moment, although its router is not ours.
    pub(super) fn linger(&mut self, held: &Held) {
        let Some(claim) = self.claims.get_mut(held) else { return };
        if claim.pending.is_none() {
            claim.pending = Some(Pending::Lingering);
            claim.rival = None;
            self.timers.set(Timer::Address(held.clone()), self.now + self.config.lifetime);
        }
    }
}
