//! What a node should be, out of slices and DirectorGroups; pure.
//!
//! [`plan`] looks at one VirtualService, [`plan_group`] at one DirectorGroup; each gives a [`Fragment`]. The node's
//! state is the union of all fragments ([`Fragments`]), so that a change of one costs only itself. It must not know
//! what the kernel holds: that is [`crate::diff`]'s.

mod asks;
mod colocated;
mod director;
mod floating;
mod fragments;
mod health;
mod obstacles;
mod packets;
mod placement;
mod real_server;
mod service;
pub mod settings;
mod sync;
#[cfg(test)]
mod tests;
mod tunnel;

pub use crate::owner::Owner;
pub use fragments::{Fragments, Touched};
pub use health::{Checked, Down};
pub use real_server::LOOPBACK;

use crate::director::Part;
use crate::probe::Asks;
use crate::state::{Facts, Fixture, Floats, HeldAddress, ServiceState};
use lvs_crds::{
    DirectorGroup, FailedRole, HealthCheck, SliceRealServer, SliceService, VirtualServiceSlice,
};
use lvs_ipvs::{DestinationKey, ServiceKey};
use lvs_resolve::spread::Floating;
use std::collections::{BTreeMap, BTreeSet};

/// Forwarding between interfaces: what NAT needs.
pub const IP_FORWARD: &str = "net/ipv4/ip_forward";
/// The same for IPv6.
pub const IPV6_FORWARDING: &str = "net/ipv6/conf/all/forwarding";
/// Whether it is a switch of forwarding. Once on it stays on, whoever needed it first: nobody tells who else does by now.
pub fn is_forwarding(path: &str) -> bool {
    matches!(path, IP_FORWARD | IPV6_FORWARDING)
}

/// 1: packets from addresses that are this node's own are no martians.
pub const ACCEPT_LOCAL: &str = "net/ipv4/conf/all/accept_local";
/// 1: no ARP answer for addresses of another interface. The kernel takes the larger of `all` and the interface's.
pub const ARP_IGNORE: &str = "net/ipv4/conf/all/arp_ignore";
/// 2: no VIP as the source of an ARP request.
pub const ARP_ANNOUNCE: &str = "net/ipv4/conf/all/arp_announce";

/// What one owner needs of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// IPVS services with destinations.
    pub services: BTreeMap<ServiceKey, ServiceState>,
    /// Addresses on interfaces.
    pub addresses: BTreeSet<HeldAddress>,
    /// Addresses that one of several directors has.
    pub floating: BTreeMap<HeldAddress, Floats>,
    /// What floats and has no place on this node, and why: others come first then.
    pub unplaced: Vec<(Floats, String)>,
    /// Sysctls.
    pub sysctls: BTreeMap<String, String>,
    /// Tunnels, marks and the like.
    pub fixtures: BTreeSet<Fixture>,
    /// What this node asks of it, while another director carries it.
    pub asks: Asks,
    /// The destinations whose real servers this node checks.
    pub checked: BTreeMap<(ServiceKey, DestinationKey), Checked>,
    /// The real servers that are down, by name.
    pub down: BTreeMap<String, Down>,
    /// What is wrong before anything was tried.
    pub problems: Vec<Problem>,
    /// What works, but not as well as it should.
    pub warnings: Vec<Problem>,
}

/// Something that keeps a part from working, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// In which role the node fails.
    pub role: FailedRole,
    /// One CamelCase word.
    pub reason: String,
    /// What, on which object, and the fix.
    pub message: String,
}

impl Problem {
    fn new(role: FailedRole, reason: &str, message: String) -> Self {
        Self { role, reason: reason.to_owned(), message }
    }
}

/// One VirtualService's slices, put together.
pub(crate) struct Program<'a> {
    pub(crate) group: &'a str,
    pub(crate) services: &'a [SliceService],
    /// NAT real servers see the director's address.
    pub(crate) masquerade: bool,
    /// How real servers are checked that have no check of their own.
    pub(crate) health_check: Option<&'a HealthCheck>,
    pub(crate) real_servers: Vec<&'a SliceRealServer>,
}

