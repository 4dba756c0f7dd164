//! Which nodes are a group's directors, and how they reach each other.

use super::directors;
use crate::spread::MAX_MEMBERS;
use crate::{Snapshot, reason, selector};
use lvs_crds::{DirectorGroup, Member};
use std::collections::BTreeSet;

/// As many addresses and MAC addresses as a status holds.
const MAX_ADDRESSES: usize = 8;
const MAX_MACS: usize = 16;

/// Who was chosen.
pub(super) struct Choice {
    /// The directors, by name: the same order for whoever reads it.
    pub(super) members: Vec<Member>,
    /// Nodes that match too and are one too many.
    pub(super) left_over: Vec<String>,
    pub(super) problems: Vec<(&'static str, String)>,
}

pub(super) fn choose(group: &DirectorGroup, snapshot: &Snapshot) -> Choice {
    if !group.spec.members.is_empty() {
        return named(&group.spec.members, snapshot);
    }
    let matching: Vec<&str> = snapshot
        .nodes()
        .filter(|(_, facts)| selector::matches(&group.spec.node_selector, &facts.labels))
        .map(|(name, _)| name.as_str())
        .collect();
    // Of too many, those stay that are directors already: none of their VIPs moves.
    let incumbents: BTreeSet<String> = directors(group).into_iter().collect();
    let (old, new): (Vec<&str>, Vec<&str>) =
        matching.iter().partition(|node| incumbents.contains(**node));
    let chosen: BTreeSet<&str> = old.into_iter().chain(new).take(MAX_MEMBERS).collect();
    let left_over = matching.iter().filter(|node| !chosen.contains(**node));
    Choice {
        members: chosen.iter().map(|node| member(node, snapshot)).collect(),
        left_over: left_over.map(|node| (*node).to_owned()).collect(),
        problems: Vec::new(),
    }
}

/// Members by name; what the spec leaves out is taken from the cluster, if there is one.
fn named(members: &[Member], snapshot: &Snapshot) -> Choice {
    let complete = |given: &Member| {
        let known = member(&given.node, snapshot);
        let or = |given: &Vec<String>, known| if given.is_empty() { known } else { given.clone() };
        Member {
            node: given.node.clone(),
            addresses: or(&given.addresses, known.addresses),
            macs: or(&given.macs, known.macs),
            mtu: given.mtu.or(known.mtu),
        }
    };
    let mut members: Vec<Member> = members.iter().map(complete).collect();
    members.sort_by(|a, b| a.node.cmp(&b.node));
    let missing = members
        .iter()
        .filter(|m| snapshot.sees(&m.node) && snapshot.is_cluster())
        .filter(|m| snapshot.node(&m.node).is_none());
    let problem = |member: &Member| {
        let text = format!("spec.members: there is no node {}; correct the name", member.node);
        (reason::NO_SUCH_NODE, text)
    };
    let problems = missing.map(problem).collect();
    Choice { members, left_over: Vec::new(), problems }
}

/// A node as the others see it.
fn member(node: &str, snapshot: &Snapshot) -> Member {
    let facts = snapshot.node(node);
    let report = snapshot.lvs_node(node).and_then(|n| n.status.as_ref());
    let addresses = facts.iter().flat_map(|facts| &facts.addresses);
    let macs = report.iter().flat_map(|report| &report.macs);
    Member {
        node: node.to_owned(),
        addresses: addresses.take(MAX_ADDRESSES).map(ToString::to_string).collect(),
        macs: macs.take(MAX_MACS).cloned().collect(),
        mtu: report.and_then(|report| report.mtu),
    }
}
