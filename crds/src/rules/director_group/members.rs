//! Directors by name.

use super::super::net::{ip, is_global_unicast};
use super::{Rule, blame_if, blame_items, names};
use crate::{DirectorGroupSpec, Member};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

pub(super) const RULES: &[Rule<DirectorGroupSpec>] = &[
    Rule {
        at: "",
        blames: ".nodeSelector",
        cel: "!has(self.members) || self.members.size() == 0 || !has(self.nodeSelector) \
              || (!has(self.nodeSelector.matchLabels) || self.nodeSelector.matchLabels.size() == 0) \
              && (!has(self.nodeSelector.matchExpressions) || self.nodeSelector.matchExpressions.size() == 0)",
        message: "members name the directors already; leave nodeSelector out, or members",
        broken: |spec| {
            let labels = spec.node_selector.match_labels.as_ref().is_some_and(|l| !l.is_empty());
            let expressions = spec.node_selector.match_expressions.as_ref();
            let selects = labels || expressions.is_some_and(|e| !e.is_empty());
            blame_if(!spec.members.is_empty() && selects, "nodeSelector")
        },
    },
    Rule {
        at: "members[].node",
        blames: "",
        cel: "!format.dns1123Subdomain().validate(self).hasValue()",
        message: "not the name of a node; write one such as lvs1",
        broken: |spec| {
            blame_items("members", &spec.members, ".node", |m| !names::is_dns_subdomain(&m.node))
        },
    },
    Rule {
        at: "members",
        blames: "",
        cel: "self.all(a, self.exists_one(b, a.node == b.node))",
        message: "one director twice; leave one out",
        broken: |spec| {
            let mut seen = HashSet::new();
            blame_if(!spec.members.iter().all(|m| seen.insert(&m.node)), "members")
        },
    },
    Rule {
        at: "members",
        blames: "",
        cel: "self.size() < 2 || self.all(m, has(m.addresses) && m.addresses.size() > 0)",
        message: "each of several directors needs an address at which the others reach it; give addresses, \
                  such as [10.0.0.1]",
        broken: |spec| {
            let without = spec.members.iter().any(|m| m.addresses.is_empty());
            blame_if(spec.members.len() > 1 && without, "members")
        },
    },
    Rule {
        at: "members[].addresses[]",
        blames: "",
        cel: "isIP(self)",
        message: "not an IP address; write one such as 10.0.0.1, without prefix length",
        broken: |spec| addresses(spec, |a| ip(a).is_none()),
    },
    Rule {
        at: "members[].addresses[]",
        blames: "",
        // RFC 9568 has IPv6 advertisements come from link-local addresses.
        cel: "!isIP(self) || ip(self).isGlobalUnicast() || (ip(self).family() == 6 && ip(self).isLinkLocalUnicast())",
        message: "an unspecified, loopback, multicast or broadcast address, or a link-local one of IPv4, cannot be a \
                  director's; give the unicast address that the others reach it at",
        broken: |spec| {
            let is_local = |a: IpAddr| matches!(a, IpAddr::V6(a) if a.is_unicast_link_local());
            addresses(spec, |a| ip(a).is_some_and(|a| !is_global_unicast(a) && !is_local(a)))
        },
    },
    Rule {
        at: "members",
        blames: "",
        // Link-local ones are reached through one interface, which is that of whose own is one too.
        cel: "!self.exists(m, has(m.addresses) && m.addresses.exists(a, isIP(a) && ip(a).isLinkLocalUnicast())) \
              || self.all(m, has(m.addresses) && m.addresses.exists(a, isIP(a) && ip(a).isLinkLocalUnicast()))",
        message: "some directors have a link-local address and some have none: advertisements go between addresses of one \
                  kind; give each its link-local address, or none of them",
        broken: |spec| {
            let is_local = |a: &String| match ip(a) {
                Some(IpAddr::V4(a)) => a.is_link_local(),
                Some(IpAddr::V6(a)) => a.is_unicast_link_local(),
                None => false,
            };
            let has = |member: &Member| member.addresses.iter().any(is_local);
            let some = spec.members.iter().any(has);
            blame_if(some && !spec.members.iter().all(has), "members")
        },
    },
    Rule {
        at: "members",
        blames: "",
        cel: "self.all(a, !has(a.addresses) || a.addresses.all(x, !isIP(x) || self.exists_one(b, \
              has(b.addresses) && b.addresses.exists(y, isIP(y) && ip(x) == ip(y)))))",
        message: "two directors have one address; give each its own",
        broken: |spec| {
            let mut of: HashMap<IpAddr, usize> = HashMap::new();
            let shared = spec.members.iter().enumerate().any(|(index, member)| {
                let mut addresses = member.addresses.iter().filter_map(|a| ip(a));
                addresses.any(|address| *of.entry(address).or_insert(index) != index)
            });
            blame_if(shared, "members")
        },
    },
    Rule {
        at: "members",
        blames: "",
        // Where one has no valid address at all, that is told already.
        cel: "self.exists(m, !has(m.addresses) || !m.addresses.exists(a, isIP(a))) \
              || self.all(m, m.addresses.exists(a, isIP(a) && ip(a).family() == 4)) \
              || self.all(m, m.addresses.exists(a, isIP(a) && ip(a).family() == 6))",
        message: "no address family that every director has an address of; give each an IPv4 address, or each \
                  an IPv6 address",
        broken: |spec| {
            let has = |m: &Member, v4: bool| {
                m.addresses.iter().filter_map(|a| ip(a)).any(|a| a.is_ipv4() == v4)
            };
            let told = spec.members.iter().any(|m| !has(m, true) && !has(m, false));
            let all = |v4: bool| spec.members.iter().all(|m| has(m, v4));
            blame_if(!told && !all(true) && !all(false), "members")
        },
    },
    Rule {
        at: "members[].macs[]",
        blames: "",
        cel: "self.matches('^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$')",
        message: "not a MAC address; write one such as 02:00:00:00:00:01",
        broken: |spec| items(spec, "macs", |m| &m.macs, |mac| !names::is_mac(mac)),
    },
];

fn addresses(spec: &DirectorGroupSpec, broken: impl Fn(&str) -> bool) -> Vec<String> {
    items(spec, "addresses", |m| &m.addresses, broken)
}

fn items(
    spec: &DirectorGroupSpec,
    field: &str,
    list: impl Fn(&Member) -> &Vec<String>,
    broken: impl Fn(&str) -> bool,
) -> Vec<String> {
    let members = spec.members.iter().enumerate();
    let of = |(index, member): (usize, &Member)| {
        blame_items(&format!("members[{index}].{field}"), list(member), "", |item| broken(item))
    };
    members.flat_map(of).collect()
}
