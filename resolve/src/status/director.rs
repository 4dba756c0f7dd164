//! What one director has made of one VirtualService.

use crate::{Key, Snapshot, group};
use lvs_crds::{FailedRole, Failure, LVSNodeStatus, VirtualService};

/// How far one director is with one VirtualService; with the text that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Its kernel has been read back against the newest slice.
    Programmed,
    /// A report is awaited.
    Pending(String),
    /// A report is awaited, from an agent that has been silent for long.
    Silent(String),
    /// It could not be programmed.
    Failed(String),
}

impl Progress {
    pub(super) fn problem(&self) -> Option<&str> {
        match self {
            Self::Programmed => None,
            Self::Pending(text) | Self::Silent(text) | Self::Failed(text) => Some(text),
        }
    }
}

/// How far `node` is with the slices of `key`, of which `newest` is the newest resourceVersion.
pub(super) fn progress(
    key: &Key,
    node: &str,
    group: &str,
    newest: u64,
    snapshot: &Snapshot,
) -> Progress {
    let Some(report) = snapshot.lvs_node(node).and_then(|n| n.status.as_ref()) else {
        return Progress::Pending(format!(
            "node {node}: no report yet; its LVSNode is written by the agent of that node, see that it runs"
        ));
    };
    if let Some(failure) = failures(report, key).find(|f| f.role != FailedRole::RealServer) {
        return Progress::Failed(text(node, failure));
    }
    let listed = i32::try_from(report.failures.len()).unwrap_or(i32::MAX);
    if report.failure_count > listed {
        return Progress::Failed(format!(
            "node {node} reports {} failures and lists {listed}, so this service may be one of the others; see the \
             log of that node's agent",
            report.failure_count
        ));
    }
    if !report.director_of.iter().any(|d| d.group == group) {
        let text = format!("node {node}: awaits that it reports itself as director of {group}");
        return waiting(node, text, snapshot);
    }
    if programmed(report).is_none_or(|programmed| programmed < newest) {
        let text = format!("node {node}: awaits its report that its kernel was read back");
        return waiting(node, text, snapshot);
    }
    Progress::Programmed
}

fn waiting(node: &str, text: String, snapshot: &Snapshot) -> Progress {
    if snapshot.is_silent(node) {
        Progress::Silent(format!("{text}; its agent is silent, see that it runs"))
    } else {
        Progress::Pending(text)
    }
}

/// A report's failures that concern a VirtualService: its own and the node's.
pub(super) fn failures<'a>(
    report: &'a LVSNodeStatus,
    key: &'a Key,
) -> impl Iterator<Item = &'a Failure> {
    report.failures.iter().filter(move |failure| match &failure.virtual_service {
        None => true,
        Some(name) => *name == key.name && failure.namespace.as_ref() == Some(&key.namespace),
    })
}

/// A failure as one line.
pub(super) fn text(node: &str, failure: &Failure) -> String {
    format!("node {node}: {}: {}", failure.reason, failure.message)
}

/// Up to which resourceVersion a node's kernel has been read back.
fn programmed(report: &LVSNodeStatus) -> Option<u64> {
    report.programmed.as_ref()?.resource_version.parse().ok()
}

/// Up to which slice resourceVersion every director of a VirtualService's group has been read back.
pub(crate) fn settled(vs: &VirtualService, snapshot: &Snapshot) -> u64 {
    let group = snapshot.director_group(&vs.spec.director_group);
    let directors = group.map(|g| group::directors(g)).unwrap_or_default();
    let settled = directors.iter().filter(|node| snapshot.sees(node)).map(|node| {
        let report = snapshot.lvs_node(node).and_then(|n| n.status.as_ref());
        report.and_then(programmed).unwrap_or(0)
    });
    settled.min().unwrap_or(0)
}
