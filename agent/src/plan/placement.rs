//! On which interface, and with which prefix, an address stands.

use super::Problem;
use crate::state::{Facts, HeldAddress, Interface, Route};
use ipnet::IpNet;
use lvs_crds::{FailedRole, NatGateway, Network};
use std::net::IpAddr;

/// Where a VIP stands: in the narrowest of the group's networks that contains it, otherwise with a host prefix where
/// its route leads.
pub(super) fn vip(
    vip: IpAddr,
    networks: &[Network],
    group: &str,
    facts: &Facts,
) -> Result<HeldAddress, Problem> {
    let network = networks
        .iter()
        .enumerate()
        .filter_map(|(index, network)| Some((index, network, network.cidr.parse::<IpNet>().ok()?)))
        .filter(|(_, _, cidr)| cidr.contains(&vip))
        .max_by_key(|(index, _, cidr)| (cidr.prefix_len(), std::cmp::Reverse(*index)));
    let Some((index, network, cidr)) = network else {
        let interface = routed(vip, facts).ok_or_else(|| {
            no_interface(
                facts,
                format!(
                    "no interface for VIP {vip}: no route leads to it; add its network, with an interface, to \
                     spec.networks of DirectorGroup {group}"
                ),
            )
        })?;
        return Ok(HeldAddress { interface, address: IpNet::from(vip) });
    };
    let field = format!("spec.networks[{index}] of DirectorGroup {group}");
    let interface = choose(network.interface.as_deref(), cidr, vip, facts)
        .map_err(|why| no_interface(facts, format!("no interface for VIP {vip}: {field} {why}")))?;
    Ok(HeldAddress { interface, address: with_prefix(vip, cidr.prefix_len()) })
}

/// Where a NAT gateway stands.
pub(super) fn gateway(
    gateway: &NatGateway,
    field: &str,
    facts: &Facts,
) -> Result<HeldAddress, Problem> {
    let address: IpNet = gateway.address.parse().map_err(|_| {
        Problem::new(
            FailedRole::Director,
            "Invalid",
            format!(
                "{field}: {:?} is not an address with its prefix length, e.g. 10.0.0.234/24",
                gateway.address
            ),
        )
    })?;
    let network = address.trunc();
    let interface = choose(gateway.interface.as_deref(), network, address.addr(), facts)
        .map_err(|why| no_interface(facts, format!("no interface for {address}: {field} {why}")))?;
    Ok(HeldAddress { interface, address })
}

fn choose(
    named: Option<&str>,
    network: IpNet,
    address: IpAddr,
    facts: &Facts,
) -> Result<String, String> {
    if let Some(name) = named {
        return if facts.interfaces.contains_key(name) {
            Ok(name.to_owned())
        } else {
            Err(format!("names interface {name}, which this node does not have"))
        };
    }
    inside(network, facts).or_else(|| routed(address, facts)).ok_or_else(|| {
        "names no interface, and none of this node has an address in, or a route to, that network"
            .to_owned()
    })
}

/// The interface with an address of its own in `network`; the kernel's first of several.
fn inside(network: IpNet, facts: &Facts) -> Option<String> {
    let has = |interface: &Interface| {
        !interface.loopback
            && interface.addresses.iter().any(|address| network.contains(&address.addr()))
    };
    facts
        .interfaces
        .iter()
        .filter(|(_, interface)| has(interface))
        .min_by_key(|(_, interface)| (!interface.up, interface.index))
        .map(|(name, _)| name.clone())
}

pub(super) fn routed(address: IpAddr, facts: &Facts) -> Option<String> {
    let leads = |route: &&Route| {
        route.destination.contains(&address)
            && facts.interfaces.get(&route.interface).is_some_and(|interface| !interface.loopback)
    };
    facts
        .routes
        .iter()
        .filter(leads)
        .min_by_key(|route| {
            (std::cmp::Reverse(route.destination.prefix_len()), route.metric, &route.interface)
        })
        .map(|route| route.interface.clone())
}

fn with_prefix(address: IpAddr, prefix: u8) -> IpNet {
    // A prefix out of a parsed network of the same family fits; the host prefix is the safe way out.
    IpNet::new(address, prefix).unwrap_or_else(|_| IpNet::from(address))
}

fn no_interface(facts: &Facts, message: String) -> Problem {
    Problem::new(FailedRole::Director, "NoInterface", format!("{message} (node {})", facts.node))
}
