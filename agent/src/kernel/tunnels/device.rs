//! Tunnel devices as rtnetlink messages; pure.

use crate::state::{Fixture, TunnelDevice};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, GreIOFlags, In6AddrGenMode, InetDevConf, InfoData,
    InfoGre, InfoGre6, InfoIpTunnel, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Every device of ours has a name that begins so.
const PREFIX: &str = "lvs";
/// Loose reverse path filtering (RFC 3704): of the interface's value and that of `all` the kernel takes the larger, so
/// that neither a strict `all` (1) nor a strict `default` drops what comes out of the tunnel, whose way back is another.
const LOOSE: i32 = 2;

/// On every device of ours. The reverse path filter lets nothing in by an interface without any IPv4 address, loose or not
/// (`no_addr` in `__fib_validate_source`). This one is local on every node already, so it makes nothing reachable, and
/// host scope keeps it from being anybody's source.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 76, 86, 83);

const DEVICES: [TunnelDevice; 7] = [
    TunnelDevice::Ipip,
    TunnelDevice::Sit,
    TunnelDevice::Ip6tnl,
    TunnelDevice::Gre,
    TunnelDevice::GreChecksum,
    TunnelDevice::Ip6gre,
    TunnelDevice::Ip6greChecksum,
];

/// A link, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) index: u32,
    /// What it unwraps and where, if it is a tunnel that takes packets from anybody.
    pub(super) endpoint: Option<(TunnelDevice, IpAddr)>,
    /// Up, and its reverse path filter is loose.
    pub(super) ready: bool,
}

/// The name of our device: `lvs`, a letter for the kind, and the address in hexadecimal; of an IPv6 address a hash, for
/// a name has at most 15 bytes (`IFNAMSIZ`). With and without checksum it is one device.
pub(crate) fn name(device: TunnelDevice, local: IpAddr) -> String {
    let letter = match device {
        TunnelDevice::Ipip => 'i',
        TunnelDevice::Sit => 's',
        TunnelDevice::Ip6tnl => 't',
        TunnelDevice::Gre | TunnelDevice::GreChecksum => 'g',
        TunnelDevice::Ip6gre | TunnelDevice::Ip6greChecksum => 'h',
    };
    match local {
        IpAddr::V4(local) => format!("{PREFIX}{letter}{:08x}", u32::from(local)),
        IpAddr::V6(local) => {
            // FNV-1a: std promises no hash that stays the same from release to release.
            let hash = local.octets().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            });
            format!("{PREFIX}{letter}{:011x}", hash >> 20)
        }
    }
}

/// The module that a kernel without this kind of device lacks.
pub(super) const fn module(device: TunnelDevice) -> &'static str {
    match device {
        TunnelDevice::Ipip => "ipip",
        TunnelDevice::Sit => "sit",
        TunnelDevice::Ip6tnl => "ip6_tunnel",
        TunnelDevice::Gre | TunnelDevice::GreChecksum => "ip_gre",
        TunnelDevice::Ip6gre | TunnelDevice::Ip6greChecksum => "ip6_gre",
    }
}

/// The message that creates a device, down. `None` where the address is not of the outer packets' family.
pub(super) fn creation(device: TunnelDevice, local: IpAddr) -> Option<LinkMessage> {
    let iflags = if device.checksum() { GreIOFlags::Checksum } else { GreIOFlags::empty() };
    let data = match (device, local) {
        (TunnelDevice::Ipip | TunnelDevice::Sit, IpAddr::V4(_)) => {
            InfoData::IpTunnel(vec![InfoIpTunnel::Local(local)])
        }
        // No IFLA_IPTUN_PROTO is 0, which is what `ip link` calls `mode any`.
        (TunnelDevice::Ip6tnl, IpAddr::V6(_)) => {
            InfoData::IpTunnel(vec![InfoIpTunnel::Local(local)])
        }
        (TunnelDevice::Gre | TunnelDevice::GreChecksum, IpAddr::V4(local)) => {
            InfoData::GreTun(vec![InfoGre::Local(local), InfoGre::IFlags(iflags)])
        }
        (TunnelDevice::Ip6gre | TunnelDevice::Ip6greChecksum, IpAddr::V6(local)) => {
            InfoData::GreTun6(vec![InfoGre6::Local(local), InfoGre6::IFlags(iflags)])
        }
        _ => return None,
    };
    let kind = match device {
        TunnelDevice::Ipip => InfoKind::IpIp,
        TunnelDevice::Sit => InfoKind::SitTun,
        TunnelDevice::Ip6tnl => InfoKind::Ip6Tnl,
        TunnelDevice::Gre | TunnelDevice::GreChecksum => InfoKind::GreTun,
        TunnelDevice::Ip6gre | TunnelDevice::Ip6greChecksum => InfoKind::GreTun6,
    };
    let mut message = named(&name(device, local));
    message
        .attributes
        .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind), LinkInfo::Data(data)]));
    Some(message)
}

