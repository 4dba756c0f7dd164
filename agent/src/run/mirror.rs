//! The kernel as last read, ours and others': what changes are computed against, so that a change of one service
//! needs no reading of the table.

use crate::kernel::{Scope, Services};
use crate::plan::Touched;
use crate::state::{FixtureKind, Made, Observed, ServiceState};
use lvs_ipvs::ServiceKey;
use std::collections::BTreeMap;

/// The part of `mirror` that `touched` names. [`Observed::services`] is `None` where the kernel has no IPVS.
pub(super) fn part(mirror: &Observed, touched: &Touched) -> Observed {
    let pick = |services: &BTreeMap<ServiceKey, ServiceState>| {
        let picked = touched.services.iter();
        picked.filter_map(|key| Some((*key, services.get(key)?.clone()))).collect()
    };
    Observed {
        services: mirror.services.as_ref().map(pick),
        addresses: touched.addresses.intersection(&mirror.addresses).cloned().collect(),
        sysctls: touched
            .sysctls
            .iter()
            .filter_map(|path| Some((path.clone(), mirror.sysctls.get(path)?.clone())))
            .collect(),
        fixtures: touched.fixtures.intersection(&mirror.fixtures).copied().collect(),
        connections: None,
        unseen: BTreeMap::new(),
    }
}

/// Takes in what was read within `scope`.
pub(super) fn absorb(mirror: &mut Observed, scope: &Scope, read: Observed) {
    match &scope.services {
        Services::None => {}
        Services::All { .. } => mirror.services = read.services,
        Services::These(keys) => match read.services {
            None => mirror.services = None,
            Some(mut read) => {
                let services = mirror.services.get_or_insert_default();
                for key in keys {
                    match read.remove(key) {
                        Some(state) => services.insert(*key, state),
                        None => services.remove(key),
                    };
                }
            }
        },
    }
    if scope.addresses {
        mirror.addresses = read.addresses;
    }
    for element in &scope.elements {
        if !read.fixtures.contains(element) && !read.unseen.contains_key(&element.kind()) {
            mirror.fixtures.remove(element);
        }
    }
    if scope.fixtures.is_empty() {
        mirror.unseen.extend(read.unseen);
        mirror.fixtures.extend(read.fixtures);
    } else {
        let asked = |kind: &FixtureKind| scope.fixtures.contains(kind);
        mirror.unseen.retain(|kind, _| !asked(kind));
        mirror.unseen.extend(read.unseen);
        let unseen = &mirror.unseen;
        mirror
            .fixtures
            .retain(|fixture| !asked(&fixture.kind()) || unseen.contains_key(&fixture.kind()));
        mirror.fixtures.extend(read.fixtures);
    }
    for path in &scope.sysctls {
        match read.sysctls.get(path) {
            Some(value) => mirror.sysctls.insert(path.clone(), value.clone()),
            None => mirror.sysctls.remove(path),
        };
    }
}

/// Where two readings differ.
pub(super) fn changes(old: &Observed, new: &Observed) -> Touched {
    let none = BTreeMap::new();
    let (was, is) =
        (old.services.as_ref().unwrap_or(&none), new.services.as_ref().unwrap_or(&none));
    let differing = |key: &&ServiceKey| was.get(key) != is.get(key);
    let mut touched = Touched::default();
    touched.services.extend(was.keys().filter(differing));
    touched.services.extend(is.keys().filter(|key| !was.contains_key(key)));
    touched.addresses.extend(old.addresses.symmetric_difference(&new.addresses).cloned());
    touched.fixtures.extend(old.fixtures.symmetric_difference(&new.fixtures).copied());
    for path in old.sysctls.keys().chain(new.sysctls.keys()) {
        if old.sysctls.get(path) != new.sysctls.get(path) {
            touched.sysctls.insert(path.clone());
        }
    }
    touched
}

/// What has become of one thing of ours, for people.
pub(super) fn describe(made: &Made, old: &Observed, new: &Observed) -> String {
    match made {
        Made::Service(key) => {
            let state = |of: &Observed| of.services.as_ref().and_then(|all| all.get(key).cloned());
            match (state(old), state(new)) {
                (_, None) => format!("service {key} was gone"),
                (None, Some(_)) => format!("service {key} had come"),
                (Some(old), Some(new)) if old.service != new.service => {
                    format!("service {key} was changed: {}", service_text(&new))
                }
                (Some(old), Some(new)) => format!("service {key}: {}", destinations(&old, &new)),
            }
        }
        Made::Address(address) => {
            let verb =
                if new.addresses.contains(address) { "had come to" } else { "was gone from" };
            format!("address {} {verb} {}", address.address, address.interface)
        }
        Made::Sysctl(path) => {
            let value = |of: &Observed| of.sysctls.get(path).cloned().unwrap_or("absent".into());
            format!("sysctl {path} was {} instead of {}", value(new), value(old))
        }
        Made::Fixture(fixture) if new.fixtures.contains(fixture) => {
            format!("the {fixture} had come")
        }
        Made::Fixture(fixture) => format!("the {fixture} was gone"),
    }
}

fn destinations(old: &ServiceState, new: &ServiceState) -> String {
    for (key, destination) in &old.destinations {
        match new.destinations.get(key) {
            None => return format!("destination {key} was gone"),
            Some(found) if found.weight != destination.weight => {
                let (is, was) = (found.weight, destination.weight);
                return format!("destination {key} had weight {is} instead of {was}");
            }
            Some(found) if found != destination => {
                return format!("destination {key} was changed: {}", found.forwarding);
            }
            Some(_) => {}
        }
    }
    match new.destinations.keys().find(|key| !old.destinations.contains_key(key)) {
        Some(key) => format!("destination {key} had come"),
        None => "was changed".to_owned(),
    }
}

/// A service as the kernel has it, in short.
pub(super) fn service_text(state: &ServiceState) -> String {
    let service = &state.service;
    let flags =
        if service.flags.is_empty() { String::new() } else { format!(" {}", service.flags) };
    format!("scheduler {}{flags}, {} destinations", service.scheduler, state.destinations.len())
}
