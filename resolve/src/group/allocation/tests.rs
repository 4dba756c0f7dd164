use super::*;
use crate::{GroupResolution, NodeFacts, resolve_group};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lvs_crds::LVSNode;
use serde_json::{Value, json};

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("d{number:02}")).collect()
}

/// Every node is a director of every group.
fn cluster(nodes: usize) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for name in names(nodes) {
        snapshot.set_node(&name, NodeFacts::default());
    }
    snapshot
}

fn put(snapshot: &mut Snapshot, name: &str, created: Option<&str>, spec: Value) {
    let group = serde_json::from_value(json!({
        "apiVersion": "kube-lvs.io/v1alpha1", "kind": "DirectorGroup",
        "metadata": {"name": name, "creationTimestamp": created}, "spec": spec,
    }));
    snapshot.set_director_group(group.unwrap());
}

const OLD: Option<&str> = Some("2026-01-01T00:00:00Z");
const YOUNG: Option<&str> = Some("2026-02-01T00:00:00Z");

/// Resolves a group and writes its status, as the operator does.
fn settle(snapshot: &mut Snapshot, name: &str) -> GroupResolution {
    let found = resolve_group(name, snapshot).unwrap();
    let now = Time("2026-03-01T00:00:00Z".parse().unwrap());
    let status = crate::director_group_status(name, &found, snapshot, &now);
    let mut group = (**snapshot.director_group(name).unwrap()).clone();
    group.status = Some(status);
    snapshot.set_director_group(group);
    found
}

fn ids(found: &GroupResolution) -> Vec<i32> {
    found.virtual_routers.iter().map(|router| router.id).chain(found.presence_id).collect()
}

fn hears(snapshot: &mut Snapshot, node: &str, strangers: &[(i32, &str)]) {
    let strangers: Vec<Value> =
        strangers.iter().map(|(id, address)| json!({"id": id, "address": address})).collect();
    let report: LVSNode = serde_json::from_value(json!({
        "apiVersion": "kube-lvs.io/v1alpha1", "kind": "LVSNode", "metadata": {"name": node},
        "spec": {}, "status": {"strangers": strangers},
    }))
    .unwrap();
    snapshot.set_lvs_node(report);
}

#[test]
fn every_number_of_directors_gets_ids_of_its_own() {
    for count in 1..=32 {
        let mut snapshot = cluster(count);
        put(&mut snapshot, "g", OLD, json!({}));
        let found = settle(&mut snapshot, "g");
        let own = ids(&found);
        let routers = count * (count - 1).min(7);
        assert_eq!(own.len(), if count > 1 { routers + 1 } else { 0 }, "{count}");
        assert_eq!(own.iter().collect::<BTreeSet<_>>().len(), own.len(), "{count}");
        assert!(own.iter().all(|id| ALL.contains(id)), "{count}");
        assert_eq!(found.sync_id.is_some(), count > 1, "{count}");
        assert_eq!(found.problems, [], "{count}");
        assert_eq!(settle(&mut snapshot, "g"), found, "{count}: again");
    }
}

#[test]
fn a_virtual_router_keeps_its_id_while_directors_come_and_go() {
    let mut snapshot = cluster(4);
    put(&mut snapshot, "g", OLD, json!({}));
    let before = settle(&mut snapshot, "g");
    snapshot.remove_node("d01");
    let without = settle(&mut snapshot, "g");
    assert_eq!(without.virtual_routers.len(), 6);
    assert!(without.virtual_routers.iter().all(|router| before.virtual_routers.contains(router)));
    snapshot.set_node("d05", NodeFacts::default());
    let with = settle(&mut snapshot, "g");
    assert!(without.virtual_routers.iter().all(|router| with.virtual_routers.contains(router)));
    assert_eq!(with.virtual_routers.len(), 12);
    assert_eq!((before.presence_id, before.sync_id), (with.presence_id, with.sync_id));
}

#[test]
fn an_id_that_was_given_up_is_nobody_elses_in_the_same_step() {
    let mut snapshot = cluster(3);
    put(
        &mut snapshot,
        "g",
        OLD,
        json!({"failover": {"virtualRouterIDs": {"first": 1, "last": 40}}}),
    );
    let last = settle(&mut snapshot, "g");
    for node in ["d01", "d02", "d03"] {
        snapshot.remove_node(node);
    }
    for node in ["e01", "e02", "e03"] {
        snapshot.set_node(node, NodeFacts::default());
    }
    let moved = settle(&mut snapshot, "g");
    assert_eq!(moved.virtual_routers.len(), 6);
    assert!(moved.virtual_routers.iter().all(|it| !ids(&last).contains(&it.id)), "{moved:?}");
}

