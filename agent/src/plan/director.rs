//! What the active director needs besides services and VIPs: marks, local delivery, forwarding, masquerading, FTP.

use super::settings::{CONN_REUSE_MODE, CONNTRACK};
use super::{Fragment, IP_FORWARD, IPV6_FORWARDING, Problem, Program, packets};
use crate::state::{Facts, Fixture};
use ipnet::IpNet;
use lvs_crds::{FailedRole, Forwarding, MarkRules, SliceService};
use std::net::IpAddr;
use std::num::NonZeroU32;

/// Where FTP's commands go, with addresses and ports in them that NAT has to translate.
const FTP: u16 = 21;

/// Adds it.
pub(super) fn plan(program: &Program<'_>, facts: &Facts, fragment: &mut Fragment) {
    for service in program.services {
        marks(service, fragment);
        local_delivery(service, fragment);
        nat(program, service, facts, fragment);
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

fn nat(program: &Program<'_>, service: &SliceService, facts: &Facts, fragment: &mut Fragment) {
    let mut servers = program.real_servers.iter();
    if !servers.any(|it| it.forwarding == Forwarding::NAT && program.serves(it, service)) {
        return;
    }
    if program.masquerade {
        let all = packets::of_service(service).into_iter();
        fragment.fixtures.extend(all.map(|packets| Fixture::Masquerade { packets }));
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
    // anything with packets that netfilter does not track.
    if program.masquerade || (is_ftp && facts.ftp_helper) {
        fragment.sysctls.insert(CONNTRACK.to_owned(), "1".to_owned());
        if super::settings::is_delayed_by_reuse(facts) {
            fragment.sysctls.insert(CONN_REUSE_MODE.to_owned(), "0".to_owned());
        }
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
