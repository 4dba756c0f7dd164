//! Which real servers a VirtualService balances to, how, and why the others are left out.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, cluster};
use lvs_resolve::Resolution;
use serde_json::{Value, json};

/// `name address:port/target[,..] forwarding weight` of each real server in the slices.
fn placed(resolution: &Resolution) -> Vec<String> {
    let servers = resolution.slices.iter().flat_map(|s| &s.spec.real_servers);
    servers
        .map(|s| {
            let ports: Vec<_> =
                s.ports.iter().map(|p| format!("{}/{}", p.port, p.target_port)).collect();
            format!("{} {}:{} {} {}", s.name, s.address, ports.join(","), s.forwarding, s.weight)
        })
        .collect()
}

fn left_out(resolution: &Resolution) -> Vec<(&str, &str)> {
    resolution.left_out.iter().map(|l| (l.real_server.as_str(), l.reason)).collect()
}

#[test]
fn each_real_server_is_placed_or_left_out_with_a_reason() {
    type Case = (&'static str, Value, Value, Result<&'static str, (&'static str, &'static str)>);
    let cases: Vec<Case> = vec![
        ("plain", json!({}), json!({"address": "10.0.0.9"}), Ok("x 10.0.0.9:80/80 DR 1")),
        (
            "weight",
            json!({}),
            json!({"address": "10.0.0.9", "weight": 7}),
            Ok("x 10.0.0.9:80/80 DR 7"),
        ),
        (
            "forwarding of its own",
            json!({}),
            json!({"address": "10.0.0.9", "forwarding": "NAT", "ports": [{"port": 8080}]}),
            Ok("x 10.0.0.9:80/8080 NAT 1"),
        ),
        (
            "the service's target",
            json!({"forwarding": "NAT", "ports": [{"port": 80, "targetPort": 8080}]}),
            json!({"address": "10.0.0.9"}),
            Ok("x 10.0.0.9:80/8080 NAT 1"),
        ),
        (
            "ports by name, and one that it does not serve",
            json!({"forwarding": "NAT", "ports": [
                {"name": "http", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443}]}),
            json!({"address": "10.0.0.9", "ports": [{"name": "https", "port": 8443}]}),
            Ok("x 10.0.0.9:443/8443 NAT 1"),
        ),
        (
            "no port of that name",
            json!({"ports": [{"name": "http", "port": 80}]}),
            json!({"address": "10.0.0.9", "ports": [{"name": "web", "port": 80}]}),
            Err(("NoPort", "spec.ports")),
        ),
        (
            "a check of no port for a mark",
            json!({"firewallMark": {}}),
            json!({"address": "10.0.0.9", "healthCheck": {"tcp": {}}}),
            Err(("NoPort", "spec.healthCheck")),
        ),
        (
            "another port with DR",
            json!({}),
            json!({"address": "10.0.0.9", "ports": [{"port": 8080}]}),
            Err(("PortMismatch", "spec.ports")),
        ),
        (
            "DR override where the service translates",
            json!({"forwarding": "NAT", "ports": [{"port": 80, "targetPort": 8080}]}),
            json!({"address": "10.0.0.9", "forwarding": "DR"}),
            Err(("PortMismatch", "DR does not translate")),
        ),
        ("a node", json!({}), json!({"nodeName": "n1"}), Ok("x 10.0.1.1:80/80 DR 1")),
        (
            "a node in IPv6",
            json!({"addresses": ["2001:db8::10"]}),
            json!({"nodeName": "n1"}),
            Ok("x 2001:db8::1:80/80 DR 1"),
        ),
        ("no such node", json!({}), json!({"nodeName": "n9"}), Err(("NoSuchNode", "n9"))),
        (
            "a node of another family",
            json!({"addresses": ["2001:db8::10"]}),
            json!({"nodeName": "d1"}),
            Err(("NoNodeAddress", "InternalIP")),
        ),
        (
            "another family",
            json!({}),
            json!({"address": "2001:db8::9"}),
            Err(("AddressFamilyMismatch", "192.0.2.10")),
        ),
        (
            "outside",
            json!({"directorGroup": "fenced"}),
            json!({"address": "10.0.2.9"}),
            Err(("OutsideRealServerCIDRs", "10.0.0.0/23")),
        ),
        (
            "inside",
            json!({"directorGroup": "fenced"}),
            json!({"address": "10.0.1.9"}),
            Ok("x 10.0.1.9:80/80 DR 1"),
        ),
        (
            "the VIP",
            json!({}),
            json!({"address": "192.0.2.10"}),
            Err(("AddressIsVIP", "192.0.2.10")),
        ),
        ("no address", json!({}), json!({"address": "ten"}), Err(("Invalid", "\"ten\""))),
        (
            "an address and port that is there already",
            json!({}),
            json!({"address": "10.0.0.1"}),
            Err(("DuplicateAddress", "RealServer a")),
        ),
    ];
    for (case, service, server, expected) in cases {
        let mut cluster = cluster();
        cluster.node("n1", &["10.0.1.1", "2001:db8::1"]);
        cluster.group("fenced", json!({"realServerCIDRs": ["10.0.0.0/23"]}));
        cluster.service("web", service);
        cluster.server("x", server);
        let resolution = cluster.resolve("web");
        let placed = placed(&resolution);
        let x: Vec<_> = placed.iter().filter(|p| p.starts_with("x ")).collect();
        match expected {
            Ok(text) => assert_eq!(x, [text], "{case}"),
            Err((reason, told)) => {
                assert!(x.is_empty(), "{case}: {placed:?}");
                let problem = resolution.left_out.iter().find(|l| l.real_server == "x").unwrap();
                assert_eq!(problem.reason, reason, "{case}");
                assert!(problem.message.contains(told), "{case}: {}", problem.message);
                assert!(problem.message.starts_with("spec."), "{case}: {}", problem.message);
            }
        }
    }
}