#[test]
fn groups_share_no_id_and_the_older_keeps_what_two_have() {
    let mut snapshot = cluster(8);
    for (name, created) in [("young", YOUNG), ("old", OLD)] {
        put(&mut snapshot, name, created, json!({}));
    }
    let young = settle(&mut snapshot, "young");
    let old = settle(&mut snapshot, "old");
    let both: BTreeSet<i32> = ids(&young).into_iter().chain(ids(&old)).collect();
    assert_eq!(both.len(), 114);
    assert_ne!(young.sync_id, old.sync_id);
    // As if two operators had chosen at once.
    let mut twin = (**snapshot.director_group("young").unwrap()).clone();
    twin.status = snapshot.director_group("old").unwrap().status.clone();
    snapshot.set_director_group(twin);
    assert_eq!(settle(&mut snapshot, "old"), old);
    let moved = settle(&mut snapshot, "young");
    assert!(ids(&moved).iter().all(|id| !ids(&old).contains(id)));
    assert_ne!(moved.sync_id, old.sync_id);
}

#[test]
fn ids_stay_in_the_range_and_clear_of_strangers() {
    let range = json!({"failover": {"virtualRouterIDs": {"first": 100, "last": 110}}});
    let mut snapshot = cluster(3);
    put(&mut snapshot, "g", OLD, range);
    let found = settle(&mut snapshot, "g");
    assert!(ids(&found).iter().all(|id| (100..=110).contains(id)), "{found:?}");
    let (first, rest) = (found.virtual_routers[0].clone(), &found.virtual_routers[1..]);
    hears(&mut snapshot, "d02", &[(first.id, "192.0.2.77"), (1, "192.0.2.77")]);
    let moved = settle(&mut snapshot, "g");
    assert_eq!(&moved.virtual_routers[1..], rest, "nothing else moves");
    assert_ne!(moved.virtual_routers[0].id, first.id);
    assert_eq!(moved.virtual_routers[0].home, first.home);
    assert_eq!(moved.problems, []);
    // A director that has left, heard until it has handed over.
    let address = "10.0.0.9".parse().unwrap();
    snapshot.set_node("d03", NodeFacts { addresses: vec![address], ..NodeFacts::default() });
    hears(&mut snapshot, "d03", &[]);
    hears(&mut snapshot, "d02", &[(1, "192.0.2.77"), (moved.virtual_routers[1].id, "10.0.0.9")]);
    assert_eq!(settle(&mut snapshot, "g").virtual_routers, moved.virtual_routers);
}

#[test]
fn of_too_few_ids_each_director_has_its_share_and_the_group_says_so() {
    let range = |last: i32| json!({"failover": {"virtualRouterIDs": {"first": 11, "last": last}}});
    let mut snapshot = cluster(3);
    for (last, homes, told) in [
        (17, 3, None),
        (16, 3, Some("what a director leaves spreads over fewer")),
        (14, 3, Some("3 directors need 7 virtual router ids, and of 11 to 14 there are 4 free")),
        (13, 2, Some("1 of the directors carry VIPs only while others are out")),
        (11, 0, Some("there is 1 free, so nothing fails over")),
    ] {
        put(&mut snapshot, "g", OLD, range(last));
        let found = settle(&mut snapshot, "g");
        assert!(found.presence_id.is_some(), "{last}");
        let home: BTreeSet<_> = found.virtual_routers.iter().map(|router| &router.home).collect();
        assert_eq!(home.len(), homes, "{last}");
        match (told, found.problems.as_slice()) {
            (None, []) => {}
            (Some(told), [(reason, text)]) => {
                assert_eq!(*reason, "TooFewVirtualRouterIDs");
                assert!(text.contains(told), "{text}");
            }
            (_, problems) => panic!("{last}: {problems:?}"),
        }
    }
    // A director that comes gets one, though the others have all.
    put(&mut snapshot, "g", OLD, range(17));
    settle(&mut snapshot, "g");
    snapshot.set_node("d04", NodeFacts::default());
    let found = settle(&mut snapshot, "g");
    let of_new = found.virtual_routers.iter().filter(|router| router.home == "d04").count();
    assert_eq!((of_new, found.virtual_routers.len()), (1, 6));
    hears(&mut snapshot, "d01", &[(12, "192.0.2.77")]);
    let text = &settle(&mut snapshot, "g").problems[0].1;
    assert!(text.contains("are 6 free (1 is in use by somebody else on the link)"), "{text}");
}

/// One machine's snapshot of groups with members by name.
fn alone(node: &str, groups: &[(&str, &[String])]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.set_only_node(node);
    for (name, nodes) in groups {
        put(&mut snapshot, name, None, by_name(nodes));
    }
    snapshot
}

fn by_name(nodes: &[String]) -> Value {
    let members: Vec<Value> = nodes.iter().map(|node| json!({"node": node})).collect();
    json!({"members": members})
}

