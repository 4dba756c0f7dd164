//! What matters of a node.

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What matters of a node: a Node is rewritten with every heartbeat, this only when something changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The addresses by which the cluster reaches it (`InternalIP`), at which it serves as a real server.
    pub addresses: Vec<IpAddr>,
    /// Its other addresses: they can be no VIP either.
    pub other_addresses: Vec<IpAddr>,
}

impl From<&Node> for NodeFacts {
    fn from(node: &Node) -> Self {
        let mut facts = Self { labels: node.labels().clone(), ..Self::default() };
        let status = node.status.as_ref();
        for address in status.and_then(|s| s.addresses.as_deref()).unwrap_or_default() {
            let Ok(ip) = address.address.parse() else { continue };
            match address.type_.as_str() {
                "InternalIP" => facts.addresses.push(ip),
                _ => facts.other_addresses.push(ip),
            }
        }
        facts
    }
}
