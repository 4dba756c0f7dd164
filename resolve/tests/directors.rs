//! Who the directors of a group are, and what it says of them.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::Cluster;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use lvs_crds::DirectorGroupStatus;
use lvs_resolve::{director_group_status, resolve_group};
use serde_json::{Value, json};

/// The status that group `g` is to have.
fn status(cluster: &Cluster) -> DirectorGroupStatus {
    let found = resolve_group("g", &cluster.snapshot).unwrap();
    let now = Time("2026-01-01T00:00:00Z".parse().unwrap());
    director_group_status("g", &found, &cluster.snapshot, &now)
}

/// Gives `g` the status that it is to have.
fn settle(cluster: &mut Cluster) -> DirectorGroupStatus {
    let status = status(cluster);
    let mut group = (**cluster.snapshot.director_group("g").unwrap()).clone();
    group.status = Some(status.clone());
    cluster.snapshot.set_director_group(group);
    status
}

fn condition(status: &DirectorGroupStatus, type_: &str) -> Condition {
    status.conditions.iter().find(|c| c.type_ == type_).unwrap().clone()
}

fn says(status: &DirectorGroupStatus, type_: &str) -> String {
    let condition = condition(status, type_);
    format!("{}/{}", condition.status, condition.reason)
}

fn names(status: &DirectorGroupStatus) -> Vec<&str> {
    status.members.iter().map(|member| member.node.as_str()).collect()
}

fn group(cluster: &mut Cluster, spec: Value) {
    cluster.group_of("g", &[], spec);
}

#[test]
fn every_node_that_the_selector_matches_is_a_director() {
    let mut cluster = Cluster::default();
    group(&mut cluster, json!({"nodeSelector": {}}));
    assert_eq!(says(&status(&cluster), "Ready"), "False/NoDirector");
    cluster.node("n2", &["10.0.0.2", "2001:db8::2"]);
    let one = settle(&mut cluster);
    assert_eq!((names(&one), says(&one, "Ready")), (vec!["n2"], "True/Ready".into()));
    assert_eq!((one.virtual_routers.len(), one.presence_id), (0, None));
    cluster.node("n1", &["10.0.0.1"]);
    cluster.report("n2", json!({"macs": ["02:00:00:00:00:02"]}));
    let two = settle(&mut cluster);
    assert_eq!(names(&two), ["n1", "n2"], "by name");
    assert_eq!(two.members[1].addresses, ["10.0.0.2", "2001:db8::2"]);
    assert_eq!(two.members[1].macs, ["02:00:00:00:00:02"]);
    assert_eq!(two.virtual_routers.len(), 2);
    let ready = condition(&two, "Ready");
    assert_eq!(ready.status, "True");
    assert_eq!(ready.message, "2 directors: n1, n2; 1 of them report, not n1.");
    cluster.report("n1", json!({}));
    assert_eq!(condition(&status(&cluster), "Ready").message, "2 directors: n1, n2; all report.");
    cluster.snapshot.set_silent("n2", true);
    let message = condition(&status(&cluster), "Ready").message;
    assert_eq!(message, "2 directors: n1, n2; 1 of them report, not n2.");
}

#[test]
fn of_more_than_32_those_stay_that_are_directors() {
    let mut cluster = Cluster::default();
    group(&mut cluster, json!({"nodeSelector": {}}));
    for number in 10..42 {
        cluster.node(&format!("n{number}"), &[]);
    }
    let full = settle(&mut cluster);
    assert_eq!((full.members.len(), says(&full, "Ready")), (32, "True/Ready".into()));
    for name in ["a", "z"] {
        cluster.node(name, &[]);
    }
    let more = settle(&mut cluster);
    assert_eq!(names(&more), names(&full));
    assert_eq!(more.virtual_routers, full.virtual_routers);
    let ready = condition(&more, "Ready");
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "TooManyDirectors"));
    assert!(ready.message.contains("matches 34 nodes"), "{}", ready.message);
    assert!(ready.message.contains("a, z are no director"), "{}", ready.message);
    cluster.snapshot.remove_node("n10");
    assert_eq!(names(&settle(&mut cluster))[0], "a", "the first by name takes the place");
}

