//! IPv4 settings of this node that keep a service's packets from being answered or sent on. They are told and not changed:
//! somebody has set them for a reason that may be more than this service.

use super::{Fragment, Problem, Program, placement};
use crate::state::{Facts, HeldAddress};
use lvs_crds::{FailedRole, Forwarding};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// How many addresses a message names.
const NAMED: usize = 4;

/// Adds what keeps ARP for the fragment's addresses from being answered.
pub(super) fn arp(facts: &Facts, fragment: &mut Fragment) {
    let held = fragment.addresses.iter().chain(fragment.floating.keys());
    let mut silent: BTreeMap<(String, i32), BTreeSet<IpAddr>> = BTreeMap::new();
    for held in held.filter(|held| held.address.addr().is_ipv4()) {
        if let Some(setting) = ignored(held, facts) {
            silent.entry(setting).or_default().insert(held.address.addr());
        }
    }
    for ((setting, value), addresses) in silent {
        let why = match value {
            2 => "only hosts of the address's own subnet on that interface are answered",
            3 => "ARP for addresses of host scope, as a VIP has, is not answered",
            _ => "no ARP is answered",
        };
        let message = format!(
            "nobody on the link finds {} on node {}: {setting} is {value}, by which {why}; set it to 0 or 1",
            listing(&addresses),
            facts.node
        );
        fragment.warnings.push(Problem::new(FailedRole::Director, "ARPIgnored", message));
    }
}

/// The setting, and its value, by which the kernel does not answer ARP for this address (`arp_ignore` in net/ipv4/arp.c): the
/// larger of the interface's and that of all.
fn ignored(held: &HeldAddress, facts: &Facts) -> Option<(String, i32)> {
    let interface = facts.interfaces.get(&held.interface).filter(|it| !it.loopback)?;
    let (own, all) = (interface.ipv4.arp_ignore, facts.all_ipv4.arp_ignore);
    let address = held.address.addr();
    let within = interface.addresses.iter().filter(|own| own.contains(&address));
    let mut lengths = within.map(ipnet::IpNet::prefix_len);
    let host = held.address.prefix_len() == held.address.max_prefix_len();
    let value = own.max(all);
    let silent = match value {
        // With its network's prefix it is in its own subnet.
        2 => host && lengths.next().is_none(),
        // What another address of the same subnet has, or the interface's only address: then the scope is global
        // (`crate::kernel`, address.rs).
        3 => {
            let alone = !host && !interface.addresses.iter().any(|own| own.addr().is_ipv4());
            !alone && !lengths.any(|length| length == held.address.prefix_len())
        }
        8 => true,
        _ => false,
    };
    let of = if own >= all { held.interface.as_str() } else { "all" };
    silent.then(|| (format!("net.ipv4.conf.{of}.arp_ignore"), value))
}

/// Adds what keeps the answers of NAT real servers from being sent on: `ip_forward` is set, and forwarding is off for what
/// comes in by the interface that leads to them (`ip_route_input_slow`, IN_DEV_FORWARD). IPv6 has one switch for all.
pub(super) fn forwarding(program: &Program<'_>, facts: &Facts, fragment: &mut Fragment) {
    let mut stuck: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
    for server in program.real_servers.iter().filter(|it| it.forwarding == Forwarding::NAT) {
        let Ok(address @ IpAddr::V4(_)) = server.address.parse() else { continue };
        let Some(name) = placement::routed(address, facts) else { continue };
        if facts.interfaces.get(&name).is_some_and(|it| it.ipv4.forwarding_off) {
            stuck.entry(name).or_default().insert(address);
        }
    }
    // Before the agent has turned it on for all, it is off everywhere.
    if facts.all_ipv4.forwarding_off {
        return;
    }
    for (name, servers) in stuck {
        let message = format!(
            "NAT: what the real servers at {} answer goes no further on node {}: net.ipv4.conf.{name}.forwarding is 0, \
             although net.ipv4.ip_forward is 1; set it to 1",
            listing(&servers),
            facts.node
        );
        fragment.warnings.push(Problem::new(FailedRole::Director, "ForwardingOff", message));
    }
}

fn listing(addresses: &BTreeSet<IpAddr>) -> String {
    let named: Vec<String> = addresses.iter().take(NAMED).map(ToString::to_string).collect();
    match addresses.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
