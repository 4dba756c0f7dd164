//! Timeouts and sysctls of a node that is a director of several groups. There is one set for the whole node, and the
//! agent that sets it and the operator that tells of conflicts go by the same rule.

mod sync;

use crate::Verdict;
use crate::reason;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use lvs_crds::{DirectorGroup, Sysctls, Timeouts};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a node's IPVS is to be set to, as far as its groups say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSettings {
    /// Timeouts; a field that no group sets is `None`.
    pub timeouts: Timeouts,
    /// Sysctls; a field that no group sets is `None`, and has its default.
    pub sysctls: Sysctls,
}

/// The order in which groups have their say on a common director: the oldest first, and of one age, as those that have no
/// creation time (they came from files), by name.
pub fn seniority(group: &DirectorGroup) -> (bool, Option<Time>, String) {
    let created = group.creation_timestamp();
    (created.is_none(), created, group.name_any())
}

/// The settings of a node that is a director of all these groups, in whatever order they come: each field from the
/// first group by [`seniority`] that sets it.
pub fn node_settings<'a>(groups: impl IntoIterator<Item = &'a DirectorGroup>) -> NodeSettings {
    let mut timeouts = Map::new();
    let mut sysctls = Map::new();
    for ((part, field), (value, _)) in in_force(groups) {
        let map = if part == TIMEOUTS { &mut timeouts } else { &mut sysctls };
        map.insert(field, value);
    }
    NodeSettings { timeouts: typed(timeouts), sysctls: typed(sysctls) }
}

const TIMEOUTS: &str = "timeouts";
const SYSCTLS: &str = "sysctls";

/// Part of the spec and field of it.
type Field = (&'static str, String);

/// Each field's value, and whose it is.
fn in_force<'a>(
    groups: impl IntoIterator<Item = &'a DirectorGroup>,
) -> BTreeMap<Field, (Value, String)> {
    let mut groups: Vec<&DirectorGroup> = groups.into_iter().collect();
    groups.sort_by_cached_key(|group| seniority(group));
    let mut settings = BTreeMap::new();
    for group in groups {
        for (field, value) in fields(group) {
            settings.entry(field).or_insert_with(|| (value, group.name_any()));
        }
    }
    settings
}

/// What a group sets: by way of JSON, so that no field can be forgotten here.
fn fields(group: &DirectorGroup) -> Vec<(Field, Value)> {
    let timeouts = group.spec.timeouts.as_ref().map(map).unwrap_or_default();
    let sysctls = group.spec.sysctls.as_ref().map(map).unwrap_or_default();
    let timeouts = timeouts.into_iter().map(|(name, value)| ((TIMEOUTS, name), value));
    let sysctls = sysctls.into_iter().map(|(name, value)| ((SYSCTLS, name), value));
    timeouts.chain(sysctls).collect()
}

fn map<T: Serialize>(part: &T) -> Map<String, Value> {
    match serde_json::to_value(part) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn typed<T: DeserializeOwned + Default>(fields: Map<String, Value>) -> T {
    serde_json::from_value(Value::Object(fields)).unwrap_or_default()
}

/// Whether a group sets something on a node that another group has the say on. `nodes` are its directors with the other
/// groups of each.
pub(super) fn conflicted<'a>(
    group: &'a DirectorGroup,
    nodes: impl IntoIterator<Item = (&'a str, Vec<&'a DirectorGroup>)>,
) -> Verdict {
    let nodes: Vec<_> = nodes.into_iter().collect();
    for (node, others) in nodes.iter().filter(|(_, others)| !others.is_empty()) {
        let settings = in_force(others.iter().copied().chain([group]));
        for (field, value) in fields(group) {
            let Some((counts, by)) = settings.get(&field).filter(|(counts, _)| *counts != value)
            else {
                continue;
            };
            let (part, name) = field;
            let message = format!(
                "spec.{part}.{name}: {value} does not count on node {node}, which is a director of DirectorGroup {by} too: \
                 that one is older and has {counts}; set the same value in both, leave it out here, or give the groups \
                 nodes of their own"
            );
            return Verdict::yes(reason::SETTINGS_CONFLICT, message);
        }
    }
    match sync::conflict(group, &nodes) {
        Some(message) => Verdict::yes(reason::SETTINGS_CONFLICT, message),
        None => Verdict::no(reason::AS_EXPECTED, "The directors are set as this group says."),
    }
}

#[cfg(test)]
mod tests;