/// What makes a new device ready, in order: no link-local address (which may fail, as where there is no IPv6), a loose
/// reverse path filter, and up. Creation takes no account of the first two (`rtnl_newlink_create`).
pub(super) fn preparation(name: &str) -> [LinkMessage; 3] {
    let [mut quiet, mut loose, mut up] = [named(name), named(name), named(name)];
    quiet.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![
        AfSpecInet6::AddrGenMode(In6AddrGenMode::None),
    ])]));
    let mut conf = InetDevConf::default();
    conf.rp_filter = LOOSE;
    loose.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet(vec![
        AfSpecInet::DevConfRequest(conf),
    ])]));
    up.header.flags = LinkFlags::Up;
    up.header.change_mask = LinkFlags::Up;
    [quiet, loose, up]
}

/// The address of a new device.
pub(super) fn address(index: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = 32;
    message.header.scope = AddressScope::Host;
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(ADDRESS.into()));
    message.attributes.push(AddressAttribute::Address(ADDRESS.into()));
    message
}

/// The message that removes a device.
pub(super) fn removal(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn named(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message
}

/// All links by name.
pub(super) fn seen(links: &[LinkMessage]) -> BTreeMap<String, Seen> {
    let seen = |link: &LinkMessage| {
        let name = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        })?;
        let up = link.header.flags.contains(LinkFlags::Up);
        let ready = up && rp_filter(link) == Some(LOOSE);
        Some((name, Seen { index: link.header.index, endpoint: endpoint(link), ready }))
    };
    links.iter().filter_map(seen).collect()
}

/// Our devices that do their work.
pub(super) fn fixtures(seen: &BTreeMap<String, Seen>) -> impl Iterator<Item = Fixture> {
    seen.iter().filter(|(_, seen)| seen.ready).filter_map(|(known, seen)| {
        let (device, local) = seen.endpoint?;
        (name(device, local) == *known).then_some(Fixture::Tunnel { device, local })
    })
}

fn rp_filter(link: &LinkMessage) -> Option<i32> {
    let families = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::AfSpecUnspec(families) => Some(families),
        _ => None,
    })?;
    let settings = families.iter().find_map(|family| match family {
        AfSpecUnspec::Inet(settings) => Some(settings),
        _ => None,
    })?;
    settings.iter().find_map(|setting| match setting {
        AfSpecInet::DevConf(conf) => Some(conf.rp_filter),
        _ => None,
    })
}

/// A tunnel's kind and own address, if it takes packets from anybody. The fallback devices have no address of their own.
fn endpoint(link: &LinkMessage) -> Option<(TunnelDevice, IpAddr)> {
    let info = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(info) => Some(info),
        _ => None,
    })?;
    let kind = info.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    })?;
    let data = info.iter().find_map(|info| match info {
        LinkInfo::Data(data) => Some(data),
        _ => None,
    })?;
    let (mut local, mut remote, mut checksum) = (None, None, false);
    match data {
        InfoData::IpTunnel(attributes) => attributes.iter().for_each(|attribute| match attribute {
            InfoIpTunnel::Local(address) => local = Some(*address),
            InfoIpTunnel::Remote(address) => remote = Some(*address),
            _ => {}
        }),
        InfoData::GreTun(attributes) => attributes.iter().for_each(|attribute| match attribute {
            InfoGre::Local(address) => local = Some(IpAddr::from(*address)),
            InfoGre::Remote(address) => remote = Some(IpAddr::from(*address)),
            InfoGre::IFlags(flags) => checksum = flags.contains(GreIOFlags::Checksum),
            _ => {}
        }),
        InfoData::GreTun6(attributes) => attributes.iter().for_each(|attribute| match attribute {
            InfoGre6::Local(address) => local = Some(IpAddr::from(*address)),
            InfoGre6::Remote(address) => remote = Some(IpAddr::from(*address)),
            InfoGre6::IFlags(flags) => checksum = flags.contains(GreIOFlags::Checksum),
            _ => {}
        }),
        _ => return None,
    }
    let local = local.filter(|address| !address.is_unspecified())?;
    if remote.is_some_and(|address| !address.is_unspecified()) {
        return None;
    }
    let device = DEVICES
        .into_iter()
        .find(|device| device.as_str() == kind && device.checksum() == checksum)?;
    Some((device, local))
}
