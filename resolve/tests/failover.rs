//! What the status of a VirtualService says of several directors.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, NS};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lvs_crds::VirtualServiceStatus;
use lvs_resolve::spread::{Floating, Spread};
use lvs_resolve::{Key, director_group_status, resolve, resolve_group};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;

const VIP: &str = "192.0.2.10";

/// Directors d1, d2 and d3, and the service `web` with its slices written and read back by all.
fn trio(spec: Value, service: Value) -> Cluster {
    let mut cluster = Cluster::default();
    for (number, name) in ["d1", "d2", "d3"].into_iter().enumerate() {
        cluster.node(name, &[&format!("10.0.0.{}", 100 + number)]);
    }
    cluster.group_of("default", &[], spec);
    let found = resolve_group("default", &cluster.snapshot).unwrap();
    let mut group = (**cluster.snapshot.director_group("default").unwrap()).clone();
    let status = group.status.as_mut().unwrap();
    status.members = found.members;
    status.virtual_routers = found.virtual_routers;
    (status.presence_id, status.sync_id) = (found.presence_id, found.sync_id);
    cluster.snapshot.set_director_group(group);
    cluster.service("web", service);
    cluster.server("a", json!({"address": "10.0.0.1"}));
    cluster.write(NS, "web");
    cluster
}

fn router(cluster: &Cluster, floating: Floating) -> (i32, String) {
    let group = cluster.snapshot.director_group("default").unwrap();
    let router = Spread::new(group).unwrap().router_of(floating).unwrap().clone();
    (router.id, router.home)
}

fn vip(text: &str) -> Floating {
    Floating::Vip(text.parse::<IpAddr>().unwrap())
}

/// A report, heard at this second: everything is read back, and these virtual routers are carried, of those that are named.
/// The nodes' own clocks say nothing.
fn report(cluster: &mut Cluster, node: &str, time: u8, routers: &[(i32, bool)], extra: Value) {
    let of = |(id, active): &(i32, bool)| json!({"group": "default", "id": id, "role": if *active { "Active" } else { "Standby" }});
    let mut status = json!({
        "programmed": {"resourceVersion": "1000"}, "reportTime": format!("2026-01-01T00:00:{:02}Z", 59 - time % 60),
        "virtualRouters": routers.iter().map(of).collect::<Vec<_>>(),
    });
    for (key, value) in extra.as_object().unwrap() {
        status[key] = value.clone();
    }
    cluster.report(node, status);
    cluster.snapshot.hear(node, Duration::from_secs(time.into()));
}

fn status(cluster: &mut Cluster) -> VirtualServiceStatus {
    cluster.condition("web", "Programmed");
    cluster.snapshot.virtual_service(&Key::new(NS, "web")).unwrap().status.clone().unwrap()
}

/// What the group's Degraded says: `status/reason`, message. It is kept, as the operator keeps it.
fn degraded(cluster: &mut Cluster) -> (String, String) {
    let resolution = resolve_group("default", &cluster.snapshot).unwrap();
    let now = Time("2026-01-01T00:00:00Z".parse().unwrap());
    let status = director_group_status("default", &resolution, &cluster.snapshot, &now);
    let mut group = (**cluster.snapshot.director_group("default").unwrap()).clone();
    let found = status.conditions.iter().find(|c| c.type_ == "Degraded").cloned().unwrap();
    group.status = Some(status);
    cluster.snapshot.set_director_group(group);
    (format!("{}/{}", found.status, found.reason), found.message)
}

fn active(cluster: &mut Cluster) -> String {
    status(cluster).display.unwrap().active
}

fn roles(status: &VirtualServiceStatus) -> Vec<String> {
    status.directors.iter().map(|d| format!("{} {:?}", d.node, d.role)).collect()
}

