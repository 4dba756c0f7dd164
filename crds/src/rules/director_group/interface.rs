//! Names of interfaces, wherever a DirectorGroup has one.

use super::super::names::is_interface;
use super::{Rule, blame_if, blame_items};
use crate::DirectorGroupSpec;

pub(super) const RULES: &[Rule<DirectorGroupSpec>] = &[
    rule("networks[].interface", |spec| {
        let broken = |it: &crate::Network| is_none(it.interface.as_deref());
        blame_items("networks", &spec.networks, ".interface", broken)
    }),
    rule("natGateways[].interface", |spec| {
        let broken = |it: &crate::NatGateway| is_none(it.interface.as_deref());
        blame_items("natGateways", &spec.nat_gateways, ".interface", broken)
    }),
    rule("failover.interface", |spec| {
        let failover = spec.failover.as_ref();
        let named = failover.and_then(|it| it.interface.as_deref());
        blame_if(is_none(named), "failover.interface")
    }),
    rule("connectionSync.interface", |spec| {
        let sync = spec.connection_sync.as_ref();
        let named = sync.and_then(|it| it.interface.as_deref());
        blame_if(is_none(named), "connectionSync.interface")
    }),
];

/// As [`is_interface`] says.
const fn rule(
    at: &'static str,
    broken: fn(&DirectorGroupSpec) -> Vec<String>,
) -> Rule<DirectorGroupSpec> {
    Rule {
        at,
        blames: "",
        cel: "self.matches('^[!-.0-9;-~]{1,15}$') && self != '.' && self != '..'",
        message: "not the name of a network interface; write one such as eth0: at most 15 characters, no '/', ':' \
                  or space",
        broken,
    }
}

/// One that is given and names none.
fn is_none(name: Option<&str>) -> bool {
    name.is_some_and(|name| !is_interface(name))
}
