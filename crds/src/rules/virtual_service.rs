//! The rules of a VirtualService's spec.

use super::net::{ip, is_global_unicast, is_netmask};
use super::{Rule, blame_if, blame_items, names};
use crate::{Forwarding, SchedulerFlag, VirtualServiceSpec};
use std::collections::HashSet;

/// Slices are named `<name>-<number>`, and have to stay below Kubernetes' 253.
pub(super) const MAX_NAME: i64 = 240;

/// ipvsadm's limit, in seconds. Not the schema's `maximum`: the API server would print it as 2.6784e+06.
const MAX_PERSISTENCE: i32 = 31 * 24 * 60 * 60;

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
        at: "addresses",
        blames: "",
        cel: "self.filter(a, isIP(a) && ip(a).family() == 4).size() <= 1 \
              && self.filter(a, isIP(a) && ip(a).family() == 6).size() <= 1",
        message: "two of one family; give at most one IPv4 and one IPv6 address, and make another \
                  VirtualService for a further VIP",
        broken: |spec| {
            let ips: Vec<_> = spec.addresses.iter().filter_map(|a| ip(a)).collect();
            let v4 = ips.iter().filter(|a| a.is_ipv4()).count();
            blame_if(v4 > 1 || ips.len() - v4 > 1, "addresses")
        },
    },
    Rule {
        at: "ports[].name",
        blames: "",
        cel: "!format.dns1123Label().validate(self).hasValue()",
        message: "not a port name; use lower-case letters, digits and '-', at most 63, with a letter or digit \
                  at both ends",
        broken: |spec| {
            blame_items("ports", &spec.ports, ".name", |p| {
                p.name.as_deref().is_some_and(|name| !names::is_dns_label(name))
            })
        },
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
        at: "",
        blames: ".ports",
        cel: "self.forwarding == 'NAT' || self.ports.all(p, !has(p.targetPort) || p.targetPort == p.port)",
        message: "ports[..].targetPort: DR cannot translate ports; leave targetPort out, or set forwarding: NAT",
        broken: |spec| {
            blame_if(
                spec.forwarding != Forwarding::NAT
                    && spec.ports.iter().any(|p| p.target_port.is_some_and(|t| t != p.port)),
                "ports",
            )
        },
    },
    Rule {
        at: "",
        blames: ".schedulerFlags",
        cel: "self.scheduler == 'sh' || !has(self.schedulerFlags) \
              || !self.schedulerFlags.exists(f, f in ['shFallback', 'shPort'])",
        message: "shFallback and shPort are options of the scheduler sh; leave them out, or set \
                  scheduler: sh",
        broken: |spec| foreign_flag(spec, &[SchedulerFlag::ShFallback, SchedulerFlag::ShPort]),
    },
    Rule {
        at: "",
        blames: ".schedulerFlags",
        cel: "self.scheduler == 'mh' || !has(self.schedulerFlags) \
              || !self.schedulerFlags.exists(f, f in ['mhFallback', 'mhPort'])",
        message: "mhFallback and mhPort are options of the scheduler mh; leave them out, or set \
                  scheduler: mh",
        broken: |spec| foreign_flag(spec, &[SchedulerFlag::MhFallback, SchedulerFlag::MhPort]),
    },
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
        cel: r"self.matches('^(255[.]255[.]255[.](255|254|252|248|240|224|192|128|0)|255[.]255[.](254|252|248|240|224|192|128|0)[.]0|255[.](254|252|248|240|224|192|128|0)[.]0[.]0|(254|252|248|240|224|192|128)[.]0[.]0[.]0)$')",
        message: "not a netmask; write one such as 255.255.255.0",
        broken: |spec| {
            blame_if(netmask(spec).is_some_and(|m| !is_netmask(m)), "persistence.ipv4Netmask")
        },
    },
    Rule {
        at: "",
        blames: ".persistence.ipv4Netmask",
        cel: "!has(self.persistence) || !has(self.persistence.ipv4Netmask) \
              || self.addresses.exists(a, isIP(a) && ip(a).family() == 4)",
        message: "it groups IPv4 clients, but addresses has no IPv4 address; leave ipv4Netmask out",
        broken: |spec| {
            let no_v4 = !spec.addresses.iter().any(|a| ip(a).is_some_and(|a| a.is_ipv4()));
            blame_if(netmask(spec).is_some() && no_v4, "persistence.ipv4Netmask")
        },
    },
    Rule {
        at: "directorGroup",
        blames: "",
        cel: "!format.dns1123Subdomain().validate(self).hasValue()",
        message: "not the name of an object; write a DirectorGroup's name, such as default",
        broken: |spec| blame_if(!names::is_dns_subdomain(&spec.director_group), "directorGroup"),
    },
];

fn netmask(spec: &VirtualServiceSpec) -> Option<&str> {
    spec.persistence.as_ref()?.ipv4_netmask.as_deref()
}

fn foreign_flag(spec: &VirtualServiceSpec, flags: &[SchedulerFlag]) -> Vec<String> {
    let foreign = |f: &&SchedulerFlag| flags.contains(f) && f.scheduler() != spec.scheduler;
    blame_if(spec.scheduler_flags.iter().any(|f| foreign(&f)), "schedulerFlags")
}