#[test]
fn who_carries_the_vip_is_active_by_the_newest_report() {
    let mut cluster = trio(json!({}), json!({}));
    let (id, _) = router(&cluster, vip(VIP));
    assert_eq!(cluster.says("web", "Available"), "False/Pending", "no reports yet");
    for (node, active) in [("d1", false), ("d2", true), ("d3", false)] {
        report(&mut cluster, node, 1, &[(id, active)], json!({}));
    }
    let before = status(&mut cluster);
    assert_eq!(roles(&before), ["d1 Standby", "d2 Active", "d3 Standby"]);
    assert_eq!(before.display.unwrap().active, "d2");
    assert_eq!(cluster.says("web", "Programmed"), "True/Programmed");
    assert_eq!(cluster.says("web", "Available"), "True/Available");
    // d2 dies without a word; d3 has it.
    report(&mut cluster, "d3", 2, &[(id, true)], json!({}));
    assert_eq!(roles(&status(&mut cluster)), ["d1 Standby", "d2 Standby", "d3 Active"]);
    // Whoever has been silent for long carries nothing that another says it carries.
    report(&mut cluster, "d2", 3, &[(id, true)], json!({}));
    cluster.snapshot.set_silent("d2", true);
    assert_eq!(roles(&status(&mut cluster)), ["d1 Standby", "d2 Standby", "d3 Active"]);
    assert_eq!(cluster.says("web", "Degraded"), "False/AsExpected", "the group tells it");
    // A change that d2 never hears of.
    cluster.server("a", json!({"address": "10.0.0.1", "weight": 7}));
    cluster.write(NS, "web");
    report(
        &mut cluster,
        "d3",
        4,
        &[(id, true)],
        json!({"programmed": {"resourceVersion": "1000"}}),
    );
    report(&mut cluster, "d2", 3, &[(id, false)], json!({"programmed": {"resourceVersion": "1"}}));
    assert_eq!(cluster.says("web", "Programmed"), "False/AgentSilent");
    assert_eq!(cluster.says("web", "Available"), "True/Available");
}

#[test]
fn of_a_dead_director_and_its_heir_the_heir_is_active_whatever_the_dead_ones_clock_said() {
    let mut cluster = trio(json!({}), json!({}));
    let (id, _) = router(&cluster, vip(VIP));
    report(&mut cluster, "d3", 1, &[(id, true)], json!({"reportTime": "2030-01-01T00:00:00Z"}));
    report(&mut cluster, "d1", 2, &[(id, true)], json!({}));
    for time in [2, 30, 60] {
        report(&mut cluster, "d1", time, &[(id, true)], json!({}));
        assert_eq!(active(&mut cluster), "d1");
        assert_eq!(degraded(&mut cluster).0, "False/AsExpected");
    }
    // Who has only begun to listen goes by the order in which they were written.
    let mut cluster = trio(json!({}), json!({}));
    report(&mut cluster, "d1", 9, &[(id, true)], json!({}));
    report(&mut cluster, "d3", 9, &[(id, true)], json!({}));
    assert_eq!(active(&mut cluster), "d3");
    // The one that lives says so again.
    report(&mut cluster, "d1", 10, &[(id, true)], json!({}));
    assert_eq!(active(&mut cluster), "d1");
    // One that has begun later does not say so again when it is time: it died on the way.
    report(&mut cluster, "d2", 20, &[(id, true)], json!({}));
    report(&mut cluster, "d1", 40, &[(id, true)], json!({}));
    assert_eq!(active(&mut cluster), "d2");
    report(&mut cluster, "d1", 56, &[(id, true)], json!({}));
    assert_eq!(active(&mut cluster), "d1");
    assert_eq!(degraded(&mut cluster).0, "False/AsExpected");
}

