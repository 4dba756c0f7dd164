//! Statuses: what an admin reads.

mod director;
mod reach;
mod real_server;
mod virtual_service;

pub(crate) use director::settled;
pub use real_server::{RealServerReport, real_server_status};
pub use virtual_service::virtual_service_status;

use crate::{GroupResolution, Snapshot, Verdict, reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use lvs_crds::{CONFLICTED, DEGRADED, DirectorGroupStatus, READY, set_condition};

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
    set(&mut conditions, CONFLICTED, &resolution.conflicted, generation, now);
    set(&mut conditions, DEGRADED, &degraded(resolution, snapshot), generation, now);
    let names: Vec<&str> = resolution.members.iter().map(|m| m.node.as_str()).collect();
    DirectorGroupStatus {
        observed_generation: generation,
        conditions,
        display: names.join(","),
        members: resolution.members.clone(),
        virtual_routers: resolution.virtual_routers.clone(),
        presence_id: resolution.presence_id,
        sync_id: resolution.sync_id,
    }
}

/// What the directors' agents warn of that concerns no single VirtualService.
fn degraded(resolution: &GroupResolution, snapshot: &Snapshot) -> Verdict {
    let mut problems = resolution.problems.clone();
    for member in &resolution.members {
        let report = snapshot.lvs_node(&member.node).and_then(|n| n.status.as_ref());
        let warnings = report.iter().flat_map(|r| &r.warnings);
        let whole = warnings.filter(|warning| warning.virtual_service.is_none());
        problems.extend(whole.map(|w| (reason::NODE_WARNING, director::text(&member.node, w))));
    }
    attention(&problems)
}

/// Degraded, by all that needs attention; the first problem gives the reason.
fn attention(problems: &[(&str, String)]) -> Verdict {
    let Some((first, _)) = problems.first() else {
        return Verdict::no(reason::AS_EXPECTED, "Nothing needs attention.");
    };
    let more = match problems.len().saturating_sub(3) {
        0 => String::new(),
        more => format!(" And {more} more."),
    };
    let shown: Vec<&str> = problems.iter().take(3).map(|(_, text)| text.as_str()).collect();
    Verdict::yes(first, format!("{}.{more}", shown.join(". ")))
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