#[test]
fn members_by_name_are_directors_with_what_the_spec_says_of_them() {
    let members = json!([
        {"node": "n2", "addresses": ["192.0.2.2"], "macs": ["02:00:00:00:00:02"]},
        {"node": "n1"},
    ]);
    let mut cluster = Cluster::default();
    cluster.node("n1", &["10.0.0.1"]);
    cluster.node("n3", &["10.0.0.3"]);
    group(&mut cluster, json!({"members": members}));
    let found = settle(&mut cluster);
    assert_eq!(names(&found), ["n1", "n2"]);
    assert_eq!(found.members[0].addresses, ["10.0.0.1"]);
    assert_eq!(found.members[1].addresses, ["192.0.2.2"]);
    assert_eq!(found.members[1].macs, ["02:00:00:00:00:02"]);
    assert_eq!(says(&found, "Degraded"), "True/NoSuchNode");
    let message = condition(&found, "Degraded").message;
    assert!(message.contains("spec.members: there is no node n2"), "{message}");
    // On one machine nobody knows of the others.
    cluster.snapshot.set_only_node("n1");
    let alone = status(&cluster);
    assert_eq!(says(&alone, "Degraded"), "False/AsExpected");
    assert_eq!(condition(&alone, "Ready").message, "2 directors: n1, n2.");
    assert_eq!(names(&alone), ["n1", "n2"]);
}

#[test]
fn what_the_spec_says_of_a_member_comes_before_what_its_node_says() {
    let mut cluster = Cluster::default();
    cluster.node("n1", &["10.0.0.1"]);
    cluster.report("n1", json!({"macs": ["02:00:00:00:00:01"]}));
    let given = json!({"node": "n1", "addresses": ["192.0.2.1"], "macs": ["02:00:00:00:00:99"]});
    group(&mut cluster, json!({"members": [given]}));
    let found = settle(&mut cluster);
    assert_eq!(found.members[0].addresses, ["192.0.2.1"]);
    assert_eq!(found.members[0].macs, ["02:00:00:00:00:99"]);
}

/// A longer list would be refused, and the whole status with it.
#[test]
fn of_many_addresses_as_many_are_told_as_the_status_holds() {
    let mut cluster = Cluster::default();
    let addresses: Vec<String> = (1..=20).map(|number| format!("10.0.0.{number}")).collect();
    cluster.node("n1", &addresses.iter().map(String::as_str).collect::<Vec<_>>());
    let macs: Vec<String> = (10..40).map(|number| format!("02:00:00:00:00:{number}")).collect();
    cluster.report("n1", json!({"macs": macs}));
    group(&mut cluster, json!({"nodeSelector": {}}));
    let found = settle(&mut cluster);
    assert_eq!(found.members[0].addresses, addresses[..8]);
    assert_eq!(found.members[0].macs, macs[..16]);
}

#[test]
fn groups_of_different_nodes_may_be_of_different_minds() {
    let mut cluster = Cluster::default();
    cluster.node("n1", &[]);
    cluster.node("n2", &[]);
    group(&mut cluster, json!({"members": [{"node": "n1"}], "timeouts": {"tcp": 60}}));
    cluster.group_of("a", &["n2"], json!({"timeouts": {"tcp": 7200}}));
    assert_eq!(says(&settle(&mut cluster), "Conflicted"), "False/AsExpected");
    cluster.group_of("a", &["n1"], json!({"timeouts": {"tcp": 7200}}));
    assert_eq!(says(&settle(&mut cluster), "Conflicted"), "True/SettingsConflict");
}

#[test]
fn a_selector_that_cannot_be_evaluated_leaves_the_group_as_it_is() {
    let mut cluster = Cluster::default();
    for name in ["n1", "n2", "n3"] {
        cluster.node(name, &[]);
    }
    group(&mut cluster, json!({"nodeSelector": {}}));
    let before = settle(&mut cluster);
    let mut group = (**cluster.snapshot.director_group("g").unwrap()).clone();
    let bad = json!({"matchExpressions": [{"key": "a", "operator": "In"}]});
    group.spec.node_selector = serde_json::from_value(bad).unwrap();
    cluster.snapshot.set_director_group(group);
    let after = status(&cluster);
    assert_eq!(says(&after, "Ready"), "False/InvalidSelector");
    assert_eq!(after.members, before.members);
    assert_eq!(after.virtual_routers, before.virtual_routers);
    assert_eq!((after.presence_id, after.sync_id), (before.presence_id, before.sync_id));
}

