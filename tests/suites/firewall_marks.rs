//! Firewall marks through the product: from manifests to packets.

#[path = "firewall_marks/others.rs"]
mod others;
#[path = "firewall_marks/passing.rs"]
mod passing;

use std::thread::sleep;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::Node;
use lvs_tests::scenario::{Farm, real_server, virtual_service};
use lvs_tests::traffic::{Client, Connections, Server};

/// From a change of the manifests to a programmed kernel, in virtual time.
/// From a loss that the kernel tells of to what has been made good.
const TOLD: Duration = Duration::from_millis(200);
const SETTLED: Duration = Duration::from_secs(1);
/// The farm's audits.
const AUDIT: Duration = Duration::from_secs(601);

const FOREIGN_TABLE: &str = "nft add table inet other '{ chain input { type filter hook input priority 0; \
                             ip daddr 10.9.9.9 meta mark set 0x7; }; }'";

/// Two real servers behind NAT, each with a server on all the ports that the tests use.
fn farm() -> Farm {
    let mut farm = Farm::new(2);
    for (number, node) in farm.nodes().to_vec().iter().enumerate() {
        for port in [80, 81, 443, 8081, 19_999, 20_000, 20_005, 20_009, 20_010] {
            farm.keep(Server::tcp(node, &format!("10.0.0.{}:{port}", 101 + number), node.name()));
        }
        farm.keep(Server::tcp(node, &format!("[fd00::{}]:80", 101 + number), node.name()));
    }
    farm
}

/// A service of both real servers.
fn service(name: &str, spec: &str) -> String {
    let mut objects =
        vec![virtual_service(name, &format!("forwarding: NAT, scheduler: rr, {spec}"))];
    for number in 1..=2 {
        let spec = format!("address: 10.0.0.{}", 100 + number);
        objects.push(real_server(&format!("{name}-{number}"), name, &spec));
    }
    objects.join("---\n")
}

#[track_caller]
fn serve(farm: &Farm, name: &str, spec: &str) {
    farm.agent.put(&format!("{name}.yaml"), service(name, spec));
    sleep(SETTLED);
    farm.agent.wait_for(name, "Programmed", "True");
}

#[track_caller]
fn remove(farm: &Farm, name: &str) {
    farm.agent.remove(&format!("{name}.yaml"));
    sleep(SETTLED);
}

/// The mark in a service's status.
#[track_caller]
fn mark_of(farm: &Farm, name: &str) -> Option<i64> {
    let status = farm.agent.status();
    let items = status["items"].as_array().expect("items");
    let is_it = |item: &&serde_json::Value| {
        item["kind"] == "VirtualService" && item["metadata"]["name"] == name
    };
    items.iter().find(is_it).expect(name)["status"]["firewallMark"].as_i64()
}

/// The server that a client address meets.
fn met(farm: &Farm, client: &str, server: &str) -> anyhow::Result<String> {
    Ok(Client::new(&farm.client).from(&format!("{client}:0")).get(server)?.server)
}

/// The marks of the services in the kernel.
fn marks(node: &Node) -> Vec<String> {
    let services = node.services().into_iter();
    services.filter(|it| it.protocol == "FWM").map(|it| it.address).collect()
}

/// Its lines, without what has been counted: parts stand in the order in which they came.
fn our_table(node: &Node) -> Option<String> {
    node.sh("nft -s list table inet kube-lvs | sort").ok().filter(|table| !table.is_empty())
}

fn ruleset_of_others(node: &Node) -> String {
    node.sh("nft -a list table inet other").expect("the foreign table")
}

const SHOP: &str =
    "addresses: [192.168.0.10], ports: [{name: http, port: 80}, {name: https, port: 443}]";

#[test]
fn what_has_one_mark_is_one_service() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = farm();
        farm.director.sh(FOREIGN_TABLE)?;
        let foreign = ruleset_of_others(&farm.director);
        two_ports_meet_one_server_with_persistence_and_take_turns_without(&farm)?;
        a_range_of_ports_ends_where_it_ends(&farm)?;
        several_addresses_of_both_families(&farm)?;
        assert!(marks(&farm.director).is_empty() && our_table(&farm.director).is_none());
        a_fixed_mark_belongs_to_one_service(&farm)?;
        another_mark_is_another_service(&farm)?;
        what_somebody_else_takes_away_is_made_good_and_a_restart_changes_nothing(&mut farm)?;
        assert_eq!(ruleset_of_others(&farm.director), foreign, "byte for byte");
        farm.agent.clean_up();
        assert_eq!(our_table(&farm.director), None);
        assert!(marks(&farm.director).is_empty());
        assert_eq!(ruleset_of_others(&farm.director), foreign, "byte for byte");
        Ok(())
    });
}

fn two_ports_meet_one_server_with_persistence_and_take_turns_without(
    farm: &Farm,
) -> anyhow::Result<()> {
    let (http, https) = ("192.168.0.10:80", "192.168.0.10:443");
    serve(farm, "shop", &format!("{SHOP}, firewallMark: {{}}, persistence: {{}}"));
    let mut servers = std::collections::BTreeSet::new();
    for client in 1..=10 {
        let client = format!("172.20.1.{client}");
        let first = met(farm, &client, http)?;
        assert_eq!(met(farm, &client, https)?, first, "{client}");
        servers.insert(first);
    }
    assert_eq!(servers.len(), 2, "the clients are spread");
    let mark = mark_of(farm, "shop").expect("a mark in the status");
    assert!((4096..=8191).contains(&mark), "{mark}");
    assert_eq!(marks(&farm.director), [mark.to_string()], "one service for both ports");

    serve(farm, "shop", &format!("{SHOP}, firewallMark: {{}}"));
    assert_eq!(mark_of(farm, "shop"), Some(mark), "it stays");
    let client = "172.20.2.1";
    assert_ne!(met(farm, client, http)?, met(farm, client, https)?, "rr over both ports");
    remove(farm, "shop");
    assert!(met(farm, client, http).is_err());
    Ok(())
}

