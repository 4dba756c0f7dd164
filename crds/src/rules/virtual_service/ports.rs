//! Ports, ranges of them, and their translation.

use super::{Rule, blame_if, blame_items, names};
use crate::{Forwarding, ServicePort, VirtualServiceSpec};
use std::collections::HashSet;

pub(super) const RULES: &[Rule<VirtualServiceSpec>] = &[
    Rule {
        at: "ports[].name",
        blames: "",
        cel: names::PORT_NAME,
        message: names::PORT_NAME_MESSAGE,
        broken: |spec| names::unfit_port_names(&spec.ports, |p| p.name.as_deref()),
    },
    Rule {
        at: "ports",
        blames: "",
        cel: "self.size() <= 1 || self.all(p, has(p.name))",
        message: "each of several ports needs a name; add name, such as http",
        broken: |spec| {
            blame_if(spec.ports.len() > 1 && spec.ports.iter().any(|p| p.name.is_none()), "ports")
        },
    },
    Rule {
        at: "ports",
        blames: "",
        cel: "self.all(p, !has(p.name) || self.exists_one(q, has(q.name) && q.name == p.name))",
        message: "two ports have one name; give each its own",
        broken: |spec| {
            let mut seen = HashSet::new();
            blame_if(
                !spec.ports.iter().filter_map(|p| p.name.as_ref()).all(|n| seen.insert(n)),
                "ports",
            )
        },
    },
    Rule {
        at: "ports[]",
        blames: ".port",
        cel: "self.port != 0 || !has(self.endPort) && !has(self.targetPort)",
        message: "0 stands for all ports, each kept as it is; leave endPort and targetPort out, or give a port",
        broken: |spec| {
            blame_items("ports", &spec.ports, ".port", |p| {
                p.port == 0 && (p.end_port.is_some() || p.target_port.is_some())
            })
        },
    },
    Rule {
        at: "",
        blames: ".ports",
        // ip_vs_schedule (net/netfilter/ipvs/ip_vs_core.c) drops what meets port 0 without persistence; a mark has no port.
        cel: "has(self.persistence) || has(self.firewallMark) || self.ports.all(p, p.port != 0)",
        message: "ports[..].port: IPVS takes all ports (0) only with persistence; set persistence: {}, or name \
                  the port",
        broken: |spec| {
            let bare = spec.persistence.is_none() && spec.firewall_mark.is_none();
            blame_if(bare && spec.ports.iter().any(|p| p.port == 0), "ports")
        },
    },
    Rule {
        at: "ports[]",
        blames: ".endPort",
        cel: "!has(self.endPort) || self.endPort >= self.port",
        message: "below port, where the range begins; make it at least port",
        broken: |spec| {
            blame_items("ports", &spec.ports, ".endPort", |p| {
                p.end_port.is_some_and(|end| end < p.port)
            })
        },
    },
    Rule {
        at: "",
        blames: ".ports",
        cel: "has(self.firewallMark) || self.ports.all(p, !has(p.endPort) || p.port == 0)",
        message: "ports[..].endPort: IPVS takes a range of ports only as a firewall mark; set firewallMark: {}, \
                  or leave endPort out",
        broken: |spec| {
            let range = |p: &ServicePort| p.end_port.is_some() && p.port != 0;
            blame_if(spec.firewall_mark.is_none() && spec.ports.iter().any(range), "ports")
        },
    },
    Rule {
        at: "ports",
        blames: "",
        cel: "self.all(p, self.exists_one(q, q.protocol == p.protocol && (p.port == 0 || q.port == 0 \
              || q.port <= (has(p.endPort) && p.endPort > p.port ? p.endPort : p.port) \
              && p.port <= (has(q.endPort) && q.endPort > q.port ? q.endPort : q.port))))",
        message: "two entries of one protocol have a port in common (0 has all); make each port part of one entry",
        broken: |spec| {
            let mut spans: Vec<_> = spec.ports.iter().map(span).collect();
            spans.sort_unstable();
            let common = spans.windows(2).any(|pair| match pair {
                [(protocol, _, last), (next, first, _)] => protocol == next && first <= last,
                _ => false,
            });
            blame_if(common, "ports")
        },
    },
    Rule {
        at: "",
        blames: ".ports",
        cel: "!has(self.firewallMark) || self.ports.all(p, !has(p.targetPort) || p.port == 0)",
        message: "ports[..].targetPort: a service by firewallMark cannot translate ports, it asks the real \
                  server on the port that the client asked for; leave targetPort out",
        broken: |spec| {
            let named = |p: &ServicePort| p.target_port.is_some() && p.port != 0;
            blame_if(spec.firewall_mark.is_some() && spec.ports.iter().any(named), "ports")
        },
    },
    Rule {
        at: "",
        blames: ".ports",
        cel: "self.forwarding != 'DR' || has(self.firewallMark) \
              || self.ports.all(p, !has(p.targetPort) || p.targetPort == p.port || p.port == 0)",
        message: "ports[..].targetPort: DR cannot translate ports; leave targetPort out, or set forwarding: NAT",
        broken: |spec| translated_by(Forwarding::DR, spec),
    },
    Rule {
        at: "",
        blames: ".ports",
        cel: "self.forwarding != 'TUN' || has(self.firewallMark) \
              || self.ports.all(p, !has(p.targetPort) || p.targetPort == p.port || p.port == 0)",
        message: "ports[..].targetPort: TUN cannot translate ports; leave targetPort out, or set forwarding: NAT",
        broken: |spec| translated_by(Forwarding::TUN, spec),
    },
];

/// Protocol, first and last port.
fn span(port: &ServicePort) -> (crate::Protocol, i32, i32) {
    let last = match port.port {
        0 => 65535,
        first => port.end_port.unwrap_or(first).max(first),
    };
    (port.protocol, port.port, last)
}

fn translated_by(forwarding: Forwarding, spec: &VirtualServiceSpec) -> Vec<String> {
    let other = |p: &ServicePort| p.port != 0 && p.target_port.is_some_and(|t| t != p.port);
    blame_if(
        spec.forwarding == forwarding
            && spec.firewall_mark.is_none()
            && spec.ports.iter().any(other),
        "ports",
    )
}
