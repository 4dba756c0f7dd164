//! Who gets a VIP and port that several VirtualServices want.

use crate::{Key, Snapshot};
use kube::ResourceExt;
use lvs_crds::{Protocol, VirtualService, VirtualServiceSliceSpec};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// What a VirtualService occupies: one protocol and port of one VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// The VIP.
    pub address: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The port at the VIP.
    pub port: i32,
}

/// What a VirtualService wants to occupy. Addresses that are none are passed over.
pub fn wanted(vs: &VirtualService) -> BTreeSet<Claim> {
    let addresses = vs.spec.addresses.iter().filter_map(|a| a.parse().ok());
    addresses
        .flat_map(|address| {
            vs.spec.ports.iter().map(move |p| Claim { address, protocol: p.protocol, port: p.port })
        })
        .collect()
}

/// What a slice occupies.
pub fn held(slice: &VirtualServiceSliceSpec) -> BTreeSet<Claim> {
    slice
        .services
        .iter()
        .filter_map(|s| {
            let address = s.address.parse().ok()?;
            Some(Claim { address, protocol: s.protocol, port: s.port })
        })
        .collect()
}

/// Why a VirtualService does not get what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// Somebody else has the VIP and port.
    Taken { claim: Claim, by: Key },
    /// The VIP belongs to another namespace.
    Foreign { address: IpAddr, by: Key },
}

impl Conflict {
    /// Whether a slice with these services stands in the winner's way.
    pub(crate) fn hits(&self, held: &BTreeSet<Claim>) -> bool {
        match self {
            Self::Taken { claim, .. } => held.contains(claim),
            Self::Foreign { address, .. } => held.iter().any(|c| c.address == *address),
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Taken { claim: Claim { address, protocol, port }, by } => format!(
                "spec.addresses, spec.ports: {address} {protocol}/{port} is taken by VirtualService {by}; \
                 use another address or port, or delete that one"
            ),
            Self::Foreign { address, by } => format!(
                "spec.addresses: {address} belongs to namespace {}, where VirtualService {by} uses it, and a VIP \
                 belongs to one namespace; use another address",
                by.namespace
            ),
        }
    }
}

/// Settles the contest that `key` is in: whoever has slices with a claim keeps it, else the oldest gets it, and of one
/// age the first by name. Those that could not be programmed anyway (`eligible`) do not take part. Returns what `key`
/// loses by.
pub(crate) fn contest(
    key: &Key,
    vs: &VirtualService,
    snapshot: &Snapshot,
    eligible: impl Fn(&Key, &VirtualService) -> bool,
) -> Option<Conflict> {
    let claims = wanted(vs);
    if !contested(key, &claims, snapshot) {
        return None;
    }
    let rivals = rivals(key, vs, snapshot);
    let mut taken = Taken::default();
    // Whoever holds a claim, wanting it still or not, has it until its slices are gone.
    for claim in rivals.iter().flat_map(|(_, wants)| wants) {
        for holder in by_age(snapshot.holders(claim), snapshot) {
            taken.take(*claim, holder);
        }
        for holder in by_age(snapshot.holders_of_address(claim.address), snapshot) {
            taken.belong(claim.address, holder);
        }
    }
    for (rival, wants) in rivals {
        let Some(object) = snapshot.virtual_service(&rival) else { continue };
        let conflict = taken.refuses(&rival, &wants);
        if rival == *key {
            return conflict;
        }
        if conflict.is_none() && eligible(&rival, object) {
            wants.into_iter().for_each(|claim| taken.take(claim, &rival));
        }
    }
    None
}

#[derive(Default)]
struct Taken {
    claims: HashMap<Claim, Key>,
    namespaces: HashMap<IpAddr, Key>,
}

impl Taken {
    fn take(&mut self, claim: Claim, by: &Key) {
        self.claims.entry(claim).or_insert_with(|| by.clone());
        self.belong(claim.address, by);
    }

    fn belong(&mut self, address: IpAddr, to: &Key) {
        self.namespaces.entry(address).or_insert_with(|| to.clone());
    }

    fn refuses(&self, key: &Key, wants: &BTreeSet<Claim>) -> Option<Conflict> {
        wants.iter().find_map(|claim| {
            let taken = self.claims.get(claim).filter(|by| *by != key);
            let foreign = self.namespaces.get(&claim.address);
            let foreign = foreign.filter(|by| by.namespace != key.namespace);
            match (taken, foreign) {
                (_, Some(by)) => Some(Conflict::Foreign { address: claim.address, by: by.clone() }),
                (Some(by), None) => Some(Conflict::Taken { claim: *claim, by: by.clone() }),
                (None, None) => None,
            }
        })
    }
}

/// Whether anybody else wants or has any of this: nearly always nobody, and then there is nothing to settle.
fn contested(key: &Key, claims: &BTreeSet<Claim>, snapshot: &Snapshot) -> bool {
    claims.iter().any(|claim| {
        snapshot.wanting(claim).any(|k| k != key)
            || snapshot.holders(claim).any(|k| k != key)
            || snapshot.namespaces_of(claim.address).any(|n| n != key.namespace)
    })
}

/// Everybody whose claims meet `key`'s, or meet those of somebody who is in already: by age, then by name.
fn rivals(key: &Key, vs: &VirtualService, snapshot: &Snapshot) -> Vec<(Key, BTreeSet<Claim>)> {
    let mut found = BTreeMap::from([(key.clone(), wanted(vs))]);
    let mut open = vec![key.clone()];
    while let Some(next) = open.pop() {
        let claims = found.get(&next).cloned().unwrap_or_default();
        let mut meet = BTreeSet::new();
        for claim in &claims {
            meet.extend(snapshot.wanting(claim).cloned());
            if snapshot.namespaces_of(claim.address).any(|n| n != next.namespace) {
                meet.extend(snapshot.using_address(claim.address).cloned());
            }
        }
        for other in meet {
            if let Some(object) = snapshot.virtual_service(&other)
                && !found.contains_key(&other)
            {
                found.insert(other.clone(), wanted(object));
                open.push(other);
            }
        }
    }
    let order = by_age(found.keys(), snapshot).into_iter().cloned().collect::<Vec<_>>();
    order.into_iter().filter_map(|key| found.remove_entry(&key)).collect()
}

/// The oldest first; of one age, and those that are gone, in the order of their names.
fn by_age<'a>(keys: impl Iterator<Item = &'a Key>, snapshot: &Snapshot) -> Vec<&'a Key> {
    let mut keys: Vec<&Key> = keys.collect();
    keys.sort_by_cached_key(|key| {
        let created = snapshot.virtual_service(key).and_then(|vs| vs.creation_timestamp());
        (created.is_none(), created, *key)
    });
    keys
}
