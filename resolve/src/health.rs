//! How real servers are, by the reports of the directors that check them.

use crate::{Key, Resolution, Snapshot};
use lvs_crds::{DownServer, LVSNode, VirtualServiceSlice};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How a real server is, for one VirtualService that checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerHealth {
    /// No director has said yet that it checks.
    Awaited,
    /// No director finds it down.
    Up,
    /// Every director finds it down: who, and by what the first one found it.
    Down(Finding),
    /// Directors differ: what those say that find it down, and who finds it up.
    Differs(Finding, Vec<String>),
}

/// What directors say of a real server that they find down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The directors.
    pub directors: Vec<String>,
    /// The ports that are concerned, as `TCP/80`; none where all are.
    pub ports: Vec<String>,
    /// By what the first of them found it, such as `HTTP 503 in 4 ms, 3 of 3`.
    pub reason: String,
}

impl ServerHealth {
    /// What those say that find it down, if any does.
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Down(finding) | Self::Differs(finding, _) => Some(finding),
            Self::Awaited | Self::Up => None,
        }
    }
}

/// How the real servers of a VirtualService are that are checked, by name. A director that is silent has no say.
pub fn server_health(
    key: &Key,
    resolution: &Resolution,
    snapshot: &Snapshot,
) -> BTreeMap<String, ServerHealth> {
    let slices: Vec<&Arc<VirtualServiceSlice>> =
        snapshot.slices_of(key).map(|(_, slice)| slice).collect();
    let checked = checked(&slices);
    if checked.is_empty() {
        return BTreeMap::new();
    }
    let nodes = resolution.directors.iter().filter(|node| !snapshot.is_silent(node));
    let reports = nodes.filter_map(|node| Some((node, found(key, snapshot.lvs_node(node)?)?)));
    let reports: Vec<(&String, BTreeMap<&str, &DownServer>)> = reports.collect();
    let of = |server: &str| {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        for (node, found) in &reports {
            match found.get(server) {
                Some(entry) => down.push(((*node).clone(), *entry)),
                None => up.push((*node).clone()),
            }
        }
        let Some((_, first)) = down.first() else {
            return if up.is_empty() { ServerHealth::Awaited } else { ServerHealth::Up };
        };
        let finding = Finding {
            ports: first.ports.clone(),
            reason: first.reason.clone(),
            directors: down.iter().map(|(node, _)| node.clone()).collect(),
        };
        match up.is_empty() {
            true => ServerHealth::Down(finding),
            false => ServerHealth::Differs(finding, up),
        }
    };
    checked.into_iter().map(|server| (server.to_owned(), of(server))).collect()
}

/// The real servers that have a check, their own or the service's.
fn checked<'a>(slices: &[&'a Arc<VirtualServiceSlice>]) -> BTreeSet<&'a str> {
    let servers = slices.iter().flat_map(|slice| {
        let all = slice.spec.health_check.is_some();
        slice.spec.real_servers.iter().filter(move |it| all || it.health_check.is_some())
    });
    servers.map(|server| server.name.as_str()).collect()
}

/// What a director finds down of a VirtualService; `None` while it does not say that it checks.
fn found<'a>(key: &Key, node: &'a LVSNode) -> Option<BTreeMap<&'a str, &'a DownServer>> {
    let health = node.status.as_ref()?.health.as_ref()?;
    let mine = |it: &&DownServer| it.namespace == key.namespace && it.virtual_service == key.name;
    Some(health.down.iter().filter(mine).map(|it| (it.real_server.as_str(), it)).collect())
}
