//! What a VirtualService's status says, as reports come in.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, NS, cluster};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lvs_resolve::{Key, RealServerReport, real_server_status, resolve};
use serde_json::{Value, json};

fn written() -> Cluster {
    let mut cluster = cluster();
    cluster.write(NS, "web");
    cluster
}

fn both(cluster: &mut Cluster) -> (String, String) {
    (cluster.says("web", "Programmed"), cluster.says("web", "Available"))
}

#[test]
fn programmed_follows_the_read_back() {
    let mut cluster = cluster();
    assert_eq!(cluster.says("web", "Programmed"), "False/Pending", "no slices yet");
    cluster.write(NS, "web");
    assert_eq!(cluster.says("web", "Programmed"), "False/Pending");
    let message = cluster.condition("web", "Programmed").message;
    assert!(message.contains("node d1"), "{message}");
    cluster.report("d1", json!({"programmed": {"resourceVersion": "0"}}));
    assert_eq!(both(&mut cluster), ("False/Pending".into(), "False/Pending".into()), "too old");
    cluster.read_back();
    assert_eq!(both(&mut cluster), ("True/Programmed".into(), "True/Available".into()));
    cluster.server("a", json!({"address": "10.0.0.1", "weight": 9}));
    assert_eq!(
        both(&mut cluster),
        ("False/Pending".into(), "True/Available".into()),
        "an edit of a real server leaves it serving"
    );
    cluster.write(NS, "web");
    assert_eq!(both(&mut cluster), ("False/Pending".into(), "True/Available".into()));
    cluster.read_back();
    assert_eq!(both(&mut cluster), ("True/Programmed".into(), "True/Available".into()));
}

#[test]
fn resource_versions_compare_as_integers() {
    let mut cluster = written();
    let key = Key::new(NS, "web-0");
    let mut slice = (**cluster.snapshot.slice(&key).unwrap()).clone();
    slice.metadata.resource_version = Some("1000".to_owned());
    cluster.snapshot.set_slice(slice);
    cluster.report("d1", json!({"programmed": {"resourceVersion": "999"}}));
    assert_eq!(cluster.says("web", "Programmed"), "False/Pending");
}

#[test]
fn a_report_decides_what_programmed_says() {
    let failure = |extra: Value| {
        let mut failure =
            json!({"role": "Director", "reason": "SchedulerMissing", "message": "load ip_vs_mh"});
        failure.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"failures": [failure], "failureCount": 1})
    };
    let own = json!({"namespace": NS, "virtualService": "web"});
    let cases = [
        (failure(own.clone()), "False/NotProgrammed", "False/NotProgrammed", "False/AsExpected"),
        (
            failure(json!({"role": "Node"})),
            "False/NotProgrammed",
            "False/NotProgrammed",
            "False/AsExpected",
        ),
        (
            failure(json!({"namespace": NS, "virtualService": "web", "role": "RealServer"})),
            "True/Programmed",
            "True/Available",
            "True/RealServerFailed",
        ),
        (
            failure(json!({"namespace": "else", "virtualService": "web"})),
            "True/Programmed",
            "True/Available",
            "False/AsExpected",
        ),
        (
            json!({"failureCount": 3}),
            "False/NotProgrammed",
            "False/NotProgrammed",
            "False/AsExpected",
        ),
        (json!({"directorOf": []}), "False/Pending", "False/Pending", "False/AsExpected"),
        (json!({"programmed": null}), "False/Pending", "False/Pending", "False/AsExpected"),
    ];
    for (report, programmed, available, degraded) in cases {
        let mut cluster = written();
        let mut status = json!({"programmed": {"resourceVersion": "1"}});
        status.as_object_mut().unwrap().extend(report.as_object().unwrap().clone());
        cluster.report("d1", status);
        assert_eq!(both(&mut cluster), (programmed.into(), available.into()), "{report}");
        assert_eq!(cluster.says("web", "Degraded"), degraded, "{report}");
        if programmed == "False/NotProgrammed" && report.get("failures").is_some() {
            let message = cluster.condition("web", "Programmed").message;
            assert!(message.contains("SchedulerMissing: load ip_vs_mh"), "{message}");
        }
    }
}

