//! Transparent caches: packets to whole networks are balanced by destination, and answered in its name.

use super::{everything, make, standing, unmake};
use lvs_agent::state::{Fixture, Packets};
use lvs_ipvs::Protocol;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};
use lvs_tests::traffic::Server;
use std::collections::{BTreeMap, BTreeSet};

fn delivery(network: &str) -> Fixture {
    Fixture::LocalDelivery {
        packets: Packets {
            destination: network.parse().expect("a network"),
            protocol: Protocol::Tcp,
            first_port: 80,
            last_port: 80,
        },
    }
}

/// A firewall-mark service with dh over two caches, and the mark on what goes to these networks.
fn balance(director: &Node, rules: &str, service: &str, caches: [&str; 2]) -> anyhow::Result<()> {
    std::fs::write("/tmp/mark.nft", rules)?;
    director.sh("nft -f /tmp/mark.nft")?;
    let added = caches.map(|cache| format!("ipvsadm -a {service} -r {cache} -g")).join(" && ");
    director.sh(&format!("ipvsadm -A {service} -s dh && {added}"))?;
    Ok(())
}

#[test]
fn each_destination_of_a_network_meets_one_cache_and_its_answers_bear_its_address() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        // The director is the clients' router; caches sit beside it, and have their way back over it.
        let (inside, lan) = (Link::new("inside"), Link::new("lan"));
        let client = Node::new("client")
            .on(&inside, "eth0", "192.0.2.50/24 2001:db8:2::50/64")
            .route("default via 192.0.2.1")
            .route("default via 2001:db8:2::1");
        let director = Node::new("director")
            .on(&inside, "eth0", "192.0.2.1/24 2001:db8:2::1/64")
            .on(&lan, "eth1", "10.0.0.1/24 fd00::1/64")
            .route("default via 10.0.0.254")
            .route("default via fd00::254")
            .sysctl("net.ipv4.ip_forward", "1")
            .sysctl("net.ipv6.conf.all.forwarding", "1")
            .sysctl("net.ipv4.conf.all.rp_filter", "1")
            .sysctl("net.ipv4.conf.default.rp_filter", "1");
        // The world outside, which answers for every address: who meets it has passed the caches by.
        let world = Node::new("world")
            .on(&lan, "eth0", "10.0.0.254/24 fd00::254/64")
            .route("192.0.2.0/24 via 10.0.0.1")
            .route("2001:db8:2::/64 via fd00::1")
            .route("local 203.0.113.0/24 dev lo")
            .route("local 2001:db8:113::/48 dev lo");
        let _world = ["[::]:80", "[::]:8080"].map(|at| Server::transparent(&world, at, "world"));
        let caches: Vec<Node> = [2_u8, 3]
            .map(|host| {
                Node::new(&format!("cache{host}"))
                    .on(&lan, "eth0", &format!("10.0.0.{host}/24 fd00::{host}/64"))
                    .route("default via 10.0.0.254")
                    .route("default via fd00::254")
                    .route("192.0.2.0/24 via 10.0.0.1")
                    .route("2001:db8:2::/64 via fd00::1")
                    .sysctl("net.ipv4.conf.all.rp_filter", "1")
            })
            .into();
        let nodes: Vec<&Node> = [&director].into_iter().chain(&caches).collect();
        let before: Vec<String> = nodes.iter().map(|node| everything(node)).collect();

        let rules = "table inet test {\n chain input {\n type filter hook input priority 0;\n \
            ip daddr 203.0.113.0/24 tcp dport 80 meta mark set 7\n \
            ip6 daddr 2001:db8:113::/48 tcp dport 80 meta mark set 7\n }\n}\n";
        balance(&director, rules, "-f 7", ["10.0.0.2", "10.0.0.3"])?;
        director.sh("ipvsadm -A -f 7 -6 -s dh && ipvsadm -a -f 7 -6 -r [fd00::2]:0 -g && ipvsadm -a -f 7 -6 -r [fd00::3]:0 -g")?;
        let _v4: Vec<Server> = caches
            .iter()
            .map(|node| Server::transparent(node, "0.0.0.0:80", node.name()))
            .collect();

        // Before: all go by.
        assert_eq!(client.get("203.0.113.7:80")?.server, "world");

        let fixtures = [delivery("203.0.113.0/24"), delivery("2001:db8:113::/48")];
        for node in &nodes {
            make(node, &fixtures);
        }
        // The caches' answers pass the director, which takes them for its own come back (see kernel/tunnels/delivery.rs).
        assert!(client.get("203.0.113.7:80").is_err());
        director
            .sh("sysctl -qw net.ipv4.conf.eth1.accept_local=1 net.ipv4.conf.eth1.rp_filter=2")?;

        let mut caches_of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for _ in 0..3 {
            for host in 1..=40 {
                let address = format!("203.0.113.{host}");
                let answer = client.get(&format!("{address}:80"))?;
                assert_eq!(answer.seen_local.ip().to_string(), address);
                assert_eq!(answer.seen_source.ip().to_string(), "192.0.2.50");
                caches_of.entry(address).or_default().insert(answer.server);
            }
        }
        assert!(caches_of.values().all(|caches| caches.len() == 1), "{caches_of:?}");
        let used: BTreeSet<_> = caches_of.values().flatten().cloned().collect();
        assert_eq!(
            used,
            ["cache2".to_owned(), "cache3".to_owned()].into(),
            "both caches have work"
        );

        // Other ports, and the node's own connections, go where they always went.
        assert_eq!(client.get("203.0.113.7:8080")?.server, "world");
        for node in &nodes {
            assert_eq!(node.get("203.0.113.7:80")?.server, "world", "from {}", node.name());
        }

        // The listeners of IPv4 out of the way: those of IPv6 take both.
        drop(_v4);
        let _v6: Vec<Server> =
            caches.iter().map(|node| Server::transparent(node, "[::]:80", node.name())).collect();
        let answer = client.get("[2001:db8:113::7]:80")?;
        assert!(answer.server.starts_with("cache"), "{answer:?}");
        assert_eq!(answer.seen_local.ip().to_string(), "2001:db8:113::7");
        assert_eq!(director.get("[2001:db8:113::1]:80")?.server, "world");

        // One network less: the other stays, and so does what it needs.
        for node in &nodes {
            unmake(node, &fixtures[..1]);
            assert_eq!(standing(node), [fixtures[1]].into());
        }
        assert_eq!(client.get("203.0.113.7:80")?.server, "world");
        assert!(client.get("[2001:db8:113::7]:80")?.server.starts_with("cache"));
        for (node, before) in nodes.iter().zip(before) {
            unmake(node, &fixtures[1..]);
            assert_eq!(everything(node), before, "{}", node.name());
        }
        Ok(())
    });
}