/// Two agents that never speak, one of them with another past; so many ids that some have to give way to others.
#[test]
fn without_a_cluster_ids_follow_from_the_specs_alone() {
    let all = names(21);
    let (before, after, few) = (&all[..20], &all[1..], &all[..9]);
    let mut a = alone("d02", &[("g", before), ("h", few)]);
    for group in ["g", "h"] {
        settle(&mut a, group);
    }
    // Edited, with the status that it had.
    let mut edited = (**a.director_group("g").unwrap()).clone();
    edited.spec = serde_json::from_value(by_name(after)).unwrap();
    let heard = edited.status.as_ref().unwrap().virtual_routers[0].id;
    a.set_director_group(edited);
    hears(&mut a, "d02", &[(heard, "192.0.2.77")]);
    let reversed: Vec<String> = after.iter().rev().cloned().collect();
    let mut b = alone("d03", &[("h", few), ("g", &reversed)]);
    for group in ["h", "g"] {
        let (a, b) = (settle(&mut a, group), settle(&mut b, group));
        assert_eq!(a.virtual_routers, b.virtual_routers, "{group}");
        assert_eq!((a.presence_id, a.sync_id), (b.presence_id, b.sync_id), "{group}");
        assert_eq!(a.members, b.members, "{group}");
    }
    let (g, h) = (settle(&mut a, "g"), settle(&mut a, "h"));
    let both: BTreeSet<i32> = ids(&g).into_iter().chain(ids(&h)).collect();
    assert_eq!(both.len(), 20 * 7 + 1 + 9 * 7 + 1);
    assert_ne!(g.sync_id, h.sync_id);
}

#[test]
fn without_a_cluster_a_change_of_the_list_moves_few_ids() {
    let all = names(4);
    let before = settle(&mut alone("d01", &[("g", &all[..3])]), "g");
    let after =
        settle(&mut alone("d01", &[("g", &[all[0].clone(), all[2].clone(), all[3].clone()])]), "g");
    let stay = after.virtual_routers.iter().filter(|r| before.virtual_routers.contains(r));
    assert_eq!(stay.count(), 4, "those of the two that are in both");
}

#[test]
fn a_sync_id_is_the_specs_or_one_that_no_other_group_has() {
    let mut snapshot = cluster(2);
    let fixed = |id: i32| json!({"connectionSync": {"syncID": id}});
    put(&mut snapshot, "a", OLD, json!({}));
    let chosen = settle(&mut snapshot, "a").sync_id.unwrap();
    put(&mut snapshot, "b", YOUNG, fixed(chosen));
    assert_eq!(settle(&mut snapshot, "b").sync_id, Some(chosen));
    let mut again = (**snapshot.director_group("a").unwrap()).clone();
    again.status.as_mut().unwrap().sync_id = Some(chosen);
    snapshot.set_director_group(again);
    let moved = settle(&mut snapshot, "a");
    assert_ne!(moved.sync_id, Some(chosen), "the older gives way to what another spec fixes");
    assert_eq!(moved.problems, []);
    put(&mut snapshot, "a", OLD, fixed(chosen));
    let both = settle(&mut snapshot, "a");
    assert_eq!(both.sync_id, Some(chosen));
    assert!(both.problems[0].1.contains("DirectorGroup b has"), "{:?}", both.problems);
    put(&mut snapshot, "b", YOUNG, json!({"connectionSync": {"enabled": false, "syncID": chosen}}));
    assert_eq!(settle(&mut snapshot, "b").sync_id, None);
    assert_eq!(settle(&mut snapshot, "a").problems, []);
}

#[test]
fn a_sync_id_of_a_younger_group_or_of_anothers_file_is_not_chosen() {
    let mut snapshot = cluster(2);
    put(&mut snapshot, "g", OLD, json!({}));
    let chosen = resolve_group("g", &snapshot).unwrap().sync_id;
    put(&mut snapshot, "young", YOUNG, json!({}));
    settle(&mut snapshot, "young");
    let mut young = (**snapshot.director_group("young").unwrap()).clone();
    young.status.as_mut().unwrap().sync_id = chosen;
    snapshot.set_director_group(young);
    assert_ne!(settle(&mut snapshot, "g").sync_id, chosen);
    // Without a cluster.
    let both = names(2);
    let chosen = settle(&mut alone("d01", &[("g", &both)]), "g").sync_id;
    let mut snapshot = alone("d01", &[("g", &both)]);
    let mut fixed = by_name(&both);
    fixed["connectionSync"] = json!({"syncID": chosen});
    put(&mut snapshot, "h", None, fixed);
    assert_ne!(settle(&mut snapshot, "g").sync_id, chosen);
    assert_eq!(settle(&mut snapshot, "h").sync_id, chosen);
}

#[test]
fn with_no_sync_id_left_connections_are_not_synced_and_the_group_says_so() {
    let mut snapshot = cluster(2);
    for id in ALL {
        let spec = json!({"connectionSync": {"syncID": id}});
        put(&mut snapshot, &format!("g{id}"), OLD, spec);
    }
    put(&mut snapshot, "late", YOUNG, json!({}));
    let found = settle(&mut snapshot, "late");
    assert_eq!(found.sync_id, None);
    let [(reason, text)] = found.problems.as_slice() else { panic!("{:?}", found.problems) };
    assert_eq!(*reason, "NoFreeSyncID");
    assert!(text.contains("spec.connectionSync.syncID"), "{text}");
}