#[test]
fn two_that_both_go_on_saying_that_they_carry_it_are_told_with_the_cause() {
    let mut cluster = trio(json!({}), json!({}));
    let (id, _) = router(&cluster, vip(VIP));
    let hears = |nodes: &[&str]| json!({"directorOf": [{"group": "default", "role": "Active", "hears": nodes}]});
    report(&mut cluster, "d1", 10, &[(id, true)], hears(&["d2", "d3"]));
    report(&mut cluster, "d2", 10, &[(id, false)], hears(&["d1", "d3"]));
    // A move: both say so for a while.
    report(&mut cluster, "d2", 11, &[(id, true)], hears(&["d3"]));
    report(&mut cluster, "d1", 14, &[(id, true)], hears(&["d3"]));
    assert_eq!(active(&mut cluster), "d2", "within what a move takes");
    assert_eq!(degraded(&mut cluster).0, "False/AsExpected");
    report(&mut cluster, "d2", 16, &[(id, true)], hears(&["d3"]));
    assert_eq!(active(&mut cluster), "d2", "d1 may be dead");
    report(&mut cluster, "d1", 17, &[(id, true)], hears(&["d3"]));
    let found = status(&mut cluster);
    assert_eq!(roles(&found), ["d1 Active", "d2 Active", "d3 Standby"]);
    let names: std::collections::BTreeSet<_> =
        found.display.as_ref().unwrap().active.split(',').collect();
    assert_eq!(names, ["d1", "d2"].into());
    let service = cluster.condition("web", "Degraded");
    assert_eq!(service.reason, "SplitBrain");
    assert!(service.message.contains("VIP 192.0.2.10 is on"), "{}", service.message);
    assert_eq!(cluster.says("web", "Available"), "True/Available");
    let (verdict, message) = degraded(&mut cluster);
    assert_eq!(verdict, "True/SplitBrain");
    for told in [
        &format!("virtual router {id} is on d1 and d2 at once") as &str,
        "d1 hears nothing from d2",
        "d2 hears nothing from d1",
        "IP protocol 112",
    ] {
        assert!(message.contains(told), "{told}: {message}");
    }
    // Another operator, which has heard each once, believes what the status says, until one of them says otherwise.
    let group = (**cluster.snapshot.director_group("default").unwrap()).clone();
    let mut other = trio(json!({}), json!({}));
    other.snapshot.set_director_group(group);
    report(&mut other, "d1", 1, &[(id, true)], hears(&["d3"]));
    report(&mut other, "d2", 1, &[(id, true)], hears(&["d3"]));
    assert_eq!(degraded(&mut other).0, "True/SplitBrain");
    report(&mut other, "d1", 2, &[(id, true)], hears(&["d3"]));
    assert_eq!(degraded(&mut other).0, "True/SplitBrain");
    report(&mut other, "d2", 3, &[(id, false)], hears(&["d1", "d3"]));
    assert_eq!(
        (degraded(&mut other).0.as_str(), active(&mut other).as_str()),
        ("False/AsExpected", "d1")
    );
    // One falls silent.
    cluster.snapshot.set_silent("d1", true);
    assert_eq!(active(&mut cluster), "d2");
    assert_eq!(degraded(&mut cluster).0, "True/AgentSilent");
}

#[test]
fn available_goes_by_the_active_director_alone() {
    let mut cluster = trio(json!({}), json!({}));
    let (id, _) = router(&cluster, vip(VIP));
    let failure = json!({"failures": [{"role": "Director", "reason": "SchedulerMissing", "message": "m",
        "namespace": NS, "virtualService": "web"}], "failureCount": 1});
    report(&mut cluster, "d1", 1, &[(id, true)], json!({}));
    report(&mut cluster, "d2", 1, &[(id, false)], failure.clone());
    report(&mut cluster, "d3", 1, &[(id, false)], json!({}));
    assert_eq!(cluster.says("web", "Programmed"), "False/NotProgrammed");
    assert_eq!(cluster.says("web", "Available"), "True/Available");
    report(&mut cluster, "d1", 2, &[(id, true)], failure);
    assert_eq!(cluster.says("web", "Available"), "False/NotProgrammed");
    // Nobody carries it.
    let ill =
        json!([{"group": "default", "id": id, "role": "Standby", "problem": "no interface eth9"}]);
    report(&mut cluster, "d1", 3, &[], json!({"virtualRouters": ill}));
    let available = cluster.condition("web", "Available");
    assert_eq!(
        (available.status.as_str(), available.reason.as_str()),
        ("False", "NoActiveDirector")
    );
    for told in
        ["VIP 192.0.2.10", "node d1: no interface eth9", "SchedulerMissing", "node d3 stands by"]
    {
        assert!(available.message.contains(told), "{told}: {}", available.message);
    }
    assert_eq!(status(&mut cluster).display.unwrap().active, "");
}

