//! The IPVS services of an active director.

use super::health::Checks;
use super::packets::protocol;
use super::{Fragment, Problem, Program};
use crate::state::ServiceState;
use lvs_crds::{
    FailedRole, GUE_PORT, IpFamily, SchedulerFlag, SliceMark, SlicePersistence, SliceRealServer,
    SliceService, TunnelChecksum,
};
use lvs_ipvs::{
    Destination, DestinationKey, Family, Forwarding, Netmask, Service, ServiceFlags, ServiceKey,
    Tunnel, TunnelFlags, TunnelType,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;

const SOURCE_HASH: &str = "sh";
/// Of the table of scheduler sh (`IP_VS_SH_TAB_BITS`, 8 unless the kernel was built otherwise).
const SOURCE_HASH_PLACES: u64 = 256;

pub(super) fn plan(program: &Program<'_>, fragment: &mut Fragment) {
    let checks = Checks::new(program);
    for wanted in program.services {
        let Some(service) = service(wanted) else {
            let name = match &wanted.firewall_mark {
                Some(mark) => format!("firewall mark {} ({})", mark.mark, mark.family),
                None => {
                    format!("service {}/{} at {:?}", wanted.protocol, wanted.port, wanted.address)
                }
            };
            let message = format!(
                "{name}: not an IPVS service; the address must be an IP address, the port 0 to 65535 and 0 only with \
                 persistence, the mark 1 to 4294967295 but not 8192 to 16383, which directors keep for themselves, and the persistence prefix of the address's family"
            );
            fragment.problems.push(Problem::new(FailedRole::Director, "Invalid", message));
            continue;
        };
        let mut destinations = BTreeMap::new();
        for server in &program.real_servers {
            match destination(program, server, wanted) {
                Ok(Some(destination)) => {
                    if let Some(checked) = checks.of(server, wanted, &destination.key) {
                        fragment.checked.insert((service.key, destination.key), checked);
                    }
                    destinations.insert(destination.key, destination);
                }
                Ok(None) => {}
                Err(message) => {
                    fragment.problems.push(Problem::new(FailedRole::Director, "Invalid", message))
                }
            }
        }
        if service.scheduler == SOURCE_HASH {
            fit(&mut destinations);
            fragment.warnings.extend(overflow(&service, &destinations));
        }
        fragment.services.insert(service.key, ServiceState::new(service, destinations));
    }
}

/// Only the ratio of weights counts, and sh gives each server as many places of its table as it has weight.
fn fit(destinations: &mut BTreeMap<DestinationKey, Destination>) {
    let divisor = destinations.values().fold(0, |divisor, it| common_divisor(divisor, it.weight));
    if divisor > 1 {
        destinations.values_mut().for_each(|destination| destination.weight /= divisor);
    }
}

const fn common_divisor(mut one: u32, mut other: u32) -> u32 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// Those that find no place in sh's table: it is filled from the destination that came last (`ip_vs_sh_reassign`).
fn overflow(
    service: &Service,
    destinations: &BTreeMap<DestinationKey, Destination>,
) -> Option<Problem> {
    let mut filled = 0_u64;
    let mut without = Vec::new();
    for destination in destinations.values().rev() {
        if filled >= SOURCE_HASH_PLACES && destination.weight > 0 {
            without.push(destination.key);
        }
        // One of weight 0 has a place, and sends its clients away.
        filled += u64::from(destination.weight.max(1));
    }
    if filled <= SOURCE_HASH_PLACES {
        return None;
    }
    let gets_none = match without.as_slice() {
        [] => "not each gets the clients that its weight promises".to_owned(),
        [one] => format!("{one} gets no client"),
        [first, rest @ ..] => format!("{first} and {} more get no client", rest.len()),
    };
    let message = format!(
        "service {}: the weights of its real servers add up to {filled}, without their common divisor, and scheduler sh has a \
         table of {SOURCE_HASH_PLACES} places: {gets_none}; give smaller weights of about the same ratio, or use scheduler mh",
        service.key
    );
    Some(Problem::new(FailedRole::Director, "WeightsExceedTable", message))
}

fn service(wanted: &SliceService) -> Option<Service> {
    let key = match &wanted.firewall_mark {
        Some(mark) => mark_key(mark)?,
        None => {
            let address: IpAddr = wanted.address.parse().ok()?;
            let port = u16::try_from(wanted.port).ok()?;
            // All ports: the kernel takes such a service, and never finds it for a packet (`ip_vs_schedule`).
            if port == 0 && wanted.persistence.is_none() {
                return None;
            }
            ServiceKey::new(protocol(wanted.protocol), address, port)
        }
    };
    let mut service = Service::new(key, wanted.scheduler.as_str());
    for flag in &wanted.scheduler_flags {
        service.flags |= match flag {
            SchedulerFlag::ShFallback | SchedulerFlag::MhFallback => ServiceFlags::SCHED1,
            SchedulerFlag::ShPort | SchedulerFlag::MhPort => ServiceFlags::SCHED2,
        };
    }
    if let Some(persistence) = &wanted.persistence {
        service = service.persistent(u32::try_from(persistence.timeout_seconds).ok()?);
        service.netmask = netmask(persistence, key.family())?;
        service.pe_name = persistence.engine.map(|engine| engine.to_string());
    }
    if wanted.one_packet {
        service.flags |= ServiceFlags::ONE_PACKET;
    }
    Some(service)
}

fn mark_key(mark: &SliceMark) -> Option<ServiceKey> {
    if u32::try_from(mark.mark).is_ok_and(lvs_resolve::is_kept_mark) {
        return None;
    }
    let family = match mark.family {
        IpFamily::IPv4 => Family::V4,
        IpFamily::IPv6 => Family::V6,
    };
    Some(ServiceKey::mark(family, NonZeroU32::new(u32::try_from(mark.mark).ok()?)?))
}

fn netmask(persistence: &SlicePersistence, family: Family) -> Option<Netmask> {
    let length = u32::try_from(persistence.prefix_length).ok()?;
    match family {
        Family::V4 if length <= 32 => {
            let bits = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            Some(Netmask::V4(Ipv4Addr::from_bits(bits)))
        }
        // ip_vs_add_service (net/netfilter/ipvs/ip_vs_ctl.c) refuses a prefix of no bits.
        Family::V6 if (1..=128).contains(&length) => Some(Netmask::V6(u8::try_from(length).ok()?)),
        _ => None,
    }
}

/// The real server as a destination of the service, if it serves it.
fn destination(
    program: &Program<'_>,
    server: &SliceRealServer,
    service: &SliceService,
) -> Result<Option<Destination>, String> {
    let invalid = |what: &str| format!("real server {} ({}): {what}", server.name, server.address);
    let address: IpAddr =
        server.address.parse().map_err(|_| invalid("the address is not an IP address"))?;
    if !program.serves(server, service) {
        return Ok(None);
    }
    let number = |value: i32, what| u32::try_from(value).map_err(|_| invalid(what));
    let mut ports = server.ports.iter();
    let port = match &service.firewall_mark {
        // The port that the client asks for (`ip_vs_schedule`).
        Some(_) => 0,
        None => ports
            .find(|port| port.protocol == service.protocol && port.port == service.port)
            .and_then(|port| u16::try_from(port.target_port).ok())
            .ok_or_else(|| invalid("the target port is not 0 to 65535"))?,
    };
    let forwarding = match server.forwarding {
        lvs_crds::Forwarding::NAT => Forwarding::Masquerade,
        lvs_crds::Forwarding::DR => Forwarding::DirectRoute,
        lvs_crds::Forwarding::TUN => Forwarding::Tunnel,
    };
    let weight = number(server.weight, "the weight is negative")?;
    let mut destination = Destination::new(DestinationKey::new(address, port), forwarding, weight);
    if forwarding == Forwarding::Tunnel {
        destination.tunnel =
            tunnel(server).ok_or_else(|| invalid("the tunnel's port is not 1 to 65535"))?;
    }
    destination.upper_threshold =
        number(server.upper_threshold, "the upper threshold is negative")?;
    destination.lower_threshold =
        number(server.lower_threshold, "the lower threshold is negative")?;
    Ok(Some(destination))
}

fn tunnel(server: &SliceRealServer) -> Option<Tunnel> {
    let wanted = server.tunnel.clone().unwrap_or_default();
    let flags = match wanted.checksum.unwrap_or_default() {
        TunnelChecksum::Nocsum => TunnelFlags::NONE,
        TunnelChecksum::Csum => TunnelFlags::CHECKSUM,
        TunnelChecksum::Remcsum => TunnelFlags::REMOTE_CHECKSUM,
    };
    Some(match wanted.kind {
        lvs_crds::TunnelType::Ipip => Tunnel::default(),
        lvs_crds::TunnelType::Gue => {
            let port = u16::try_from(wanted.port.unwrap_or(GUE_PORT)).ok()?;
            (port != 0).then_some(Tunnel { kind: TunnelType::Gue, port, flags })?
        }
        lvs_crds::TunnelType::Gre => Tunnel { kind: TunnelType::Gre, port: 0, flags },
    })
}
