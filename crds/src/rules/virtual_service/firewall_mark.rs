//! Firewall marks.

use super::super::net::{CIDR, NETWORK, has_host_bits, is_no_cidr};
use super::{Rule, blame_if, blame_items, destinations};
use crate::{MarkRules, ServicePort, VirtualServiceSpec};

/// A mark has 32 bits. Not the schema's `maximum`: the API server would print it as 4.294967295e+09.
const MAX_MARK: i64 = u32::MAX as i64;

pub(super) const RULES: &[Rule<VirtualServiceSpec>] = &[
    Rule {
        at: "firewallMark.mark",
        blames: "",
        cel: "self <= 4294967295",
        message: "more than a mark's 32 bits; at most 4294967295",
        broken: |spec| {
            let mark = spec.firewall_mark.as_ref().and_then(|m| m.mark);
            blame_if(mark.is_some_and(|m| m > MAX_MARK), "firewallMark.mark")
        },
    },
    Rule {
        at: "firewallMark",
        blames: ".mark",
        cel: "self.rules != 'External' || has(self.mark)",
        message: "rules: External says that somebody else sets the mark, but not which; give the mark, such as \
                  80, or leave rules out",
        broken: |spec| {
            let mark = spec.firewall_mark.as_ref();
            let unknown = mark.is_some_and(|m| m.rules == MarkRules::External && m.mark.is_none());
            blame_if(unknown, "firewallMark.mark")
        },
    },
    Rule {
        at: "firewallMark.destinations[]",
        blames: "",
        cel: CIDR,
        message: "not a network; write one such as 0.0.0.0/0, or 198.51.100.0/24",
        broken: |spec| {
            blame_items("firewallMark.destinations", destinations(spec), "", |d| is_no_cidr(d))
        },
    },
    Rule {
        at: "firewallMark.destinations[]",
        blames: "",
        cel: NETWORK,
        message: "bits are set beyond the prefix length; write the network's first address, such as \
                  198.51.100.0/24 for 198.51.100.7/24",
        broken: |spec| {
            blame_items("firewallMark.destinations", destinations(spec), "", |d| has_host_bits(d))
        },
    },
    // The kernel refuses such a policy rule (`fib_rule_port_range_valid` in include/net/fib_rules.h).
    Rule {
        at: "",
        blames: ".ports",
        cel: "!has(self.firewallMark) || !has(self.firewallMark.destinations) \
              || self.ports.all(p, p.port <= 1 || (has(p.endPort) ? p.endPort : p.port) < 65535)",
        message: "with firewallMark.destinations the kernel can take ports up to 65534; end at 65534, or take all \
                  with port: 0",
        broken: |spec| {
            let last = |p: &ServicePort| p.end_port.unwrap_or(p.port);
            let unfit = |p: &ServicePort| p.port > 1 && last(p) >= 65535;
            blame_if(!destinations(spec).is_empty() && spec.ports.iter().any(unfit), "ports")
        },
    },
];
