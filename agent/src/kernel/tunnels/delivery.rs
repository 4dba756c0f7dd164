//! Local delivery of packets to others' addresses: policy rules and a routing table of our own; pure.
//!
//! ```text
//! 8847: from all iif lo goto 8852                                      the node's own packets go their usual way
//! 8848: from all to 203.0.113.0/24 ipproto tcp dport 80 lookup 8848    one for each fixture
//! 8852: from all nop
//! table 8848: local default dev lo
//! ```
//! A `goto`, not a lookup of `main`: rules that others have between ours and `main` must keep their say.
//!
//! Both families alike. What is delivered so passes LOCAL_IN, where IPVS takes it; and reaches a listener with
//! `IP_TRANSPARENT`. One without cannot answer: `ip_route_output_key` takes as sources only addresses of table `local`.
//! A node that also *forwards* the caches' answers takes those of IPv4 for its own, come back (`__fib_validate_source` asks
//! for their source as if it were a packet's destination, and meets our rule): it needs `accept_local=1` and a
//! reverse path filter that is loose on the interface that they come by.
//!
//! Fragments but the first have no ports and are routed as ever.

use crate::state::{Fixture, Packets};
use ipnet::IpNet;
use lvs_ipvs::{Family, Protocol};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage, RulePortRange};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Our routing table. Tables up to 255 are for humans.
const TABLE: u32 = 8848;
/// Where our rules are: after `local` (0), before `main` (32766) and what tools add just before it.
const PASS: u32 = 8847;
/// To any network one later, with any port two: what a deletion leaves out matches every rule of its preference
/// (`rule_find`), so those that leave out the same share one.
const DELIVER: u32 = 8848;
const END: u32 = 8852;
/// Says whose rules and routes they are (`FRA_PROTOCOL`, `rtm_protocol`); a number that no other program has
/// (include/uapi/linux/rtnetlink.h, iproute2's rt_protos).
const OURS: RouteProtocol = RouteProtocol::Other(86);
/// `LOOPBACK_IFINDEX`: `lo` has it in every network namespace.
const LOOPBACK_INDEX: u32 = 1;
const LOOPBACK: &str = "lo";

/// What stands of ours in one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) packets: Vec<Packets>,
    pub(super) pass: bool,
    pub(super) end: bool,
}

/// Why a fixture cannot be a rule.
pub(super) fn unfit(packets: &Packets) -> Option<&'static str> {
    // `fib_rule_port_range_valid` (include/net/fib_rules.h).
    let some_ports = !all_ports(packets);
    if some_ports && packets.last_port == u16::MAX {
        return Some("a policy rule's ports cannot end at 65535: end them at 65534, or take all");
    }
    if some_ports && (packets.first_port == 0 || packets.first_port > packets.last_port) {
        return Some("not a range of ports");
    }
    match packets.protocol {
        Protocol::Tcp | Protocol::Udp | Protocol::Sctp => None,
        Protocol::Other(_) => Some("only TCP, UDP and SCTP have ports"),
    }
}

/// The kernel has no rule for ports up to 65535; all of them are no condition.
fn all_ports(packets: &Packets) -> bool {
    packets.first_port <= 1 && packets.last_port == u16::MAX
}

/// Both ways to name the packets of one rule.
pub(super) fn of_one_rule(packets: &Packets) -> [Packets; 2] {
    let first_port = if all_ports(packets) { 1 - packets.first_port } else { packets.first_port };
    [*packets, Packets { first_port, ..*packets }]
}

fn priority(any_network: bool, any_port: bool) -> u32 {
    DELIVER + u32::from(any_network) + 2 * u32::from(any_port)
}

pub(super) fn family(packets: &Packets) -> Family {
    Family::of(&packets.destination.addr())
}

fn rule(family: Family, priority: u32, action: RuleAction) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = address_family(family);
    message.header.action = action;
    message.attributes.push(RuleAttribute::Priority(priority));
    message.attributes.push(RuleAttribute::Protocol(OURS));
    message
}

/// The node's own packets pass over the rules behind.
pub(super) fn pass(family: Family) -> RuleMessage {
    let mut message = rule(family, PASS, RuleAction::Goto);
    message.attributes.push(RuleAttribute::Iifname(LOOPBACK.to_owned()));
    message.attributes.push(RuleAttribute::Goto(END));
    message
}

/// Where they go on.
pub(super) fn end(family: Family) -> RuleMessage {
    rule(family, END, RuleAction::Nop)
}

