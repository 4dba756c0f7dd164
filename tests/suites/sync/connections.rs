//! What arrives at the other director, and when.

use super::table::{daemons, entries, established};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::Node;
use lvs_tests::scenario::{Directors, virtual_service};
use lvs_tests::traffic::{Client, Server};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);

/// A world, the VIP's `ADDRESS:PORT`, and the director that has it not.
fn world(mode: &str, six: bool, group: &str, spec: &str) -> (Directors, String, usize) {
    let mut world = match mode {
        "NAT" => Directors::nat(2, 2),
        _ => Directors::flat(2, 2),
    };
    let vip = if six { "2001:db8::10" } else { "192.168.0.10" };
    let spec = format!("addresses: ['{vip}'], forwarding: {mode}, {spec}");
    let mut objects = vec![virtual_service("web", &spec)];
    objects.extend(world.real_servers(six, "weight: 1"));
    let gateways = "natGateways: [{address: 10.0.0.254/16}, {address: 'fd00::fe/64'}]";
    world.apply(if mode == "NAT" { gateways } else { group }, &objects);
    let any = if six { "[::]:80" } else { "0.0.0.0:80" };
    world.listen(Server::tcp, any);
    for director in &world.nodes {
        eventually("daemons run", SOON, || daemons(director).len(), |count| *count == 2);
        let complete = |services: &Vec<lvs_tests::table::Service>| {
            services.iter().any(|service| service.destinations.len() == 2)
        };
        eventually("the service stands", SOON, || director.services(), complete);
    }
    let active = world.holder(vip);
    // What a lone director of the beginning held is given up by then.
    sleep(Duration::from_secs(2));
    (world, if six { format!("[{vip}]:80") } else { format!("{vip}:80") }, 1 - active)
}

/// Connections of a persistent service, and the template that binds their client, are known to the other director.
fn arrive(mode: &'static str, six: bool) {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let (world, vip, other) = world(mode, six, "", "persistence: {timeoutSeconds: 300}");
        let held = Client::new(&world.client).hold_many(&vip, 5)?;
        let counts = |director: usize| {
            // Directors that stand by ask as clients do, and have templates of their own.
            let asks = |client: IpAddr| {
                let own = |node: &Node| {
                    node.addresses().iter().any(|it| it.contains(&format!(" {client}/")))
                };
                world.nodes.iter().any(own)
            };
            let mut found = entries(&world.nodes[director]);
            found.retain(|entry| !asks(entry.client));
            let templates = found.iter().filter(|entry| entry.client_port == 0).count();
            (found.iter().filter(|entry| entry.state == "ESTABLISHED").count(), templates)
        };
        let what = "5 connections and a template arrive";
        eventually(what, Duration::from_secs(5), || counts(other), |found| *found == (5, 1));
        assert_eq!(counts(1 - other), (5, 1));
        let destinations = |director: usize| -> BTreeSet<String> {
            entries(&world.nodes[director]).into_iter().map(|entry| entry.destination).collect()
        };
        assert_eq!(destinations(other), destinations(1 - other));
        drop(held);
        Ok(())
    });
}

#[test]
fn direct_routing_arrives() {
    arrive("DR", false);
}

#[test]
fn direct_routing_of_ipv6_arrives() {
    arrive("DR", true);
}

#[test]
fn nat_arrives() {
    arrive("NAT", false);
}

#[test]
fn nat_of_ipv6_arrives() {
    arrive("NAT", true);
}

#[test]
fn tunnels_arrive() {
    arrive("TUN", false);
}

#[test]
fn tunnels_of_ipv6_arrive() {
    arrive("TUN", true);
}

/// Percentiles of how long after its handshake each connection is known to the other director.
fn delays(
    world: &Directors,
    other: usize,
    vip: &str,
    count: usize,
    pause: Duration,
) -> anyhow::Result<[Duration; 2]> {
    let mut opened = BTreeMap::new();
    let mut known = BTreeMap::new();
    let mut held = Vec::new();
    let look = |opened: &BTreeMap<u16, Instant>, known: &mut BTreeMap<u16, Duration>| {
        for entry in entries(&world.nodes[other]) {
            if let Some(then) = opened.get(&entry.client_port) {
                known.entry(entry.client_port).or_insert_with(|| then.elapsed());
            }
        }
    };
    for _ in 0..count {
        let connection = Client::new(&world.client).hold(vip)?;
        opened.insert(connection.local()?.port(), Instant::now());
        held.push(connection);
        let next = Instant::now() + pause;
        while Instant::now() < next {
            sleep(STEP.min(pause));
            look(&opened, &mut known);
        }
    }
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until && known.len() < count {
        sleep(STEP);
        look(&opened, &mut known);
    }
    anyhow::ensure!(known.len() == count, "{} of {count} are known", known.len());
    let mut all: Vec<Duration> = known.into_values().collect();
    all.sort();
    Ok([all[all.len() / 2], all[all.len() - 1]])
}

#[test]
fn a_connection_that_is_silent_after_its_handshake_is_known_within_three_seconds() {
    in_guest(
        Guest::kernel().virtual_time().limit(Duration::from_secs(240)),
        || -> anyhow::Result<()> {
            let (world, vip, other) = world("DR", false, "", "scheduler: rr");
            for (count, pause) in [(20, 500), (100, 50), (400, 5)] {
                let [median, longest] =
                    delays(&world, other, &vip, count, Duration::from_millis(pause))?;
                println!("{count} connections, one in {pause} ms: p50 {median:?}, max {longest:?}");
                assert!(longest <= Duration::from_millis(3_100), "{longest:?}");
            }
            Ok(())
        },
    );
}

#[test]
fn a_director_that_comes_back_hears_of_what_has_packets_and_not_of_what_is_silent() {
    in_guest(
        Guest::kernel().virtual_time().limit(Duration::from_secs(240)),
        || -> anyhow::Result<()> {
            let (world, vip, other) = world("DR", false, "", "scheduler: rr");
            let client = Client::new(&world.client);
            // It is away.
            let other = &world.nodes[other];
            other.sh("ipvsadm --stop-daemon backup")?;
            let mut talking = Vec::new();
            for _ in 0..20 {
                talking.push(client.hold(&vip)?);
            }
            let silent = client.hold_many(&vip, 20)?;
            sleep(Duration::from_secs(20));
            for connection in &mut talking {
                connection.ask()?;
            }
            assert_eq!(entries(other).len(), 0);
            // It is back, just too late for what was told last.
            sleep(Duration::from_secs(3));
            other.sh("ipvsadm --start-daemon backup --mcast-interface eth0 --syncid 55")?;
            let since = Instant::now();
            while established(other) < 20 && since.elapsed() < Duration::from_secs(15) {
                for connection in &mut talking {
                    connection.ask()?;
                }
                sleep(Duration::from_secs(1));
            }
            println!(
                "20 connections with a packet a second are known again after {:?}",
                since.elapsed()
            );
            assert_eq!(established(other), 20);
            assert!(since.elapsed() <= Duration::from_secs(12), "{:?}", since.elapsed());
            drop(silent);
            Ok(())
        },
    );
}
