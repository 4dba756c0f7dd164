//! What needs an admin's eye, although the service works.

use super::View;
use crate::listing::all;
use crate::status::director::{Progress, failures, text};
use crate::{Verdict, reason};
use lvs_crds::{FailedRole, Failure, Forwarding};
use std::collections::BTreeSet;

impl View<'_> {
    pub(super) fn degraded(&self) -> Verdict {
        let several = self.active.several.iter().map(|(what, nodes)| {
            let text = format!(
                "{what} is on {} at once, see DirectorGroup {}",
                all(nodes),
                self.resolution.director_group
            );
            (reason::SPLIT_BRAIN, text)
        });
        let mut problems: Vec<(&str, String)> = several.collect();
        problems.extend(self.resolution.left_out.iter().map(|l| {
            (l.reason, format!("RealServer {} is left out: {}", l.real_server, l.message))
        }));
        problems.extend(self.ill());
        for (node, progress) in &self.progress {
            // Of several directors the group tells it, once for all services that others carry.
            let matters = self.progress.len() < 2 || self.active.nodes.contains(node);
            let silent_here = self.snapshot.is_silent(node) && matters;
            if silent_here && !matches!(progress, Progress::Failed(_)) {
                problems.push((reason::AGENT_SILENT, silent(node)));
            }
        }
        let nodes = self.real_server_nodes();
        problems.extend(nodes.iter().filter_map(|node| self.real_server_problem(node)));
        let directors = self.progress.iter().map(|(node, _)| (*node).to_owned());
        let nodes: BTreeSet<String> = directors.chain(nodes).collect();
        for node in &nodes {
            let warnings = self.warnings(node);
            problems.extend(warnings.map(|w| (reason::NODE_WARNING, text(node, w))));
        }
        crate::status::attention(&problems)
    }

    /// The nodes that are real servers, and those that say something of this service.
    fn real_server_nodes(&self) -> BTreeSet<String> {
        let servers = self.slices.iter().flat_map(|s| &s.spec.real_servers);
        let nodes = servers.filter_map(|r| r.node_name.clone());
        nodes.chain(self.snapshot.telling_of(self.key).map(str::to_owned)).collect()
    }

    fn is_director(&self, node: &str) -> bool {
        self.progress.iter().any(|(name, _)| *name == node)
    }

    fn real_server_problem(&self, node: &str) -> Option<(&'static str, String)> {
        let director = self.is_director(node);
        let Some(report) = self.snapshot.lvs_node(node).and_then(|n| n.status.as_ref()) else {
            let servers = self.slices.iter().flat_map(|s| &s.spec.real_servers);
            let here = servers.filter(|r| r.node_name.as_deref() == Some(node));
            let direct = here.map(|r| r.forwarding).find(|f| *f != Forwarding::NAT)?;
            let text = format!(
                "node {node} has no agent that reports, so nobody has put the VIP on its loopback interface for {direct}"
            );
            return Some((reason::REAL_SERVER_FAILED, text));
        };
        let mine = |f: &&Failure| match f.role {
            FailedRole::RealServer => true,
            FailedRole::Node => !director,
            FailedRole::Director => false,
        };
        if let Some(failure) = failures(report, self.key).find(mine) {
            return Some((reason::REAL_SERVER_FAILED, text(node, failure)));
        }
        let quiet = !director && self.snapshot.is_silent(node);
        quiet.then(|| (reason::AGENT_SILENT, silent(node)))
    }

    /// A node's warnings that name this service, and those of a real server's whole node. Those of a director's are told
    /// by its DirectorGroup, once for all services.
    pub(super) fn warnings<'a>(
        &'a self,
        node: &str,
    ) -> impl Iterator<Item = &'a Failure> + use<'a> {
        let whole = !self.is_director(node);
        let report = self.snapshot.lvs_node(node).and_then(|n| n.status.as_ref());
        let warnings = report.into_iter().flat_map(|r| &r.warnings);
        warnings.filter(move |w| match &w.virtual_service {
            Some(name) => {
                *name == self.key.name && w.namespace.as_ref() == Some(&self.key.namespace)
            }
            None => whole && w.role != FailedRole::Director,
        })
    }
}

fn silent(node: &str) -> String {
    format!(
        "the agent of node {node} has not reported for long; what it programmed stays, but see that it runs"
    )
}
