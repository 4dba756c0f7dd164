//! The changes that make the kernel what it should be, in order; pure.
//!
//! Works on a whole node or on a touched part of it: what is in none of the inputs is left alone. It names only
//! what is wanted or in `ours`, so what others made cannot be touched.

#[cfg(test)]
mod tests;

use crate::plan::settings::{is_same_choice, is_setting};
use crate::plan::{ARP_ANNOUNCE, ARP_IGNORE, LOOPBACK, is_forwarding};
use crate::state::{
    Fixture, HeldAddress, Made, NodeState, Observed, Op, Ours, Packets, ServiceState, goes_by_order,
};
use lvs_ipvs::{Destination, DestinationKey, Forwarding, Operation};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// The changes, in order.
    pub ops: Vec<Op>,
    /// Wanted, but somebody else's: stands in the kernel and not in the journal.
    pub foreign: Vec<Made>,
}

/// Compares what should be with what is.
///
/// Order, so that at no moment a packet meets half of what it needs:
/// - sysctls (`arp_ignore` must hold before a VIP appears on `lo`);
/// - what draws packets here and goes: local delivery, then addresses;
/// - what a packet needs on its way and comes: tunnels, masquerading, segment sizes; and sync daemons that go;
/// - services, destinations that come or change, destinations that go;
/// - marks, those that go and those that come side by side, so that a change of a mark is one transaction; behind a mark
///   that comes stands its service, and the service of a mark that goes stands still;
/// - services that go;
/// - what draws packets here and comes: addresses, then local delivery; then addresses that move;
/// - what a packet needs on its way and goes; and sync daemons that come;
/// - sysctls that go back.
///
/// A change is made in place: connections live in services and destinations.
pub fn diff(wanted: &NodeState, observed: &Observed, ours: &Ours) -> Difference {
    let mut difference = Difference::default();
    let ops = &mut difference.ops;
    for (path, value) in &wanted.sysctls {
        if !observed.sysctls.get(path).is_some_and(|found| is_sufficient(path, value, found)) {
            ops.push(Op::SetSysctl { path: path.clone(), value: value.clone() });
        }
    }
    let mut fixtures = fixtures(wanted, observed, ours, &mut difference.foreign);
    ops.append(&mut fixtures.undrawn);
    let (moving, leaving): (Vec<_>, Vec<_>) = observed
        .addresses
        .iter()
        .filter(|found| {
            !wanted.addresses.contains(found)
                && !wanted.floating.contains_key(*found)
                && ours.contains(&Made::Address((*found).clone()))
        })
        .partition(|found| {
            let same = |address: &&HeldAddress| {
                address.address.addr() == found.address.addr() && address.interface != LOOPBACK
            };
            // IPv6 has one prefix length each: the new one cannot stand before the old one has gone.
            let in_the_way = |address: &HeldAddress| {
                address.interface == found.interface && found.address.addr().is_ipv6()
            };
            let next = wanted.addresses.iter().find(same);
            found.interface != LOOPBACK && next.is_some_and(|next| !in_the_way(next))
        });
    ops.extend(leaving.into_iter().cloned().map(Op::DelAddress));
    ops.append(&mut fixtures.before);
    services(wanted, observed, ours, fixtures.marks, &mut difference);
    let ops = &mut difference.ops;
    for address in &wanted.addresses {
        if !observed.addresses.contains(address) {
            ops.push(Op::AddAddress(address.clone()));
        } else if !ours.contains(&Made::Address(address.clone())) {
            difference.foreign.push(Made::Address(address.clone()));
        }
    }
    ops.append(&mut fixtures.drawn);
    ops.extend(moving.into_iter().cloned().map(Op::DelAddress));
    ops.append(&mut fixtures.after);
    for path in observed.sysctls.keys() {
        // Forwarding is told of when the node is given back.
        let goes_back = !wanted.sysctls.contains_key(path) && !is_forwarding(path);
        if goes_back && ours.contains(&Made::Sysctl(path.clone())) {
            ops.push(Op::RestoreSysctl { path: path.clone() });
        }
    }
    difference
}

/// Fixtures' changes, by their place in the order.
#[derive(Default)]
struct Fixtures {
    undrawn: Vec<Op>,
    before: Vec<Op>,
    marks: Vec<Op>,
    drawn: Vec<Op>,
    after: Vec<Op>,
}

fn fixtures(
    wanted: &NodeState,
    observed: &Observed,
    ours: &Ours,
    foreign: &mut Vec<Made>,
) -> Fixtures {
    let mut changes = Fixtures::default();
    let coming = || wanted.fixtures.difference(&observed.fixtures);
    let coming_in: BTreeSet<_> = coming().filter_map(place).collect();
    for fixture in observed.fixtures.difference(&wanted.fixtures) {
        if !ours.contains(&Made::Fixture(*fixture)) {
            continue;
        }
        let list = match fixture {
            Fixture::LocalDelivery { .. } => &mut changes.undrawn,
            // The kernel takes no destination of the other family while a daemon runs (`ip_vs_genl_set_cmd`), and no daemon
            // while there is one (`ip_vs_genl_new_daemon`).
            Fixture::SyncDaemon(_) => &mut changes.before,
            _ if is_mark(fixture) => &mut changes.marks,
            // Another comes in its place, at once.
            _ if place(fixture).is_some_and(|it| coming_in.contains(&it)) => &mut changes.before,
            _ => &mut changes.after,
        };
        list.push(Op::DelFixture(*fixture));
    }
    for fixture in coming() {
        let list = match fixture {
            Fixture::LocalDelivery { .. } => &mut changes.drawn,
            // What it takes in, it binds to services that stand.
            Fixture::SyncDaemon(_) => &mut changes.after,
            _ if is_mark(fixture) => &mut changes.marks,
            _ => &mut changes.before,
        };
        list.push(Op::AddFixture(*fixture));
    }
    let standing = wanted.fixtures.intersection(&observed.fixtures).copied().map(Made::Fixture);
    foreign.extend(standing.filter(|made| !ours.contains(made)));
    changes
}

