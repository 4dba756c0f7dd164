//! The union of all fragments, with reference counts: a thing is needed while any fragment needs it.

use super::{Down, Fragment, Owner, Problem};
use crate::probe::Asks;
use crate::state::{Fixture, Floats, HeldAddress, Made, NodeState, ServiceState};
use lvs_ipvs::{Family, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};

/// Every owner's fragment, who needs what, and the union.
#[derive(Debug, Default)]
pub struct Fragments {
    by_owner: BTreeMap<Owner, Fragment>,
    services: BTreeMap<ServiceKey, BTreeSet<Owner>>,
    addresses: BTreeMap<HeldAddress, BTreeSet<Owner>>,
    floating: BTreeMap<HeldAddress, BTreeMap<Owner, Floats>>,
    sysctls: BTreeMap<String, BTreeMap<Owner, String>>,
    fixtures: BTreeMap<Fixture, BTreeSet<Owner>>,
    union: NodeState,
    destinations: usize,
    contested: BTreeSet<ServiceKey>,
    /// Services with a destination of the other family: beside these the kernel lets no sync daemon run.
    mixed: BTreeSet<ServiceKey>,
    troubled: BTreeSet<Owner>,
    /// Those with a real server that is down.
    ill: BTreeSet<Owner>,
    checked: usize,
}

/// The things that a change may have touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Services.
    pub services: BTreeSet<ServiceKey>,
    /// Addresses.
    pub addresses: BTreeSet<HeldAddress>,
    /// Sysctls.
    pub sysctls: BTreeSet<String>,
    /// Fixtures.
    pub fixtures: BTreeSet<Fixture>,
}

impl Touched {
    /// Whether nothing is touched.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
            && self.addresses.is_empty()
            && self.sysctls.is_empty()
            && self.fixtures.is_empty()
    }

    /// Whether a thing is touched.
    pub fn has(&self, made: &Made) -> bool {
        match made {
            Made::Service(key) => self.services.contains(key),
            Made::Address(address) => self.addresses.contains(address),
            Made::Sysctl(path) => self.sysctls.contains(path),
            Made::Fixture(fixture) => self.fixtures.contains(fixture),
        }
    }

    /// Takes in another's.
    pub fn extend(&mut self, other: Touched) {
        self.services.extend(other.services);
        self.addresses.extend(other.addresses);
        self.sysctls.extend(other.sysctls);
        self.fixtures.extend(other.fixtures);
    }
}

impl Fragments {
    /// Replaces an owner's fragment (an empty one removes it) and adds to `touched` what the union may now have
    /// otherwise than before.
    pub fn set(&mut self, owner: &Owner, new: Fragment, touched: &mut Touched) {
        let old = self.by_owner.remove(owner).unwrap_or_default();
        let mut changed = self.index(owner, &old, &new);
        if new.problems.is_empty() && new.warnings.is_empty() {
            self.troubled.remove(owner);
        } else {
            self.troubled.insert(owner.clone());
        }
        if new.down.is_empty() {
            self.ill.remove(owner);
        } else {
            self.ill.insert(owner.clone());
        }
        self.checked += new.checked_servers();
        self.checked -= old.checked_servers();
        if new != Fragment::default() {
            self.by_owner.insert(owner.clone(), new);
        }
        self.unite(&mut changed);
        touched.extend(changed);
    }

    /// What an owner has this node ask.
    pub fn asks_of(&self, owner: &Owner) -> Option<&Asks> {
        self.by_owner.get(owner).map(|fragment| &fragment.asks)
    }

    /// What an owner has this node check, and what is down of it.
    pub fn health_of(&self, owner: &Owner) -> Option<&Fragment> {
        self.by_owner.get(owner)
    }

    /// How many real servers are checked, counted once for each owner.
    pub fn checked(&self) -> usize {
        self.checked
    }

    /// The real servers that are down, by owner.
    pub fn down(&self) -> impl Iterator<Item = (&Owner, &String, &Down)> {
        self.ill.iter().flat_map(|owner| {
            let down = self.by_owner.get(owner).map(|fragment| &fragment.down);
            down.into_iter().flatten().map(move |(server, down)| (owner, server, down))
        })
    }

    /// Whether an owner's new fragment has other addresses than the one it has, or other things that keep the node from
    /// carrying them: what a real server's change has not.
    pub fn moves(&self, owner: &Owner, new: &Fragment) -> bool {
        let none = Fragment::default();
        let old = self.by_owner.get(owner).unwrap_or(&none);
        old.addresses != new.addresses
            || old.floating != new.floating
            || old.unplaced != new.unplaced
            || old.problems != new.problems
    }

