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

/// The marks that directors keep for themselves, for what another one has balanced already: the next bit, so that none is a
/// mark that we choose, with the bits of others left alone as above.
const KEPT: u32 = 0x2000;
/// As many as a group has directors.
const OF_GROUP: u32 = 32;

/// The mark with which the director at `position` among a group's members knows what another one has balanced. No two
/// directors of a group share it: a connection that comes with one is told to the others with it, and these take it for
/// the VIP's own only where they have no service of that mark (`ip_vs_find_dest`). The sync id keeps groups apart.
pub fn balanced_mark(sync_id: Option<i32>, position: usize) -> u32 {
    let group = sync_id.and_then(|id| u8::try_from(id).ok()).unwrap_or(0);
    let position = u32::try_from(position).unwrap_or(0) % OF_GROUP;
    KEPT + u32::from(group) * OF_GROUP + position
}

/// Whether directors keep a mark for themselves.
pub fn is_kept_mark(mark: u32) -> bool {
    (KEPT..KEPT + 256 * OF_GROUP).contains(&mark)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directors_keep_marks_that_no_service_is_given_and_no_two_share() {
        let mut all = BTreeSet::new();
        for group in std::iter::once(None).chain((1..=255).map(Some)) {
            all.extend((0..32).map(|position| balanced_mark(group, position)));
        }
        assert_eq!(all.len(), 256 * 32);
        let chosen = FIRST..FIRST + i64::from(COUNT);
        assert!(all.iter().all(|mark| is_kept_mark(*mark) && !chosen.contains(&i64::from(*mark))));
        assert!(all.iter().all(|mark| mark & 0xffff_c000 == 0), "kube-proxy's and Calico's bits");
        assert!(!is_kept_mark(8191) && !is_kept_mark(16384));
    }
}
