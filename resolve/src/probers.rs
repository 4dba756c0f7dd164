//! Who asks a VIP as a client does, and what can be asked. Pure and the same everywhere: the operator and every agent
//! compute it from the same objects, so that none has to be told who asks what.

use crate::spread::hash;
use lvs_crds::{
    DirectorGroup, Forwarding, MarkRules, Member, Protocol, SliceRealServer, SliceService,
};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// How many nodes ask one service. One of them may be who carries the VIP, and does not ask itself; of the two that are left,
/// one confirms what the other met.
const ASKING: usize = 3;

/// A connection that a client could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// The VIP.
    pub address: IpAddr,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} TCP/{}", self.address, self.port)
    }
}

/// What of a service can be asked; what of it cannot, as `UDP/53`, and why.
pub fn questions(service: &SliceService) -> (Vec<Question>, Vec<String>) {
    let (mut asked, mut not) = (Vec::new(), Vec::new());
    let mut ask = |addresses: &[String], protocol: Protocol, port: i32, end: i32| {
        let reason = match (protocol, u16::try_from(port)) {
            (Protocol::TCP, Ok(1..)) => None,
            (Protocol::TCP, _) => Some("all ports: which of them is served is not known"),
            _ => Some("only TCP can be asked, by a connection"),
        };
        if let Some(reason) = reason {
            let ports = if port == 0 { "*".to_owned() } else { port.to_string() };
            not.push(format!("{protocol}/{ports} ({reason})"));
            return;
        }
        if end != port {
            not.push(format!("the rest of TCP/{port}-{end}"));
        }
        let port = u16::try_from(port).unwrap_or_default();
        let addresses = addresses.iter().filter_map(|address| address.parse().ok());
        asked.extend(addresses.map(|address| Question { address, port }));
    };
    match &service.firewall_mark {
        None => {
            let address = std::slice::from_ref(&service.address);
            ask(address, service.protocol, service.port, service.port);
        }
        Some(mark) if mark.rules == MarkRules::External => {
            not.push(format!("firewall mark {} (whose packets somebody else chooses)", mark.mark));
        }
        Some(mark) => {
            for ports in &mark.ports {
                let end = ports.end_port.unwrap_or(ports.port);
                ask(&mark.addresses, ports.protocol, ports.port, end);
            }
        }
    }
    (asked, not)
}

/// The nodes that can ask one VirtualService.
#[derive(Clone, Debug)]
pub struct Probers<'a> {
    nodes: Vec<&'a str>,
    /// Why nobody asks.
    pub excuse: Option<&'static str>,
}

impl<'a> Probers<'a> {
    /// Of a VirtualService with these real servers: directors that stand by, where they can, else other nodes.
    pub fn of<'s>(
        group: &'a DirectorGroup,
        servers: impl Iterator<Item = &'s SliceRealServer>,
    ) -> Self {
        let members = group.status.as_ref().map(|status| status.members.as_slice());
        let members = members.unwrap_or_default();
        let others = group.status.as_ref().map(|status| status.probers.as_slice());
        let mut others: BTreeSet<&str> =
            others.unwrap_or_default().iter().map(String::as_str).collect();
        let (mut serving, mut direct) = (BTreeSet::new(), false);
        for server in servers {
            for (index, _) in members.iter().enumerate().filter(|(_, it)| is(it, server)) {
                serving.insert(index);
                direct |= server.forwarding != Forwarding::NAT;
            }
            // One that is known by its address alone finds out itself.
            if let Some(node) = &server.node_name {
                others.remove(node.as_str());
            }
        }
        let idle = members.iter().enumerate().filter(|(index, _)| !serving.contains(index));
        let directors: Vec<&str> = idle.map(|(_, member)| member.node.as_str()).collect();
        let excuse = if members.len() < 2 {
            "there is one director, which cannot ask itself"
        } else if direct {
            // By the sender's MAC address they take it for balanced already, and deliver it to themselves.
            "the directors are real servers too, and take what another director sends for balanced already"
        } else if directors.len() < 2 {
            "all directors but one are real servers of it, which balancing leads back to themselves"
        } else {
            return Self { nodes: directors, excuse: None };
        };
        let excuse = others.is_empty().then_some(excuse);
        Self { nodes: others.into_iter().collect(), excuse }
    }

    /// Those that ask one question, whoever of them carries the VIP left in.
    pub fn asking(&self, question: &Question) -> Vec<&'a str> {
        let text = question.to_string();
        let mut nodes = self.nodes.clone();
        nodes.sort_by_cached_key(|node| (std::cmp::Reverse(hash(&[&text, node])), *node));
        nodes.truncate(ASKING);
        nodes
    }
}

/// Whether a director is this real server.
fn is(member: &Member, server: &SliceRealServer) -> bool {
    server.node_name.as_ref() == Some(&member.node) || member.addresses.contains(&server.address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn where_directors_cannot_ask_other_nodes_do_that_serve_nothing_of_it() {
        let group = |members: &[&str], probers: &[&str]| -> DirectorGroup {
            let members: Vec<_> = members.iter().map(|node| json!({ "node": node })).collect();
            let spec = json!({ "nodeSelector": {} });
            let status = json!({ "members": members, "probers": probers });
            let metadata = json!({ "name": "default" });
            serde_json::from_value(json!({ "metadata": metadata, "spec": spec, "status": status }))
                .expect("a DirectorGroup")
        };
        let server = |node: &str, forwarding: &str| -> SliceRealServer {
            let server = json!({
                "name": node, "address": "10.0.0.9", "nodeName": node, "forwarding": forwarding,
                "weight": 1, "upperThreshold": 0, "lowerThreshold": 0, "ports": [],
            });
            serde_json::from_value(server).expect("a real server")
        };
        let question = Question { address: IpAddr::from([10, 0, 0, 1]), port: 80 };
        for (members, probers, servers, asking) in [
            (&["d1", "d2"][..], &["w1"][..], vec![server("r1", "DR")], &["d1", "d2"][..]),
            (&["d1"], &["w1"], vec![server("r1", "DR")], &["w1"]),
            (&["d1"], &[], vec![server("r1", "DR")], &[]),
            (&["d1"], &["r1", "w1"], vec![server("r1", "DR")], &["w1"]),
            (&["d1"], &["r1"], vec![server("r1", "DR")], &[]),
            (&["d1", "d2"], &["w1"], vec![server("d1", "DR")], &["w1"]),
            (&["d1", "d2"], &["w1"], vec![server("d1", "NAT")], &["w1"]),
            (&["d1", "d2", "d3"], &["w1"], vec![server("d1", "NAT")], &["d2", "d3"]),
        ] {
            let group = group(members, probers);
            let found = Probers::of(&group, servers.iter());
            let mut nodes = found.asking(&question);
            nodes.sort_unstable();
            assert_eq!(nodes, asking, "{members:?} {probers:?} {servers:?}");
            assert_eq!(found.excuse.is_some(), asking.is_empty());
        }
    }
}
