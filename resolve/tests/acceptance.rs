//! Which VirtualServices are accepted, and what becomes of the slices of one that is not.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, NS, cluster};
use lvs_resolve::{Key, resolve};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The reason and message of `Accepted`, and the VIPs of the slices.
fn accepted(cluster: &Cluster, namespace: &str, name: &str) -> (String, String, Vec<String>) {
    let resolution = resolve(&Key::new(namespace, name), &cluster.snapshot).unwrap();
    assert_eq!(resolution.accepted.is_true(), resolution.accepted.reason == "Accepted");
    let slices = resolution.slices.iter().flat_map(|s| &s.spec.services);
    let vips = slices.map(|s| format!("{}:{}", s.address, s.port)).collect();
    (resolution.accepted.reason, resolution.accepted.message, vips)
}

#[test]
fn an_edit_that_is_not_accepted_keeps_the_slices_except_where_the_namespace_may_not() {
    let cases: Vec<(Value, &str, &str, bool)> = vec![
        (json!({"directorGroup": "gone"}), "NoSuchDirectorGroup", "spec.directorGroup", true),
        (json!({"directorGroup": "closed"}), "NamespaceNotAllowed", "spec.directorGroup", false),
        (json!({"addresses": ["10.0.0.100"]}), "AddressOfNode", "node d1", true),
        (json!({"addresses": ["10.9.9.9"]}), "AddressOfNode", "node d1", true),
        (json!({"addresses": ["ten"]}), "Invalid", "spec.addresses", true),
        (
            json!({"persistence": {"timeoutSeconds": 1, "ipv4Netmask": "1.2.3.4"}}),
            "Invalid",
            "spec.persistence.ipv4Netmask",
            true,
        ),
        (json!({"addresses": ["192.0.2.77"]}), "AddressConflict", "shop/other", true),
    ];
    for (spec, reason, told, kept) in cases {
        let mut cluster = cluster();
        cluster.group("closed", json!({"allowedNamespaces": {"matchLabels": {"tier": "front"}}}));
        cluster.report("d1", json!({"addresses": ["10.9.9.9"]}));
        cluster.service("other", json!({"addresses": ["192.0.2.77"]}));
        cluster.write(NS, "other");
        cluster.write(NS, "web");
        cluster.service("web", spec);
        let (found, message, vips) = accepted(&cluster, NS, "web");
        assert_eq!(found, reason);
        assert!(message.contains(told), "{message}");
        let expected: &[&str] = if kept { &["192.0.2.10:80"] } else { &[] };
        assert_eq!(vips, expected, "{reason}");
        // The first generation's, as it was.
        assert!(cluster.resolve("web").slices.iter().all(|s| s.spec.generation == 1));
    }
}

#[test]
fn a_namespace_is_admitted_by_its_labels() {
    let mut cluster = cluster();
    let by_name =
        json!({"allowedNamespaces": {"matchLabels": {"kubernetes.io/metadata.name": NS}}});
    cluster.group("default", by_name);
    assert_eq!(accepted(&cluster, NS, "web").0, "Accepted", "where namespaces are not known");
    cluster.snapshot.set_namespace(NS, [("tier".to_owned(), "front".to_owned())].into());
    assert_eq!(accepted(&cluster, NS, "web").0, "NamespaceNotAllowed");
    cluster.group("default", json!({"allowedNamespaces": {"matchLabels": {"tier": "front"}}}));
    assert_eq!(accepted(&cluster, NS, "web").0, "Accepted");
}

#[test]
fn a_report_of_a_node_that_is_gone_blocks_no_address() {
    let mut cluster = cluster();
    cluster.node("old", &[]);
    cluster.report("old", json!({"addresses": ["192.0.2.10"]}));
    assert_eq!(accepted(&cluster, NS, "web").0, "AddressOfNode");
    cluster.snapshot.remove_node("old");
    assert_eq!(accepted(&cluster, NS, "web").0, "Accepted");
}

