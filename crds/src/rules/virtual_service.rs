//! The rules of a VirtualService's spec, by subject.

mod addresses;
mod firewall_mark;
mod health;
mod persistence;
mod ports;
mod scheduling;

use super::net::{cidr, ip};
use super::{Rule, blame_if, blame_items, names};
use crate::{FirewallMark, VirtualServiceSpec};

/// Slices are named `<name>-<number>`, and have to stay below Kubernetes' 253.
pub(super) const MAX_NAME: i64 = 240;

pub(super) const RULES: &[&[Rule<VirtualServiceSpec>]] = &[
    addresses::RULES,
    ports::RULES,
    firewall_mark::RULES,
    scheduling::RULES,
    persistence::RULES,
    health::RULES,
    &[DIRECTOR_GROUP],
];

const DIRECTOR_GROUP: Rule<VirtualServiceSpec> = Rule {
    at: "directorGroup",
    blames: "",
    cel: "!format.dns1123Subdomain().validate(self).hasValue()",
    message: "not the name of an object; write a DirectorGroup's name, such as default",
    broken: |spec| blame_if(!names::is_dns_subdomain(&spec.director_group), "directorGroup"),
};

fn destinations(spec: &VirtualServiceSpec) -> &[String] {
    spec.firewall_mark
        .as_ref()
        .map(|m: &FirewallMark| m.destinations.as_slice())
        .unwrap_or_default()
}

/// Whether there is anything of the IPv4 (or IPv6) family to connect to: a VIP, or a destination behind the directors.
fn has_family(spec: &VirtualServiceSpec, v4: bool) -> bool {
    let vips = spec.addresses.iter().filter_map(|a| ip(a));
    let networks = destinations(spec).iter().filter_map(|d| cidr(d)).map(|c| c.address);
    vips.chain(networks).any(|address| address.is_ipv4() == v4)
}