#[test]
fn one_that_is_left_out_leaves_the_others_serving() {
    let mut cluster = cluster();
    cluster.server("bad", json!({"nodeName": "nowhere"}));
    let resolution = cluster.resolve("web");
    assert_eq!(placed(&resolution), ["a 10.0.0.1:80/80 DR 1", "b 10.0.0.2:80/80 DR 1"]);
    assert_eq!(left_out(&resolution), [("bad", "NoSuchNode")]);
    assert!(resolution.accepted.is_true() && resolution.resolved.is_true());
    assert_eq!((resolution.real_servers.total, resolution.real_servers.healthy), (3, 2));
}

#[test]
fn disabled_and_weightless_servers_count_but_are_not_healthy() {
    let mut cluster = cluster();
    cluster.server("off", json!({"address": "10.0.0.3", "state": "Disabled"}));
    cluster.server("quiet", json!({"address": "10.0.0.4", "weight": 0}));
    let resolution = cluster.resolve("web");
    let placed = placed(&resolution);
    assert!(placed.contains(&"quiet 10.0.0.4:80/80 DR 0".to_owned()));
    assert!(!placed.iter().any(|p| p.starts_with("off ")));
    let counts = &resolution.real_servers;
    assert_eq!((counts.total, counts.healthy, counts.draining), (4, 2, 1));
    assert!(resolution.left_out.is_empty());
}

#[test]
fn a_node_with_two_families_serves_both_vips() {
    let mut cluster = cluster();
    cluster.node("n1", &["10.0.1.1", "2001:db8::1", "10.0.1.2"]);
    cluster.service("web", json!({"addresses": ["192.0.2.10", "2001:db8::10"]}));
    cluster.server("n", json!({"nodeName": "n1"}));
    let resolution = cluster.resolve("web");
    let mine: Vec<_> = placed(&resolution).into_iter().filter(|p| p.starts_with("n ")).collect();
    assert_eq!(mine, ["n 10.0.1.1:80/80 DR 1", "n 2001:db8::1:80/80 DR 1"]);
    assert_eq!((resolution.real_servers.total, resolution.real_servers.healthy), (3, 3));
    assert_eq!(resolution.slices[0].spec.services.len(), 2);
}

#[test]
fn of_two_with_one_address_the_one_that_serves_already_stays() {
    let mut cluster = cluster();
    cluster.write(cluster::NS, "web");
    cluster.server("0-newcomer", json!({"address": "10.0.0.1"}));
    assert_eq!(left_out(&cluster.resolve("web")), [("0-newcomer", "DuplicateAddress")]);
    // On another port it is another destination.
    let ports = json!([{"port": 80, "targetPort": 8080}]);
    cluster.service("web", json!({"forwarding": "NAT", "ports": ports}));
    cluster.server("0-newcomer", json!({"address": "10.0.0.1", "ports": [{"port": 8081}]}));
    assert_eq!(left_out(&cluster.resolve("web")), []);
}

