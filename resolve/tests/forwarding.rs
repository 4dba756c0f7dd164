//! How each real server is reached, and which cannot be.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, cluster};
use serde_json::{Value, json};

/// The slices' entries of one real server, as `address forwarding tunnel`.
fn entries(cluster: &Cluster, name: &str) -> Vec<String> {
    let slices = cluster.resolve("web").slices;
    let servers = slices.iter().flat_map(|s| &s.spec.real_servers).filter(|r| r.name == name);
    servers
        .map(|r| {
            let tunnel = r.tunnel.as_ref().map(|t| serde_json::to_value(t).unwrap().to_string());
            format!("{} {} {}", r.address, r.forwarding, tunnel.unwrap_or_default())
        })
        .collect()
}

fn left_out(cluster: &Cluster, name: &str) -> (String, String) {
    let all = cluster.resolve("web").left_out;
    let found = all.into_iter().find(|l| l.real_server == name);
    found.map(|l| (l.reason.to_owned(), l.message)).unwrap_or_default()
}

#[test]
fn a_tunnel_is_the_servers_else_the_services_with_its_defaults_written_out() {
    let gue = json!({"type": "gue"});
    let gue_full = json!({"type": "gue", "port": 6080, "checksum": "nocsum"});
    let gre = json!({"type": "gre", "checksum": "csum"});
    let tun = |tunnel: &Value| json!({"forwarding": "TUN", "tunnel": tunnel});
    let cases: Vec<(Value, Value, Value)> = vec![
        (json!({"forwarding": "TUN"}), json!({}), json!({"type": "ipip"})),
        (tun(&gue), json!({}), gue_full.clone()),
        (tun(&gue), json!({"tunnel": gre}), gre.clone()),
        (json!({"tunnel": gue}), json!({"forwarding": "TUN"}), gue_full),
        (tun(&gue), json!({"forwarding": "NAT"}), Value::Null),
        (json!({"forwarding": "DR", "tunnel": gue}), json!({}), Value::Null),
    ];
    for (service, server, expected) in cases {
        let mut cluster = cluster();
        cluster.service("web", service.clone());
        let mut spec = json!({"address": "10.0.0.1"});
        spec.as_object_mut().unwrap().extend(server.as_object().unwrap().clone());
        cluster.server("a", spec);
        let slices = cluster.resolve("web").slices;
        let tunnel = serde_json::to_value(&slices[0].spec.real_servers[0].tunnel).unwrap();
        assert_eq!(tunnel, expected, "{service} {server}");
    }
}

#[test]
fn masquerading_reaches_the_slices() {
    let mut cluster = cluster();
    assert!(!cluster.resolve("web").slices[0].spec.masquerade);
    cluster.service("web", json!({"forwarding": "NAT", "nat": {"masquerade": true}}));
    assert!(cluster.resolve("web").slices[0].spec.masquerade);
}

#[test]
fn a_server_of_the_other_family_needs_a_tunnel() {
    let mut cluster = cluster();
    cluster.node("n6", &["2001:db8::6"]);
    cluster.node("n46", &["10.0.0.46", "2001:db8::46"]);
    cluster.server("six", json!({"address": "2001:db8::1"}));
    cluster.server("node6", json!({"nodeName": "n6"}));
    let (reason, message) = left_out(&cluster, "six");
    assert_eq!(reason, "AddressFamilyMismatch");
    assert!(message.contains("forwarding TUN"), "{message}");
    assert_eq!(left_out(&cluster, "node6").0, "NoNodeAddress");
    cluster.service("web", json!({"forwarding": "TUN"}));
    cluster.server("node46", json!({"nodeName": "n46"}));
    let ipip = r#"TUN {"type":"ipip"}"#;
    assert_eq!(entries(&cluster, "six"), [format!("2001:db8::1 {ipip}")]);
    assert_eq!(entries(&cluster, "node6"), [format!("2001:db8::6 {ipip}")]);
    assert_eq!(entries(&cluster, "node46"), [format!("10.0.0.46 {ipip}")], "its own first");
    // What stands in a slice serves something.
    let slices = cluster.resolve("web").slices;
    for server in &slices[0].spec.real_servers {
        let services = &slices[0].spec.services;
        assert!(services.iter().any(|s| lvs_crds::serves(services, server, s)), "{server:?}");
    }
}

