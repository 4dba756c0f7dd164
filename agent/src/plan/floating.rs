//! Which addresses stand here, and which at one of several directors.

use super::{Fragment, Problem, Program};
use crate::director::Part;
use crate::state::{Floats, HeldAddress};
use lvs_crds::{DirectorGroup, Forwarding};
use lvs_resolve::spread::Floating;
use std::net::IpAddr;

/// What a VIP floats with. Replies of NAT real servers come back through the gateway, so where there is one these are at
/// one director; with masquerading they come back to whoever sent.
pub(super) fn with(vip: IpAddr, program: &Program<'_>, group: Option<&DirectorGroup>) -> Floating {
    let through_gateway = group.is_some_and(|group| !group.spec.nat_gateways.is_empty())
        && !program.masquerade
        && program.real_servers.iter().any(|server| server.forwarding == Forwarding::NAT);
    if through_gateway { Floating::NatGateway } else { Floating::Vip(vip) }
}

/// Puts an address where it belongs.
pub(super) fn place(
    address: HeldAddress,
    part: Part,
    group: &str,
    with: Floating,
    fragment: &mut Fragment,
) {
    // The kernel takes the other addresses of a subnet away with the first, when that one's lifetime ends too (`check_lifetime`
    // in net/ipv4/devinet.c), or when one that must not be the first is put behind another (`failover/addresses/order.rs`).
    if address.address.addr().is_ipv4() && address.address.prefix_len() < 32 {
        let path = format!("net/ipv4/conf/{}/promote_secondaries", address.interface);
        fragment.sysctls.insert(path, "1".to_owned());
    }
    match part {
        Part::Alone => {
            fragment.addresses.insert(address);
        }
        Part::OneOfSeveral => {
            fragment.floating.insert(address, Floats { group: group.to_owned(), with });
        }
    }
}

/// What has no place here. One of several directors stands back for all that floats with it.
pub(super) fn no_place(
    problem: Problem,
    part: Part,
    group: &str,
    with: Floating,
    fragment: &mut Fragment,
) {
    if part == Part::OneOfSeveral {
        let floats = Floats { group: group.to_owned(), with };
        fragment.unplaced.push((floats, problem.message.clone()));
    }
    fragment.problems.push(problem);
}
