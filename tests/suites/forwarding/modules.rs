//! What a real server's kernel lacks is told by name, and stops nothing else.

use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::Node;
use lvs_tests::scenario::{real_server, virtual_service};
use lvs_tests::traffic::shares;

use super::world::{World, answers, node_status};

/// A service by each tunnel; who answers at which VIP, when `missing` is told.
#[track_caller]
fn without(missing: &str, works: &str, fails: &str) {
    let mut world = World::new();
    let [client, director, far]: [Node; 3] =
        [&world.client, &world.director, &world.far[0]].map(Node::clone);
    world.start(&[&director, &far]);
    let mut objects = Vec::new();
    for (name, vip, server) in [
        ("ipip", "192.168.0.44", "10.3.0.101"),
        ("gue", "192.168.0.45", "10.3.0.102"),
        ("gre", "192.168.0.46", "10.3.0.103"),
    ] {
        let spec = format!("addresses: [{vip}], forwarding: TUN, tunnel: {{type: {name}}}");
        objects.push(virtual_service(name, &spec));
        objects.push(real_server(name, name, &format!("address: {server}")));
    }
    world.put(&objects.join("---\n"));
    let told = || node_status(world.agent(&far))["failures"].to_string();
    let told = eventually(missing, Duration::from_secs(20), told, |told| told.contains(missing));
    let module = missing.rsplit(' ').next().unwrap_or_default();
    assert!(
        told.contains("ModuleMissing") && told.contains(&format!("modprobe {module}")),
        "{told}"
    );
    for vip in works.split_whitespace() {
        assert_eq!(answers(&client, &format!("{vip}:80"), 2), shares([("far1", 2)]), "{vip}");
    }
    for vip in fails.split_whitespace() {
        assert_eq!(answers(&client, &format!("{vip}:80"), 2), shares([("nobody", 2)]), "{vip}");
    }
    // With the modules came what modules bring: tunl0, gre0 and their like, down.
    world.stop();
    let links = far.sh("ip -o link").expect("links");
    assert!(!links.contains("lvs"), "{links}");
}

#[test]
fn a_kernel_without_fou_says_so_and_serves_by_the_other_tunnels() {
    in_guest(Guest::debian(), || {
        without("this kernel has no fou", "192.168.0.44 192.168.0.46", "192.168.0.45");
    });
}

#[test]
fn a_kernel_without_ipip_says_so_and_serves_by_the_other_tunnels() {
    in_guest(Guest::debian().without_module("ipip"), || {
        without("this kernel has no ipip", "192.168.0.46", "192.168.0.44");
    });
}