#[test]
fn two_vips_may_be_at_two_directors() {
    let addresses = json!({"addresses": [VIP, "2001:db8::12"]});
    let mut cluster = trio(json!({}), addresses);
    let (first, second) = (router(&cluster, vip(VIP)).0, router(&cluster, vip("2001:db8::12")).0);
    assert_ne!(first, second, "for this test");
    report(&mut cluster, "d1", 1, &[(first, false), (second, true)], json!({}));
    report(&mut cluster, "d2", 1, &[(first, true), (second, false)], json!({}));
    report(&mut cluster, "d3", 1, &[(first, false), (second, false)], json!({}));
    let found = status(&mut cluster);
    assert_eq!(roles(&found), ["d1 Active", "d2 Active", "d3 Standby"]);
    assert_eq!(found.display.unwrap().active, "d2,d1");
    report(&mut cluster, "d1", 2, &[(first, false), (second, false)], json!({}));
    let available = cluster.condition("web", "Available");
    assert_eq!(available.reason, "NoActiveDirector");
    assert!(available.message.contains("VIP 2001:db8::12"), "{}", available.message);
}

#[test]
fn vips_of_nat_move_with_the_gateway_unless_they_are_masqueraded() {
    let gateways = json!({"natGateways": [{"address": "10.0.0.234/24"}]});
    let nat = |masquerade: bool| json!({"forwarding": "NAT", "nat": {"masquerade": masquerade}});
    for (masquerade, floating) in [(false, Floating::NatGateway), (true, vip(VIP))] {
        let mut cluster = trio(gateways.clone(), nat(masquerade));
        let (id, _) = router(&cluster, floating);
        assert_ne!(router(&cluster, Floating::NatGateway).0, router(&cluster, vip(VIP)).0);
        report(&mut cluster, "d2", 1, &[(id, true)], json!({}));
        assert_eq!(status(&mut cluster).display.unwrap().active, "d2", "{masquerade}");
        // Another service at the same VIP decides too.
        let id = router(&cluster, Floating::NatGateway).0;
        cluster.service("other", json!({"forwarding": "NAT", "ports": [{"port": 81}]}));
        cluster.write(NS, "other");
        report(&mut cluster, "d3", 2, &[(id, true)], json!({}));
        assert_eq!(status(&mut cluster).display.unwrap().active, "d3", "{masquerade}");
    }
}

#[test]
fn without_ids_nobody_carries_anything_and_the_group_is_to_be_looked_at() {
    let mut cluster = trio(json!({}), json!({}));
    cluster.group_of("default", &["d1", "d2"], json!({}));
    report(&mut cluster, "d1", 1, &[], json!({}));
    let available = cluster.condition("web", "Available");
    assert_eq!(available.reason, "NoActiveDirector");
    assert!(available.message.contains("see its condition Degraded"), "{}", available.message);
}

#[test]
fn one_machine_alone_says_what_it_knows() {
    let mut cluster = trio(json!({}), json!({}));
    cluster.snapshot.set_only_node("d2");
    let (id, _) = router(&cluster, vip(VIP));
    report(&mut cluster, "d2", 1, &[(id, false)], json!({}));
    let standby = status(&mut cluster);
    assert_eq!(roles(&standby), ["d2 Standby"]);
    assert_eq!(cluster.says("web", "Programmed"), "True/Programmed");
    assert_eq!(cluster.says("web", "Available"), "True/Available");
    report(&mut cluster, "d2", 2, &[(id, true)], json!({}));
    assert_eq!(roles(&status(&mut cluster)), ["d2 Active"]);
    cluster.snapshot.set_only_node("elsewhere");
    let programmed = cluster.condition("web", "Programmed");
    assert_eq!(programmed.reason, "NoDirector");
    assert!(programmed.message.contains("d1, d2, d3"), "{}", programmed.message);
}

