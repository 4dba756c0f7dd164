//! What the active director needs besides services and VIPs: marks, local delivery, forwarding, masquerading, FTP.

use super::settings::{CONN_REUSE_MODE, CONNTRACK};
use super::{ACCEPT_LOCAL, Fragment, IP_FORWARD, IPV6_FORWARDING, Problem, Program, packets};
use crate::state::{Facts, Fixture, Packets};
use ipnet::IpNet;
use lvs_crds::{
    DirectorGroup, FailedRole, Forwarding, MarkRules, NatGateway, SliceMark, SliceService,
};
use std::net::IpAddr;
use std::num::NonZeroU32;

/// Where FTP's commands go, with addresses and ports in them that NAT has to translate.
const FTP: u16 = 21;

/// Adds it.
pub(super) fn plan(
    program: &Program<'_>,
    group: Option<&DirectorGroup>,
    facts: &Facts,
    fragment: &mut Fragment,
) {
    let failover = group.and_then(|group| group.spec.failover.as_ref());
    let drops_unknown = failover.is_some_and(|failover| failover.drop_unknown_replies);
    for service in program.services {
        marks(service, fragment);
        local_delivery(service, fragment);
        replies(service, fragment);
        nat(program, service, drops_unknown, facts, fragment);
        netfilter(program, service, facts, fragment);
    }
    forwarding(program, fragment);
}

fn marks(service: &SliceService, fragment: &mut Fragment) {
    let Some(wanted) = &service.firewall_mark else { return };
    // The service itself has told of a bad number.
    let Some(mark) = u32::try_from(wanted.mark).ok().and_then(NonZeroU32::new) else { return };
    if wanted.rules == MarkRules::Managed {
        let all = packets::of_service(service);
        fragment.fixtures.extend(all.into_iter().map(|packets| Fixture::Mark { packets, mark }));
    }
}

/// Packets to networks that are not the node's must end here, or IPVS's hook for incoming packets never sees them.
pub(super) fn local_delivery(service: &SliceService, fragment: &mut Fragment) {
    let Some(mark) = &service.firewall_mark else { return };
    let all = packets::to(packets::networks(mark), &mark.ports);
    fragment.fixtures.extend(all.into_iter().map(|packets| Fixture::LocalDelivery { packets }));
    for cidr in mark.destinations.iter().filter(|cidr| cidr.parse::<IpNet>().is_err()) {
        let message = format!("destination {cidr:?} of firewall mark {}: not a network", mark.mark);
        fragment.problems.push(Problem::new(FailedRole::Director, "Invalid", message));
    }
}

/// What comes from these ports in these networks and is sent on, as the replies of NAT real servers are, the kernel takes
/// for its own come back: it asks for the source as if it were a packet's destination (`__fib_validate_source`), and
/// that is delivered locally. IPv6 does not ask.
fn replies(service: &SliceService, fragment: &mut Fragment) {
    let Some(mark) = &service.firewall_mark else { return };
    if packets::networks(mark).any(|network| network.addr().is_ipv4()) {
        fragment.sysctls.insert(ACCEPT_LOCAL.to_owned(), "1".to_owned());
    }
}

