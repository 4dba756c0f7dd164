//! Statuses: what an admin reads.

mod director;
mod real_server;
mod virtual_service;

pub(crate) use director::settled;
pub use real_server::{RealServerReport, real_server_status};
pub use virtual_service::virtual_service_status;

use crate::{GroupResolution, Snapshot, Verdict};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use lvs_crds::{DirectorGroupStatus, READY, set_condition};

/// The status of a DirectorGroup.
pub fn director_group_status(
    name: &str,
    resolution: &GroupResolution,
    snapshot: &Snapshot,
    now: &Time,
) -> DirectorGroupStatus {
    let group = snapshot.director_group(name);
    let generation = group.and_then(|g| g.metadata.generation);
    let old = group.and_then(|g| g.status.as_ref());
    let mut conditions = old.map(|s| s.conditions.clone()).unwrap_or_default();
    set(&mut conditions, READY, &resolution.ready, generation, now);
    let names: Vec<&str> = resolution.members.iter().map(|m| m.node.as_str()).collect();
    DirectorGroupStatus {
        observed_generation: generation,
        conditions,
        display: names.join(","),
        members: resolution.members.clone(),
    }
}

fn set(
    conditions: &mut Vec<Condition>,
    type_: &str,
    verdict: &Verdict,
    generation: Option<i64>,
    now: &Time,
) {
    let Verdict { status, reason, message } = verdict;
    set_condition(conditions, type_, *status, reason, message, generation, now);
}