    /// Brings who needs what up to date, and tells what differs between the two.
    fn index(&mut self, owner: &Owner, old: &Fragment, new: &Fragment) -> Touched {
        let mut changed = Touched::default();
        for (key, state) in &old.services {
            if new.services.get(key) != Some(state) {
                changed.services.insert(*key);
                drop_owner(&mut self.services, key, owner);
            }
        }
        for (key, state) in &new.services {
            if old.services.get(key) != Some(state) {
                changed.services.insert(*key);
                self.services.entry(*key).or_default().insert(owner.clone());
            }
        }
        for address in old.addresses.difference(&new.addresses) {
            changed.addresses.insert(address.clone());
            drop_owner(&mut self.addresses, address, owner);
        }
        for address in new.addresses.difference(&old.addresses) {
            changed.addresses.insert(address.clone());
            self.addresses.entry(address.clone()).or_default().insert(owner.clone());
        }
        index_values(
            &mut self.floating,
            &old.floating,
            &new.floating,
            owner,
            &mut changed.addresses,
        );
        for fixture in old.fixtures.difference(&new.fixtures) {
            changed.fixtures.insert(*fixture);
            drop_owner(&mut self.fixtures, fixture, owner);
        }
        for fixture in new.fixtures.difference(&old.fixtures) {
            changed.fixtures.insert(*fixture);
            self.fixtures.entry(*fixture).or_default().insert(owner.clone());
        }
        index_values(&mut self.sysctls, &old.sysctls, &new.sysctls, owner, &mut changed.sysctls);
        changed
    }

    /// Brings the union up to date where it may have changed.
    fn unite(&mut self, changed: &mut Touched) {
        let was_mixed = !self.mixed.is_empty();
        for key in &changed.services {
            let claimants = self.services.get(key);
            if claimants.is_some_and(|claimants| claimants.len() > 1) && !is_shared(key) {
                self.contested.insert(*key);
            } else {
                self.contested.remove(key);
            }
            let state = claimants
                .and_then(BTreeSet::first)
                .and_then(|first| self.by_owner.get(first)?.services.get(key));
            if state.is_some_and(is_mixed) {
                self.mixed.insert(*key);
            } else {
                self.mixed.remove(key);
            }
            self.destinations += state.map_or(0, |state| state.destinations.len());
            let old = match state {
                Some(state) => self.union.services.insert(*key, state.clone()),
                None => self.union.services.remove(key),
            };
            self.destinations -= old.map_or(0, |state| state.destinations.len());
        }
        for address in &changed.addresses {
            if self.addresses.contains_key(address) {
                self.union.addresses.insert(address.clone());
            } else {
                self.union.addresses.remove(address);
            }
            match self.floating.get(address).and_then(|owners| owners.values().max()) {
                Some(floats) => self.union.floating.insert(address.clone(), floats.clone()),
                None => self.union.floating.remove(address),
            };
        }
        if was_mixed == self.mixed.is_empty() {
            changed.fixtures.extend(self.fixtures.keys().filter(|it| is_daemon(it)));
        }
        for fixture in &changed.fixtures {
            let excluded = is_daemon(fixture) && !self.mixed.is_empty();
            if self.fixtures.contains_key(fixture) && !excluded {
                self.union.fixtures.insert(*fixture);
            } else {
                self.union.fixtures.remove(fixture);
            }
        }
        for path in &changed.sysctls {
            // A group and a service may disagree: what a service cannot do without (conntrack) is 1, and a group's choice
            // of conn_reuse_mode is larger than a service's default.
            match self.sysctls.get(path).and_then(|owners| owners.values().max()) {
                Some(value) => self.union.sysctls.insert(path.clone(), value.clone()),
                None => self.union.sysctls.remove(path),
            };
        }
    }

    /// What the node should be.
    pub fn union(&self) -> &NodeState {
        &self.union
    }

    /// How many destinations the union has.
    pub fn destinations(&self) -> usize {
        self.destinations
    }

    /// The part of the union that `touched` names.
    pub fn part(&self, touched: &Touched) -> NodeState {
        let mut part = NodeState::default();
        for key in &touched.services {
            if let Some(state) = self.union.services.get(key) {
                part.services.insert(*key, state.clone());
            }
        }
        part.addresses = touched.addresses.intersection(&self.union.addresses).cloned().collect();
        for address in &touched.addresses {
            if let Some(floats) = self.union.floating.get(address) {
                part.floating.insert(address.clone(), floats.clone());
            }
        }
        part.fixtures = touched.fixtures.intersection(&self.union.fixtures).copied().collect();
        for path in &touched.sysctls {
            if let Some(value) = self.union.sysctls.get(path) {
                part.sysctls.insert(path.clone(), value.clone());
            }
        }
        part
    }