#[test]
fn a_silent_agent_is_told_and_what_it_programmed_stays() {
    let mut cluster = written();
    cluster.read_back();
    both(&mut cluster);
    cluster.snapshot.set_silent("d1", true);
    assert_eq!(both(&mut cluster), ("True/Programmed".into(), "True/Available".into()));
    assert_eq!(cluster.says("web", "Degraded"), "True/AgentSilent");
    cluster.server("a", json!({"address": "10.0.0.1", "weight": 9}));
    cluster.write(NS, "web");
    assert_eq!(both(&mut cluster), ("False/AgentSilent".into(), "True/Available".into()));
}

#[test]
fn available_needs_a_real_server_that_takes_connections() {
    let mut cluster = written();
    cluster.read_back();
    for (weight, state) in [(0, "Enabled"), (1, "Disabled")] {
        for name in ["a", "b"] {
            let address = if name == "a" { "10.0.0.1" } else { "10.0.0.2" };
            cluster.server(name, json!({"address": address, "weight": weight, "state": state}));
        }
        cluster.write(NS, "web");
        cluster.read_back();
        assert_eq!(both(&mut cluster), ("True/Programmed".into(), "False/NoRealServers".into()));
    }
    let message = cluster.condition("web", "Available").message;
    assert!(message.contains("weight"), "{message}");
    let mut cluster = written();
    cluster.service("web", json!({"realServers": {"selector": {"matchLabels": {"app": "no"}}}}));
    cluster.write(NS, "web");
    cluster.read_back();
    assert_eq!(cluster.says("web", "Resolved"), "True/NoRealServers");
    assert_eq!(both(&mut cluster), ("True/Programmed".into(), "False/NoRealServers".into()));
}

#[test]
fn a_new_address_is_not_available_before_it_is_programmed() {
    let mut cluster = written();
    cluster.read_back();
    both(&mut cluster);
    cluster.service("web", json!({"scheduler": "rr"}));
    cluster.write(NS, "web");
    assert_eq!(cluster.says("web", "Available"), "True/Available", "another scheduler");
    cluster.service("web", json!({"addresses": ["192.0.2.11"]}));
    cluster.write(NS, "web");
    assert_eq!(cluster.says("web", "Available"), "False/Pending", "another address");
}

#[test]
fn a_bad_edit_says_so_and_leaves_it_available() {
    let mut cluster = written();
    cluster.read_back();
    both(&mut cluster);
    cluster.service("web", json!({"directorGroup": "gone"}));
    cluster.write(NS, "web");
    assert_eq!(cluster.says("web", "Accepted"), "False/NoSuchDirectorGroup");
    let programmed = cluster.condition("web", "Programmed");
    assert_eq!(programmed.reason, "NotAccepted");
    assert!(programmed.message.contains("Generation 1 stays"), "{}", programmed.message);
    assert_eq!(cluster.says("web", "Available"), "True/Available");
    let vs = cluster.snapshot.virtual_service(&Key::new(NS, "web")).unwrap();
    assert_eq!(vs.status.as_ref().unwrap().addresses, ["192.0.2.10"]);
}

#[test]
fn one_that_was_never_accepted_is_neither_programmed_nor_available() {
    let mut cluster = cluster();
    cluster.service("web", json!({"directorGroup": "gone"}));
    assert_eq!(
        both(&mut cluster),
        ("False/NotAccepted".into(), "False/NoSuchDirectorGroup".into())
    );
}

#[test]
fn a_group_without_director_programs_nothing() {
    let mut cluster = written();
    cluster.group_of("default", &[], json!({}));
    assert_eq!(both(&mut cluster), ("False/NoDirector".into(), "False/NoDirector".into()));
}

#[test]
fn a_dr_node_without_an_agent_degrades() {
    let mut cluster = cluster();
    cluster.node("n1", &["10.0.1.1"]);
    cluster.server("a", json!({"nodeName": "n1"}));
    cluster.write(NS, "web");
    cluster.read_back();
    let degraded = cluster.condition("web", "Degraded");
    assert_eq!((degraded.status.as_str(), degraded.reason.as_str()), ("True", "RealServerFailed"));
    assert!(degraded.message.contains("node n1"), "{}", degraded.message);
    cluster.report("n1", json!({}));
    assert_eq!(cluster.says("web", "Degraded"), "False/AsExpected");
}

