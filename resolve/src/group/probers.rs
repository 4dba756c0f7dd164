//! Which nodes ask a group's VIPs as clients do that are none of its directors.

use super::reports;
use crate::Snapshot;
use crate::spread::hash;
use lvs_crds::{DirectorGroup, Member};
use std::cmp::Reverse;
use std::net::IpAddr;

/// As many as a status holds: each question is put to some of them, so that one that is away leaves others.
const MOST: usize = 4;

/// Those nearest to the directors by address, since who asks has to be on a VIP's link, and prefix lengths are known on the
/// nodes alone. Of equally near ones those stay that are chosen already.
pub(super) fn choose(
    name: &str,
    group: &DirectorGroup,
    members: &[Member],
    snapshot: &Snapshot,
) -> Vec<String> {
    let incumbents = group.status.iter().flat_map(|status| &status.probers);
    let incumbents: Vec<&String> = incumbents.collect();
    let directors: Vec<IpAddr> = members
        .iter()
        .flat_map(|member| &member.addresses)
        .filter_map(|address| address.parse().ok())
        .collect();
    let others = snapshot.lvs_nodes().map(|(node, _)| node).filter(|node| {
        members.iter().all(|member| member.node != **node) && reports(node, snapshot)
    });
    let mut ranked: Vec<_> = others
        .filter_map(|node| {
            let own = &snapshot.node(node)?.addresses;
            let pairs = own.iter().flat_map(|own| directors.iter().map(move |it| (own, it)));
            let near = pairs.map(|(own, director)| shared(*own, *director)).max().unwrap_or(0);
            let is_new = !incumbents.contains(&node);
            Some((Reverse(near), is_new, hash(&[name, "prober", node]), node))
        })
        .collect();
    ranked.sort();
    let mut chosen: Vec<String> =
        ranked.into_iter().take(MOST).map(|(.., node)| node.clone()).collect();
    chosen.sort();
    chosen
}

/// How much of two addresses is the same from the beginning, in 128ths, up to what a network has in common: no host of it is
/// nearer than another.
fn shared(one: IpAddr, other: IpAddr) -> u32 {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (one.to_bits() ^ other.to_bits()).leading_zeros().min(24) * 4
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            (one.to_bits() ^ other.to_bits()).leading_zeros().min(64)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_network_all_are_as_near() {
        let near = |one: &str, other: &str| {
            shared(one.parse().expect("an address"), other.parse().expect("an address"))
        };
        assert_eq!(near("10.0.0.1", "10.0.0.2"), near("10.0.0.1", "10.0.0.200"));
        assert!(near("10.0.0.1", "10.0.0.200") > near("10.0.0.1", "10.0.1.1"));
        assert!(near("2001:db8::1", "2001:db8::2") > near("2001:db8::1", "2001:db9::1"));
        assert_eq!(near("10.0.0.1", "2001:db8::1"), 0);
    }
}
