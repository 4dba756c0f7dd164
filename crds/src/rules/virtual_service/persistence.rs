//! Persistence.

use super::super::net::is_netmask;
use super::{Rule, blame_if, has_family};
use crate::{Protocol, VirtualServiceSpec};

/// ipvsadm's limit, in seconds. Not the schema's `maximum`: the API server would print it as 2.6784e+06.
const MAX_PERSISTENCE: i32 = 31 * 24 * 60 * 60;

pub(super) const RULES: &[Rule<VirtualServiceSpec>] = &[
    Rule {
        at: "persistence.timeoutSeconds",
        blames: "",
        cel: "self <= 2678400",
        message: "more than ipvsadm takes; at most 2678400, which is 31 days",
        broken: |spec| {
            let seconds = spec.persistence.as_ref().map(|p| p.timeout_seconds);
            blame_if(seconds.is_some_and(|s| s > MAX_PERSISTENCE), "persistence.timeoutSeconds")
        },
    },
    Rule {
        at: "persistence.ipv4Netmask",
        blames: "",
        cel: r"self.matches('^(255[.]255[.]255[.](255|254|252|248|240|224|192|128|0)|255[.]255[.](254|252|248|240|224|192|128|0)[.]0|255[.](254|252|248|240|224|192|128|0)[.]0[.]0|(254|252|248|240|224|192|128|0)[.]0[.]0[.]0)$')",
        message: "not a netmask; write one such as 255.255.255.0",
        broken: |spec| {
            blame_if(netmask(spec).is_some_and(|m| !is_netmask(m)), "persistence.ipv4Netmask")
        },
    },
    Rule {
        at: "persistence",
        blames: ".ipv4Netmask",
        cel: "!has(self.ipv4Netmask) || self.ipv4Netmask != '0.0.0.0' || has(self.engine)",
        message: "it makes all clients one, and all would meet one server; set engine: sip, which tells calls apart, \
                  or write a netmask of some bits",
        broken: |spec| {
            let engine = spec.persistence.as_ref().and_then(|p| p.engine);
            blame_if(
                netmask(spec) == Some("0.0.0.0") && engine.is_none(),
                "persistence.ipv4Netmask",
            )
        },
    },
    Rule {
        at: "",
        blames: ".persistence.ipv4Netmask",
        cel: "!has(self.persistence) || !has(self.persistence.ipv4Netmask) \
              || has(self.addresses) && self.addresses.exists(a, isIP(a) && ip(a).family() == 4) \
              || has(self.firewallMark) && has(self.firewallMark.destinations) \
              && self.firewallMark.destinations.exists(d, isCIDR(d) && cidr(d).ip().family() == 4)",
        message: "it groups IPv4 clients, but neither addresses nor firewallMark.destinations has anything of \
                  IPv4; leave ipv4Netmask out",
        broken: |spec| {
            blame_if(netmask(spec).is_some() && !has_family(spec, true), "persistence.ipv4Netmask")
        },
    },
    Rule {
        at: "",
        blames: ".persistence.ipv6PrefixLength",
        cel: "!has(self.persistence) || !has(self.persistence.ipv6PrefixLength) \
              || has(self.addresses) && self.addresses.exists(a, isIP(a) && ip(a).family() == 6) \
              || has(self.firewallMark) && has(self.firewallMark.destinations) \
              && self.firewallMark.destinations.exists(d, isCIDR(d) && cidr(d).ip().family() == 6)",
        message: "it groups IPv6 clients, but neither addresses nor firewallMark.destinations has anything of \
                  IPv6; leave ipv6PrefixLength out",
        broken: |spec| {
            let length = spec.persistence.as_ref().and_then(|p| p.ipv6_prefix_length);
            let idle = length.is_some() && !has_family(spec, false);
            blame_if(idle, "persistence.ipv6PrefixLength")
        },
    },
    Rule {
        at: "",
        blames: ".persistence.engine",
        // ip_vs_sip_fill_param (net/netfilter/ipvs/ip_vs_pe_sip.c) knows nothing else, and the packet is then dropped.
        cel: "!has(self.persistence) || !has(self.persistence.engine) || self.ports.all(p, p.protocol == 'UDP')",
        message: "the engine sip reads Call-IDs in UDP only, and IPVS drops what has none; set protocol: UDP at \
                  every port, or leave engine out",
        broken: |spec| {
            let engine = spec.persistence.as_ref().and_then(|p| p.engine);
            let other = spec.ports.iter().any(|p| p.protocol != Protocol::UDP);
            blame_if(engine.is_some() && other, "persistence.engine")
        },
    },
];

fn netmask(spec: &VirtualServiceSpec) -> Option<&str> {
    spec.persistence.as_ref()?.ipv4_netmask.as_deref()
}
