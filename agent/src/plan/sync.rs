//! IPVS's sync daemons: a node runs one that tells of its connections and one that takes in others', whichever of them it
//! carries at the moment, so that nothing has to change when a VIP moves.
//!
//! There is one pair for the whole node: that of the oldest of its groups that have several directors, as for timeouts.

use super::settings::FOLDER;
use super::{Fragment, Problem, Program, placement};
use crate::state::{Facts, Fixture, Interface, InterfaceName, SyncDaemon, SyncRole};
use lvs_crds::{DirectorGroup, FailedRole, Forwarding, Member};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kernel's default (`IP_VS_SYNC_GROUP`).
const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));
/// Where not every director has an IPv4 address: link-local, of no registry (RFC 4291), with the same number.
const GROUP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0, 0x81));
/// `IP_VS_SYNC_PORT`
const PORT: u16 = 8848;
/// A message has room for 255 connections in its header, and the kernel does not look (`nr_conns`, ip_vs_sync_conn): of 36
/// bytes each, behind 8 bytes of header.
const LONGEST: u16 = 8 + 255 * 36;
/// The kernel's buffer for what comes in is no smaller (`start_sync_thread`).
const SHORTEST_BUFFER: u16 = 1024;

/// Tells of a connection when it is established, and again when it has packets 8 seconds later. `sync_threshold`'s second
/// number, 0, lets that time alone count (`ip_vs_sync_conn_needed`).
const SYSCTLS: [(&str, &str); 3] = [
    ("sync_threshold", "2 0"),
    ("sync_refresh_period", "8"),
    // As large as net.core.rmem_max and wmem_max allow (`set_sock_size`).
    ("sync_sock_size", "4194304"),
];

/// Adds the daemons, if `group` has the say. `groups` are all that the node is a director of, the oldest first.
pub(super) fn plan(
    group: &DirectorGroup,
    groups: &[&DirectorGroup],
    facts: &Facts,
    fragment: &mut Fragment,
) {
    // One that is being left is not among them.
    let first = groups.iter().copied().chain([group]).find_map(|it| Some((it, sync_id(it)?)));
    let Some((_, sync_id)) = first.filter(|(it, _)| it.metadata.name == group.metadata.name) else {
        return;
    };
    match daemons(group, sync_id, facts) {
        Ok(daemons) => {
            let sysctls =
                SYSCTLS.map(|(name, value)| (format!("{FOLDER}{name}"), value.to_owned()));
            fragment.sysctls.extend(sysctls);
            fragment.fixtures.extend(daemons.map(Fixture::SyncDaemon));
        }
        // Services serve without, and who carries what has nothing to do with it.
        Err(problem) => fragment.warnings.push(problem),
    }
}

/// The id, where the group's directors tell each other of connections.
fn sync_id(group: &DirectorGroup) -> Option<u8> {
    let status = group.status.as_ref()?;
    let enabled = group.spec.connection_sync.as_ref().and_then(|sync| sync.enabled);
    let syncs = status.members.len() > 1 && enabled.unwrap_or(true);
    let id = status.sync_id.filter(|_| syncs)?;
    u8::try_from(id).ok().filter(|id| *id != 0)
}

fn daemons(group: &DirectorGroup, sync_id: u8, facts: &Facts) -> Result<[SyncDaemon; 2], Problem> {
    let name = group.metadata.name.as_deref().unwrap_or_default();
    let sync = group.spec.connection_sync.clone().unwrap_or_default();
    let invalid = |field: &str, what: &str| {
        let message = format!("spec.connectionSync.{field} of DirectorGroup {name}: {what}");
        Problem::new(FailedRole::Director, "Invalid", message)
    };
    let members = group.status.iter().flat_map(|status| &status.members);
    let others: Vec<&Member> = members.filter(|member| member.node != facts.node).collect();
    let multicast = match sync.multicast_group.as_deref() {
        Some(text) => (text.parse::<IpAddr>().ok().filter(IpAddr::is_multicast))
            .ok_or_else(|| invalid("multicastGroup", &format!("{text:?} is no multicast group")))?,
        None if has_ipv4(group) => GROUP,
        None => GROUP6,
    };
    let (interface, found) = interface(group, &others, facts)?;
    usable(&interface, found, multicast, name, facts)?;
    let number = |value: Option<i32>, default: u16, field| match value {
        Some(value) => u16::try_from(value).map_err(|_| invalid(field, "out of range")),
        None => Ok(default),
    };
    let headers: u16 = if multicast.is_ipv4() { 20 + 8 } else { 40 + 8 };
    let mtu = u16::try_from(found.mtu).unwrap_or(u16::MAX);
    // As the kernel chooses, which sends no larger ones by itself however large frames may be, but for a smaller MTU.
    let default = mtu.clamp(576, 1500) - headers;
    let sent = number(sync.max_length, default, "maxLength")?.min(LONGEST);
    let taken = mtu.max(1500) - headers;
    let daemon = |role, max_length| {
        Ok(SyncDaemon {
            role,
            interface: InterfaceName::new(&interface)
                .ok_or_else(|| invalid("interface", "a name has 1 to 15 bytes"))?,
            sync_id,
            group: multicast,
            port: number(sync.port, PORT, "port")?,
            ttl: u8::try_from(number(sync.ttl, 1, "ttl")?)
                .map_err(|_| invalid("ttl", "more than 255"))?,
            max_length,
        })
    };
    Ok([
        daemon(SyncRole::Master, sent)?,
        daemon(SyncRole::Backup, sent.max(taken).clamp(SHORTEST_BUFFER, u16::MAX - headers))?,
    ])
}

