//! A new configuration: what is the same stays as it is.

use super::peers::PeerState;
use super::renumber;
use super::{
    Action, Change, Config, Entry, Group, LAST_WORD, Peer, RouterConfig, RouterReport, Timer,
    centiseconds,
};
use crate::packet::{Vrid, advertised};
use crate::router::{Outcome, Router, Settings, State};
use std::collections::BTreeSet;
use std::time::Duration;

impl Group {
    pub(super) fn configure(&mut self, mut config: Config, actions: &mut Vec<Action>) {
        // What is handed over already is handed over as it was.
        if self.leaving.is_some() || config == self.config {
            return;
        }
        config.lifetime = config.lifetime.max(Duration::from_secs(1));
        config.routers.remove(&config.presence);
        self.interval = centiseconds(config.interval);
        let before = std::mem::replace(&mut self.config, config);
        self.set_peers(actions);
        let moved = before.own != self.config.own
            || before.routers.len() != self.config.routers.len()
            || before.routers.iter().any(|(vrid, old)| {
                let same =
                    |new: &RouterConfig| (&new.name, &new.addresses) == (&old.name, &old.addresses);
                !self.config.routers.get(vrid).is_some_and(same)
            });
        let (gone, moves) = renumber::changes(&before, &self.config);
        for vrid in gone {
            self.remove_router(vrid, actions);
        }
        self.renumber(&moves);
        let routers = self.config.routers.clone();
        for (vrid, router) in routers {
            self.set_router(vrid, router, moved, actions);
        }
        if moved {
            self.set_addresses(actions);
        }
        if before.peers != self.config.peers {
            // MAC addresses alone tell whose an answer is, and move nothing: an interface came or went at that member's.
            let company = !before.peers.is_empty() && has_other(&before, &self.config);
            // New ones are to know of us at once. At the start that is done in the end.
            if company {
                self.tell_presence(actions);
            }
            for vrid in self.config.routers.keys().copied().collect::<Vec<_>>() {
                self.unblock(vrid);
                // A new one, which was told of itself before we were told of it, may have announced what we hold; it has let
                // go since without a word that we would have understood.
                if company && self.routers.get(&vrid).is_some_and(Entry::is_active) {
                    self.announce_all(vrid, actions);
                }
            }
        }
        if before.lifetime != self.config.lifetime {
            self.recount(actions);
            self.renew(actions);
        }
    }

    fn set_peers(&mut self, actions: &mut Vec<Action>) {
        let mut before = std::mem::take(&mut self.peers);
        for (name, peer) in &self.config.peers {
            let known = before.remove(&peer.address).filter(|known| known.name == *name);
            let mut state =
                known.unwrap_or_else(|| PeerState::new(name.clone(), peer.macs.clone()));
            state.macs.clone_from(&peer.macs);
            self.peers.insert(peer.address, state);
        }
        self.remember(before.into_keys());
        self.recount(actions);
    }

    fn remove_router(&mut self, vrid: Vrid, actions: &mut Vec<Action>) {
        if self.routers.get(&vrid).is_some_and(Entry::is_active) {
            self.say(vrid, 0, actions);
        }
        self.silence(vrid);
        self.routers.remove(&vrid);
        self.report.routers.remove(&vrid);
        for timer in [Timer::Router(vrid), Timer::Leave(vrid), Timer::Probe(vrid)] {
            self.timers.clear(timer);
        }
    }

    fn set_router(
        &mut self,
        vrid: Vrid,
        config: RouterConfig,
        moved: bool,
        actions: &mut Vec<Action>,
    ) {
        let now = self.now;
        let settings = Settings {
            own: self.config.own,
            priority: config.priority.max(LAST_WORD + 1),
            interval: self.interval,
            preempt: self.config.preempt,
            ill_below: self.config.ill_below,
        };
        let entry = self.routers.entry(vrid).or_insert_with(|| Entry {
            router: None,
            addresses: BTreeSet::new(),
            advertised: Vec::new(),
            heard: false,
            last: None,
            unsettled: false,
            leaving: None,
            former: Vec::new(),
        });
        if moved {
            let addresses = config.addresses.iter().map(|held| held.address.addr());
            entry.advertised = advertised(self.config.own, addresses);
            entry.addresses = config.addresses;
        }
        let report = self.report.routers.entry(vrid).or_insert_with(|| RouterReport {
            state: State::Initialize,
            since: now,
            transitions: 0,
            priority: 0,
            carrier: None,
            down: None,
            change: None,
            changes: 0,
        });
        report.priority = settings.priority;
        report.down.clone_from(&config.down);
        match (&mut entry.router, config.down.is_some()) {
            (None, true) => {}
            (None, false) => {
                entry.router = Some(Router::start(settings, now));
                entry.heard = false;
                entry.unsettled = true;
                self.note(vrid, State::Backup);
            }
            (Some(router), true) => {
                let active = router.shut_down();
                if active {
                    let why = report.down.clone().unwrap_or_default();
                    self.changed(vrid, Change::Down(why));
                    self.say(vrid, 0, actions);
                }
                if let Some(entry) = self.routers.get_mut(&vrid) {
                    entry.router = None;
                }
                self.step_down(vrid);
                self.let_go(vrid, actions);
            }
            (Some(router), false) => {
                if router.configure(settings, now) == Outcome::Advertise {
                    self.advertise(vrid, actions);
                }
            }
        }
        self.arm(vrid);
    }

    /// After addresses came, went, or moved between routers.
    fn set_addresses(&mut self, actions: &mut Vec<Action>) {
        let release = self.reclaim(actions);
        let mut release: Vec<_> = release.into_iter().collect();
        for held in &release {
            self.held.remove(held);
        }
        for held in self.held.clone() {
            let Some(claim) = self.claims.get(&held) else { continue };
            let Some(entry) = self.routers.get_mut(&claim.vrid) else { continue };
            if entry.is_active() {
                continue;
            }
            if entry.router.is_none() {
                self.held.remove(&held);
                release.push(held);
            } else if entry.heard {
                // Its Active member may not know yet that it is its own.
                self.linger(&held);
            } else {
                entry.unsettled = true;
            }
        }
        if !release.is_empty() {
            actions.push(Action::Release(release));
        }
        for vrid in self.routers.keys().copied().collect::<Vec<_>>() {
            let Some(entry) = self.routers.get_mut(&vrid) else { continue };
            if entry.is_active() {
                self.claim_missing(vrid, actions);
            } else if !entry.heard {
                entry.unsettled = true;
                self.probe_new(vrid, actions);
            }
        }
    }
}

/// Whether there is a member now that was not one before, or had another name or address.
fn has_other(before: &Config, now: &Config) -> bool {
    let same = |(name, peer): (&String, &Peer)| {
        before.peers.get(name).is_some_and(|known| known.address == peer.address)
    };
    !now.peers.iter().all(same)
}
