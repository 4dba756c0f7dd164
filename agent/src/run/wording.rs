//! What the engine says of things and operations: to the log, and in the status.

use super::faults::Transitions;
use super::mirror;
use crate::kernel::{Done, FixtureError};
use crate::plan::Fragments;
use crate::state::{Made, Observed, Op};
use lvs_ipvs::Operation;

/// The thing of ours that an operation is about.
pub(super) fn subject(op: &Op) -> Option<Made> {
    Some(match op {
        Op::SetSysctl { path, .. } | Op::RestoreSysctl { path } => Made::Sysctl(path.clone()),
        Op::AddAddress(address) | Op::DelAddress(address) => Made::Address(address.clone()),
        Op::AddFixture(fixture) | Op::DelFixture(fixture) => Made::Fixture(*fixture),
        Op::Ipvs(operation) => Made::Service(match operation {
            Operation::NewService(service) | Operation::SetService(service) => service.key,
            Operation::DelService(key)
            | Operation::NewDestination { service: key, .. }
            | Operation::SetDestination { service: key, .. }
            | Operation::DelDestination { service: key, .. } => *key,
            _ => return None,
        }),
    })
}

/// Whether it takes something away.
pub(super) fn undoes(op: &Op) -> bool {
    matches!(
        op,
        Op::DelAddress(_)
            | Op::DelFixture(_)
            | Op::RestoreSysctl { .. }
            | Op::Ipvs(Operation::DelService(_) | Operation::DelDestination { .. })
    )
}

pub(super) fn describe(op: &Op) -> String {
    match op {
        Op::SetSysctl { path, value } => format!("set sysctl {path} to {value}"),
        Op::RestoreSysctl { path } => format!("put sysctl {path} back"),
        Op::AddAddress(held) => format!("add address {} to {}", held.address, held.interface),
        Op::DelAddress(held) => format!("remove address {} from {}", held.address, held.interface),
        Op::AddFixture(fixture) => format!("make the {fixture}"),
        Op::DelFixture(fixture) => format!("remove the {fixture}"),
        Op::Ipvs(operation) => operation.to_string(),
    }
}

/// What was found in place of what an operation should have made.
pub(super) fn reading(op: &Op, found: &Observed) -> String {
    match op {
        Op::SetSysctl { path, .. } | Op::RestoreSysctl { path } => {
            found.sysctls.get(path).cloned().unwrap_or_else(|| "no such file".to_owned())
        }
        Op::AddFixture(_) => "no such thing".to_owned(),
        Op::DelFixture(_) => "it still".to_owned(),
        Op::AddAddress(_) => "no such address".to_owned(),
        Op::DelAddress(_) => "the address still".to_owned(),
        Op::Ipvs(operation) => {
            let Some(Made::Service(key)) = subject(op) else { return "nothing".to_owned() };
            let Some(state) = found.services.as_ref().and_then(|all| all.get(&key)) else {
                return "no such service".to_owned();
            };
            let destination = match operation {
                Operation::NewDestination { destination, .. }
                | Operation::SetDestination { destination, .. } => destination.key,
                Operation::DelDestination { destination, .. } => *destination,
                _ => return mirror::service_text(state),
            };
            match state.destinations.get(&destination) {
                None => "no such destination".to_owned(),
                Some(found) => format!(
                    "{} weight {} thresholds {}/{}",
                    found.forwarding, found.weight, found.upper_threshold, found.lower_threshold
                ),
            }
        }
    }
}

/// Another's service is in the way; another's address, exactly as wanted, serves, and only is not removed.
pub(super) fn foreign(made: &Made) -> Option<(String, String)> {
    match made {
        Made::Service(key) => Some((
            "ForeignService".to_owned(),
            format!(
                "service {key} exists and was not made by this agent: remove it (ipvsadm -D) or choose another \
                 address or port"
            ),
        )),
        Made::Fixture(fixture) if !fixture.is_nameless() => {
            Some(("ForeignFixture".to_owned(), FixtureError::foreign(fixture).to_string()))
        }
        Made::Address(_) | Made::Sysctl(_) | Made::Fixture(_) => None,
    }
}

pub(super) fn told(op: &Op, done: &Done) {
    match done {
        Done::Changed => tracing::debug!("{}", describe(op)),
        Done::Foreign => {
            tracing::info!("{}: it stands already and is not ours; it will stay", describe(op));
        }
        Done::TakenOver { value } => {
            tracing::info!("{}: somebody has set it to {value} since; it stays", describe(op));
        }
        Done::Left { because } => tracing::info!("{}: it stays: {because}", describe(op)),
    }
}

pub(super) fn log(fragments: &Fragments, transitions: &Transitions) {
    for (made, reason, message) in &transitions.failed {
        let object = owners_text(fragments, made);
        tracing::warn!(object, reason, "{message}");
    }
    for made in &transitions.well {
        let object = owners_text(fragments, made);
        tracing::info!(object, "{} is as it should be again", thing(made));
    }
}

/// A thing of ours, for people.
pub(super) fn thing(made: &Made) -> String {
    match made {
        Made::Service(key) => format!("service {key}"),
        Made::Address(held) => format!("address {} on {}", held.address, held.interface),
        Made::Sysctl(path) => format!("sysctl {path}"),
        Made::Fixture(fixture) => fixture.to_string(),
    }
}

fn owners_text(fragments: &Fragments, made: &Made) -> String {
    match fragments.owners(made).as_slice() {
        [] => thing(made),
        [owner] => owner.to_string(),
        [owner, rest @ ..] => format!("{owner} and {} more", rest.len()),
    }
}
