//! The status of a DirectorGroup.

mod split;

use super::director::text;
use super::{attention, set};
use crate::listing::listing;
use crate::{GroupResolution, Snapshot, Verdict, reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lvs_crds::{CONFLICTED, DEGRADED, DirectorGroupStatus, FailedRole, LVSNodeStatus, READY};
use std::collections::BTreeMap;

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
    set(&mut conditions, DEGRADED, &degraded(name, resolution, snapshot), generation, now);
    let names: Vec<&str> = resolution.members.iter().map(|m| m.node.as_str()).collect();
    DirectorGroupStatus {
        observed_generation: generation,
        conditions,
        display: names.join(","),
        members: resolution.members.clone(),
        virtual_routers: resolution.virtual_routers.clone(),
        presence_id: resolution.presence_id,
        sync_id: resolution.sync_id,
        probers: resolution.probers.clone(),
    }
}

/// What of the group cannot be had, which directors are out, and what agents warn of that concerns no single
/// VirtualService.
fn degraded(name: &str, resolution: &GroupResolution, snapshot: &Snapshot) -> Verdict {
    let group = snapshot.director_group(name);
    let split = group.map(|group| split::problems(name, group, snapshot));
    let mut problems = split.unwrap_or_default();
    problems.extend(resolution.problems.iter().cloned());
    let several = resolution.members.len() > 1;
    for member in &resolution.members {
        let node = &member.node;
        let report = snapshot.lvs_node(node).and_then(|n| n.status.as_ref());
        if several && snapshot.is_silent(node) {
            let text = format!(
                "the agent of node {node} has not reported for long; others carry what it does not, but see that it runs"
            );
            problems.push((reason::AGENT_SILENT, text));
        }
        let Some(report) = report else { continue };
        if several {
            let out = out(name, node, report).into_iter();
            problems.extend(out.map(|text| (reason::DIRECTOR_OUT, text)));
        }
        let whole = report.warnings.iter().filter(|warning| warning.virtual_service.is_none());
        problems.extend(whole.map(|warning| (reason::NODE_WARNING, text(node, warning))));
    }
    if resolution.sync_id.is_some()
        && let Some(mixed) = snapshot.mixed_families(name).next()
    {
        let text = format!(
            "connections are not synced: VirtualService {mixed} has a tunnel to a real server of the other address family, \
             and the kernel has either such real servers or connection sync; give it a DirectorGroup on other nodes"
        );
        problems.push((reason::MIXED_FAMILIES, text));
    }
    attention(&problems)
}

/// What keeps a director from carrying what it should, by its report.
fn out(group: &str, node: &str, report: &LVSNodeStatus) -> Vec<String> {
    let failures = report.failures.iter();
    let whole =
        failures.filter(|f| f.virtual_service.is_none() && f.role != FailedRole::RealServer);
    let mut texts: Vec<String> = whole.map(|failure| text(node, failure)).collect();
    let mut problems: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for router in report.virtual_routers.iter().filter(|router| router.group == group) {
        if let Some(problem) = &router.problem {
            problems.entry(problem).or_default().push(router.id.to_string());
        }
    }
    texts.extend(problems.into_iter().map(|(problem, routers)| {
        format!("node {node} stands back for virtual router {}: {problem}", listing(&routers, 8))
    }));
    texts
}
