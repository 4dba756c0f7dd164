//! Packets by where they go, as fixtures name them.

use super::Program;
use crate::state::Packets;
use ipnet::IpNet;
use lvs_crds::{Forwarding, SliceMark, SliceMarkPorts, SlicePort, SliceService};
use lvs_ipvs::Protocol;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A protocol of the API as the kernel's.
pub(super) const fn protocol(protocol: lvs_crds::Protocol) -> Protocol {
    match protocol {
        lvs_crds::Protocol::TCP => Protocol::Tcp,
        lvs_crds::Protocol::UDP => Protocol::Udp,
        lvs_crds::Protocol::SCTP => Protocol::Sctp,
    }
}

/// The VIPs of one service.
pub(super) fn vips(service: &SliceService) -> Vec<IpAddr> {
    match &service.firewall_mark {
        Some(mark) => mark.addresses.iter().filter_map(|address| address.parse().ok()).collect(),
        None => service.address.parse().into_iter().collect(),
    }
}

/// The networks of a mark that are not the directors'.
pub(super) fn networks(mark: &SliceMark) -> impl Iterator<Item = IpNet> + '_ {
    mark.destinations.iter().filter_map(|cidr| cidr.parse::<IpNet>().ok()).map(|net| net.trunc())
}

/// All packets of one service, as its clients send them.
pub(super) fn of_service(service: &SliceService) -> Vec<Packets> {
    let hosts = vips(service).into_iter().map(IpNet::from);
    match &service.firewall_mark {
        Some(mark) => to(hosts.chain(networks(mark)), &mark.ports),
        None => {
            let port =
                SliceMarkPorts { protocol: service.protocol, port: service.port, end_port: None };
            to(hosts, &[port])
        }
    }
}

/// Those to the service's own addresses, where the directors are the end of the way.
pub(super) fn to_vips(service: &SliceService) -> impl Iterator<Item = Packets> {
    let is_host = |it: &Packets| it.destination.prefix_len() == it.destination.max_prefix_len();
    of_service(service).into_iter().filter(is_host)
}

/// Packets to these networks on these ports.
pub(super) fn to(networks: impl Iterator<Item = IpNet>, ports: &[SliceMarkPorts]) -> Vec<Packets> {
    let mut all = Vec::new();
    for destination in networks {
        for ports in ports {
            let Some((first_port, last_port)) = range(ports) else { continue };
            let protocol = protocol(ports.protocol);
            all.push(Packets { destination, protocol, first_port, last_port });
        }
    }
    all
}

/// What IPVS sends by NAT over TCP to the real servers of a service with ports of its own. Of all ports and of ranges
/// nothing: those are the ports of the real servers' own connections too, as a UDP server asks from the port that it
/// answers from (NTP, SIP).
pub(super) fn tcp_to_real_servers(program: &Program<'_>, service: &SliceService) -> Vec<Packets> {
    let mut all = Vec::new();
    for server in &program.real_servers {
        if server.forwarding != Forwarding::NAT || !program.serves(server, service) {
            continue;
        }
        let Ok(address) = server.address.parse::<IpAddr>() else { continue };
        let ports = match &service.firewall_mark {
            Some(mark) => mark.ports.clone(),
            None => {
                let ours =
                    |it: &&SlicePort| (it.protocol, it.port) == (service.protocol, service.port);
                let port = |it: &SlicePort| SliceMarkPorts {
                    protocol: it.protocol,
                    port: it.target_port,
                    end_port: None,
                };
                server.ports.iter().filter(ours).map(port).collect()
            }
        };
        let packets = to(std::iter::once(address.into()), &ports);
        let ours = |it: &Packets| it.protocol == Protocol::Tcp && it.first_port == it.last_port;
        all.extend(packets.into_iter().filter(ours));
    }
    all
}

/// The first and the last port; `None` where there is no such range.
fn range(ports: &SliceMarkPorts) -> Option<(u16, u16)> {
    let first = u16::try_from(ports.port).ok()?;
    let last = match ports.end_port {
        _ if first == 0 => u16::MAX,
        None => first,
        Some(last) => u16::try_from(last).ok()?,
    };
    // No packet has port 0, and the kernel's rule for all ports is one, however it is written.
    let first = if (first, last) == (1, u16::MAX) { 0 } else { first };
    (first <= last).then_some((first, last))
}

/// Whether TCP port `port` is among the service's.
pub(super) fn has_tcp_port(service: &SliceService, port: u16) -> bool {
    // One that has no VIP of its own has packets all the same.
    let of_mark = |ports: &SliceMarkPorts| {
        ports.protocol == lvs_crds::Protocol::TCP
            && range(ports).is_some_and(|(first, last)| first <= port && port <= last)
    };
    match &service.firewall_mark {
        Some(mark) => mark.ports.iter().any(of_mark),
        None => service.protocol == lvs_crds::Protocol::TCP && service.port == i32::from(port),
    }
}

/// All VIPs.
pub(super) fn all_vips(program: &Program<'_>) -> BTreeSet<IpAddr> {
    program.services.iter().flat_map(vips).collect()
}