fn nat(
    program: &Program<'_>,
    service: &SliceService,
    drops_unknown: bool,
    facts: &Facts,
    fragment: &mut Fragment,
) {
    let mut servers = program.real_servers.iter();
    if !servers.any(|it| it.forwarding == Forwarding::NAT && program.serves(it, service)) {
        return;
    }
    if program.masquerade {
        // What passes through cannot be told from what a real server within these networks sends.
        let is_host = |it: &Packets| it.destination.prefix_len() == it.destination.max_prefix_len();
        let (hosts, passing): (Vec<_>, Vec<_>) =
            packets::of_service(service).into_iter().partition(is_host);
        let masquerade = hosts.into_iter().map(|packets| Fixture::Masquerade { packets });
        fragment.fixtures.extend(masquerade);
        if !passing.is_empty() {
            let message = "nat.masquerade: packets to firewallMark.destinations keep the client's address, so replies must come \
                           back through the director: let it be the real servers' gateway (natGateways), or forward by DR";
            let role = FailedRole::Director;
            fragment.warnings.push(Problem::new(role, "NotMasqueraded", message.to_owned()));
        }
    }
    if drops_unknown && !program.masquerade {
        let unknown = packets::tcp_to_real_servers(program, service);
        let unknown = unknown.into_iter().map(|packets| Fixture::UnknownReplies { packets });
        fragment.fixtures.extend(unknown);
    }
    let is_ftp = packets::has_tcp_port(service, FTP);
    if is_ftp && !facts.ftp_helper {
        let message = format!(
            "TCP port 21 is balanced by NAT, and the kernel of node {} has no ip_vs_ftp: FTP's data connections will not \
             pass; load it (modprobe ip_vs_ftp), or forward by DR or TUN",
            facts.node
        );
        fragment.warnings.push(Problem::new(FailedRole::Director, "FTPHelperMissing", message));
    }
    // Masquerading is netfilter's NAT, and ip_vs_ftp rewrites commands through it (`ip_vs_ftp_out`): neither does
    // anything with packets that netfilter does not track. A real server's answer to a connection that is not tracked is
    // invalid (nf_conntrack_proto_tcp.c, a SYN-ACK without a SYN), and most filters drop what is. What goes by DR or a tunnel
    // is not tracked either way ([`Fixture::Untracked`]).
    if program.masquerade || (is_ftp && facts.ftp_helper) || facts.drops_invalid {
        fragment.sysctls.insert(CONNTRACK.to_owned(), "1".to_owned());
        if super::settings::is_delayed_by_reuse(facts) {
            fragment.sysctls.insert(CONN_REUSE_MODE.to_owned(), "0".to_owned());
        }
    }
}

/// What machines behind a gateway send by themselves has to come back to it. It stands on every director: who has the gateway
/// gets their packets.
pub(super) fn outgoing(gateway: &NatGateway, fragment: &mut Fragment) {
    let Some(network) = gateway.address.parse::<IpNet>().ok().filter(|_| gateway.masquerade) else {
        return;
    };
    fragment.fixtures.insert(Fixture::Outgoing { network: network.trunc() });
    let forwarding = if network.addr().is_ipv4() { IP_FORWARD } else { IPV6_FORWARDING };
    fragment.sysctls.insert(forwarding.to_owned(), "1".to_owned());
}

/// What netfilter has to do with a service besides: what arrives is counted, and what goes by direct routing and tunnels is
/// not tracked. Of a service that has NAT real servers too, the packet's own way is not known yet where tracking begins;
/// masquerading needs it, so all of that service is tracked.
///
/// A kernel without nftables serves all the same.
fn netfilter(
    program: &Program<'_>,
    service: &SliceService,
    facts: &Facts,
    fragment: &mut Fragment,
) {
    if !facts.nftables {
        return;
    }
    let arrivals = packets::to_vips(service).map(|packets| Fixture::Arrivals { packets });
    fragment.fixtures.extend(arrivals);
    // Whose rules are somebody else's may share its ports with a service of another way.
    let external = |mark: &SliceMark| mark.rules == MarkRules::External;
    if service.firewall_mark.as_ref().is_some_and(external) {
        return;
    }
    let mut servers = program.real_servers.iter().filter(|it| program.serves(it, service));
    if servers.clone().next().is_some() && servers.all(|it| it.forwarding != Forwarding::NAT) {
        let untracked = packets::to_vips(service).map(|packets| Fixture::Untracked { packets });
        fragment.fixtures.extend(untracked);
    }
}

fn forwarding(program: &Program<'_>, fragment: &mut Fragment) {
    for server in &program.real_servers {
        if server.forwarding != Forwarding::NAT {
            continue;
        }
        match server.address.parse() {
            Ok(IpAddr::V4(_)) => fragment.sysctls.insert(IP_FORWARD.to_owned(), "1".to_owned()),
            Ok(IpAddr::V6(_)) => {
                fragment.sysctls.insert(IPV6_FORWARDING.to_owned(), "1".to_owned())
            }
            Err(_) => None,
        };
    }
}
