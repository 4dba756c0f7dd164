//! What Served and Available say, by what those met that ask VIPs as clients do.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, NS, cluster};
use lvs_crds::DirectorGroup;
use serde_json::{Value, json};

/// Directors d1 to d3, of which d1 carries everything; `web` is programmed.
fn three() -> Cluster {
    let mut cluster = cluster();
    let nodes = ["d1", "d2", "d3"];
    let members: Vec<Value> = nodes.iter().map(|node| json!({"node": node})).collect();
    let group: DirectorGroup = serde_json::from_value(json!({
        "apiVersion": "kube-lvs.io/v1alpha1", "kind": "DirectorGroup",
        "metadata": {"name": "default", "generation": 1}, "spec": {},
        "status": {"members": members, "virtualRouters": [{"id": 1, "home": "d1", "number": 0}]},
    }))
    .unwrap();
    cluster.snapshot.set_director_group(group);
    cluster.write(NS, "web");
    cluster.report("d1", carrying("Active", json!([])));
    for node in ["d2", "d3"] {
        cluster.report(node, carrying("Standby", json!([])));
    }
    cluster
}

fn carrying(role: &str, probes: Value) -> Value {
    json!({
        "programmed": {"resourceVersion": "9"}, "probes": probes,
        "virtualRouters": [{"group": "default", "id": 1, "role": role}],
    })
}

fn probes(extra: Value) -> Value {
    let mut probes = json!({
        "group": "default", "resourceVersion": "9", "services": 5, "microseconds": 840
    });
    probes.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!([probes])
}

fn failing(port: Option<&str>, reason: &str) -> Value {
    probes(json!({"unansweredCount": 1, "unanswered": [
        {"address": "192.0.2.10", "port": port, "reason": reason, "message": "no answer from d1"}
    ]}))
}

fn after(d2: Value, d3: Value) -> (String, String, String) {
    let mut cluster = three();
    cluster.report("d2", carrying("Standby", d2));
    cluster.report("d3", carrying("Standby", d3));
    let (served, available) = (cluster.says("web", "Served"), cluster.says("web", "Available"));
    (served, available, cluster.condition("web", "Served").message)
}

#[test]
fn the_word_of_those_that_ask_decides() {
    let well = || probes(json!({}));
    let other = json!({"unansweredCount": 1, "unanswered": [
        {"address": "192.0.2.10", "port": "TCP/81", "reason": "NoAnswer", "message": "no"}
    ]});
    let everything = json!({"unansweredCount": 5, "unlisted": 5});
    let unlisted = json!({"unansweredCount": 3, "unlisted": 2});
    let none = || json!([]);
    let failed = || failing(Some("TCP/80"), "NoAnswer");
    let cases = [
        (well(), well(), "True/Served", "True/Available", "d2 was answered in 0.8 ms"),
        (well(), none(), "True/Served", "True/Available", "d2 was answered"),
        (none(), none(), "Unknown/Pending", "True/Available", "d2"),
        (failed(), failed(), "False/NoAnswer", "False/NotServed", "d2 and d3 were not served at"),
        (
            failed(),
            none(),
            "False/NoAnswer",
            "False/NotServed",
            "192.0.2.10 TCP/80: no answer from d1",
        ),
        (failing(None, "NoNeighbor"), none(), "False/NoNeighbor", "False/NotServed", "d2 was not"),
        (failed(), well(), "Unknown/ProbersDisagree", "True/Available", "d3 was answered"),
        (probes(other), well(), "True/Served", "True/Available", "another port failed"),
        (probes(everything), none(), "False/NoAnswer", "False/NotServed", "none of all 5"),
        (probes(unlisted), none(), "Unknown/Pending", "True/Available", "d3"),
        (failing(None, "CannotAsk"), well(), "True/Served", "True/Available", "d3"),
        (
            failing(None, "CannotAsk"),
            failing(None, "CannotAsk"),
            "Unknown/NobodyAsks",
            "True/Available",
            "Nobody can ask: no answer from d1",
        ),
        (
            probes(json!({"resourceVersion": "0"})),
            probes(json!({"resourceVersion": null})),
            "Unknown/Pending",
            "True/Available",
            "Awaits what",
        ),
    ];
    for (d2, d3, served, available, told) in cases {
        let said = after(d2.clone(), d3.clone());
        assert_eq!(
            (said.0.as_str(), said.1.as_str()),
            (served, available),
            "{d2} {d3}: {}",
            said.2
        );
        assert!(told.contains("another port") || said.2.contains(told), "{told}: {}", said.2);
    }
}

