//! What this node asks of a service as a client does, and by which interface and address.

use super::{Fragment, Program, placement};
use crate::director::part;
use crate::probe::{Asks, Way};
use crate::state::{Facts, Interface, Mac};
use ipnet::IpNet;
use lvs_crds::{DirectorGroup, Forwarding, VirtualServiceSlice};
use lvs_resolve::{Probers, Question, questions};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Adds it.
pub(super) fn plan(
    program: &Program<'_>,
    slices: &[&VirtualServiceSlice],
    group: &DirectorGroup,
    facts: &Facts,
    fragment: &mut Fragment,
) {
    let probers = Probers::of(group, program.real_servers.iter().copied());
    let all = program.services.iter().flat_map(|service| questions(service).0);
    let mine = |question: &Question| probers.asking(question).contains(&facts.node.as_str());
    let versions = slices.iter().map(|slice| crate::input::version(&slice.metadata));
    let mut asks = Asks {
        group: program.group.to_owned(),
        version: versions.max().unwrap_or(0),
        directors: directors(group),
        ..Asks::default()
    };
    for question in all.filter(mine) {
        match way(&question, program, group, facts) {
            Ok(way) => drop(asks.questions.insert(question, way)),
            Err(why) => drop(asks.barred.insert(question, why)),
        }
    }
    if !asks.is_empty() {
        fragment.asks = asks;
    }
}

fn directors(group: &DirectorGroup) -> BTreeMap<[u8; 6], String> {
    let members = group.status.iter().flat_map(|status| &status.members);
    let macs = members.flat_map(|member| member.macs.iter().map(move |mac| (mac, &member.node)));
    macs.filter_map(|(mac, node)| Some((mac.parse::<Mac>().ok()?.0, node.clone()))).collect()
}

/// By which interface and address this node asks; or why it cannot.
fn way(
    question: &Question,
    program: &Program<'_>,
    group: &DirectorGroup,
    facts: &Facts,
) -> Result<Way, String> {
    let (vip, node) = (question.address, &facts.node);
    // A director has to be on the VIP's link; of any other node only its network says that it is.
    let is_director = part(group, node).is_some();
    let mut own = facts.interfaces.values().flat_map(|interface| &interface.addresses);
    if !is_director && !own.any(|own| own.contains(&vip)) {
        return Err(format!("node {node} has no address in a network of {vip}"));
    }
    let held = placement::vip(vip, &group.spec.networks, program.group, facts);
    let held = held.map_err(|problem| problem.message)?;
    let name = &held.interface;
    let Some(interface) = facts.interfaces.get(name) else {
        return Err(format!("node {node} has no interface {name}"));
    };
    let Some(mac) = interface.mac.filter(|_| !interface.loopback) else {
        return Err(format!("interface {name} of node {node} has no MAC address"));
    };
    let Some(source) = source(vip, interface) else {
        return Err(format!("node {node} has no address for {vip} on {name}"));
    };
    let servers = program
        .real_servers
        .iter()
        .filter_map(|server| Some((server, server.address.parse::<IpAddr>().ok()?)));
    for (server, address) in servers {
        let own = facts.interfaces.values().flat_map(|interface| &interface.addresses);
        if own.into_iter().any(|own| own.addr() == address) {
            return Err(format!("node {node} is real server {} itself", server.name));
        }
        let past = server.forwarding == Forwarding::NAT && !program.masquerade;
        if past && source.contains(&address) {
            return Err(format!(
                "real server {} is in the network of node {node}, and would answer it past the director",
                server.name
            ));
        }
    }
    Ok(Way { interface: interface.index, mac: mac.0, source: source.addr() })
}

/// An address of the VIP's network if there is one, else another of its family.
fn source(vip: IpAddr, interface: &Interface) -> Option<IpNet> {
    let fits = |own: &&IpNet| match own.addr() {
        IpAddr::V4(_) => vip.is_ipv4(),
        IpAddr::V6(own) => vip.is_ipv6() && !own.is_unicast_link_local(),
    };
    let all = interface.addresses.iter().filter(fits);
    all.max_by_key(|own| own.contains(&vip)).copied()
}
