//! Who asks a VIP as a client does, and what can be asked. Pure and the same everywhere: the operator and every agent
//! compute it from the same objects, so that none has to be told who asks what.

use crate::spread::hash;
use lvs_crds::{
    DirectorGroup, Forwarding, MarkRules, Member, Protocol, SliceRealServer, SliceService,
};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// How many of a group's directors ask one service. One of them may be who carries the VIP, and does not ask itself; of
/// the two that are left, one confirms what the other met.
const DIRECTORS: usize = 3;

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
    directors: Vec<&'a str>,
    /// Why no director asks.
    pub excuse: Option<&'static str>,
}

impl<'a> Probers<'a> {
    /// Of a VirtualService with these real servers.
    pub fn of<'s>(
        group: &'a DirectorGroup,
        servers: impl Iterator<Item = &'s SliceRealServer>,
    ) -> Self {
        let members = group.status.as_ref().map(|status| status.members.as_slice());
        let members = members.unwrap_or_default();
        let (mut serving, mut direct) = (BTreeSet::new(), false);
        for server in servers {
            for (index, _) in members.iter().enumerate().filter(|(_, it)| is(it, server)) {
                serving.insert(index);
                direct |= server.forwarding != Forwarding::NAT;
            }
        }
        let others = members.iter().enumerate().filter(|(index, _)| !serving.contains(index));
        let directors: Vec<&str> = others.map(|(_, member)| member.node.as_str()).collect();
        let excuse = if members.len() < 2 {
            Some("there is one director, which cannot ask itself")
        } else if direct {
            // By the sender's MAC address they take it for balanced already, and deliver it to themselves.
            Some(
                "the directors are real servers too, and take what another director sends for balanced already",
            )
        } else if directors.len() < 2 {
            Some(
                "all directors but one are real servers of it, which balancing leads back to themselves",
            )
        } else {
            None
        };
        Self { directors, excuse }
    }

    /// Those that ask one question, whoever of them carries the VIP left in.
    pub fn asking(&self, question: &Question) -> Vec<&'a str> {
        if self.excuse.is_some() {
            return Vec::new();
        }
        let text = question.to_string();
        let mut directors = self.directors.clone();
        directors.sort_by_cached_key(|node| (std::cmp::Reverse(hash(&[&text, node])), *node));
        directors.truncate(DIRECTORS);
        directors
    }
}

/// Whether a director is this real server.
fn is(member: &Member, server: &SliceRealServer) -> bool {
    server.node_name.as_ref() == Some(&member.node) || member.addresses.contains(&server.address)
}