#[test]
fn a_director_that_is_out_degrades_the_group_of_several() {
    let mut cluster = Cluster::default();
    for name in ["n1", "n2"] {
        cluster.node(name, &[]);
        cluster.report(name, json!({}));
    }
    group(&mut cluster, json!({"nodeSelector": {}}));
    let both = settle(&mut cluster);
    assert_eq!(says(&both, "Degraded"), "False/AsExpected");
    let routers: Vec<Value> = both
        .virtual_routers
        .iter()
        .map(|r| json!({"group": "g", "id": r.id, "role": "Standby", "problem": "no interface eth1"}))
        .chain([json!({"group": "other", "id": 1, "role": "Standby", "problem": "else"})])
        .collect();
    cluster.report("n2", json!({"virtualRouters": routers}));
    let out = condition(&settle(&mut cluster), "Degraded");
    assert_eq!((out.status.as_str(), out.reason.as_str()), ("True", "DirectorOut"));
    let ids: Vec<String> = both.virtual_routers.iter().map(|r| r.id.to_string()).collect();
    let told = format!("node n2 stands back for virtual router {}: no interface", ids.join(", "));
    assert!(out.message.contains(&told) && !out.message.contains("else"), "{}", out.message);
    assert_eq!(says(&status(&cluster), "Ready"), "True/Ready");
    let failure = |role: &str, service: Value| {
        let mut failure = json!({"role": role, "reason": "NoIPVS", "message": "load ip_vs"});
        failure.as_object_mut().unwrap().extend(service.as_object().unwrap().clone());
        json!({"failures": [failure], "failureCount": 1})
    };
    cluster.report("n2", failure("Node", json!({})));
    let message = condition(&status(&cluster), "Degraded").message;
    assert!(message.contains("node n2: NoIPVS: load ip_vs"), "{message}");
    for harmless in [
        failure("RealServer", json!({})),
        failure("Director", json!({"namespace": "ns", "virtualService": "web"})),
    ] {
        cluster.report("n2", harmless);
        assert_eq!(says(&status(&cluster), "Degraded"), "False/AsExpected");
    }
    cluster.snapshot.set_silent("n2", true);
    assert_eq!(says(&status(&cluster), "Degraded"), "True/AgentSilent");
    // With one director its services tell it.
    cluster.report("n2", failure("Node", json!({})));
    cluster.snapshot.remove_node("n1");
    assert_eq!(says(&settle(&mut cluster), "Degraded"), "False/AsExpected");
}

#[test]
fn a_tunnel_to_the_other_family_stops_the_groups_connection_sync() {
    let mut cluster = Cluster::default();
    for name in ["n1", "n2"] {
        cluster.node(name, &[]);
    }
    group(&mut cluster, json!({"nodeSelector": {}}));
    settle(&mut cluster);
    let six = json!({"addresses": ["2001:db8::6"], "forwarding": "TUN", "directorGroup": "g"});
    cluster.service("web", six);
    cluster.server("a", json!({"address": "10.0.0.1"}));
    cluster.write(cluster::NS, "web");
    let mixed = condition(&status(&cluster), "Degraded");
    assert_eq!((mixed.status.as_str(), mixed.reason.as_str()), ("True", "MixedFamilies"));
    assert!(mixed.message.contains("VirtualService shop/web"), "{}", mixed.message);
    let mut off = (**cluster.snapshot.director_group("g").unwrap()).clone();
    let on = off.clone();
    off.spec.connection_sync = serde_json::from_value(json!({"enabled": false})).unwrap();
    cluster.snapshot.set_director_group(off);
    assert_eq!(says(&status(&cluster), "Degraded"), "False/AsExpected", "there is nothing to stop");
    cluster.snapshot.set_director_group(on);
    // A VIP of the server's family besides: that one it serves.
    let both = json!({"addresses": ["2001:db8::6", "192.0.2.6"], "forwarding": "TUN", "directorGroup": "g"});
    cluster.service("web", both);
    cluster.write(cluster::NS, "web");
    assert_eq!(says(&status(&cluster), "Degraded"), "False/AsExpected");
}

/// Nobody else's report is to be waited for.
#[test]
fn one_machine_of_several_takes_emptied_slices_down_by_its_own_report() {
    let mut cluster = Cluster::default();
    cluster.snapshot.set_only_node("n1");
    group(&mut cluster, json!({"members": [{"node": "n1"}, {"node": "n2"}]}));
    settle(&mut cluster);
    cluster.service("web", json!({"directorGroup": "g"}));
    for number in 0..101 {
        cluster.server(&format!("s{number:03}"), json!({"address": format!("10.0.0.{number}")}));
    }
    assert_eq!(cluster.write(cluster::NS, "web").len(), 2);
    let key = |name: &str| lvs_resolve::Key::new(cluster::NS, name);
    let second = cluster.snapshot.slice(&key("web-1")).unwrap();
    let last = second.spec.real_servers[0].name.clone();
    cluster.snapshot.remove_real_server(&key(&last));
    cluster.write(cluster::NS, "web");
    assert!(cluster.snapshot.slice(&key("web-1")).is_some(), "until it was read back");
    cluster.report("n1", json!({"programmed": {"resourceVersion": "1000"}}));
    cluster.write(cluster::NS, "web");
    assert!(cluster.snapshot.slice(&key("web-1")).is_none());
}