    /// Whoever needs a thing; the first has it, where only one can.
    pub fn owners(&self, made: &Made) -> Vec<&Owner> {
        match made {
            Made::Service(key) => {
                self.services.get(key).and_then(BTreeSet::first).into_iter().collect()
            }
            Made::Address(address) => {
                let standing = self.addresses.get(address).into_iter().flatten();
                let floating = self.floating.get(address).into_iter().flat_map(BTreeMap::keys);
                standing.chain(floating).collect()
            }
            Made::Sysctl(path) => {
                self.sysctls.get(path).into_iter().flat_map(BTreeMap::keys).collect()
            }
            Made::Fixture(fixture) => self.fixtures.get(fixture).into_iter().flatten().collect(),
        }
    }

    /// The services that several claim: key, who has it, who does not.
    pub fn lost_claims(&self) -> impl Iterator<Item = (&ServiceKey, &Owner, &Owner)> {
        self.contested.iter().flat_map(|key| {
            let claimants = self.services.get(key);
            let holder = claimants.and_then(BTreeSet::first);
            claimants
                .into_iter()
                .flatten()
                .skip(1)
                .filter_map(move |loser| Some((key, holder?, loser)))
        })
    }

    /// A service with a destination of the other family, where sync daemons are wanted, too.
    pub fn excludes_sync(&self) -> Option<&ServiceKey> {
        self.mixed.first().filter(|_| self.fixtures.keys().any(is_daemon))
    }

    /// The addresses that one owner has float.
    pub fn floating(&self, owner: &Owner) -> impl Iterator<Item = &HeldAddress> {
        self.by_owner.get(owner).into_iter().flat_map(|fragment| fragment.floating.keys())
    }

    /// What floats and has no place on this node, and why.
    pub fn unplaced(&self) -> impl Iterator<Item = &(Floats, String)> {
        let troubled = self.troubled.iter().filter_map(|owner| self.by_owner.get(owner));
        troubled.flat_map(|fragment| &fragment.unplaced)
    }

    /// What works, but not as it should, by owner.
    pub fn warnings(&self) -> impl Iterator<Item = (&Owner, &Problem)> {
        self.troubled.iter().flat_map(|owner| {
            let warnings = self.by_owner.get(owner).map(|fragment| fragment.warnings.as_slice());
            warnings.unwrap_or_default().iter().map(move |warning| (owner, warning))
        })
    }

    /// What was wrong in planning, by owner.
    pub fn problems(&self) -> impl Iterator<Item = (&Owner, &Problem)> {
        self.troubled.iter().flat_map(|owner| {
            let problems = self.by_owner.get(owner).map(|fragment| fragment.problems.as_slice());
            problems.unwrap_or_default().iter().map(move |problem| (owner, problem))
        })
    }
}

/// Whether any number of owners may want a service: what a director keeps for itself.
fn is_shared(key: &ServiceKey) -> bool {
    matches!(key, ServiceKey::Mark { mark, .. } if lvs_resolve::is_kept_mark(mark.get()))
}

fn is_mixed(state: &ServiceState) -> bool {
    let family = state.service.key.family();
    state.destinations.keys().any(|destination| Family::of(&destination.address) != family)
}

fn is_daemon(fixture: &Fixture) -> bool {
    matches!(fixture, Fixture::SyncDaemon(_))
}

/// As far as what two fragments of one owner want of some keys differs, brings up to date who wants which value.
fn index_values<K: Ord + Clone, V: PartialEq + Clone>(
    index: &mut BTreeMap<K, BTreeMap<Owner, V>>,
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    owner: &Owner,
    changed: &mut BTreeSet<K>,
) {
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        changed.insert(key.clone());
        if let Some(owners) = index.get_mut(key) {
            owners.remove(owner);
            if owners.is_empty() {
                index.remove(key);
            }
        }
    }
    for (key, value) in new {
        if old.get(key) != Some(value) {
            changed.insert(key.clone());
            index.entry(key.clone()).or_default().insert(owner.clone(), value.clone());
        }
    }
}

fn drop_owner<K: Ord>(map: &mut BTreeMap<K, BTreeSet<Owner>>, key: &K, owner: &Owner) {
    if let Some(owners) = map.get_mut(key) {
        owners.remove(owner);
        if owners.is_empty() {
            map.remove(key);
        }
    }
}
