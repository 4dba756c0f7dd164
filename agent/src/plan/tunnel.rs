//! What a real server behind a tunnel needs to unwrap its packets, and to get no larger ones than fit.

use super::{Fragment, packets};
use crate::state::{Facts, Fixture, TunnelDevice};
use lvs_crds::{
    DirectorGroup, GUE_PORT, IpFamily, SliceRealServer, SliceService, Tunnel, TunnelChecksum,
    TunnelType,
};
use lvs_ipvs::{Family, Protocol};
use std::net::IpAddr;

/// Adds it, for one service. `address` is the server's; `directors`: the smallest MTU of a director, if one is known.
pub(super) fn plan(
    server: &SliceRealServer,
    address: IpAddr,
    service: &SliceService,
    directors: Option<u32>,
    facts: &Facts,
    fragment: &mut Fragment,
) {
    let Some(inner) = service.family() else { return };
    let tunnel = server.tunnel.clone().unwrap_or_default();
    let device = of(server, address, inner);
    fragment.fixtures.insert(Fixture::Tunnel { device, local: address });
    if tunnel.kind == TunnelType::Gue
        && let Ok(port) = u16::try_from(tunnel.port.unwrap_or(GUE_PORT))
    {
        fragment.fixtures.insert(Fixture::Gue { family: Family::of(&address), port });
    }
    let Some(mtu) = mtu(address, facts) else { return };
    let smallest = directors.map_or(mtu, |directors| mtu.min(directors));
    let Some(bytes) = payload(smallest, &tunnel, address, inner) else { return };
    let tcp = packets::of_service(service).into_iter().filter(|it| it.protocol == Protocol::Tcp);
    for packets in tcp {
        let size = |bytes| Fixture::SegmentSize { packets, bytes };
        // There is one size for the same packets: where the node is several real servers, the least fits all of them.
        let others = fragment.fixtures.range(size(0)..=size(u16::MAX)).copied();
        let sizes: Vec<Fixture> = others.chain([size(bytes)]).collect();
        for other in &sizes {
            fragment.fixtures.remove(other);
        }
        fragment.fixtures.extend(sizes.into_iter().min());
    }
}

/// The smallest MTU of the directors of a group: whichever has the VIP, what it wraps has to leave it whole.
pub(super) fn smallest_mtu(group: &DirectorGroup) -> Option<u32> {
    let members = group.status.iter().flat_map(|status| &status.members);
    members.filter_map(|member| u32::try_from(member.mtu?).ok()).min()
}

/// The device that unwraps what directors send to `address`.
pub(super) fn of(server: &SliceRealServer, address: IpAddr, inner: IpFamily) -> TunnelDevice {
    device(&server.tunnel.clone().unwrap_or_default(), address, inner)
}

/// GUE's port hands over what was in the packet as its protocol number says, so that the same devices unwrap it.
fn device(tunnel: &Tunnel, outer: IpAddr, inner: IpFamily) -> TunnelDevice {
    let checksum = tunnel.checksum == Some(TunnelChecksum::Csum);
    match (tunnel.kind, outer, inner) {
        (TunnelType::Gre, IpAddr::V4(_), _) if checksum => TunnelDevice::GreChecksum,
        (TunnelType::Gre, IpAddr::V4(_), _) => TunnelDevice::Gre,
        (TunnelType::Gre, IpAddr::V6(_), _) if checksum => TunnelDevice::Ip6greChecksum,
        (TunnelType::Gre, IpAddr::V6(_), _) => TunnelDevice::Ip6gre,
        (TunnelType::Ipip | TunnelType::Gue, IpAddr::V4(_), IpFamily::IPv4) => TunnelDevice::Ipip,
        (TunnelType::Ipip | TunnelType::Gue, IpAddr::V4(_), IpFamily::IPv6) => TunnelDevice::Sit,
        (TunnelType::Ipip | TunnelType::Gue, IpAddr::V6(_), _) => TunnelDevice::Ip6tnl,
    }
}

/// The smallest of the interfaces that have the address; `None` where none has, or its MTU is not known.
fn mtu(address: IpAddr, facts: &Facts) -> Option<u32> {
    let has = |it: &&crate::state::Interface| {
        !it.loopback && it.addresses.iter().any(|own| own.addr() == address)
    };
    facts.interfaces.values().filter(has).map(|it| it.mtu).filter(|mtu| *mtu > 0).min()
}

/// The largest TCP payload of a packet that fits: what `__ip_vs_get_out_rt` takes off in
/// net/netfilter/ipvs/ip_vs_xmit.c, and the inner IP and TCP headers without options.
fn payload(mtu: u32, tunnel: &Tunnel, outer: IpAddr, inner: IpFamily) -> Option<u16> {
    let ip = if outer.is_ipv4() { 20 } else { 40 };
    let wrapping = match (tunnel.kind, tunnel.checksum) {
        (TunnelType::Ipip, _) => 0,
        // UDP and GUE's header; remcsum adds flags and two offsets (GUE_LEN_PRIV, GUE_PLEN_REMCSUM).
        (TunnelType::Gue, Some(TunnelChecksum::Remcsum)) => 8 + 4 + 4 + 4,
        (TunnelType::Gue, _) => 8 + 4,
        (TunnelType::Gre, Some(TunnelChecksum::Csum)) => 4 + 4,
        (TunnelType::Gre, _) => 4,
    };
    let headers = match inner {
        IpFamily::IPv4 => 20 + 20,
        IpFamily::IPv6 => 40 + 20,
    };
    // Larger than the field can say is as good as its largest.
    let bytes = mtu.checked_sub(ip + wrapping + headers).filter(|bytes| *bytes > 0)?;
    Some(u16::try_from(bytes).unwrap_or(u16::MAX))
}