/// Whether it decides which service a packet meets.
fn is_mark(fixture: &Fixture) -> bool {
    matches!(
        fixture,
        Fixture::Mark { .. }
            | Fixture::Balanced { .. }
            | Fixture::OtherDirector { .. }
            | Fixture::OwnTunnel { .. }
    )
}

/// Where only one can stand: a segment size, and of the devices of one address and kind that with checksum or that without
/// (`ip_tunnel_find` in net/ipv4/ip_tunnel.c).
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place<'a> {
    SegmentSize(&'a Packets),
    Tunnel(&'static str, IpAddr),
}

fn place(fixture: &Fixture) -> Option<Place<'_>> {
    match fixture {
        Fixture::SegmentSize { packets, .. } => Some(Place::SegmentSize(packets)),
        Fixture::Tunnel { device, local } => Some(Place::Tunnel(device.as_str(), *local)),
        _ => None,
    }
}

fn services(
    wanted: &NodeState,
    observed: &Observed,
    ours: &Ours,
    marks: Vec<Op>,
    difference: &mut Difference,
) {
    let none = BTreeMap::new();
    let found = observed.services.as_ref().unwrap_or(&none);
    let mut made = Vec::new();
    let mut changed = Vec::new();
    let mut gone = Vec::new();
    for (key, state) in &wanted.services {
        match found.get(key) {
            None => {
                made.push(Operation::NewService(state.service.clone()));
                changed.extend(state.destinations.values().map(|destination| {
                    Operation::NewDestination { service: *key, destination: *destination }
                }));
            }
            Some(_) if !ours.contains(&Made::Service(*key)) => {
                difference.foreign.push(Made::Service(*key));
            }
            Some(current) => {
                if current.service != state.service {
                    made.push(Operation::SetService(state.service.clone()));
                }
                destinations(state, current, &mut changed, &mut gone);
            }
        }
    }
    let leaving = found
        .keys()
        .filter(|key| !wanted.services.contains_key(key) && ours.contains(&Made::Service(**key)))
        .map(|key| Operation::DelService(*key));
    let staying = made.into_iter().chain(changed).chain(gone).map(Op::Ipvs);
    difference.ops.extend(staying.chain(marks).chain(leaving.map(Op::Ipvs)));
}

fn destinations(
    wanted: &ServiceState,
    found: &ServiceState,
    changed: &mut Vec<Operation>,
    gone: &mut Vec<Operation>,
) {
    let service = wanted.service.key;
    let again = again(wanted, found);
    for (key, destination) in &wanted.destinations {
        match found.destinations.get(key) {
            None => changed.push(Operation::NewDestination { service, destination: *destination }),
            Some(_) if again.contains(key) => {
                changed.push(Operation::DelDestination { service, destination: *key });
                changed.push(Operation::NewDestination { service, destination: *destination });
            }
            Some(current) if is_same(destination, current) => {}
            Some(_) => {
                changed.push(Operation::SetDestination { service, destination: *destination });
            }
        }
    }
    let leaving = found.destinations.keys().filter(|key| !wanted.destinations.contains_key(key));
    gone.extend(
        leaving.map(|destination| Operation::DelDestination { service, destination: *destination }),
    );
}

/// Which destinations must be taken out and put in again, so that all stand in order: those that come after a new one; all, where
/// somebody has put them in as they came. One that comes again at once keeps its connections and counters
/// (`ip_vs_trash_get_dest` in net/netfilter/ipvs/ip_vs_ctl.c).
fn again<'a>(wanted: &'a ServiceState, found: &ServiceState) -> BTreeSet<&'a DestinationKey> {
    if !goes_by_order(&wanted.service) {
        return BTreeSet::new();
    }
    // What was found was asked as its scheduler then was: of another one nothing is known.
    let ordered = found.ordered && goes_by_order(&found.service);
    let is_new = |key: &&DestinationKey| !found.destinations.contains_key(*key);
    let first_new = wanted.destinations.keys().find(is_new);
    let after = |key: &&DestinationKey| !ordered || first_new.is_some_and(|first| *key > first);
    wanted.destinations.keys().filter(after).collect()
}

/// Some kernels turn a destination that is the director's own address into a local one, whatever was asked.
fn is_same(wanted: &Destination, found: &Destination) -> bool {
    let mut found = *found;
    if found.forwarding == Forwarding::LocalNode {
        found.forwarding = wanted.forwarding;
    }
    *wanted == found
}

/// Whether a sysctl's value does what is wanted, so that an admin's own choice can stay.
///
/// `arp_ignore`: 2 and 8 are stricter than 1; 3 is not, since a VIP on `lo` has global scope, and 4 to 7 mean 0
/// (`arp_ignore()` in net/ipv4/arp.c). IPVS's own have to be as they are wanted. The others are switches: any number but 0
/// is on.
pub fn is_sufficient(path: &str, wanted: &str, found: &str) -> bool {
    let (wanted, found) = (wanted.trim(), found.trim());
    if wanted == found {
        return true;
    }
    match path {
        ARP_IGNORE => matches!(found, "2" | "8"),
        ARP_ANNOUNCE => false,
        _ if is_setting(path) => is_same_choice(path, wanted, found),
        _ => wanted == "1" && found.parse::<i32>().is_ok_and(|found| found != 0),
    }
}
