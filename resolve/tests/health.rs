//! What is made of directors' reports of real servers that are down.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, NS, cluster};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lvs_resolve::{
    Key, RealServerReport, real_server_status, resolve, server_health, virtual_service_status,
};
use serde_json::{Value, json};

/// Two directors of one group, `web` with a check, and what they report.
fn checked() -> Cluster {
    let mut cluster = cluster();
    cluster.node("d2", &["10.0.0.101"]);
    cluster.service("web", json!({"healthCheck": {"tcp": {}}}));
    cluster.write(NS, "web");
    cluster
}

fn down(server: &str, reason: &str) -> Value {
    json!({"namespace": NS, "virtualService": "web", "realServer": server, "ports": ["TCP/80"], "reason": reason})
}

fn tell(cluster: &mut Cluster, node: &str, down: Value) {
    let count = down.as_array().unwrap().len();
    let health = json!({"checked": 2, "downCount": count, "down": down});
    let programmed = json!({"resourceVersion": "1000"});
    cluster.report(node, json!({"programmed": programmed, "health": health}));
}

fn counts(cluster: &Cluster) -> (i32, i32) {
    let key = Key::new(NS, "web");
    let resolution = resolve(&key, &cluster.snapshot).unwrap();
    let now = Time("2026-01-01T00:00:00Z".parse().unwrap());
    let status = virtual_service_status(&key, &resolution, &cluster.snapshot, &now).unwrap();
    let counts = status.real_servers.unwrap();
    (counts.healthy, counts.total)
}

/// `status/reason: message` of a real server's Healthy.
fn healthy(cluster: &Cluster, server: &str) -> String {
    let key = Key::new(NS, "web");
    let resolution = resolve(&key, &cluster.snapshot).unwrap();
    let health = server_health(&key, &resolution, &cluster.snapshot).remove(server);
    let report = RealServerReport { virtual_service: "web".to_owned(), left_out: None, health };
    let now = Time("2026-01-01T00:00:00Z".parse().unwrap());
    let key = Key::new(NS, server);
    let status = real_server_status(&key, &[report], &cluster.snapshot, &now);
    let condition = status.conditions.iter().find(|it| it.type_ == "Healthy").unwrap();
    format!("{}/{}: {}", condition.status, condition.reason, condition.message)
}

#[test]
fn a_real_server_is_as_its_director_says() {
    let mut cluster = checked();
    assert!(healthy(&cluster, "a").starts_with("Unknown/Pending"), "nobody has said anything");
    tell(&mut cluster, "d1", json!([]));
    assert_eq!(healthy(&cluster, "a"), "True/Healthy: Its checks pass.");
    assert_eq!(cluster.says("web", "Degraded"), "False/AsExpected");
    tell(&mut cluster, "d1", json!([down("a", "HTTP 503 in 4 ms, 3 of 3")]));
    let told = "False/ProbeFailed: HTTP 503 in 4 ms, 3 of 3, on TCP/80 (VirtualService web, by d1)";
    assert_eq!(healthy(&cluster, "a"), told);
    assert!(healthy(&cluster, "b").starts_with("True/Healthy"));
    assert_eq!(counts(&cluster), (1, 2));
    let degraded = cluster.condition("web", "Degraded");
    assert_eq!((degraded.status.as_str(), degraded.reason.as_str()), ("True", "RealServerDown"));
    assert!(degraded.message.contains("RealServer a is down: HTTP 503"), "{}", degraded.message);
    assert_eq!(cluster.says("web", "Available"), "True/Available");
}

#[test]
fn with_every_real_server_down_it_is_not_available_and_that_is_no_matter_of_weights() {
    let mut cluster = checked();
    tell(&mut cluster, "d1", json!([down("a", "connection refused"), down("b", "silence")]));
    let available = cluster.condition("web", "Available");
    assert_eq!(
        (available.status.as_str(), available.reason.as_str()),
        ("False", "NoHealthyRealServers")
    );
    assert!(
        available.message.contains("a (connection refused, on TCP/80)"),
        "{}",
        available.message
    );
    assert_eq!(counts(&cluster), (0, 2));
    cluster.server("b", json!({"address": "10.0.0.2", "weight": 0}));
    cluster.write(NS, "web");
    assert_eq!(cluster.says("web", "Available"), "False/NoHealthyRealServers");
}

#[test]
fn who_is_not_checked_is_unknown_and_serves() {
    let mut cluster = cluster();
    cluster.write(NS, "web");
    tell(&mut cluster, "d1", json!([down("a", "of a check that is gone")]));
    assert!(healthy(&cluster, "a").starts_with("Unknown/NotChecked"));
    assert_eq!(counts(&cluster), (2, 2));
    assert_eq!(cluster.says("web", "Degraded"), "False/AsExpected");
}

#[test]
fn directors_that_differ_are_told_when_it_lasts_and_who_carries_the_vip_counts() {
    let mut cluster = checked();
    cluster.group_of("default", &["d1", "d2"], json!({}));
    cluster.write(NS, "web");
    tell(&mut cluster, "d1", json!([down("a", "no connection within 200 ms, 3 of 3")]));
    tell(&mut cluster, "d2", json!([]));
    let told = healthy(&cluster, "a");
    assert!(
        told.starts_with("Unknown/ViewsDiffer: VirtualService web: it is down for d1"),
        "{told}"
    );
    assert!(told.contains("and up for d2"), "{told}");
    assert_eq!(cluster.says("web", "Degraded"), "False/AsExpected", "reports take their time");
    cluster.snapshot.set_disputed(&Key::new(NS, "web"), true);
    assert_eq!(cluster.says("web", "Degraded"), "True/ViewsDiffer");
    assert!(healthy(&cluster, "a").starts_with("Unknown/ViewsDiffer"));
    cluster.snapshot.set_silent("d2", true);
    assert!(
        healthy(&cluster, "a").starts_with("False/ProbeFailed"),
        "one that is silent has no say"
    );
    tell(&mut cluster, "d2", json!([down("a", "refused")]));
    cluster.snapshot.set_silent("d2", false);
    assert!(healthy(&cluster, "a").contains("by d1, d2)"), "{}", healthy(&cluster, "a"));
}
