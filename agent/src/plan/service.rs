//! The IPVS services of an active director.

use super::{Fragment, Problem, Program};
use crate::state::ServiceState;
use lvs_crds::{FailedRole, SchedulerFlag, SlicePersistence, SliceRealServer, SliceService};
use lvs_ipvs::{
    Destination, DestinationKey, Family, Forwarding, Netmask, Protocol, Service, ServiceFlags,
    ServiceKey,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn plan(program: &Program<'_>, fragment: &mut Fragment) {
    for wanted in program.services {
        let Some(service) = service(wanted) else {
            let message = format!(
                "service {}/{} at {:?}: not an IPVS service; the address must be an IP address, the port 1 to 65535 \
                 and the persistence prefix of the address's family",
                wanted.protocol, wanted.port, wanted.address
            );
            fragment.problems.push(Problem::new(FailedRole::Director, "Invalid", message));
            continue;
        };
        let mut destinations = BTreeMap::new();
        for server in &program.real_servers {
            match destination(server, wanted, service.key.family()) {
                Ok(Some(destination)) => {
                    destinations.insert(destination.key, destination);
                }
                Ok(None) => {}
                Err(message) => {
                    fragment.problems.push(Problem::new(FailedRole::Director, "Invalid", message))
                }
            }
        }
        fragment.services.insert(service.key, ServiceState { service, destinations });
    }
}

fn service(wanted: &SliceService) -> Option<Service> {
    let address: IpAddr = wanted.address.parse().ok()?;
    let key = ServiceKey::new(protocol(wanted.protocol), address, u16::try_from(wanted.port).ok()?);
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
    }
    Some(service)
}

fn protocol(protocol: lvs_crds::Protocol) -> Protocol {
    match protocol {
        lvs_crds::Protocol::TCP => Protocol::Tcp,
        lvs_crds::Protocol::UDP => Protocol::Udp,
        lvs_crds::Protocol::SCTP => Protocol::Sctp,
    }
}

fn netmask(persistence: &SlicePersistence, family: Family) -> Option<Netmask> {
    let length = u32::try_from(persistence.prefix_length).ok()?;
    match family {
        Family::V4 if (1..=32).contains(&length) => {
            Some(Netmask::V4(Ipv4Addr::from_bits(u32::MAX << (32 - length))))
        }
        Family::V6 if (1..=128).contains(&length) => Some(Netmask::V6(u8::try_from(length).ok()?)),
        _ => None,
    }
}

/// The real server as a destination of the service, if it serves it.
fn destination(
    server: &SliceRealServer,
    service: &SliceService,
    family: Family,
) -> Result<Option<Destination>, String> {
    let invalid = |what: &str| format!("real server {} ({}): {what}", server.name, server.address);
    let address: IpAddr =
        server.address.parse().map_err(|_| invalid("the address is not an IP address"))?;
    if Family::of(&address) != family {
        return Ok(None);
    }
    let Some(port) = server
        .ports
        .iter()
        .find(|port| port.protocol == service.protocol && port.port == service.port)
    else {
        return Ok(None);
    };
    let number = |value: i32, what| u32::try_from(value).map_err(|_| invalid(what));
    let port = u16::try_from(port.target_port)
        .map_err(|_| invalid("the target port is not 1 to 65535"))?;
    let forwarding = match server.forwarding {
        lvs_crds::Forwarding::NAT => Forwarding::Masquerade,
        lvs_crds::Forwarding::DR => Forwarding::DirectRoute,
        lvs_crds::Forwarding::TUN => Forwarding::Tunnel,
    };
    let weight = number(server.weight, "the weight is negative")?;
    let mut destination = Destination::new(DestinationKey::new(address, port), forwarding, weight);
    destination.upper_threshold =
        number(server.upper_threshold, "the upper threshold is negative")?;
    destination.lower_threshold =
        number(server.lower_threshold, "the lower threshold is negative")?;
    Ok(Some(destination))
}
