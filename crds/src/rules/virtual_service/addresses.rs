//! The VIPs.

use super::super::net::{ip, is_global_unicast};
use super::{Rule, blame_if, blame_items, destinations};
use crate::VirtualServiceSpec;
use std::collections::HashSet;

pub(super) const RULES: &[Rule<VirtualServiceSpec>] = &[
    Rule {
        at: "addresses[]",
        blames: "",
        cel: "isIP(self)",
        message: "not an IP address; write one such as 192.168.0.10 or 2001:db8::10, without prefix length",
        broken: |spec| blame_items("addresses", &spec.addresses, "", |a| ip(a).is_none()),
    },
    Rule {
        at: "addresses[]",
        blames: "",
        cel: "!isIP(self) || ip(self).isGlobalUnicast()",
        message: "an unspecified, loopback, link-local, multicast or broadcast address cannot be a VIP; \
                  give a unicast address of the clients' or a routed network",
        broken: |spec| {
            blame_items("addresses", &spec.addresses, "", |a| {
                ip(a).is_some_and(|a| !is_global_unicast(a))
            })
        },
    },
    Rule {
        at: "",
        blames: ".addresses",
        cel: "has(self.addresses) && self.addresses.size() > 0 || has(self.firewallMark) \
              && has(self.firewallMark.destinations) && self.firewallMark.destinations.size() > 0",
        message: "no VIP; give at least one, such as 192.168.0.10, or say by firewallMark.destinations which \
                  networks are balanced",
        broken: |spec| {
            blame_if(spec.addresses.is_empty() && destinations(spec).is_empty(), "addresses")
        },
    },
    Rule {
        at: "",
        blames: ".addresses",
        cel: "has(self.firewallMark) || !has(self.addresses) \
              || self.addresses.filter(a, isIP(a) && ip(a).family() == 4).size() <= 1 \
              && self.addresses.filter(a, isIP(a) && ip(a).family() == 6).size() <= 1",
        message: "two of one family; give at most one IPv4 and one IPv6 address, and make another \
                  VirtualService for a further VIP, or set firewallMark to make one service of several VIPs",
        broken: |spec| {
            let ips: Vec<_> = spec.addresses.iter().filter_map(|a| ip(a)).collect();
            let v4 = ips.iter().filter(|a| a.is_ipv4()).count();
            let several = v4 > 1 || ips.len() - v4 > 1;
            blame_if(spec.firewall_mark.is_none() && several, "addresses")
        },
    },
    Rule {
        at: "",
        blames: ".addresses",
        // Without a mark, two of one family are refused already.
        cel: "!has(self.firewallMark) || !has(self.addresses) || self.addresses.all(a, !isIP(a) \
              || self.addresses.exists_one(b, isIP(b) && ip(a) == ip(b)))",
        message: "one VIP twice; leave one out",
        broken: |spec| {
            let mut seen = HashSet::new();
            let twice = !spec.addresses.iter().filter_map(|a| ip(a)).all(|a| seen.insert(a));
            blame_if(spec.firewall_mark.is_some() && twice, "addresses")
        },
    },
];
