//! Events: every transition of a condition, and every repair that an agent reports.

use crate::api::MANAGER;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::Resource;
use kube::api::ObjectMeta;
use lvs_crds::{
    CONFLICTED, DEGRADED, DirectorGroup, REACHABLE_FROM_NODES, READY, SURVIVES_FAILOVER,
};
use lvs_resolve::reason;

/// The longest note that the API server takes is 1,024 bytes.
const LONGEST_NOTE: usize = 1000;

/// What changed from one status' conditions to the next, as events about `object`.
pub(super) fn transitions<K>(
    object: &K,
    before: &[Condition],
    after: &[Condition],
    now: Timestamp,
) -> Vec<Event>
where
    K: Resource<DynamicType = ()>,
{
    let mut events = Vec::new();
    for condition in after.iter().filter(|condition| !is_told_elsewhere::<K>(condition)) {
        let old = before.iter().find(|c| c.type_ == condition.type_);
        let changed = match old {
            // That nobody knows is no news; nor is what Served tells as well.
            _ if condition.status == "Unknown" || condition.reason == reason::NOT_SERVED => false,
            Some(old) => old.status != condition.status || old.reason != condition.reason,
            // A new object's first conditions are no news while all is well, or only on its way.
            // How a mode of forwarding is, is no news either.
            None if condition.type_ == REACHABLE_FROM_NODES => false,
            None => ![reason::PENDING, reason::AS_EXPECTED].contains(&condition.reason.as_str()),
        };
        if changed {
            let note =
                format!("{} is {}: {}", condition.type_, condition.status, condition.message);
            let number = events.len();
            events.push(event(
                object,
                &condition.reason,
                &condition.type_,
                note,
                warns(condition),
                now,
                number,
            ));
        }
    }
    events
}

/// What a group decides for all its services, and whether several directors carry the same: the group tells it once. Ready of
/// others than groups only sums up what its other conditions say.
fn is_told_elsewhere<K: Resource<DynamicType = ()>>(condition: &Condition) -> bool {
    let is_group = K::kind(&()) == DirectorGroup::kind(&());
    let by_group = condition.type_ == SURVIVES_FAILOVER || condition.reason == reason::SPLIT_BRAIN;
    let summed_up = condition.type_ == READY;
    !is_group && (by_group || summed_up)
}

/// One event about `object`; `number` tells events of one moment apart.
pub(super) fn event<K>(
    object: &K,
    reason: &str,
    action: &str,
    mut note: String,
    warning: bool,
    now: Timestamp,
    number: usize,
) -> Event
where
    K: Resource<DynamicType = ()>,
{
    if note.len() > LONGEST_NOTE {
        let end = (0..=LONGEST_NOTE).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0);
        note.truncate(end);
        note.push_str("...");
    }
    let regarding: ObjectReference = object.object_ref(&());
    let name = regarding.name.clone().unwrap_or_default();
    // As client-go names them; events of objects without a namespace stand in `default`.
    let nanoseconds = now.as_nanosecond();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{nanoseconds:x}{number:x}", cut(&name))),
            namespace: Some(regarding.namespace.clone().unwrap_or_else(|| "default".to_owned())),
            ..ObjectMeta::default()
        },
        action: Some(action.to_owned()),
        reason: Some(reason.to_owned()),
        note: Some(note),
        type_: Some(if warning { "Warning" } else { "Normal" }.to_owned()),
        event_time: Some(MicroTime(now)),
        regarding: Some(regarding),
        reporting_controller: Some(MANAGER.to_owned()),
        reporting_instance: Some(MANAGER.to_owned()),
        ..Event::default()
    }
}

/// A moment as statuses show it: whole seconds, as everywhere in Kubernetes.
pub(super) fn seconds(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

fn warns(condition: &Condition) -> bool {
    let on_its_way = condition.reason == reason::PENDING;
    let good = ![DEGRADED, CONFLICTED].contains(&condition.type_.as_str());
    // None that is Unknown comes here.
    let bad = (condition.status == "True") != good && condition.type_ != REACHABLE_FROM_NODES;
    (bad || condition.reason == reason::NO_REAL_SERVERS) && !on_its_way
}

fn cut(name: &str) -> &str {
    name.get(..200).unwrap_or(name)
}
