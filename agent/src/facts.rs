//! What the node is, out of what rtnetlink lists; pure. [`crate::kernel::Linux`] does the listing.

#[cfg(test)]
mod tests;

use crate::kernel::own_address;
use crate::state::{Facts, HeldAddress, Interface, Ipv4Settings, Mac, Made, Ours, Route};
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecUnspec, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteType, RouteVia,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Interfaces and routes; addresses in `ours` are left out. The rest of [`Facts`] stays empty.
pub fn facts(
    links: &[LinkMessage],
    addresses: &[AddressMessage],
    routes: &[RouteMessage],
    ours: &Ours,
) -> Facts {
    let names = names(links);
    let mut interfaces = interfaces(links);
    for message in addresses {
        let Some(name) = names.get(&message.header.index) else { continue };
        let Some(address) = own_address(message) else { continue };
        let held = HeldAddress { interface: name.clone(), address };
        if let Some(interface) = interfaces.get_mut(name)
            && !ours.contains(&Made::Address(held))
        {
            interface.addresses.push(address);
        }
    }
    let mut routes: Vec<Route> = routes.iter().flat_map(|message| route(message, &names)).collect();
    let connected = connected_by_us(ours, &interfaces);
    routes.retain(|route| {
        route.gateway.is_some()
            || !connected.contains(&(route.interface.as_str(), route.destination))
    });
    // Most specific first; of equals the one that the kernel takes.
    routes.sort_by_key(|route| (std::cmp::Reverse(route.destination.prefix_len()), route.metric));
    Facts { interfaces, routes, ..Facts::default() }
}

/// The connected routes that stand only because an address of ours brought them. As facts they would make a VIP's
/// interface depend on where the VIP stands already.
fn connected_by_us<'a>(
    ours: &'a Ours,
    interfaces: &BTreeMap<String, Interface>,
) -> BTreeSet<(&'a str, IpNet)> {
    let held = ours.iter().filter_map(|made| match made {
        Made::Address(held) => Some((held.interface.as_str(), held.address.trunc())),
        _ => None,
    });
    held.filter(|(name, network)| {
        let own = interfaces.get(*name).map(|it| it.addresses.as_slice()).unwrap_or_default();
        own.iter().all(|address| address.trunc() != *network)
    })
    .collect()
}

/// Major and minor version out of a kernel's release, such as `6.12.41+deb13-amd64`.
pub fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Interface names by index.
pub(crate) fn names(links: &[LinkMessage]) -> BTreeMap<u32, String> {
    links.iter().filter_map(|link| Some((link.header.index, name(link)?))).collect()
}

/// Interfaces by name, without addresses.
pub(crate) fn interfaces(links: &[LinkMessage]) -> BTreeMap<String, Interface> {
    let interface = |link: &LinkMessage| {
        let interface = Interface {
            index: link.header.index,
            up: link.header.flags.contains(LinkFlags::Up),
            loopback: link.header.flags.contains(LinkFlags::Loopback),
            dummy: is_dummy(link),
            multicast: link.header.flags.contains(LinkFlags::Multicast),
            mac: mac(link),
            mtu: mtu(link),
            ipv4: ipv4(link),
            addresses: Vec::new(),
        };
        Some((name(link)?, interface))
    };
    links.iter().filter_map(interface).collect()
}

fn is_dummy(link: &LinkMessage) -> bool {
    let is_kind = |info: &LinkInfo| matches!(info, LinkInfo::Kind(InfoKind::Dummy));
    link.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.iter().any(is_kind),
        _ => false,
    })
}

fn mtu(link: &LinkMessage) -> u32 {
    let mtu = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(bytes) => Some(*bytes),
        _ => None,
    });
    mtu.unwrap_or_default()
}

/// They come with each link (IFLA_AF_SPEC), so that they cost no reading of files.
fn ipv4(link: &LinkMessage) -> Ipv4Settings {
    let families = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::AfSpecUnspec(families) => Some(families),
        _ => None,
    });
    let mut settings = families.flatten().filter_map(|family| match family {
        AfSpecUnspec::Inet(settings) => Some(settings),
        _ => None,
    });
    let found = settings.find_map(|settings| {
        settings.iter().find_map(|setting| match setting {
            AfSpecInet::DevConf(found) => Some(found),
            _ => None,
        })
    });
    found.map_or_else(Ipv4Settings::default, |found| Ipv4Settings {
        arp_ignore: found.arp_ignore,
        rp_filter: found.rp_filter,
        forwarding_off: found.forwarding == 0,
    })
}

fn mac(link: &LinkMessage) -> Option<Mac> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(address) => Mac::of_link(address),
        _ => None,
    })
}

fn name(link: &LinkMessage) -> Option<String> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })
}

/// The routes of a message: one a next hop; none, unless it is a unicast route of the main table.
fn route(message: &RouteMessage, names: &BTreeMap<u32, String>) -> Vec<Route> {
    let header = &message.header;
    let mut table = u32::from(header.table);
    let mut metric = 0;
    let mut destination = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return Vec::new(),
    };
    let mut hops: Vec<(Option<u32>, Option<IpAddr>)> = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::Destination(address) => {
                destination = ip(address).unwrap_or(destination);
            }
            RouteAttribute::MultiPath(next_hops) => hops.extend(
                next_hops.iter().map(|hop| (Some(hop.interface_index), gateway(&hop.attributes))),
            ),
            _ => {}
        }
    }
    let cached = header.flags.contains(RouteFlags::Cloned);
    if header.kind != RouteType::Unicast || table != u32::from(RouteHeader::RT_TABLE_MAIN) || cached
    {
        return Vec::new();
    }
    let Ok(destination) = IpNet::new(destination, header.destination_prefix_length) else {
        return Vec::new();
    };
    if hops.is_empty() {
        let interface = message.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        });
        hops.push((interface, gateway(&message.attributes)));
    }
    hops.into_iter()
        .filter_map(|(index, gateway)| {
            let interface = names.get(&index?)?.clone();
            Some(Route { destination, interface, gateway, metric })
        })
        .collect()
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
