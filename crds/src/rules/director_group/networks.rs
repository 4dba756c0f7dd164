//! Where VIPs, gateways and real servers are.

use super::super::net::{CIDR, Cidr, NETWORK, cidr, has_host_bits, is_global_unicast, is_no_cidr};
use super::{Rule, blame_if, blame_items};
use crate::DirectorGroupSpec;
use std::collections::HashSet;

pub(super) const RULES: &[Rule<DirectorGroupSpec>] = &[
    text("networks[].cidr", CIDR, "not a network; write one such as 192.168.0.0/24", |spec| {
        networks(spec, is_no_cidr)
    }),
    text(
        "networks[].cidr",
        NETWORK,
        "bits are set beyond the prefix length; write the network's first address, such as \
                  192.168.0.0/24 for 192.168.0.10/24",
        |spec| networks(spec, has_host_bits),
    ),
    text(
        "networks[].cidr",
        HAS_LENGTH,
        "a VIP with prefix length 0 would make every address a neighbour; name the network that VIPs \
                  stand in, or leave the entry out for host addresses",
        |spec| networks(spec, is_everything),
    ),
    Rule {
        at: "networks",
        blames: "",
        cel: "self.all(a, !isCIDR(a.cidr) || self.exists_one(b, isCIDR(b.cidr) && cidr(a.cidr) == cidr(b.cidr)))",
        message: "two entries for one network; leave one out",
        broken: |spec| {
            let mut seen = HashSet::new();
            let mut parsed = spec.networks.iter().filter_map(|n| cidr(&n.cidr));
            blame_if(!parsed.all(|c| seen.insert((c.address, c.prefix_length))), "networks")
        },
    },
    text(
        "natGateways[].address",
        CIDR,
        "write address and prefix length, such as 10.0.0.234/24",
        |spec| gateways(spec, is_no_cidr),
    ),
    Rule {
        at: "natGateways[].address",
        blames: "",
        cel: "!isCIDR(self) || cidr(self).ip().isGlobalUnicast()",
        message: "an unspecified, loopback, link-local, multicast or broadcast address cannot be a gateway; \
                  give a unicast address of the inside network",
        broken: |spec| gateways(spec, |a| cidr(a).is_some_and(|c| !is_global_unicast(c.address))),
    },
    text(
        "natGateways[].address",
        HAS_LENGTH,
        "a gateway with prefix length 0 would make every address a neighbour; write the inside \
                  network's prefix length",
        |spec| gateways(spec, is_everything),
    ),
    Rule {
        at: "natGateways[].address",
        blames: "",
        // Not `!=`: the API server's estimate of its cost has no bound for networks.
        cel: "!isCIDR(self) || !(cidr(self).masked() == cidr(self)) \
              || cidr(self).prefixLength() >= (cidr(self).ip().family() == 4 ? 31 : 127)",
        message: "this is the network's own address; write the gateway's, such as 10.0.0.234/24",
        broken: |spec| {
            let is_network = |c: Cidr| c.is_network() && c.has_network_address();
            gateways(spec, |a| cidr(a).is_some_and(is_network))
        },
    },
    Rule {
        at: "natGateways",
        blames: "",
        cel: "self.all(a, !isCIDR(a.address) || self.exists_one(b, isCIDR(b.address) \
              && cidr(a.address).ip() == cidr(b.address).ip()))",
        message: "two entries for one address; leave one out",
        broken: |spec| {
            let mut seen = HashSet::new();
            let mut parsed = spec.nat_gateways.iter().filter_map(|g| cidr(&g.address));
            blame_if(!parsed.all(|c| seen.insert(c.address)), "natGateways")
        },
    },
    text("realServerCIDRs[]", CIDR, "not a network; write one such as 10.0.0.0/24", |spec| {
        real_servers(spec, is_no_cidr)
    }),
    text(
        "realServerCIDRs[]",
        NETWORK,
        "bits are set beyond the prefix length; write the network's first address, such as \
                  10.0.0.0/24 for 10.0.0.101/24",
        |spec| real_servers(spec, has_host_bits),
    ),
];

/// What is wrong with one text.
const fn text(
    at: &'static str,
    cel: &'static str,
    message: &'static str,
    broken: fn(&DirectorGroupSpec) -> Vec<String>,
) -> Rule<DirectorGroupSpec> {
    Rule { at, blames: "", cel, message, broken }
}

/// As [`is_everything`] says.
const HAS_LENGTH: &str = "!isCIDR(self) || cidr(self).prefixLength() > 0";

fn is_everything(text: &str) -> bool {
    cidr(text).is_some_and(|cidr| cidr.prefix_length == 0)
}

fn real_servers(spec: &DirectorGroupSpec, broken: impl Fn(&str) -> bool) -> Vec<String> {
    blame_items("realServerCIDRs", &spec.real_server_cidrs, "", |c| broken(c))
}

fn networks(spec: &DirectorGroupSpec, broken: impl Fn(&str) -> bool) -> Vec<String> {
    blame_items("networks", &spec.networks, ".cidr", |n| broken(&n.cidr))
}

fn gateways(spec: &DirectorGroupSpec, broken: impl Fn(&str) -> bool) -> Vec<String> {
    blame_items("natGateways", &spec.nat_gateways, ".address", |g| broken(&g.address))
}
