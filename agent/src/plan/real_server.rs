//! What a node needs that is itself a real server.

use super::{
    ARP_ANNOUNCE, ARP_IGNORE, Fragment, Problem, Program, colocated, director, packets, tunnel,
};
use crate::director::Part;
use crate::state::{Facts, HeldAddress};
use ipnet::IpNet;
use lvs_crds::{DirectorGroup, FailedRole, Forwarding, SliceRealServer};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The interface that holds a DR real server's VIPs: it answers no ARP of its own, and every node has it.
pub const LOOPBACK: &str = "lo";

/// The only director serves as its own real server without help: the VIP is here, and the kernel delivers locally. One of
/// several is a real server like others while the VIP is elsewhere.
pub(super) fn plan(
    program: &Program<'_>,
    group: Option<&DirectorGroup>,
    part: Option<Part>,
    facts: &Facts,
    fragment: &mut Fragment,
) {
    if part == Some(Part::Alone) {
        return;
    }
    let mut expected = BTreeSet::new();
    for server in &program.real_servers {
        let Ok(address) = server.address.parse::<IpAddr>() else { continue };
        if server.node_name.as_deref() != Some(facts.node.as_str()) && !is_own(address, facts) {
            continue;
        }
        match server.forwarding {
            Forwarding::DR | Forwarding::TUN => {
                answer(program, server, address, group, facts, fragment);
                // Of several, here: the only one has returned above.
                if let Some(group) = group.filter(|_| part.is_some() && is_own(address, facts)) {
                    let served = program.services.iter().filter(|it| program.serves(server, it));
                    for service in served {
                        colocated::plan(group, server, address, service, facts, fragment);
                    }
                }
            }
            Forwarding::NAT if part.is_some() => {
                if !program.masquerade {
                    fragment.warnings.push(bypassing(server, address, facts));
                }
            }
            Forwarding::NAT => {
                if let Some(problem) =
                    group.and_then(|group| wrong_gateway(server, address, group, facts))
                    && expected.insert(problem.message.clone())
                {
                    fragment.problems.push(problem);
                }
            }
        }
    }
}

/// A director's own replies pass itself and no other.
fn bypassing(server: &SliceRealServer, address: IpAddr, facts: &Facts) -> Problem {
    let message = format!(
        "real server {} ({address}) is on director {}: while another director has the VIP, its replies do not pass that one, and \
         clients do not know them; forward to it by DR or TUN, or set nat.masquerade",
        server.name, facts.node
    );
    Problem::new(FailedRole::RealServer, "RepliesBypassDirector", message)
}

fn is_own(address: IpAddr, facts: &Facts) -> bool {
    facts
        .interfaces
        .values()
        .flat_map(|interface| &interface.addresses)
        .any(|own| own.addr() == address)
}

/// A real server that answers clients itself has the VIPs, and quietly.
fn answer(
    program: &Program<'_>,
    server: &SliceRealServer,
    address: IpAddr,
    group: Option<&DirectorGroup>,
    facts: &Facts,
    fragment: &mut Fragment,
) {
    for service in program.services.iter().filter(|service| program.serves(server, service)) {
        for vip in packets::vips(service) {
            if vip.is_ipv4() {
                fragment.sysctls.insert(ARP_IGNORE.to_owned(), "1".to_owned());
                fragment.sysctls.insert(ARP_ANNOUNCE.to_owned(), "2".to_owned());
            }
            fragment
                .addresses
                .insert(HeldAddress { interface: LOOPBACK.to_owned(), address: IpNet::from(vip) });
        }
        director::local_delivery(service, fragment);
        if server.forwarding == Forwarding::TUN {
            let directors = group.and_then(tunnel::smallest_mtu);
            tunnel::plan(server, address, service, directors, facts, fragment);
        }
    }
}

/// Replies of a NAT real server must pass the director: its default route must lead to the group's gateway.
fn wrong_gateway(
    server: &SliceRealServer,
    address: IpAddr,
    group: &DirectorGroup,
    facts: &Facts,
) -> Option<Problem> {
    let gateways: Vec<IpAddr> = group
        .spec
        .nat_gateways
        .iter()
        .filter_map(|gateway| gateway.address.parse::<IpNet>().ok())
        .map(|gateway| gateway.addr())
        .filter(|gateway| gateway.is_ipv4() == address.is_ipv4())
        .collect();
    if gateways.is_empty() {
        return None;
    }
    let found = facts
        .routes
        .iter()
        .filter(|route| route.destination.prefix_len() == 0)
        .filter(|route| route.destination.addr().is_ipv4() == address.is_ipv4())
        .min_by_key(|route| route.metric);
    if found.and_then(|route| route.gateway).is_some_and(|gateway| gateways.contains(&gateway)) {
        return None;
    }
    let found = match found {
        None => "this node has no default route".to_owned(),
        Some(route) => match route.gateway {
            Some(gateway) => {
                format!("this node's default route goes to {gateway} on {}", route.interface)
            }
            None => format!("this node's default route goes out on {} directly", route.interface),
        },
    };
    let expected: Vec<String> = gateways.iter().map(IpAddr::to_string).collect();
    let group = group.metadata.name.as_deref().unwrap_or_default();
    Some(Problem {
        role: FailedRole::RealServer,
        reason: "WrongDefaultGateway".to_owned(),
        message: format!(
            "real server {} ({address}): {found}, but replies of NAT must go to {} (spec.natGateways of \
             DirectorGroup {group}); set the default route of node {} to it",
            server.name,
            expected.join(" or "),
            facts.node
        ),
    })
}