fn a_range_of_ports_ends_where_it_ends(farm: &Farm) -> anyhow::Result<()> {
    let ports = "addresses: [192.168.0.10], ports: [{port: 20000, endPort: 20009}]";
    serve(farm, "range", &format!("{ports}, firewallMark: {{}}, persistence: {{}}"));
    let first = met(farm, "172.20.1.1", "192.168.0.10:20000")?;
    for port in [20_005, 20_009] {
        assert_eq!(met(farm, "172.20.1.1", &format!("192.168.0.10:{port}"))?, first, "{port}");
    }
    for port in [19_999, 20_010] {
        assert!(met(farm, "172.20.1.1", &format!("192.168.0.10:{port}")).is_err(), "{port}");
    }
    remove(farm, "range");
    Ok(())
}

fn several_addresses_of_both_families(farm: &Farm) -> anyhow::Result<()> {
    let vips = "'192.168.0.10', '192.168.0.11', '192.168.0.12', '2001:db8::10'";
    let spec = format!("addresses: [{vips}], firewallMark: {{}}, persistence: {{}}");
    let six = |number: u8| {
        real_server(&format!("six-{number}"), "all", &format!("address: 'fd00::{}'", 100 + number))
    };
    let objects = [service("all", &spec), six(1), six(2)].join("---\n");
    farm.agent.put("all.yaml", objects);
    sleep(SETTLED);
    farm.agent.wait_for("all", "Programmed", "True");
    let found = marks(&farm.director);
    assert_eq!(found.len(), 2, "one a family: {found:?}");
    assert_eq!(found[0], found[1], "of one mark");
    let mut servers = std::collections::BTreeSet::new();
    for client in 1..=6 {
        let client = format!("172.20.1.{client}");
        let first = met(farm, &client, "192.168.0.10:80")?;
        for vip in ["192.168.0.11:80", "192.168.0.12:80"] {
            assert_eq!(met(farm, &client, vip)?, first, "{client} at {vip}");
        }
        servers.insert(first);
    }
    assert_eq!(servers.len(), 2, "the clients are spread");
    let client = Client::new(&farm.client).from("[2001:db8:50::1]:0");
    let answer = client.get("[2001:db8::10]:80")?;
    assert!(answer.seen_local.is_ipv6() && answer.server.starts_with("rs"), "{answer:?}");
    assert_eq!(client.get("[2001:db8::10]:80")?.server, answer.server, "persistence");
    remove(farm, "all");
    Ok(())
}

fn a_fixed_mark_belongs_to_one_service(farm: &Farm) -> anyhow::Result<()> {
    serve(farm, "first", "addresses: [192.168.0.10], firewallMark: {mark: 80}");
    assert_eq!(mark_of(farm, "first"), Some(80));
    assert_eq!(marks(&farm.director), ["80"]);
    let second = "addresses: [192.168.0.11], firewallMark: {mark: 80}";
    farm.agent.put("second.yaml", service("second", second));
    farm.agent.wait_for_told("second", "Accepted", "False", "VirtualService default/first");
    farm.agent.wait_for("first", "Programmed", "True");
    met(farm, "172.20.1.1", "192.168.0.10:80")?;
    assert!(met(farm, "172.20.1.1", "192.168.0.11:80").is_err());
    remove(farm, "second");
    Ok(())
}

fn another_mark_is_another_service(farm: &Farm) -> anyhow::Result<()> {
    let mut held = farm.client.hold_many("192.168.0.10:80", 2)?;
    serve(farm, "first", "addresses: [192.168.0.10], firewallMark: {mark: 81}");
    assert_eq!((mark_of(farm, "first"), marks(&farm.director)), (Some(81), vec!["81".to_owned()]));
    met(farm, "172.20.1.2", "192.168.0.10:80")?;
    held_connections_end(&mut held);
    Ok(())
}

/// They are of the service that is gone.
fn held_connections_end(held: &mut Connections) {
    let lost = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        held.assert_alive("another mark");
    }));
    println!(
        "held connections after another mark: {}",
        if lost.is_err() { "lost" } else { "alive" }
    );
    assert!(lost.is_err());
}

fn what_somebody_else_takes_away_is_made_good_and_a_restart_changes_nothing(
    farm: &mut Farm,
) -> anyhow::Result<()> {
    let whole = our_table(&farm.director).expect("our table");
    for harm in ["flush table inet kube-lvs", "delete table inet kube-lvs"] {
        // The kernel tells of it.
        farm.director.sh(&format!("nft {harm}"))?;
        sleep(TOLD);
        assert_eq!(our_table(&farm.director).as_ref(), Some(&whole), "{harm}");
        met(farm, "172.20.1.3", "192.168.0.10:80")?;
    }
    let log = farm.agent.log();
    assert!(
        log.contains("drift, being repaired: the mark 81 on packets to 192.168.0.10/32"),
        "{log}"
    );

    let mut held = farm.client.hold_many("192.168.0.10:80", 4)?;
    farm.agent.kill();
    held.assert_alive("the agent's end");
    met(farm, "172.20.1.4", "192.168.0.10:80")?;
    farm.agent.run();
    sleep(SETTLED);
    farm.agent.wait_for("first", "Programmed", "True");
    assert_eq!(our_table(&farm.director).as_ref(), Some(&whole), "after a restart");
    held.assert_alive("the agent's start");
    Ok(())
}
