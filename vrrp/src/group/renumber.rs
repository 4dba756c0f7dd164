//! A virtual router that gets another id stays what it is: who carries it goes on, and holds what it holds.
//!
//! Members learn of the new id at different times. Meanwhile each speaks under both ids and understands both, so that
//! nobody who knows only one of them takes the silence under it for a death.

use super::{Config, Entry, Group, Timer};
use crate::packet::{Advertisement, Vrid};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// For how long a router is advertised under an id that it had. Not for ever: somebody else may have a right to it.
const BOTH: Duration = Duration::from_secs(10);
/// How many ids that it had a router is known by.
const REMEMBERED: usize = 4;

/// An id that a router had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Former {
    vrid: Vrid,
    /// It is advertised under this one too until then.
    until: Duration,
}

/// The routers of `before` that are no more, and the old and new ids of those that have another id `now`.
pub(super) fn changes(before: &Config, now: &Config) -> (Vec<Vrid>, BTreeMap<Vrid, Vrid>) {
    let ids: BTreeMap<&str, Vrid> =
        now.routers.iter().map(|(id, router)| (router.name.as_str(), *id)).collect();
    let (mut gone, mut moves) = (Vec::new(), BTreeMap::new());
    for (old, router) in &before.routers {
        match ids.get(router.name.as_str()) {
            Some(new) if new == old => {}
            Some(new) => drop(moves.insert(*old, *new)),
            None => gone.push(*old),
        }
    }
    (gone, moves)
}

impl Group {
    /// From old ids to new ones.
    pub(super) fn renumber(&mut self, moves: &BTreeMap<Vrid, Vrid>) {
        // All are taken out first: two may have changed places.
        let mut taken = Vec::new();
        for (old, new) in moves {
            let Some(mut entry) = self.routers.remove(old) else { continue };
            entry.former.push(Former { vrid: *old, until: self.now + BOTH });
            let excess = entry.former.len().saturating_sub(REMEMBERED);
            entry.former.drain(..excess);
            let probe = self.timers.at(&Timer::Probe(*old));
            self.timers.clear(Timer::Probe(*old));
            self.timers.clear(Timer::Router(*old));
            taken.push((*new, entry, self.report.routers.remove(old), probe));
        }
        for (new, entry, report, probe) in taken {
            self.routers.insert(new, entry);
            self.report.routers.extend(report.map(|report| (new, report)));
            if let Some(at) = probe {
                self.timers.set(Timer::Probe(new), at);
            }
        }
        let renamed = |vrid: &mut Vrid| *vrid = *moves.get(vrid).unwrap_or(vrid);
        self.claims.values_mut().for_each(|claim| renamed(&mut claim.vrid));
        self.batches.values_mut().for_each(|batch| renamed(&mut batch.vrid));
        let (config, presence) = (&self.config.routers, self.config.presence);
        for entry in self.routers.values_mut() {
            entry.former.retain(|it| !config.contains_key(&it.vrid) && it.vrid != presence);
        }
    }

    /// Whether it has a virtual router that had this id.
    pub fn had(&self, vrid: Vrid) -> bool {
        self.routers.values().any(|entry| entry.had(vrid))
    }

    /// Which router a peer means that advertises.
    pub(super) fn meant(&self, from: IpAddr, heard: &Advertisement) -> Option<Vrid> {
        if self.routers.contains_key(&heard.vrid) {
            return Some(heard.vrid);
        }
        // The id may be another group's by now.
        let mut told = heard.addresses.iter().filter(|address| **address != from).peekable();
        let (vrid, entry) = self.routers.iter().find(|(_, entry)| entry.had(heard.vrid))?;
        let same = told.peek().is_none() || told.any(|told| entry.advertised.contains(told));
        same.then_some(*vrid)
    }
}

impl Entry {
    fn had(&self, vrid: Vrid) -> bool {
        self.former.iter().any(|former| former.vrid == vrid)
    }

    /// The ids that it is advertised under besides its own.
    pub(super) fn also(&self, now: Duration) -> impl Iterator<Item = Vrid> {
        let lasting = self.former.iter().filter(move |former| now < former.until);
        lasting.map(|former| former.vrid)
    }
}