#[test]
fn of_several_that_want_one_vip_and_port_one_gets_it() {
    let mut cluster = Cluster::default();
    cluster.group("default", json!({}));
    cluster.service_in(NS, "young", "2026-01-02T00:00:00Z", json!({}));
    cluster.service_in(NS, "b-old", "2026-01-01T00:00:00Z", json!({}));
    cluster.service_in(NS, "a-old", "2026-01-01T00:00:00Z", json!({}));
    let who = |cluster: &Cluster| -> Vec<&str> {
        let names = ["young", "b-old", "a-old"].into_iter();
        names.filter(|name| accepted(cluster, NS, name).0 == "Accepted").collect()
    };
    assert_eq!(who(&cluster), ["a-old"], "the oldest, then by name");
    // Whoever has slices keeps it, whatever is older.
    let mut held = cluster.clone();
    held.snapshot.remove_virtual_service(&Key::new(NS, "a-old"));
    held.snapshot.remove_virtual_service(&Key::new(NS, "b-old"));
    held.write(NS, "young");
    held.service_in(NS, "a-old", "2025-01-01T00:00:00Z", json!({}));
    held.service_in(NS, "b-old", "2025-01-01T00:00:00Z", json!({}));
    assert_eq!(who(&held), ["young"]);
    let (_, message, _) = accepted(&held, NS, "a-old");
    assert!(
        message.contains("192.0.2.10 TCP/80 is taken by VirtualService shop/young"),
        "{message}"
    );
    // When it goes, its slices have to go first.
    held.snapshot.remove_virtual_service(&Key::new(NS, "young"));
    assert_eq!(who_of(&held, &["b-old", "a-old"]), Vec::<&str>::new());
    held.write(NS, "young");
    assert_eq!(who_of(&held, &["b-old", "a-old"]), ["a-old"]);
}

fn who_of<'a>(cluster: &Cluster, names: &[&'a str]) -> Vec<&'a str> {
    let accepted = |name: &&&str| accepted(cluster, NS, name).0 == "Accepted";
    names.iter().filter(accepted).copied().collect()
}

#[test]
fn another_port_or_protocol_of_a_vip_is_no_conflict() {
    let mut cluster = cluster();
    cluster.service("https", json!({"ports": [{"port": 443}]}));
    cluster.service("dns", json!({"ports": [{"port": 80, "protocol": "UDP"}]}));
    assert_eq!(who_of(&cluster, &["web", "https", "dns"]), ["web", "https", "dns"]);
}

#[test]
fn a_vip_belongs_to_one_namespace() {
    let mut cluster = cluster();
    cluster.write(NS, "web");
    cluster.service_in("else", "x", "2025-01-01T00:00:00Z", json!({"ports": [{"port": 443}]}));
    let (reason, message, _) = accepted(&cluster, "else", "x");
    assert_eq!(reason, "AddressConflict");
    assert!(message.contains("192.0.2.10 belongs to namespace shop"), "{message}");
    assert_eq!(who_of(&cluster, &["web"]), ["web"]);
}

#[test]
fn one_that_could_not_be_programmed_anyway_takes_no_address_from_others() {
    let mut cluster = cluster();
    let spec = json!({"directorGroup": "gone"});
    cluster.service_in(NS, "older", "2025-01-01T00:00:00Z", spec);
    assert_eq!(who_of(&cluster, &["web", "older"]), ["web"]);
}

#[test]
fn a_loser_of_one_contest_does_not_block_a_third() {
    let mut cluster = Cluster::default();
    cluster.group("default", json!({}));
    let ports = |ports: &[i32]| json!({"ports": ports.iter().map(|p| json!({"name": format!("p{p}"), "port": p})).collect::<Vec<_>>()});
    cluster.service_in(NS, "first", "2025-01-01T00:00:00Z", ports(&[1, 2]));
    cluster.service_in(NS, "second", "2025-01-02T00:00:00Z", ports(&[2, 3]));
    cluster.service_in(NS, "third", "2025-01-03T00:00:00Z", ports(&[3, 4]));
    assert_eq!(who_of(&cluster, &["first", "second", "third"]), ["first", "third"]);
}

