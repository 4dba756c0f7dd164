//! Who the directors of a DirectorGroup are.

mod allocation;
mod members;
mod probers;
mod settings;

pub use settings::{NodeSettings, node_settings, seniority};

use crate::listing::listing;
use crate::{Snapshot, Verdict, reason, selector};
use ipnet::IpNet;
use lvs_crds::{DirectorGroup, Member, VirtualRouter};
use members::Choice;
use std::net::IpAddr;

/// What is to be made of one DirectorGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupResolution {
    /// Its directors, by name.
    pub members: Vec<Member>,
    /// The virtual routers over which its VIPs spread; none with one director.
    pub virtual_routers: Vec<VirtualRouter>,
    /// The virtual router id of presence; none with one director.
    pub presence_id: Option<i32>,
    /// The sync daemons' id; none with one director, or without connection sync.
    pub sync_id: Option<i32>,
    /// Nodes that are no directors and ask the VIPs as clients do.
    pub probers: Vec<String>,
    /// Whether it has the directors that it is to have.
    pub ready: Verdict,
    /// Whether another group has the say on settings that this one sets too.
    pub conflicted: Verdict,
    /// What of its spec cannot be had although it works: a reason of [`reason`](crate::reason) and a text.
    pub problems: Vec<(&'static str, String)>,
}

/// Who a group's directors are: those of its status, which is what agents read.
pub fn directors(group: &DirectorGroup) -> Vec<String> {
    let status = group.status.iter();
    status.flat_map(|s| s.members.iter().map(|m| m.node.clone())).collect()
}

/// What is to be made of one DirectorGroup; nothing if there is none of this name.
///
/// A selector that cannot be evaluated leaves the group as it is.
pub fn resolve_group(name: &str, snapshot: &Snapshot) -> Option<GroupResolution> {
    let group = snapshot.director_group(name)?;
    if group.spec.members.is_empty()
        && let Err(error) = selector::check(&group.spec.node_selector)
    {
        let status = group.status.clone().unwrap_or_default();
        return Some(GroupResolution {
            ready: Verdict::no(reason::INVALID_SELECTOR, format!("spec.nodeSelector.{error}")),
            conflicted: conflicted(name, group, &status.members, snapshot),
            members: status.members,
            virtual_routers: status.virtual_routers,
            presence_id: status.presence_id,
            sync_id: status.sync_id,
            probers: status.probers,
            problems: Vec::new(),
        });
    }
    let choice = members::choose(group, snapshot);
    let numbers = allocation::allocate(name, group, &choice.members, snapshot);
    Some(GroupResolution {
        probers: probers::choose(name, group, &choice.members, snapshot),
        ready: ready(&choice, snapshot),
        conflicted: conflicted(name, group, &choice.members, snapshot),
        members: choice.members,
        virtual_routers: numbers.virtual_routers,
        presence_id: numbers.presence_id,
        sync_id: numbers.sync_id,
        problems: choice.problems.into_iter().chain(numbers.problems).collect(),
    })
}

fn ready(choice: &Choice, snapshot: &Snapshot) -> Verdict {
    let names: Vec<&str> = choice.members.iter().map(|member| member.node.as_str()).collect();
    if !choice.left_over.is_empty() {
        return Verdict::no(
            reason::TOO_MANY_DIRECTORS,
            format!(
                "spec.nodeSelector matches {} nodes, and a group has at most {}: {} {} no director; let the selector match \
                 fewer, or give the others a group of their own",
                names.len() + choice.left_over.len(),
                names.len(),
                listing(&choice.left_over, 8),
                if choice.left_over.len() == 1 { "is" } else { "are" },
            ),
        );
    }
    match names.as_slice() {
        [] => Verdict::no(
            reason::NO_DIRECTOR,
            "spec.nodeSelector matches no node; correct it, or label a node",
        ),
        [director] => Verdict::yes(reason::READY, format!("Node {director} is the director.")),
        _ => {
            let silent: Vec<&str> =
                names.iter().copied().filter(|node| !reports(node, snapshot)).collect();
            let reports = match silent.as_slice() {
                _ if !snapshot.is_cluster() => String::new(),
                [] => "; all report".to_owned(),
                _ => format!(
                    "; {} of them report, not {}",
                    names.len() - silent.len(),
                    listing(&silent, 8)
                ),
            };
            let text = format!("{} directors: {}{reports}.", names.len(), listing(&names, 32));
            Verdict::yes(reason::READY, text)
        }
    }
}

/// Whether a node's agent reports, or is none that would report here.
pub(crate) fn reports(node: &str, snapshot: &Snapshot) -> bool {
    let report = snapshot.lvs_node(node).and_then(|n| n.status.as_ref());
    !snapshot.sees(node) || (report.is_some() && !snapshot.is_silent(node))
}

fn conflicted(
    name: &str,
    group: &DirectorGroup,
    members: &[Member],
    snapshot: &Snapshot,
) -> Verdict {
    if let Some(verdict) = common_gateway(name, group, snapshot) {
        return verdict;
    }
    let nodes = members.iter().map(|member| {
        let others = snapshot.director_groups().filter(|(other, _)| *other != name);
        let others = others.map(|(_, other)| &**other);
        let common = others.filter(|other| directors(other).contains(&member.node)).collect();
        (member.node.as_str(), common)
    });
    settings::conflicted(group, nodes)
}

/// One address can be a gateway of one group only.
fn common_gateway(name: &str, group: &DirectorGroup, snapshot: &Snapshot) -> Option<Verdict> {
    let own: Vec<IpAddr> = gateways(group).collect();
    let others = snapshot.director_groups().filter(|(other, _)| *other != name);
    let mut shared = others.filter_map(|(other, object)| {
        let address = gateways(object).find(|address| own.contains(address))?;
        Some((other, address))
    });
    let (other, address) = shared.next()?;
    let text = format!(
        "spec.natGateways: {address} is a natGateway of DirectorGroup {other} too, and an address can be in one place only; \
         use another in one of the groups"
    );
    Some(Verdict::yes(reason::GATEWAY_CONFLICT, text))
}

/// The addresses of a group's NAT gateways.
pub fn gateways(group: &DirectorGroup) -> impl Iterator<Item = IpAddr> {
    let addresses = group.spec.nat_gateways.iter();
    addresses.filter_map(|gateway| Some(gateway.address.parse::<IpNet>().ok()?.addr()))
}
