//! Addresses as rtnetlink messages; pure.

use super::ports::Standing;
use crate::state::{HeldAddress, Interface};
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// "For ever" of a lifetime (`INFINITY_LIFE_TIME`).
const FOREVER: u32 = u32::MAX;

/// The request that adds an address, given the messages about those that stand already.
///
/// IPv4 with a shorter prefix brings its connected route with it; as a secondary address the kernel adds none.
pub(crate) fn addition(
    held: &HeldAddress,
    index: u32,
    standing: &[AddressMessage],
) -> AddressMessage {
    let mut message = named(held, index);
    let host = held.address.prefix_len() == held.address.max_prefix_len();
    match held.address.addr() {
        IpAddr::V4(_) => message.header.scope = scope(held, index, standing),
        IpAddr::V6(_) => {
            // It must serve at once; and several nodes hold it (DR), or held it a moment ago (failover).
            message.header.flags = AddressHeaderFlags::Nodad;
            if host {
                // No route beside the local one.
                let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute;
                message.attributes.push(AddressAttribute::Flags(flags));
            }
            // No source of the node's own packets, unless there is no other (RFC 6724, rule 3).
            let mut lifetime = CacheInfo::default();
            lifetime.ifa_preferred = 0;
            lifetime.ifa_valid = FOREVER;
            message.attributes.push(AddressAttribute::CacheInfo(lifetime));
        }
    }
    message
}

/// Host scope keeps the kernel from choosing an address as the source of the node's own packets (`inet_select_addr` in
/// net/ipv4/devinet.c). A VIP on `lo` would otherwise be its first choice for an interface without an address. And a
/// director with no other address in the VIP's network would ask ARP as the VIP, which real servers that hold the VIP
/// themselves (DR) do not answer (`fib_validate_source`: a packet from one of their own addresses).
///
/// But all addresses of a subnet must have one scope (`__inet_insert_ifa`, EINVAL); and where the interface has nothing
/// else, the VIP is a better source than none, and leaves the subnet open for the node's own address.
fn scope(held: &HeldAddress, index: u32, standing: &[AddressMessage]) -> AddressScope {
    let v4 = |message: &&AddressMessage| {
        message.header.index == index && message.header.family == AddressFamily::Inet
    };
    let fellow = standing.iter().filter(v4).find(|message| {
        own(message).is_some_and(|own| {
            own.prefix_len() == held.address.prefix_len() && own.trunc() == held.address.trunc()
        })
    });
    if let Some(fellow) = fellow {
        return fellow.header.scope;
    }
    let usable = |message: &AddressMessage| message.header.scope != AddressScope::Host;
    let host_prefix = held.address.prefix_len() == held.address.max_prefix_len();
    if host_prefix || standing.iter().filter(v4).any(usable) {
        AddressScope::Host
    } else {
        AddressScope::Universe
    }
}

/// The request that removes an address.
pub(crate) fn removal(held: &HeldAddress, index: u32) -> AddressMessage {
    named(held, index)
}

fn named(held: &HeldAddress, index: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    let address = held.address.addr();
    message.header.family = match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.prefix_len = held.address.prefix_len();
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    message
}

/// The node's own address in a message: of a point-to-point link `IFA_ADDRESS` is the other end's.
pub(crate) fn own(message: &AddressMessage) -> Option<IpNet> {
    let mut address = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(local) => address = Some(*local),
            AddressAttribute::Address(other) => address = address.or(Some(*other)),
            _ => {}
        }
    }
    IpNet::new(address?, message.header.prefix_len).ok()
}

/// Addresses as they stand; those of an interface that has gone meanwhile are left out.
pub(super) fn standing(
    messages: &[AddressMessage],
    names: &BTreeMap<u32, String>,
    interfaces: &BTreeMap<String, Interface>,
) -> Vec<Standing> {
    let standing = |message: &AddressMessage| {
        let interface = names.get(&message.header.index)?.clone();
        let held = HeldAddress { interface, address: own(message)? };
        // Of IPv6 the flag's bit means something else (a temporary address).
        let secondary = message.header.family == AddressFamily::Inet
            && message.header.flags.contains(AddressHeaderFlags::Secondary);
        let on = interfaces.get(&held.interface);
        let aside = on.is_some_and(|it| it.loopback || it.dummy);
        Some(Standing { held, secondary, aside })
    };
    messages.iter().filter_map(standing).collect()
}

#[cfg(test)]
mod tests;
