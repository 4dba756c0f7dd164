//! Connection sync of a node that is a director of several groups. The kernel has one daemon that tells and one that
//! takes in, so that these are the oldest group's that syncs, whole: with its id, its interface and the rest.

use super::{map, seniority};
use crate::group::directors;
use crate::listing::listing;
use kube::ResourceExt;
use lvs_crds::{ConnectionSync, DirectorGroup};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What of a group's connection sync cannot be had. `nodes` are its directors with the other groups of each.
pub(super) fn conflict(
    group: &DirectorGroup,
    nodes: &[(&str, Vec<&DirectorGroup>)],
) -> Option<String> {
    if nodes.len() < 2 {
        return None;
    }
    let mut as_said = Vec::new();
    let mut otherwise: BTreeMap<String, (&DirectorGroup, Vec<&str>)> = BTreeMap::new();
    for (node, others) in nodes {
        let others = others.iter().copied().filter(|other| directors(other).len() > 1);
        let first = others.filter(|other| is_on(other)).min_by_key(|other| seniority(other));
        match first.filter(|first| seniority(first) < seniority(group)) {
            None => as_said.push(*node),
            Some(first) => {
                otherwise.entry(first.name_any()).or_insert((first, Vec::new())).1.push(node);
            }
        }
    }
    let (by, (first, at)) = otherwise.first_key_value()?;
    let node = at.first().copied().unwrap_or_default();
    if let Some((field, value, counts)) = differs(group, first) {
        let counts = counts.map_or("chooses one".to_owned(), |counts| format!("has {counts}"));
        return Some(format!(
            "spec.connectionSync.{field}: {value} does not count on node {node}, which is a director of DirectorGroup {by} \
             too: a node has one pair of sync daemons, the oldest group's, and that one {counts}; set the same value in \
             both, leave it out here, or give the groups nodes of their own"
        ));
    }
    // A group that does not sync differs in that.
    if as_said.is_empty() && otherwise.len() == 1 {
        return None;
    }
    let others = nodes.iter().map(|(node, _)| *node).filter(|node| !at.contains(node));
    let others: Vec<&str> = others.collect();
    Some(format!(
        "spec.connectionSync: directors {} tell {} of no connections, nor hear of theirs: a node has one pair of sync \
         daemons, the oldest group's, and there that is DirectorGroup {by}; give both groups the same directors, or nodes \
         of their own, or set enabled: false here",
        listing(at, 8),
        listing(&others, 8)
    ))
}

fn is_on(group: &DirectorGroup) -> bool {
    group.spec.connection_sync.as_ref().and_then(|sync| sync.enabled) != Some(false)
}

/// A field that the group sets and that is otherwise in the one that has the say: with its value there, if it has one.
fn differs(group: &DirectorGroup, first: &DirectorGroup) -> Option<(String, Value, Option<Value>)> {
    let set = |group: &DirectorGroup| -> Map<String, Value> {
        group.spec.connection_sync.as_ref().map(map::<ConnectionSync>).unwrap_or_default()
    };
    let theirs = set(first);
    let defaults = json!({"enabled": true, "port": 8848, "ttl": 1});
    let chosen = first.status.as_ref().and_then(|status| status.sync_id).map(Value::from);
    for (field, value) in set(group) {
        let counts = match theirs.get(&field) {
            None if field == "syncID" => chosen.clone(),
            None => defaults.get(&field).cloned(),
            some => some.cloned(),
        };
        if counts.as_ref() != Some(&value) {
            return Some((field, value, counts));
        }
    }
    None
}
