//! Firewall marks: which service has which, and what it takes from others.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, NS, cluster};
use lvs_resolve::Key;
use serde_json::{Value, json};

fn mark_of(cluster: &Cluster, name: &str) -> Option<i64> {
    let resolution = cluster.resolve(name);
    let slice = resolution.slices.first()?;
    Some(slice.spec.services.first()?.firewall_mark.as_ref()?.mark)
}

fn says(cluster: &Cluster, name: &str) -> (String, String) {
    let accepted = cluster.resolve(name).accepted;
    (accepted.reason, accepted.message)
}

fn marked(addresses: &[&str], ports: Value, mark: Value) -> Value {
    json!({"addresses": addresses, "ports": ports, "firewallMark": mark})
}

#[test]
fn all_addresses_and_ports_are_one_service_a_family() {
    let mut cluster = cluster();
    let ports =
        json!([{"name": "control", "port": 21}, {"name": "data", "port": 20000, "endPort": 20999}]);
    let mut spec = marked(
        &["192.0.2.10", "2001:db8::10", "192.0.2.11"],
        ports.clone(),
        json!({"mark": 80, "destinations": ["198.51.100.9/24"]}),
    );
    spec["persistence"] = json!({"timeoutSeconds": 60, "ipv6PrefixLength": 64});
    cluster.service("web", spec);
    let slices = cluster.resolve("web").slices;
    let services = serde_json::to_value(&slices[0].spec.services).unwrap();
    let ports = json!([{"protocol": "TCP", "port": 21}, {"protocol": "TCP", "port": 20000, "endPort": 20999}]);
    assert_eq!(
        services,
        json!([
            {"protocol": "TCP", "port": 0, "scheduler": "wlc",
             "persistence": {"timeoutSeconds": 60, "prefixLength": 32},
             "firewallMark": {"mark": 80, "family": "IPv4", "rules": "Managed",
                "addresses": ["192.0.2.10", "192.0.2.11"], "destinations": ["198.51.100.0/24"], "ports": ports}},
            {"protocol": "TCP", "port": 0, "scheduler": "wlc",
             "persistence": {"timeoutSeconds": 60, "prefixLength": 64},
             "firewallMark": {"mark": 80, "family": "IPv6", "rules": "Managed",
                "addresses": ["2001:db8::10"], "ports": ports}},
        ])
    );
    assert!(slices[0].spec.real_servers.iter().all(|r| r.ports.is_empty()));
}

#[test]
fn a_mark_of_our_choice_is_free_and_stays() {
    let mut cluster = cluster();
    let web = |ports: i32| marked(&["192.0.2.10"], json!([{"port": ports}]), json!({}));
    cluster.service("web", web(80));
    let first = mark_of(&cluster, "web").unwrap();
    assert!((4096..=8191).contains(&first), "{first}");
    // Whoever fixes or has it makes the next one be chosen.
    cluster.service("fixed", marked(&["192.0.2.20"], json!([{"port": 1}]), json!({"mark": first})));
    let second = mark_of(&cluster, "web").unwrap();
    assert_eq!(second, 4096 + (first - 4096 + 1) % 4096);
    cluster.snapshot.remove_virtual_service(&Key::new(NS, "fixed"));
    cluster.service("web", web(80));
    cluster.write(NS, "web");
    assert_eq!(mark_of(&cluster, "web"), Some(first));
    // From here on it stays, whatever others want.
    cluster.service_in(
        NS,
        "fixed",
        "2020-01-01T00:00:00Z",
        marked(&["192.0.2.20"], json!([{"port": 1}]), json!({"mark": first})),
    );
    cluster.service("web", web(81));
    assert_eq!(mark_of(&cluster, "web"), Some(first));
    let (reason, message) = says(&cluster, "fixed");
    assert_eq!(reason, "MarkConflict");
    assert!(message.contains("shop/web") && message.contains("leave mark out"), "{message}");
}

#[test]
fn of_two_that_fix_one_mark_the_older_gets_it() {
    let mut cluster = cluster();
    let spec = |vip: &str| marked(&[vip], json!([{"port": 80}]), json!({"mark": 7}));
    cluster.service_in(NS, "young", "2026-02-01T00:00:00Z", spec("192.0.2.21"));
    cluster.service_in("else", "old", "2026-01-01T00:00:00Z", spec("192.0.2.22"));
    assert_eq!(says(&cluster, "young").0, "MarkConflict");
    cluster.snapshot.remove_virtual_service(&Key::new("else", "old"));
    assert_eq!(says(&cluster, "young").0, "Accepted");
}

