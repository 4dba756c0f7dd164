//! The rules of a RealServer's spec.

use super::net::{ip, is_global_unicast};
use super::{Rule, blame_if, names};
use crate::RealServerSpec;
use std::collections::HashSet;

pub(super) const RULES: &[Rule<RealServerSpec>] = &[
    Rule {
        at: "",
        blames: "",
        cel: "has(self.address) != has(self.nodeName)",
        message: "give exactly one of address and nodeName",
        broken: |spec| blame_if(spec.address.is_some() == spec.node_name.is_some(), ""),
    },
    Rule {
        at: "address",
        blames: "",
        cel: "isIP(self)",
        message: "not an IP address; write one such as 192.168.0.101, without prefix length",
        broken: |spec| {
            blame_if(spec.address.as_deref().is_some_and(|a| ip(a).is_none()), "address")
        },
    },
    Rule {
        at: "address",
        blames: "",
        cel: "!isIP(self) || ip(self).isGlobalUnicast()",
        message: "an unspecified, loopback, link-local, multicast or broadcast address cannot be a real \
                  server's; give the unicast address that directors reach it at",
        broken: |spec| {
            let address = spec.address.as_deref().and_then(ip);
            blame_if(address.is_some_and(|a| !is_global_unicast(a)), "address")
        },
    },
    Rule {
        at: "nodeName",
        blames: "",
        cel: "!format.dns1123Subdomain().validate(self).hasValue()",
        message: "not the name of a node; write one such as worker-1",
        broken: |spec| {
            let name = spec.node_name.as_deref();
            blame_if(name.is_some_and(|n| !names::is_dns_subdomain(n)), "nodeName")
        },
    },
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
        cel: "self.all(p, self.exists_one(q, has(p.name) ? has(q.name) && q.name == p.name : !has(q.name)))",
        message: "two entries for one port of a VirtualService; give each its own name, and leave the name \
                  out at most once",
        broken: |spec| {
            let mut seen = HashSet::new();
            blame_if(!spec.ports.iter().all(|p| seen.insert(&p.name)), "ports")
        },
    },
    Rule {
        at: "",
        blames: ".lowerThreshold",
        cel: "!has(self.lowerThreshold) || has(self.upperThreshold)",
        message: "it says when to end what upperThreshold began; set upperThreshold too, or leave \
                  lowerThreshold out",
        broken: |spec| {
            blame_if(
                spec.lower_threshold.is_some() && spec.upper_threshold.is_none(),
                "lowerThreshold",
            )
        },
    },
    Rule {
        at: "",
        blames: ".lowerThreshold",
        cel: "!has(self.lowerThreshold) || !has(self.upperThreshold) || self.lowerThreshold <= self.upperThreshold",
        message: "above upperThreshold; make it at most upperThreshold",
        broken: |spec| match (spec.lower_threshold, spec.upper_threshold) {
            (Some(lower), Some(upper)) => blame_if(lower > upper, "lowerThreshold"),
            _ => Vec::new(),
        },
    },
];