#[test]
fn families_come_from_destinations_too() {
    let mut cluster = cluster();
    let mark = json!({"destinations": ["2001:db8:1::/48"]});
    cluster.service("web", json!({"addresses": [], "firewallMark": mark}));
    cluster.server("six", json!({"address": "2001:db8::1"}));
    assert_eq!(entries(&cluster, "six").len(), 1);
    let (reason, message) = left_out(&cluster, "a");
    assert_eq!(reason, "AddressFamilyMismatch");
    assert!(message.contains("2001:db8:1::/48"), "{message}");
}

#[test]
fn one_packet_and_nat_do_not_meet() {
    let mut cluster = cluster();
    cluster.service("web", json!({"ports": [{"port": 53, "protocol": "UDP"}], "onePacket": true}));
    cluster.server("a", json!({"address": "10.0.0.1", "forwarding": "NAT"}));
    let (reason, message) = left_out(&cluster, "a");
    assert_eq!(reason, "OnePacketWithNAT");
    assert!(message.starts_with("spec.forwarding: ") && message.contains("DR or TUN"), "{message}");
    assert_eq!(entries(&cluster, "b").len(), 1);
    assert!(cluster.resolve("web").slices[0].spec.services[0].one_packet);
}

#[test]
fn ports_that_nothing_translates_leave_a_server_out_with_what_to_do() {
    let web = json!([{"name": "http", "port": 80}]);
    let both = json!([{"name": "http", "port": 80}, {"name": "https", "port": 443}]);
    let range = json!([{"name": "data", "port": 20000, "endPort": 20999}]);
    let all = json!([{"name": "all", "port": 0}]);
    let marked = |ports: &Value| json!({"ports": ports, "firewallMark": {}, "forwarding": "NAT"});
    let named = |name: &str, port: i32| json!([{"name": name, "port": port}]);
    let cases: Vec<(Value, Value, &str, &str)> = vec![
        (
            json!({"ports": web, "forwarding": "DR"}),
            named("http", 8080),
            "PortMismatch",
            "DR does not",
        ),
        (
            json!({"ports": web, "forwarding": "TUN"}),
            named("http", 8080),
            "PortMismatch",
            "TUN does not",
        ),
        (json!({"ports": web, "forwarding": "NAT"}), named("http", 8080), "", ""),
        (marked(&web), named("http", 8080), "PortMismatch", "firewall mark"),
        (marked(&web), named("http", 80), "", ""),
        (marked(&web), named("other", 80), "NoPort", "http"),
        (marked(&both), named("http", 80), "NoPort", "https"),
        (json!({"ports": both, "forwarding": "NAT"}), named("http", 80), "", ""),
        (marked(&range), named("data", 20000), "", ""),
        (marked(&range), named("data", 30000), "PortMismatch", "20000-20999"),
        (
            json!({"ports": all, "forwarding": "NAT", "persistence": {}}),
            named("all", 80),
            "PortMismatch",
            "TCP/0",
        ),
        (json!({"ports": all, "forwarding": "NAT", "persistence": {}}), json!([]), "", ""),
    ];
    for (service, ports, reason, told) in cases {
        let mut cluster = cluster();
        cluster.service("web", service.clone());
        cluster.server("a", json!({"address": "10.0.0.1", "ports": ports}));
        let (found, message) = left_out(&cluster, "a");
        assert_eq!(found, reason, "{service} {ports}: {message}");
        assert!(message.contains(told), "{told}: {message}");
    }
}

#[test]
fn with_a_mark_one_address_is_one_server() {
    let mut cluster = cluster();
    cluster.service("web", json!({"firewallMark": {}}));
    cluster.server("twin", json!({"address": "10.0.0.1"}));
    let (reason, message) = left_out(&cluster, "twin");
    assert_eq!(reason, "DuplicateAddress");
    assert!(message.contains("10.0.0.1 is RealServer a"), "{message}");
}