#[test]
fn of_two_that_were_given_one_mark_the_younger_moves() {
    let mut cluster = cluster();
    let spec = |vip: &str| marked(&[vip], json!([{"port": 80}]), json!({}));
    cluster.service_in(NS, "old", "2026-01-01T00:00:00Z", spec("192.0.2.21"));
    cluster.write(NS, "old");
    let mark = mark_of(&cluster, "old").unwrap();
    cluster.service_in(NS, "young", "2026-02-01T00:00:00Z", spec("192.0.2.22"));
    cluster.write(NS, "young");
    // As if it had been written by somebody who had not seen the other.
    let key = Key::new(NS, "young-0");
    let mut slice = (**cluster.snapshot.slice(&key).unwrap()).clone();
    slice.spec.services[0].firewall_mark.as_mut().unwrap().mark = mark;
    cluster.snapshot.set_slice(slice);
    assert_eq!(mark_of(&cluster, "old"), Some(mark));
    assert_eq!(says(&cluster, "young").0, "Accepted");
    assert_ne!(mark_of(&cluster, "young"), Some(mark));
}

#[test]
fn ranges_are_taken_as_ranges() {
    let ftp = json!([{"name": "control", "port": 21}, {"name": "passive", "port": 20000, "endPort": 20999}]);
    let range = |first: i32, last: i32| json!([{"port": first, "endPort": last}]);
    let on = |vip: &str, ports: Value, mark: Value| marked(&[vip], ports, mark);
    let vip = "192.0.2.30";
    let plain = |port: i32| json!({"addresses": [vip], "ports": [{"port": port}]});
    let udp = json!({"addresses": [vip], "ports": [{"port": 20500, "protocol": "UDP"}]});
    let cases: Vec<(&str, Value, &str)> = vec![
        ("a port within", plain(20500), "AddressConflict"),
        ("its first port", plain(20000), "AddressConflict"),
        ("its last port", plain(20999), "AddressConflict"),
        ("a port beside", plain(21000), "Accepted"),
        ("what is left over", plain(0), "Accepted"),
        ("another protocol", udp, "Accepted"),
        ("a range that overlaps", on(vip, range(20999, 30000), json!({})), "AddressConflict"),
        ("a range around", on(vip, range(1, 30000), json!({})), "AddressConflict"),
        ("a range beside", on(vip, range(21000, 30000), json!({})), "Accepted"),
        ("every port by mark", on(vip, json!([{"port": 0}]), json!({})), "AddressConflict"),
        ("another VIP", on("192.0.2.31", range(1, 30000), json!({})), "Accepted"),
        (
            "somebody else's rules",
            on(vip, range(1, 30000), json!({"mark": 9, "rules": "External"})),
            "Accepted",
        ),
    ];
    for (what, spec, expected) in cases {
        let mut cluster = cluster();
        cluster.service("ftp", on(vip, ftp.clone(), json!({})));
        cluster.write(NS, "ftp");
        cluster.service_in(NS, "other", "2020-01-01T00:00:00Z", spec);
        let (reason, message) = says(&cluster, "other");
        assert_eq!(reason, expected, "{what}: {message}");
        assert_eq!(says(&cluster, "ftp").0, "Accepted", "{what}");
        if expected != "Accepted" {
            assert!(message.contains("shop/ftp"), "{message}");
        }
    }
}

#[test]
fn a_vip_of_external_rules_still_belongs_to_one_namespace() {
    let mut cluster = cluster();
    let external = json!({"mark": 9, "rules": "External"});
    cluster.service("web", marked(&["192.0.2.40"], json!([{"port": 80}]), external));
    cluster.write(NS, "web");
    cluster.service_in("else", "x", "2020-01-01T00:00:00Z", json!({"addresses": ["192.0.2.40"]}));
    let other = lvs_resolve::resolve(&Key::new("else", "x"), &cluster.snapshot).unwrap();
    assert_eq!(other.accepted.reason, "AddressConflict");
}

