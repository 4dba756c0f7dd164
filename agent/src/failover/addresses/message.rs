//! Addresses with a lifetime as rtnetlink messages; pure.

use crate::kernel::address;
use crate::state::HeldAddress;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, CacheInfo,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An address of which nobody says how long it stays (`INFINITY_LIFE_TIME`).
pub(super) const FOREVER: u32 = u32::MAX;

pub(super) fn named(
    message: &AddressMessage,
    names: &BTreeMap<u32, &String>,
) -> Option<HeldAddress> {
    let interface = (*names.get(&message.header.index)?).clone();
    Some(HeldAddress { interface, address: address::own(message)? })
}

pub(super) fn is_finite(message: &AddressMessage) -> bool {
    let valid = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::CacheInfo(times) => Some(times.ifa_valid),
        _ => None,
    });
    valid.is_some_and(|seconds| seconds != FOREVER)
}

/// Gives an address a lifetime in whole seconds. The preferred one, which [`address::addition`] sets to 0 where the node must
/// not take the address as a source of its own, is else as long as the valid one.
pub(super) fn limited(mut message: AddressMessage, lifetime: Option<Duration>) -> AddressMessage {
    let seconds = |lifetime: Duration| u32::try_from(lifetime.as_secs()).unwrap_or(FOREVER).max(1);
    let valid = lifetime.map_or(FOREVER, seconds);
    for attribute in &mut message.attributes {
        if let AddressAttribute::CacheInfo(times) = attribute {
            times.ifa_valid = valid;
            times.ifa_preferred = times.ifa_preferred.min(valid);
            return message;
        }
    }
    let mut times = CacheInfo::default();
    times.ifa_valid = valid;
    times.ifa_preferred = valid;
    message.attributes.push(AddressAttribute::CacheInfo(times));
    message
}

/// Of each interface and IPv4 subnet one address, and of those without neighbours in their subnet one of each scope: the scope
/// of a new one depends on nothing else, and a thousand of them are not looked through for each of a thousand.
pub(super) fn landscape(mut messages: Vec<AddressMessage>) -> Vec<AddressMessage> {
    let mut seen = BTreeSet::new();
    messages.retain(|message| {
        if message.header.family != AddressFamily::Inet
            || message.header.flags.contains(AddressHeaderFlags::Secondary)
        {
            return false;
        }
        let Some(own) = address::own(message) else { return false };
        let host = own.prefix_len() == own.max_prefix_len();
        let subnet = (!host).then(|| own.trunc());
        seen.insert((message.header.index, subnet, u8::from(message.header.scope)))
    });
    messages
}