impl<'a> Program<'a> {
    /// While an edit is on its way slice by slice, slices can disagree: the newest says what the services are, and
    /// of a real server that stands in two, the newer slice's is taken (later in the list wins).
    pub(crate) fn new(slices: &[&'a VirtualServiceSlice]) -> Option<Self> {
        let mut sorted = slices.to_vec();
        sorted.sort_by_key(|slice| (slice.spec.generation, crate::input::version(&slice.metadata)));
        let newest = sorted.last()?;
        Some(Self {
            group: &newest.spec.director_group,
            services: &newest.spec.services,
            masquerade: newest.spec.masquerade,
            health_check: newest.spec.health_check.as_ref(),
            real_servers: sorted.iter().flat_map(|slice| &slice.spec.real_servers).collect(),
        })
    }

    /// Whether a real server serves a service: one of a firewall mark on whatever port clients ask for.
    fn serves(&self, server: &SliceRealServer, service: &SliceService) -> bool {
        let on_port = || {
            let mut ports = server.ports.iter();
            ports.any(|port| port.protocol == service.protocol && port.port == service.port)
        };
        lvs_crds::serves(self.services, server, service)
            && (service.firewall_mark.is_some() || on_port())
    }
}

/// What one VirtualService needs of this node, given its slices, its DirectorGroup if that is known, and what this
/// node is in that group. Every director has all of it; only the VIPs are at one of them.
pub fn plan(
    slices: &[&VirtualServiceSlice],
    group: Option<&DirectorGroup>,
    part: Option<Part>,
    facts: &Facts,
) -> Fragment {
    let mut fragment = Fragment::default();
    let Some(program) = Program::new(slices) else { return fragment };
    if let Some(part) = part {
        service::plan(&program, &mut fragment);
        vips(&program, group, part, facts, &mut fragment);
        obstacles::arp(facts, &mut fragment);
        obstacles::forwarding(&program, facts, &mut fragment);
        director::plan(&program, group, facts, &mut fragment);
        sync::warn(&program, group, &mut fragment);
    }
    let asks = |group: &&DirectorGroup| match part {
        Some(part) => part == Part::OneOfSeveral,
        None => group.status.iter().any(|status| status.probers.contains(&facts.node)),
    };
    if let Some(group) = group.filter(asks) {
        asks::plan(&program, slices, group, facts, &mut fragment);
    }
    real_server::plan(&program, group, part, facts, &mut fragment);
    fragment
}

/// What a DirectorGroup needs of this node, services or not: its NAT gateways stand on the director, its settings hold
/// on every member. `groups` are all that the node is a member of, the oldest first: there is one set of settings.
pub fn plan_group(
    group: &DirectorGroup,
    part: Option<Part>,
    groups: &[&DirectorGroup],
    facts: &Facts,
) -> Fragment {
    let mut fragment = Fragment::default();
    let Some(part) = part else { return fragment };
    fragment.sysctls = settings::of(group, groups, facts);
    sync::plan(group, groups, facts, &mut fragment);
    let name = group.metadata.name.as_deref().unwrap_or_default();
    for (index, gateway) in group.spec.nat_gateways.iter().enumerate() {
        let field = format!("spec.natGateways[{index}] of DirectorGroup {name}");
        director::outgoing(gateway, &mut fragment);
        match placement::gateway(gateway, &field, facts) {
            Ok(address) => {
                floating::place(address, part, name, Floating::NatGateway, &mut fragment)
            }
            Err(problem) => {
                floating::no_place(problem, part, name, Floating::NatGateway, &mut fragment)
            }
        }
    }
    obstacles::arp(facts, &mut fragment);
    fragment
}

fn vips(
    program: &Program<'_>,
    group: Option<&DirectorGroup>,
    part: Part,
    facts: &Facts,
    fragment: &mut Fragment,
) {
    let networks = group.map(|group| group.spec.networks.as_slice()).unwrap_or_default();
    for vip in packets::all_vips(program) {
        match placement::vip(vip, networks, program.group, facts) {
            Ok(address) => {
                let with = floating::with(vip, program, group);
                floating::place(address, part, program.group, with, fragment);
            }
            Err(problem) => {
                let with = floating::with(vip, program, group);
                floating::no_place(problem, part, program.group, with, fragment);
            }
        }
    }
}
