//! Which firewall mark a VirtualService has.

use crate::claim::by_age;
use crate::place::fnv1a;
use crate::{Claim, Key, Snapshot};
use lvs_crds::VirtualService;
use std::collections::BTreeSet;

/// The marks that we choose from. IPVS compares the whole mark, so they have to keep clear of bits that others on a
/// node set or read: kube-proxy's 0x4000 (masquerade) and 0x8000 (drop), Calico's 0xffff0000 by default, and the upper
/// half, in which Cilium keeps identities. (Cilium also reads 0x0f00 on packets that a node sends; beside it a fixed
/// mark that leaves those bits out is the safe choice.)
const FIRST: i64 = 4096;
const COUNT: u32 = 4096;

/// The mark: the one that the user fixed; else the one that the service's slices have; else a free one. `None` if all
/// are taken.
pub(crate) fn mark(key: &Key, vs: &VirtualService, snapshot: &Snapshot) -> Option<i64> {
    if let Some(fixed) = vs.spec.firewall_mark.as_ref().and_then(|m| m.mark) {
        return Some(fixed);
    }
    let own = held(key, snapshot).filter(|mark| keeps(key, *mark, snapshot));
    own.or_else(|| {
        // Hashed, so that a service which is made anew most likely gets the mark that it had.
        let start = fnv1a(&key.to_string()) % COUNT;
        let marks = (0..COUNT).map(|step| FIRST + i64::from((start + step) % COUNT));
        marks.into_iter().find(|mark| is_free(key, *mark, snapshot))
    })
}

/// The mark in a service's slices.
pub(crate) fn held(key: &Key, snapshot: &Snapshot) -> Option<i64> {
    let services = snapshot.slices_of(key).flat_map(|(_, slice)| &slice.spec.services);
    services.filter_map(|s| s.firewall_mark.as_ref()).map(|mark| mark.mark).next()
}

/// Two services have one mark when each got it before the other was seen; then the younger one moves.
fn keeps(key: &Key, mark: i64, snapshot: &Snapshot) -> bool {
    let holders: BTreeSet<&Key> =
        snapshot.holders(&Claim::Mark(mark)).map(|(_, holder)| holder).collect();
    holders.len() <= 1 || by_age(holders.into_iter(), snapshot).first() == Some(&key)
}

fn is_free(key: &Key, mark: i64, snapshot: &Snapshot) -> bool {
    let claim = Claim::Mark(mark);
    snapshot.holders(&claim).all(|(_, holder)| holder == key)
        && snapshot.wanting(&claim).all(|other| other == key)
}
