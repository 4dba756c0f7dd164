//! Who gets what several VirtualServices want.

use super::{Claim, Claims, wanted};
use crate::{Key, Snapshot, reason};
use kube::ResourceExt;
use lvs_crds::VirtualService;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Why a VirtualService does not get what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// Somebody else has it, or something that overlaps with it (`theirs`).
    Taken {
        claim: Claim,
        theirs: Claim,
        by: Key,
        /// A director of both groups, where these are two.
        at: Option<String>,
    },
    /// The VIP belongs to another namespace.
    Foreign { address: IpAddr, by: Key },
}

impl Conflict {
    /// Whether a slice with these services stands in the winner's way.
    pub(crate) fn hits(&self, held: &BTreeSet<Claim>, snapshot: &Snapshot) -> bool {
        match self {
            Self::Taken { theirs, .. } => {
                held.iter().any(|c| c.overlaps(theirs) && snapshot.meet(c, theirs))
            }
            Self::Foreign { address, .. } => held.iter().any(|c| c.vip() == Some(*address)),
        }
    }

    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Taken { claim: Claim::Mark(_), .. } => reason::MARK_CONFLICT,
            Self::Taken { .. } | Self::Foreign { .. } => reason::ADDRESS_CONFLICT,
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Taken { claim: Claim::Mark(mark), by, .. } => format!(
                "spec.firewallMark.mark: {mark} is the mark of VirtualService {by}, and a mark belongs to one \
                 VirtualService; use another, leave mark out to have one chosen, or delete that one"
            ),
            Self::Taken { claim, theirs, by, at: Some(node) } => format!(
                "spec.firewallMark.destinations, spec.ports: {claim} is taken on node {node} by VirtualService {by}, which \
                 has {theirs}, for the node is a director of DirectorGroup {} too; use networks or ports that do not overlap \
                 with it, give the groups nodes of their own, or delete that one",
                theirs.passes().unwrap_or_default()
            ),
            Self::Taken { claim, theirs, by, .. } if claim.network().is_some() => format!(
                "spec.firewallMark.destinations, spec.ports: {claim} is taken by VirtualService {by}, which has {theirs}; \
                 use networks or ports that do not overlap with it, or delete that one"
            ),
            Self::Taken { claim, theirs, by, .. } if claim == theirs => format!(
                "spec.addresses, spec.ports: {claim} is taken by VirtualService {by}; use another address or port, or \
                 delete that one"
            ),
            Self::Taken { claim, theirs, by, .. } => format!(
                "spec.addresses, spec.ports: {claim} is taken by VirtualService {by}, which has {theirs} (packets with \
                 a firewall mark never come to a service without); use another address or port, or delete that one"
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
    let mut taken = taken_by_holders(rivals.iter().flat_map(|(_, wants)| wants), snapshot);
    for (rival, wants) in rivals {
        let Some(object) = snapshot.virtual_service(&rival) else { continue };
        let conflict = taken.refuses(&rival, &wants);
        if rival == *key {
            return conflict;
        }
        if conflict.is_none() && eligible(&rival, object) {
            wants.iter().for_each(|claim| taken.take(claim, &rival));
        }
    }
    None
}

/// Whoever holds a claim, wanting it still or not, has it until its slices are gone. Of two that hold what overlaps,
/// the older one has it, whoever asks.
fn taken_by_holders<'a, 's>(
    claims: impl Iterator<Item = &'a Claim>,
    snapshot: &'s Snapshot,
) -> Taken<'s> {
    let mut held: BTreeMap<&Key, BTreeSet<&Claim>> = BTreeMap::new();
    let mut belongs: BTreeMap<&Key, BTreeSet<IpAddr>> = BTreeMap::new();
    for claim in claims {
        for (claim, holder) in snapshot.holders(claim) {
            held.entry(holder).or_default().insert(claim);
        }
        for holder in claim.vip().into_iter().flat_map(|vip| snapshot.holders_of_address(vip)) {
            belongs.entry(holder).or_default().extend(claim.vip());
        }
    }
    let mut taken = Taken { snapshot, claims: Claims::default(), namespaces: HashMap::new() };
    for holder in by_age(held.keys().copied(), snapshot) {
        held.get(holder).into_iter().flatten().for_each(|claim| taken.take(claim, holder));
    }
    for holder in by_age(belongs.keys().copied(), snapshot) {
        belongs.get(holder).into_iter().flatten().for_each(|vip| taken.belong(*vip, holder));
    }
    taken
}

struct Taken<'a> {
    snapshot: &'a Snapshot,
    claims: Claims<Key>,
    namespaces: HashMap<IpAddr, Key>,
}

impl Taken<'_> {
    fn take(&mut self, claim: &Claim, by: &Key) {
        if self.rivals(claim, by).next().is_none() {
            self.claims.add(claim, by.clone());
        }
        if let Some(vip) = claim.vip() {
            self.belong(vip, by);
        }
    }

    /// What others have that cannot be had besides.
    fn rivals(&self, claim: &Claim, of: &Key) -> impl Iterator<Item = (&Claim, &Key)> {
        let others = self.claims.overlapping(claim).filter(move |(_, by)| *by != of);
        others.filter(move |(theirs, _)| self.snapshot.meet(claim, theirs))
    }

    fn belong(&mut self, address: IpAddr, to: &Key) {
        self.namespaces.entry(address).or_insert_with(|| to.clone());
    }

    fn refuses(&self, key: &Key, wants: &BTreeSet<Claim>) -> Option<Conflict> {
        wants.iter().find_map(|claim| {
            let foreign =
                claim.vip().and_then(|address| Some((address, self.namespaces.get(&address)?)));
            if let Some((address, by)) = foreign.filter(|(_, by)| by.namespace != key.namespace) {
                return Some(Conflict::Foreign { address, by: by.clone() });
            }
            let (theirs, by) = self.rivals(claim, key).next()?;
            let at = match (claim.passes(), theirs.passes()) {
                (Some(own), Some(other)) if own != other => {
                    self.snapshot.common_director(own, other)
                }
                _ => None,
            };
            Some(Conflict::Taken {
                claim: claim.clone(),
                theirs: theirs.clone(),
                by: by.clone(),
                at,
            })
        })
    }
}

/// Whether anybody else wants or has any of this: nearly always nobody, and then there is nothing to settle.
fn contested(key: &Key, claims: &BTreeSet<Claim>, snapshot: &Snapshot) -> bool {
    claims.iter().any(|claim| {
        snapshot.wanting(claim).any(|k| k != key)
            || snapshot.holders(claim).any(|(_, k)| k != key)
            || is_foreign(key, claim, snapshot)
    })
}

/// Whether somebody of another namespace wants or has the VIP.
fn is_foreign(key: &Key, claim: &Claim, snapshot: &Snapshot) -> bool {
    claim.vip().is_some_and(|vip| snapshot.namespaces_of(vip).any(|n| n != key.namespace))
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
            if is_foreign(&next, claim, snapshot) {
                let users = claim.vip().into_iter().flat_map(|vip| snapshot.using_address(vip));
                meet.extend(users.cloned());
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
pub(crate) fn by_age<'a>(keys: impl Iterator<Item = &'a Key>, snapshot: &Snapshot) -> Vec<&'a Key> {
    let mut keys: Vec<&Key> = keys.collect();
    keys.sort_by_cached_key(|key| {
        let created = snapshot.virtual_service(key).and_then(|vs| vs.creation_timestamp());
        (created.is_none(), created, *key)
    });
    keys
}