#[test]
fn selectors_select_as_the_api_server_does() {
    let labels = [
        ("none", json!({})),
        ("web", json!({"app": "web"})),
        ("web-eu", json!({"app": "web", "zone": "eu"})),
        ("db-us", json!({"app": "db", "zone": "us"})),
    ];
    let expression = |operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": "zone", "operator": operator, "values": values}]});
    for (selector, expected) in [
        (json!({}), vec!["db-us", "none", "web", "web-eu"]),
        (json!({"matchLabels": {"app": "web"}}), vec!["web", "web-eu"]),
        (json!({"matchLabels": {"app": "web", "zone": "eu"}}), vec!["web-eu"]),
        (expression("In", &["eu", "us"]), vec!["db-us", "web-eu"]),
        (expression("NotIn", &["eu"]), vec!["db-us", "none", "web"]),
        (expression("Exists", &[]), vec!["db-us", "web-eu"]),
        (expression("DoesNotExist", &[]), vec!["none", "web"]),
        (expression("In", &[]), vec![]),
        (expression("Near", &["eu"]), vec![]),
    ] {
        let mut cluster = Cluster::default();
        cluster.group("default", json!({}));
        cluster.service("web", json!({"realServers": {"selector": selector}}));
        for (number, (name, labels)) in labels.iter().enumerate() {
            let address = format!("10.0.0.{number}");
            cluster.server_labelled(name, labels.clone(), json!({"address": address}));
        }
        let resolution = cluster.resolve("web");
        assert_eq!(resolution.selected, expected, "{selector}");
        // The way back, from a real server to those that select it, agrees.
        for (name, labels) in &labels {
            let labels = serde_json::from_value(labels.clone()).unwrap();
            let back = cluster.snapshot.selecting(cluster::NS, &labels).count() == 1;
            assert_eq!(back, expected.contains(name), "{selector} {name}");
        }
    }
}

#[test]
fn a_selector_that_cannot_be_evaluated_is_named() {
    let mut cluster = cluster();
    let selector = json!({"matchExpressions": [{"key": "zone", "operator": "Near"}]});
    cluster.service("web", json!({"realServers": {"selector": selector}}));
    let resolved = cluster.resolve("web").resolved;
    assert_eq!((resolved.is_true(), resolved.reason.as_str()), (false, "InvalidSelector"));
    assert!(resolved.message.contains("matchExpressions[0].operator"), "{}", resolved.message);
}

#[test]
fn services_carry_every_default() {
    let mut cluster = cluster();
    cluster.service(
        "web",
        json!({
            "addresses": ["192.0.2.10", "2001:db8::10"],
            "persistence": {"timeoutSeconds": 60, "ipv4Netmask": "255.255.255.0"},
        }),
    );
    let services = &cluster.resolve("web").slices[0].spec.services;
    let told: Vec<_> = services
        .iter()
        .map(|s| {
            let p = s.persistence.as_ref().unwrap();
            format!(
                "{} {} {} {} {}/{}",
                s.address, s.protocol, s.port, s.scheduler, p.timeout_seconds, p.prefix_length
            )
        })
        .collect();
    assert_eq!(told, ["192.0.2.10 TCP 80 wlc 60/24", "2001:db8::10 TCP 80 wlc 60/128"]);
}

#[test]
fn slices_say_how_each_real_server_is_checked() {
    let mut cluster = cluster();
    cluster.service("web", json!({"healthCheck": {"tcp": {}}}));
    cluster.server("b", json!({"address": "10.0.0.2", "healthCheck": {"http": {}, "fall": 5}}));
    let slices = cluster.resolve("web").slices;
    let slice = &slices[0].spec;
    let of_service = slice.health_check.as_ref().unwrap();
    assert!(of_service.tcp.is_some() && of_service.http.is_none());
    assert_eq!((of_service.interval_milliseconds, of_service.fall), (250, 3));
    assert_eq!(slice.real_servers[0].health_check, None);
    let own = slice.real_servers[1].health_check.as_ref().unwrap();
    assert!(own.tcp.is_none() && own.http.is_some() && own.fall == 5);
}
