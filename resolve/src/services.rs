//! The services of a VirtualService, as its slices have them.

use ipnet::{IpNet, ipv4_mask_to_prefix};
use lvs_crds::{
    FirewallMark, IpFamily, SliceMark, SliceMarkPorts, SlicePersistence, SliceService,
    VirtualService,
};
use std::net::{IpAddr, Ipv4Addr};

/// The address families that a VirtualService's clients come in: those of its VIPs and of its `destinations`.
pub(crate) fn families(vs: &VirtualService) -> Vec<IpFamily> {
    let vips = vs.spec.addresses.iter().filter_map(|a| a.parse().ok());
    let networks = vs.spec.firewall_mark.iter().flat_map(|m| &m.destinations);
    let networks = networks.filter_map(|n| n.parse::<IpNet>().ok()).map(|n| n.addr());
    let mut families: Vec<_> = vips.chain(networks).map(|a| IpFamily::of(&a)).collect();
    families.sort();
    families.dedup();
    families
}

/// One service a VIP and port; with a firewall mark one an address family.
pub(crate) fn services(
    vs: &VirtualService,
    vips: &[IpAddr],
    mark: Option<i64>,
) -> Vec<SliceService> {
    match (&vs.spec.firewall_mark, mark) {
        (Some(spec), Some(mark)) => families(vs)
            .into_iter()
            .map(|family| SliceService {
                firewall_mark: Some(slice_mark(vs, vips, spec, mark, family)),
                ..service(vs, family)
            })
            .collect(),
        (Some(_), None) => Vec::new(),
        (None, _) => {
            let ports = &vs.spec.ports;
            let pairs = vips.iter().flat_map(|vip| ports.iter().map(move |port| (vip, port)));
            pairs
                .map(|(vip, port)| SliceService {
                    address: vip.to_string(),
                    protocol: port.protocol,
                    port: port.port,
                    ..service(vs, IpFamily::of(vip))
                })
                .collect()
        }
    }
}

/// What all services of a family share.
fn service(vs: &VirtualService, family: IpFamily) -> SliceService {
    let spec = &vs.spec;
    SliceService {
        address: String::new(),
        protocol: lvs_crds::Protocol::TCP,
        port: 0,
        firewall_mark: None,
        scheduler: spec.scheduler,
        scheduler_flags: spec.scheduler_flags.clone(),
        persistence: spec.persistence.as_ref().map(|persistence| SlicePersistence {
            timeout_seconds: persistence.timeout_seconds,
            engine: persistence.engine,
            prefix_length: match family {
                IpFamily::IPv4 => {
                    persistence.ipv4_netmask.as_deref().and_then(prefix_of).unwrap_or(32)
                }
                IpFamily::IPv6 => persistence.ipv6_prefix_length.unwrap_or(128),
            },
        }),
        one_packet: spec.one_packet,
    }
}

fn slice_mark(
    vs: &VirtualService,
    vips: &[IpAddr],
    spec: &FirewallMark,
    mark: i64,
    family: IpFamily,
) -> SliceMark {
    let networks = spec.destinations.iter().filter_map(|n| n.parse::<IpNet>().ok());
    let networks: Vec<_> = networks.filter(|n| IpFamily::of(&n.addr()) == family).collect();
    let ports = vs.spec.ports.iter();
    SliceMark {
        mark,
        family,
        rules: spec.rules,
        addresses: vips
            .iter()
            .filter(|vip| IpFamily::of(vip) == family)
            .map(ToString::to_string)
            .collect(),
        // One within another is none of its own: the kernel's set cannot hold both.
        destinations: IpNet::aggregate(&networks).iter().map(ToString::to_string).collect(),
        ports: ports
            .map(|p| SliceMarkPorts {
                protocol: p.protocol,
                port: p.port,
                end_port: p.end_port.filter(|end| *end != p.port),
            })
            .collect(),
    }
}

/// The prefix length of an IPv4 netmask.
pub(crate) fn prefix_of(netmask: &str) -> Option<i32> {
    let mask: Ipv4Addr = netmask.parse().ok()?;
    ipv4_mask_to_prefix(mask).ok().map(i32::from)
}