fn has_ipv4(group: &DirectorGroup) -> bool {
    let mut members = group.status.iter().flat_map(|status| &status.members);
    members.all(|member| first(member, true).is_some())
}

/// The first address of a family.
fn first(member: &Member, ipv4: bool) -> Option<IpAddr> {
    let mut addresses = member.addresses.iter().filter_map(|it| it.parse::<IpAddr>().ok());
    addresses.find(|address| address.is_ipv4() == ipv4)
}

/// The one that is named, that of advertisements, or the one that leads to the other directors.
fn interface<'a>(
    group: &DirectorGroup,
    others: &[&Member],
    facts: &'a Facts,
) -> Result<(String, &'a Interface), Problem> {
    let name = group.metadata.name.as_deref().unwrap_or_default();
    let no_interface = |what: String| {
        let message = format!(
            "no interface for connection sync on node {}: {what}; name one in spec.connectionSync.interface of DirectorGroup \
             {name}, or set spec.connectionSync.enabled: false",
            facts.node
        );
        Problem::new(FailedRole::Director, "NoInterface", message)
    };
    let of = |field: &str, name: &str| {
        let found = facts.interfaces.get(name).map(|found| (name.to_owned(), found));
        found.ok_or_else(|| no_interface(format!("{field} names {name}, which it does not have")))
    };
    let sync = group.spec.connection_sync.as_ref().and_then(|sync| sync.interface.as_deref());
    let failover = group.spec.failover.as_ref().and_then(|it| it.interface.as_deref());
    if let Some(named) = sync {
        return of("spec.connectionSync.interface", named);
    }
    if let Some(named) = failover {
        return of("spec.failover.interface", named);
    }
    let ipv4 = has_ipv4(group);
    // Each interface has a route to link-local addresses; the way is that of the own one.
    let members = group.status.iter().flat_map(|status| &status.members);
    let own = members.filter(|it| it.node == facts.node).find_map(|own| first(own, ipv4));
    if let Some(IpAddr::V6(own)) = own
        && own.is_unicast_link_local()
    {
        let has = |it: &&String| {
            facts.interfaces.get(*it).is_some_and(|it| it.addresses.iter().any(|a| a.addr() == own))
        };
        let found = facts
            .interfaces
            .keys()
            .find(has)
            .and_then(|name| facts.interfaces.get(name).map(|found| (name.clone(), found)));
        return found.ok_or_else(|| no_interface(format!("no interface has its address {own}")));
    }
    let addresses = || others.iter().filter_map(|other| first(other, ipv4));
    let Some(address) = addresses().next() else {
        return Err(no_interface("no address of another director is known".to_owned()));
    };
    let routed = addresses().find_map(|address| placement::routed(address, facts));
    let found = routed.and_then(|name| facts.interfaces.get(&name).map(|found| (name, found)));
    found.ok_or_else(|| no_interface(format!("no route leads to director {address}")))
}

/// The kernel does not ask whether anybody can hear it.
fn usable(
    interface: &str,
    found: &Interface,
    multicast: IpAddr,
    group: &str,
    facts: &Facts,
) -> Result<(), Problem> {
    let problem = |reason: &str, what: &str| {
        let message = format!(
            "connection sync on interface {interface} of node {}: {what} (spec.connectionSync.interface of DirectorGroup \
             {group})",
            facts.node
        );
        Err(Problem::new(FailedRole::Director, reason, message))
    };
    if found.loopback || !found.multicast {
        return problem("NoMulticast", "it cannot send to multicast groups; name another");
    }
    // The sending socket is bound to the interface's address once and for all (`bind_mcastif_addr`): one that moves to
    // another director would take it along.
    if multicast.is_ipv4() && !found.addresses.iter().any(|own| own.addr().is_ipv4()) {
        return problem(
            "NoAddress",
            "it has no IPv4 address of its own; give it one, or set spec.connectionSync.multicastGroup to an IPv6 group",
        );
    }
    Ok(())
}

/// What sync cannot keep.
pub(super) fn warn(program: &Program<'_>, group: Option<&DirectorGroup>, fragment: &mut Fragment) {
    let nat = program.real_servers.iter().any(|server| server.forwarding == Forwarding::NAT);
    if program.masquerade && nat && group.and_then(sync_id).is_some() {
        let message = "nat.masquerade: established connections end when another director takes over, since the ports that the \
                       real servers know them by are netfilter's and are not told to others: let a natGateway be the real \
                       servers' gateway instead, or forward by DR or TUN";
        let role = FailedRole::Director;
        fragment.warnings.push(Problem::new(role, "ConnectionsNotKept", message.to_owned()));
    }
}
