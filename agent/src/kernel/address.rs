//! Addresses as rtnetlink messages; pure.

use super::ports::Standing;
use crate::state::HeldAddress;
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// "For ever" of a lifetime (`INFINITY_LIFE_TIME`).
const FOREVER: u32 = u32::MAX;

/// The request that adds an address.
///
/// IPv4 with a shorter prefix brings its connected route with it; as a secondary address the kernel adds none.
pub(super) fn addition(held: &HeldAddress, index: u32) -> AddressMessage {
    let mut message = named(held, index);
    let host = held.address.prefix_len() == held.address.max_prefix_len();
    match held.address.addr() {
        // So `inet_select_addr` (net/ipv4/devinet.c) never chooses it as a source: on `lo` a global address would be its
        // first choice for an interface without one. And a director that has no other address in the VIP's network
        // would ask ARP for the real servers as the VIP, which those that have it themselves (DR) do not answer
        // (`__fib_validate_source` in net/ipv4/fib_frontend.c: a packet from one of our own addresses).
        IpAddr::V4(_) => message.header.scope = AddressScope::Host,
        IpAddr::V6(_) => {
            // It must serve at once; and several nodes hold it (DR), or held it a moment ago (failover).
            message.header.flags = AddressHeaderFlags::Nodad;
            if host {
                // No route beside the local one, and no source of the node's own packets (RFC 6724, rule 3).
                let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute;
                message.attributes.push(AddressAttribute::Flags(flags));
                let mut lifetime = CacheInfo::default();
                lifetime.ifa_preferred = 0;
                lifetime.ifa_valid = FOREVER;
                message.attributes.push(AddressAttribute::CacheInfo(lifetime));
            }
        }
    }
    message
}

/// The request that removes an address.
pub(super) fn removal(held: &HeldAddress, index: u32) -> AddressMessage {
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
) -> Vec<Standing> {
    let standing = |message: &AddressMessage| {
        let interface = names.get(&message.header.index)?.clone();
        let held = HeldAddress { interface, address: own(message)? };
        // Of IPv6 the flag's bit means something else (a temporary address).
        let secondary = message.header.family == AddressFamily::Inet
            && message.header.flags.contains(AddressHeaderFlags::Secondary);
        Some(Standing { held, secondary })
    };
    messages.iter().filter_map(standing).collect()
}