#[test]
fn left_out_servers_degrade_with_their_reason() {
    let mut cluster = written();
    cluster.server("x", json!({"nodeName": "nowhere"}));
    let degraded = cluster.condition("web", "Degraded");
    assert_eq!((degraded.status.as_str(), degraded.reason.as_str()), ("True", "NoSuchNode"));
    assert!(degraded.message.contains("RealServer x"), "{}", degraded.message);
    assert_eq!(cluster.says("web", "Resolved"), "True/Resolved");
    for name in ["a", "b"] {
        cluster.snapshot.remove_real_server(&Key::new(NS, name));
    }
    let resolved = cluster.condition("web", "Resolved");
    assert_eq!(resolved.reason, "NoUsableRealServers");
    assert!(resolved.message.contains("nowhere"), "{}", resolved.message);
}

#[test]
fn columns_and_directors_are_told() {
    let mut cluster = written();
    cluster.read_back();
    cluster.condition("web", "Programmed");
    let vs = cluster.snapshot.virtual_service(&Key::new(NS, "web")).unwrap();
    let status = serde_json::to_value(vs.status.as_ref().unwrap()).unwrap();
    assert_eq!(
        status["display"],
        json!({"addresses": "192.0.2.10", "ports": "TCP/80", "active": "d1", "realServers": "2/2"})
    );
    assert_eq!(status["directors"], json!([{"node": "d1", "role": "Active"}]));
    assert_eq!(status["realServers"], json!({"total": 2, "healthy": 2, "draining": 0}));
    assert_eq!(status["observedGeneration"], json!(1));
}

#[test]
fn a_real_server_says_who_uses_it_and_why_not() {
    let mut cluster = written();
    cluster.server("x", json!({"nodeName": "nowhere"}));
    let now = Time("2026-01-01T00:00:00Z".parse().unwrap());
    let resolution = resolve(&Key::new(NS, "web"), &cluster.snapshot).unwrap();
    let status = |name: &str, selected: bool| {
        let left_out = resolution.left_out.iter().find(|l| l.real_server == name).cloned();
        let report = RealServerReport { virtual_service: "web".to_owned(), left_out, health: None };
        let reports: Vec<_> = selected.then_some(report).into_iter().collect();
        let status = real_server_status(&Key::new(NS, name), &reports, &cluster.snapshot, &now);
        let condition = status.conditions[0].clone();
        (condition.status, condition.reason, status.addresses.join(","), status.virtual_services)
    };
    let told = |s: &str, r: &str, a: &str, vs: &[&str]| {
        (s.to_owned(), r.to_owned(), a.to_owned(), vs.iter().map(|v| (*v).to_owned()).collect())
    };
    assert_eq!(status("a", true), told("True", "Resolved", "10.0.0.1", &["web"]));
    assert_eq!(status("a", false), told("True", "NotSelected", "10.0.0.1", &[]));
    assert_eq!(status("x", true), told("False", "NoSuchNode", "", &["web"]));
    assert_eq!(status("x", false), told("False", "NoSuchNode", "", &[]));
}

#[test]
fn ports_and_networks_are_told_in_short() {
    let mut cluster = cluster();
    let display = |cluster: &mut Cluster| {
        cluster.condition("web", "Programmed");
        let vs = cluster.snapshot.virtual_service(&Key::new(NS, "web")).unwrap();
        let display = vs.status.as_ref().unwrap().display.clone().unwrap();
        (display.addresses, display.ports)
    };
    let ports = json!([{"name": "a", "port": 21}, {"name": "b", "port": 20000, "endPort": 20999}]);
    let mark = json!({"mark": 7, "destinations": ["198.51.100.0/24"]});
    cluster.service("web", json!({"ports": ports, "firewallMark": mark}));
    assert_eq!(
        display(&mut cluster),
        ("192.0.2.10,198.51.100.0/24".into(), "TCP/21, TCP/20000-20999".into())
    );
    cluster.service("web", json!({"ports": [{"port": 0, "protocol": "UDP"}], "persistence": {}}));
    assert_eq!(display(&mut cluster).1, "UDP/*");
}

