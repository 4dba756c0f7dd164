//! Who the directors of a DirectorGroup are.

mod settings;

pub use settings::{NodeSettings, node_settings, seniority};

use crate::listing::listing;
use crate::{Snapshot, Verdict, reason, selector};
use lvs_crds::{DirectorGroup, Member};

/// What is to be made of one DirectorGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupResolution {
    /// Its directors.
    pub members: Vec<Member>,
    /// Whether it has the directors that it is to have.
    pub ready: Verdict,
    /// Whether another group has the say on settings that this one sets too.
    pub conflicted: Verdict,
}

/// Who a group's directors are: those of its status, which is what agents read.
pub fn directors(group: &DirectorGroup) -> Vec<String> {
    let status = group.status.iter();
    status.flat_map(|s| s.members.iter().map(|m| m.node.clone())).collect()
}

/// What is to be made of one DirectorGroup; nothing if there is none of this name.
///
/// A group has one director. Where its selector matches several nodes, the one that is director stays so, and the
/// condition names all. (Several members enter here once directors can agree on who is active.)
pub fn resolve_group(name: &str, snapshot: &Snapshot) -> Option<GroupResolution> {
    let group = snapshot.director_group(name)?;
    if let Err(error) = selector::check(&group.spec.node_selector) {
        let ready = Verdict::no(reason::INVALID_SELECTOR, format!("spec.nodeSelector.{error}"));
        let members: Vec<Member> = group.status.iter().flat_map(|s| s.members.clone()).collect();
        let conflicted = conflicted(name, group, &members, snapshot);
        return Some(GroupResolution { members, ready, conflicted });
    }
    let matching: Vec<&str> = snapshot
        .nodes()
        .filter(|(_, facts)| selector::matches(&group.spec.node_selector, &facts.labels))
        .map(|(name, _)| name.as_str())
        .collect();
    let members = members(group, snapshot, &matching);
    let director = members.first().map(|m| m.node.clone()).unwrap_or_default();
    let ready = match matching.len() {
        0 => Verdict::no(
            reason::NO_DIRECTOR,
            "spec.nodeSelector matches no node; correct it, or label a node",
        ),
        1 => Verdict::yes(reason::READY, format!("Node {director} is the director.")),
        _ => Verdict::no(
            reason::TOO_MANY_DIRECTORS,
            format!(
                "spec.nodeSelector matches {} nodes ({}), and a group has one director: {director} it is; let the \
                 selector match one node",
                matching.len(),
                listing(&matching, 8)
            ),
        ),
    };
    let conflicted = conflicted(name, group, &members, snapshot);
    Some(GroupResolution { members, ready, conflicted })
}

fn conflicted(
    name: &str,
    group: &DirectorGroup,
    members: &[Member],
    snapshot: &Snapshot,
) -> Verdict {
    let nodes = members.iter().map(|member| {
        let others = snapshot.director_groups().filter(|(other, _)| *other != name);
        let others = others.map(|(_, other)| &**other);
        let common = others.filter(|other| directors(other).contains(&member.node)).collect();
        (member.node.as_str(), common)
    });
    settings::conflicted(group, nodes)
}

fn members(group: &DirectorGroup, snapshot: &Snapshot, matching: &[&str]) -> Vec<Member> {
    let incumbents = directors(group);
    let incumbent = matching.iter().find(|node| incumbents.iter().any(|i| i == *node));
    let director = incumbent.or(matching.first());
    let member = |node: &&str| Member {
        node: (*node).to_owned(),
        addresses: snapshot
            .node(node)
            .map(|facts| facts.addresses.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        macs: Vec::new(),
    };
    director.map(member).into_iter().collect()
}