#[test]
fn whether_connections_survive_is_told_with_its_reason() {
    let gateways = json!({"natGateways": [{"address": "10.0.0.234/24"}]});
    let nat = json!({"forwarding": "NAT"});
    let masquerade = json!({"forwarding": "NAT", "nat": {"masquerade": true}});
    let off = json!({"connectionSync": {"enabled": false}});
    let udp = json!({"ports": [{"port": 53, "protocol": "UDP"}], "onePacket": true});
    let six = json!({"addresses": ["2001:db8::10"], "forwarding": "TUN"});
    for (group, service, expected) in [
        (json!({}), json!({}), "True/ConnectionsSynced"),
        (gateways.clone(), nat.clone(), "True/ConnectionsSynced"),
        (json!({}), nat, "False/NoFloatingGateway"),
        (json!({}), masquerade.clone(), "False/Masquerade"),
        (gateways, masquerade, "False/Masquerade"),
        (off.clone(), json!({}), "False/SyncDisabled"),
        (off, udp, "True/OnePacket"),
        (json!({}), six, "False/MixedFamilies"),
    ] {
        let mut cluster = trio(group.clone(), service.clone());
        assert_eq!(cluster.says("web", "SurvivesFailover"), expected, "{group} {service}");
    }
    let mut one = cluster::cluster();
    one.write(NS, "web");
    assert_eq!(one.says("web", "SurvivesFailover"), "False/OneDirector");
    // Somebody else's tunnel.
    let mut cluster = trio(json!({}), json!({}));
    cluster.service("six", json!({"addresses": ["2001:db8::6"], "forwarding": "TUN"}));
    cluster.write(NS, "six");
    let survives = cluster.condition("web", "SurvivesFailover");
    assert_eq!(survives.reason, "MixedFamilies");
    assert!(survives.message.contains("VirtualService shop/six"), "{}", survives.message);
    cluster.group_of("other", &["d1", "d2"], json!({}));
    cluster.service(
        "six",
        json!({"addresses": ["2001:db8::6"], "forwarding": "TUN", "directorGroup": "other"}),
    );
    cluster.write(NS, "six");
    assert_eq!(cluster.says("web", "SurvivesFailover"), "True/ConnectionsSynced");
}

#[test]
fn a_gateway_is_no_vip_and_of_one_group() {
    let gateways = json!({"natGateways": [{"address": "10.0.0.234/24"}]});
    let mut cluster = trio(json!({}), json!({}));
    let before = resolve(&Key::new(NS, "web"), &cluster.snapshot).unwrap().slices;
    cluster.group_of("inside", &["d1"], json!({"natGateways": [{"address": "192.0.2.10/24"}]}));
    let resolution = resolve(&Key::new(NS, "web"), &cluster.snapshot).unwrap();
    assert_eq!(resolution.accepted.reason, "GatewayConflict");
    let message = &resolution.accepted.message;
    assert!(message.contains("192.0.2.10 is a natGateway of DirectorGroup inside"), "{message}");
    assert_eq!(resolution.slices, before, "what is programmed stays");
    cluster.group_of("inside", &["d1"], gateways.clone());
    assert!(resolve(&Key::new(NS, "web"), &cluster.snapshot).unwrap().accepted.is_true());
    let conflicted = |cluster: &Cluster, name: &str| {
        let verdict = resolve_group(name, &cluster.snapshot).unwrap().conflicted;
        (verdict.is_true(), verdict.reason, verdict.message)
    };
    assert!(!conflicted(&cluster, "inside").0);
    cluster.group_of("twin", &["d9"], json!({"natGateways": [{"address": "10.0.0.234/25"}]}));
    for (group, other) in [("inside", "twin"), ("twin", "inside")] {
        let (status, reason, message) = conflicted(&cluster, group);
        assert_eq!((status, reason.as_str()), (true, "GatewayConflict"));
        assert!(message.contains(&format!("10.0.0.234 is a natGateway of DirectorGroup {other}")));
    }
    assert!(!conflicted(&cluster, "default").0);
}