#[test]
fn the_mark_in_the_slices_is_told_and_keeps_its_addresses() {
    let mut cluster = cluster();
    cluster.service("web", json!({"firewallMark": {"mark": 7}}));
    cluster.write(NS, "web");
    cluster.service(
        "web",
        json!({"addresses": ["192.0.2.99"], "firewallMark": {"mark": 7}, "directorGroup": "gone"}),
    );
    cluster.condition("web", "Programmed");
    let vs = cluster.snapshot.virtual_service(&Key::new(NS, "web")).unwrap();
    let status = vs.status.as_ref().unwrap();
    assert_eq!(
        (status.firewall_mark, status.addresses.as_slice()),
        (Some(7), &["192.0.2.10".to_owned()][..])
    );
}

#[test]
fn warnings_degrade_what_they_name_and_nothing_else() {
    let own = json!({"namespace": NS, "virtualService": "web", "role": "Director", "reason": "MarkOfOthers", "message": "m1"});
    let other = json!({"namespace": NS, "virtualService": "x", "role": "Director", "reason": "R", "message": "m2"});
    let whole = |role: &str| json!({"role": role, "reason": "LongChains", "message": "m3"});
    let group = |cluster: &Cluster| {
        let resolution = lvs_resolve::resolve_group("default", &cluster.snapshot).unwrap();
        let now = Time("2026-01-01T00:00:00Z".parse().unwrap());
        let status =
            lvs_resolve::director_group_status("default", &resolution, &cluster.snapshot, &now);
        let found = status.conditions.into_iter().find(|c| c.type_ == "Degraded").unwrap();
        (format!("{}/{}", found.status, found.reason), found.message)
    };
    let mut cluster = written();
    let report = |cluster: &mut Cluster, node: &str, warnings: Value| {
        cluster.report(node, json!({"programmed": {"resourceVersion": "1"}, "warnings": warnings}));
    };
    report(&mut cluster, "d1", json!([other, whole("Node")]));
    assert_eq!(cluster.says("web", "Degraded"), "False/AsExpected");
    let (says, message) = group(&cluster);
    assert_eq!(says, "True/NodeWarning");
    assert!(message.contains("node d1: LongChains: m3") && !message.contains("m2"), "{message}");
    report(&mut cluster, "d1", json!([own]));
    assert_eq!(cluster.says("web", "Degraded"), "True/NodeWarning");
    let message = cluster.condition("web", "Degraded").message;
    assert!(message.contains("node d1: MarkOfOthers: m1"), "{message}");
    assert_eq!(cluster.says("web", "Programmed"), "True/Programmed", "it works");
    assert_eq!(group(&cluster).0, "False/AsExpected");
    // Of a real server's node.
    report(&mut cluster, "d1", json!([]));
    assert_eq!(cluster.says("web", "Degraded"), "False/AsExpected");
    cluster.node("n1", &["10.0.1.1"]);
    cluster.server("a", json!({"nodeName": "n1"}));
    cluster.write(NS, "web");
    report(&mut cluster, "n1", json!([whole("Director")]));
    assert_eq!(cluster.says("web", "Degraded"), "False/AsExpected", "in a role that is not ours");
    report(&mut cluster, "n1", json!([whole("Node")]));
    assert_eq!(cluster.says("web", "Degraded"), "True/NodeWarning");
}

#[test]
fn clients_on_nodes_are_told_by_the_forwarding_that_is() {
    let mut cluster = cluster();
    assert_eq!(cluster.says("web", "ReachableFromNodes"), "False/VIPIsLocal");
    cluster.service("web", json!({"forwarding": "NAT", "nat": {"masquerade": true}}));
    assert_eq!(cluster.says("web", "ReachableFromNodes"), "True/Reachable");
    cluster.server("a", json!({"address": "10.0.0.1", "forwarding": "TUN"}));
    cluster.write(NS, "web");
    assert_eq!(cluster.says("web", "ReachableFromNodes"), "False/VIPIsLocal");
}