#[test]
fn what_passes_through_one_groups_directors_is_one_services() {
    let mut cluster = cluster();
    cluster.group_of("edge", &["d2"], json!({}));
    let cache = |group: &str, port: i32, network: &str| {
        let mut spec = marked(&[], json!([{"port": port}]), json!({"destinations": [network]}));
        spec["directorGroup"] = json!(group);
        spec
    };
    cluster.service("one", cache("default", 80, "0.0.0.0/0"));
    cluster.write(NS, "one");
    assert_eq!(says(&cluster, "one").0, "Accepted", "without a VIP");
    cluster.service("two", cache("default", 80, "0.0.0.0/0"));
    assert_eq!(says(&cluster, "two").0, "AddressConflict");
    cluster.service("two", cache("default", 80, "198.51.100.0/24"));
    let (reason, message) = says(&cluster, "two");
    assert_eq!(reason, "AddressConflict", "within");
    for told in
        ["spec.firewallMark.destinations", "198.51.100.0/24 TCP/80", "shop/one", "0.0.0.0/0 TCP/80"]
    {
        assert!(message.contains(told), "{told}: {message}");
    }
    cluster.service("two", cache("default", 80, "2001:db8::/32"));
    assert_eq!(says(&cluster, "two").0, "Accepted", "another family");
    cluster.service("two", cache("default", 81, "0.0.0.0/0"));
    assert_eq!(says(&cluster, "two").0, "Accepted");
    cluster.service("two", cache("edge", 80, "0.0.0.0/0"));
    assert_eq!(says(&cluster, "two").0, "Accepted");
    assert_eq!(says(&cluster, "web").0, "Accepted", "a VIP does not pass through");
    cluster.service("two", json!({"addresses": []}));
    assert_eq!(says(&cluster, "two").0, "Invalid", "neither VIP nor destinations");
}

#[test]
fn what_passes_through_a_director_of_two_groups_is_one_services() {
    let mut cluster = cluster();
    cluster.node("d2", &["10.0.0.102"]);
    cluster.group_of("edge", &["d2"], json!({}));
    let cache = |group: &str| {
        let mut spec = marked(&[], json!([{"port": 80}]), json!({"destinations": ["0.0.0.0/0"]}));
        spec["directorGroup"] = json!(group);
        spec
    };
    cluster.service_in(NS, "young", "2026-02-01T00:00:00Z", cache("default"));
    cluster.service_in(NS, "old", "2026-01-02T00:00:00Z", cache("edge"));
    for name in ["young", "old"] {
        assert_eq!(says(&cluster, name).0, "Accepted", "{name}: no director of both");
    }
    cluster.group_of("edge", &["d2", "d1"], json!({}));
    assert_eq!(says(&cluster, "old").0, "Accepted");
    let (reason, message) = says(&cluster, "young");
    assert_eq!(reason, "AddressConflict");
    for told in [
        "spec.firewallMark.destinations",
        "0.0.0.0/0 TCP/80",
        "node d1",
        "VirtualService shop/old",
        "DirectorGroup edge",
    ] {
        assert!(message.contains(told), "{told}: {message}");
    }
    assert_eq!(cluster.resolve("young").slices.len(), 0);
    // Whoever has it already keeps it, whatever his age.
    cluster.group_of("edge", &["d2"], json!({}));
    cluster.write(NS, "young");
    cluster.group_of("edge", &["d2", "d1"], json!({}));
    assert_eq!(says(&cluster, "young").0, "Accepted");
    assert_eq!(says(&cluster, "old").0, "AddressConflict");
    // Both have it: that of the younger one goes, or the directors' tables would be whoever's came first.
    cluster.group_of("edge", &["d2"], json!({}));
    cluster.write(NS, "old");
    assert_eq!(cluster.resolve("young").slices.len(), 1);
    cluster.group_of("edge", &["d2", "d1"], json!({}));
    assert_eq!(says(&cluster, "old").0, "Accepted");
    assert_eq!(says(&cluster, "young").0, "AddressConflict");
    assert_eq!(cluster.resolve("young").slices.len(), 0);
}

#[test]
fn networks_within_others_of_one_service_are_one() {
    let mut cluster = cluster();
    let networks = [
        "10.0.0.0/8",
        "198.51.100.0/24",
        "10.1.0.0/16",
        "198.51.101.0/24",
        "10.1.2.3/32",
        "2001:db8::/32",
    ];
    let spec = marked(&["192.0.2.50"], json!([{"port": 80}]), json!({"destinations": networks}));
    cluster.service("cache", spec);
    let slices = cluster.resolve("cache").slices;
    let mark = |index: usize| slices[0].spec.services[index].firewall_mark.clone().unwrap();
    assert_eq!(mark(0).destinations, ["10.0.0.0/8", "198.51.100.0/23"]);
    assert_eq!(mark(1).destinations, ["2001:db8::/32"]);
}