/// The rule of one fixture.
pub(super) fn deliver(packets: &Packets) -> RuleMessage {
    let destination = packets.destination.trunc();
    let priority = priority(destination.prefix_len() == 0, all_ports(packets));
    let mut message = rule(family(packets), priority, RuleAction::ToTable);
    message.header.dst_len = destination.prefix_len();
    if destination.prefix_len() > 0 {
        message.attributes.push(RuleAttribute::Destination(destination.addr()));
    }
    message.attributes.push(RuleAttribute::Table(TABLE));
    let number = i32::from(packets.protocol.number());
    message.attributes.push(RuleAttribute::IpProtocol(number.into()));
    if !all_ports(packets) {
        let range = RulePortRange { start: packets.first_port, end: packets.last_port };
        message.attributes.push(RuleAttribute::DestinationPortRange(range));
    }
    message
}

/// The route of our table.
pub(super) fn route(family: Family) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = address_family(family);
    message.header.table = RouteHeader::RT_TABLE_UNSPEC;
    message.header.protocol = OURS;
    message.header.kind = RouteType::Local;
    message.header.scope = match family {
        Family::V4 => RouteScope::Host,
        Family::V6 => RouteScope::Universe,
    };
    message.attributes.push(RouteAttribute::Table(TABLE));
    message.attributes.push(RouteAttribute::Oif(LOOPBACK_INDEX));
    message
}

/// The question for the routes of our table, on a socket with strict checking: without, the kernel lists all tables.
pub(super) fn routes(family: Family) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = address_family(family);
    message.attributes.push(RouteAttribute::Table(TABLE));
    message
}

/// Whether it is the route of our table.
pub(super) fn is_ours(route: &RouteMessage) -> bool {
    route.header.kind == RouteType::Local
        && route.header.destination_prefix_length == 0
        && route.attributes.contains(&RouteAttribute::Table(TABLE))
}

/// What stands of ours in a family.
pub(super) fn standing(rules: &[RuleMessage], family: Family) -> Standing {
    let mut standing = Standing::default();
    let of_family = |rule: &&RuleMessage| rule.header.family == address_family(family);
    for rule in rules.iter().filter(of_family) {
        let has = |attribute: RuleAttribute| rule.attributes.contains(&attribute);
        if !has(RuleAttribute::Protocol(OURS)) {
            continue;
        }
        match rule.header.action {
            RuleAction::Goto if has(RuleAttribute::Priority(PASS)) => {
                standing.pass |= has(RuleAttribute::Goto(END))
                    && has(RuleAttribute::Iifname(LOOPBACK.to_owned()));
            }
            RuleAction::Nop => standing.end |= has(RuleAttribute::Priority(END)),
            RuleAction::ToTable if has(RuleAttribute::Table(TABLE)) => {
                let known = |packets: &Packets| {
                    deliver(packets).attributes.iter().all(|it| has(it.clone()))
                };
                let found = packets(rule, family).into_iter().flatten();
                standing.packets.extend(found.filter(known));
            }
            _ => {}
        }
    }
    standing
}

/// Of a rule without ports both ways to say "all" are given.
fn packets(rule: &RuleMessage, family: Family) -> Option<Vec<Packets>> {
    let (mut address, mut protocol, mut ports) = (unspecified(family), None, None);
    for attribute in &rule.attributes {
        match attribute {
            RuleAttribute::Destination(destination) => address = *destination,
            RuleAttribute::IpProtocol(number) => {
                let number = u16::try_from(i32::from(*number)).ok()?;
                protocol = Some(Protocol::from_number(number));
            }
            RuleAttribute::DestinationPortRange(range) => ports = Some(*range),
            _ => {}
        }
    }
    let destination = IpNet::new(address, rule.header.dst_len).ok()?;
    let protocol = protocol?;
    let of = |first_port, last_port| Packets { destination, protocol, first_port, last_port };
    Some(match ports {
        Some(ports) => vec![of(ports.start, ports.end)],
        None => vec![of(0, u16::MAX), of(1, u16::MAX)],
    })
}

/// What stands whole.
pub(super) fn fixtures(standing: Standing, routed: bool) -> impl Iterator<Item = Fixture> {
    let whole = standing.pass && standing.end && routed;
    let packets = if whole { standing.packets } else { Vec::new() };
    packets.into_iter().map(|packets| Fixture::LocalDelivery { packets })
}

fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}