#[test]
fn who_loses_to_a_holder_does_not_block_a_third() {
    let ports = |ports: [i32; 2]| json!({"ports": ports.map(|p| json!({"name": format!("p{p}"), "port": p}))});
    for keeps_wanting in [true, false] {
        let mut cluster = Cluster::default();
        cluster.group("default", json!({}));
        cluster.service_in(NS, "holder", "2026-01-03T00:00:00Z", json!({"ports": [{"port": 2}]}));
        cluster.write(NS, "holder");
        if !keeps_wanting {
            // An edit that is not accepted: it still has what it had.
            let spec = json!({"ports": [{"port": 9}], "directorGroup": "gone"});
            cluster.service_in(NS, "holder", "2026-01-03T00:00:00Z", spec);
        }
        cluster.service_in(NS, "oldest", "2026-01-01T00:00:00Z", ports([1, 2]));
        cluster.service_in(NS, "third", "2026-01-02T00:00:00Z", json!({"ports": [{"port": 1}]}));
        assert_eq!(who_of(&cluster, &["oldest", "third"]), ["third"], "{keeps_wanting}");
    }
}

#[test]
fn having_one_port_gives_no_right_to_another() {
    let mut cluster = cluster();
    cluster.write(NS, "web");
    let ports = json!([{"name": "http", "port": 80}, {"name": "https", "port": 443}]);
    cluster.service_in(NS, "older", "2025-01-01T00:00:00Z", json!({"ports": [{"port": 443}]}));
    cluster.service("web", json!({"ports": ports}));
    assert_eq!(who_of(&cluster, &["web", "older"]), ["older"]);
    let (_, message, vips) = accepted(&cluster, NS, "web");
    assert!(message.contains("TCP/443 is taken by VirtualService shop/older"), "{message}");
    assert_eq!(vips, ["192.0.2.10:80"], "and it keeps what it has");
}

#[test]
fn two_that_have_slices_with_one_claim_end_as_one() {
    let mut cluster = cluster();
    cluster.service("twin", json!({}));
    // Written from a snapshot that did not know of the other.
    let mut alone = cluster.clone();
    alone.snapshot.remove_virtual_service(&Key::new(NS, "web"));
    alone.write(NS, "twin");
    cluster.write(NS, "web");
    let slice = alone.snapshot.slice(&Key::new(NS, "twin-0")).unwrap();
    cluster.snapshot.set_slice((**slice).clone());
    assert_eq!(accepted(&cluster, NS, "twin"), {
        let (_, message, _) = accepted(&cluster, NS, "twin");
        ("Accepted".to_owned(), message, vec!["192.0.2.10:80".to_owned()])
    });
    let (reason, _, vips) = accepted(&cluster, NS, "web");
    assert_eq!((reason.as_str(), vips.len()), ("AddressConflict", 0), "the loser withdraws");
}

#[test]
fn what_is_being_written_counts_as_taken() {
    let mut cluster = cluster();
    let key = Key::new(NS, "web");
    let claims: BTreeSet<_> = lvs_resolve::wanted(cluster.snapshot.virtual_service(&key).unwrap());
    cluster.snapshot.reserve(&key, claims);
    cluster.service_in(NS, "a-older", "2025-01-01T00:00:00Z", json!({}));
    assert_eq!(who_of(&cluster, &["web", "a-older"]), ["web"]);
    cluster.snapshot.reserve(&key, BTreeSet::new());
    assert_eq!(who_of(&cluster, &["web", "a-older"]), ["a-older"]);
}

#[test]
fn a_virtual_service_that_is_being_deleted_is_gone() {
    let mut cluster = cluster();
    let key = Key::new(NS, "web");
    let mut object = (**cluster.snapshot.virtual_service(&key).unwrap()).clone();
    object.metadata.deletion_timestamp = object.metadata.creation_timestamp.clone();
    cluster.snapshot.set_virtual_service(object);
    assert_eq!(resolve(&key, &cluster.snapshot), None);
}