#[test]
fn clients_are_said_to_be_served_only_where_somebody_was() {
    let mut cluster = three();
    assert!(!cluster.condition("web", "Available").message.contains("Clients are served"));
    cluster.report("d2", carrying("Standby", probes(json!({}))));
    assert!(cluster.condition("web", "Available").message.contains("Clients are served"));
}

#[test]
fn whoever_carries_the_vip_has_no_word_and_neither_has_an_agent_that_is_silent() {
    let mut cluster = three();
    cluster.report("d1", carrying("Active", failing(None, "NoAnswer")));
    cluster.report("d2", carrying("Standby", probes(json!({}))));
    cluster.report("d3", carrying("Standby", failing(None, "NoAnswer")));
    cluster.snapshot.set_silent("d3", true);
    assert_eq!(cluster.says("web", "Served"), "True/Served");
    cluster.snapshot.set_silent("d2", true);
    assert_eq!(cluster.says("web", "Served"), "Unknown/NobodyAsks");
}

#[test]
fn an_edit_leaves_it_served_until_it_was_asked_anew_and_a_new_address_does_not() {
    let mut cluster = three();
    cluster.report("d2", carrying("Standby", probes(json!({"resourceVersion": "1"}))));
    assert_eq!(cluster.says("web", "Served"), "True/Served");
    cluster.server("a", json!({"address": "10.0.0.1", "weight": 9}));
    cluster.write(NS, "web");
    assert_eq!(cluster.says("web", "Served"), "True/Served");
    cluster.service("web", json!({"addresses": ["192.0.2.11"]}));
    cluster.write(NS, "web");
    assert_eq!(cluster.says("web", "Served"), "Unknown/Pending");
}

#[test]
fn what_nobody_can_ask_is_unknown_and_says_why() {
    let mut alone = cluster();
    alone.write(NS, "web");
    alone.read_back();
    assert_eq!(alone.says("web", "Served"), "Unknown/NobodyAsks");
    let told = alone.condition("web", "Served").message;
    assert!(told.contains("one director"), "{told}");
    let spec = json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 0}]});
    for (spec, told) in [(spec, "UDP/53 (only TCP"), (json!({"ports": [{"port": 0}]}), "TCP/*")] {
        let mut cluster = three();
        cluster.service("web", spec);
        cluster.write(NS, "web");
        assert_eq!(cluster.says("web", "Served"), "Unknown/NotAskable");
        let message = cluster.condition("web", "Served").message;
        assert!(message.contains(told), "{message}");
    }
    let mut cluster = three();
    cluster.node("d2", &["10.0.0.2"]);
    cluster.server("b", json!({"nodeName": "d2"}));
    cluster.write(NS, "web");
    let told = cluster.condition("web", "Served").message;
    assert!(told.contains("real servers too"), "{told}");
}

#[test]
fn of_two_ports_the_one_that_is_not_served_counts() {
    let mut cluster = three();
    cluster.service(
        "web",
        json!({"ports": [{"port": 80}, {"port": 443}, {"port": 53, "protocol": "UDP"}]}),
    );
    cluster.write(NS, "web");
    cluster.report("d2", carrying("Standby", probes(json!({}))));
    let told = cluster.condition("web", "Served").message;
    assert!(told.contains("not asked: UDP/53"), "{told}");
    cluster.report("d2", carrying("Standby", failing(Some("TCP/443"), "Refused")));
    assert_eq!(cluster.says("web", "Served"), "False/Refused");
}
