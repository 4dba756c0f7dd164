//! A director of several that is a real server too. What another director sends it by direct routing or through a tunnel
//! has the VIP as its destination still, and would be balanced once more. It gets a mark of its own, and the service of
//! that mark has this node alone as its destination: whoever carries the VIP at the moment, and with nothing to change
//! when that is another.
//!
//! IPVS looks for the mark before the address (`ip_vs_service_find`), and a destination without port keeps the packet's
//! (`ip_vs_schedule`). The destination is the address by which the others know this real server: a connection of which
//! two directors tell another destination ends (`ip_vs_proc_conn`).

use super::{Fragment, Problem, packets, tunnel};
use crate::kernel::tunnel_name;
use crate::state::{Facts, Fixture, InterfaceName, Mac, ServiceState};
use lvs_crds::{DirectorGroup, FailedRole, Forwarding, IpFamily, SliceRealServer, SliceService};
use lvs_ipvs::{
    Destination, DestinationKey, Family, Forwarding as Method, Service, ServiceFlags, ServiceKey,
};
use lvs_resolve::balanced_mark;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

/// Adds it, for one service that this node serves at `address`.
pub(super) fn plan(
    group: &DirectorGroup,
    server: &SliceRealServer,
    address: IpAddr,
    service: &SliceService,
    facts: &Facts,
    fragment: &mut Fragment,
) {
    let Some((status, family)) = group.status.as_ref().zip(service.family()) else { return };
    let own = status.members.iter().position(|member| member.node == facts.node);
    let position = own.unwrap_or(status.members.len());
    let Some(mark) = NonZeroU32::new(balanced_mark(status.sync_id, position)) else { return };
    let all = packets::of_service(service).into_iter();
    fragment.fixtures.extend(all.map(|packets| Fixture::Balanced { packets, mark }));
    let local = local_service(mark, family, address);
    fragment.services.insert(local.service.key, local);
    match server.forwarding {
        Forwarding::TUN => {
            let device = tunnel::of(server, address, family);
            let interface = InterfaceName::new(&tunnel_name(device, address));
            fragment.fixtures.extend(interface.map(|interface| Fixture::OwnTunnel { interface }));
        }
        Forwarding::DR | Forwarding::NAT => directors(group, facts, fragment),
    }
}

/// The others' addresses.
fn directors(group: &DirectorGroup, facts: &Facts, fragment: &mut Fragment) {
    let members = group.status.iter().flat_map(|status| &status.members);
    for member in members.filter(|member| member.node != facts.node) {
        let mut macs = member.macs.iter().filter_map(|mac| mac.parse::<Mac>().ok()).peekable();
        if macs.peek().is_none() {
            let name = group.metadata.name.as_deref().unwrap_or_default();
            let message = format!(
                "no MAC address of director {} is known, so what it balances to node {}, which is a real server too, cannot be \
                 told from what clients send, and is balanced twice: see that its agent reports, or list its addresses in \
                 spec.members[].macs of DirectorGroup {name}",
                member.node, facts.node
            );
            let problem = Problem::new(FailedRole::Director, "UnknownDirectorMAC", message);
            if !fragment.warnings.contains(&problem) {
                fragment.warnings.push(problem);
            }
        }
        fragment.fixtures.extend(macs.map(|mac| Fixture::OtherDirector { mac }));
    }
}

fn local_service(mark: NonZeroU32, family: IpFamily, address: IpAddr) -> ServiceState {
    let (family, loopback) = match family {
        IpFamily::IPv4 => (Family::V4, IpAddr::V4(Ipv4Addr::LOCALHOST)),
        IpFamily::IPv6 => (Family::V6, IpAddr::V6(Ipv6Addr::LOCALHOST)),
    };
    // Of another family no connection is told to others, and any address of this node will do.
    let address = if Family::of(&address) == family { address } else { loopback };
    let mut service = Service::new(ServiceKey::mark(family, mark), "rr");
    // UDP, of which alone this is heeded, needs no connection to be delivered here; and one that is told to the director of
    // a service with one-packet scheduling would bind its client to this server.
    service.flags |= ServiceFlags::ONE_PACKET;
    let destination = Destination::new(DestinationKey::new(address, 0), Method::DirectRoute, 1);
    ServiceState::new(service, [(destination.key, destination)].into())
}
