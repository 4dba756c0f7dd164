//! What passes through the director: transparent caches, and who must not be taken for one's traffic.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{Standalone, real_server, virtual_service};
use lvs_tests::traffic::{Client, Server};

use crate::firewall_marks::SETTLED;

/// Longer than the entry of a closed connection lives (120 s).
const FORGOTTEN: Duration = Duration::from_secs(200);

/// A router between clients and the world, which it only knows by its default route; and three caches beside it.
struct Caches {
    client: Node,
    director: Node,
    agent: Standalone,
    _world: Node,
    _servers: Vec<Server>,
}

impl Caches {
    fn new() -> Caches {
        let (inside, outside) = (Link::new("inside"), Link::new("outside"));
        let client = Node::new("client")
            .on(&inside, "eth0", "192.168.0.50/24 192.168.0.51/24")
            .route("default via 192.168.0.1");
        let director = Node::new("director")
            .on(&inside, "eth0", "192.168.0.1/24")
            .on(&outside, "eth1", "198.51.100.1/24")
            .route("default via 198.51.100.9")
            .sysctl("net.ipv4.ip_forward", "1");
        let world = Node::new("world")
            .on(&outside, "eth0", "198.51.100.9/24")
            .route("192.168.0.0/24 via 198.51.100.1")
            .route("local 203.0.113.0/24 dev lo");
        let mut servers = vec![
            Server::tcp(&world, "203.0.113.1:80", "world"),
            Server::tcp(&world, "203.0.113.1:81", "world"),
        ];
        for number in 1..=3 {
            let name = format!("cache{number}");
            let node = Node::new(&name)
                .on(&inside, "eth0", &format!("192.168.0.10{number}/24"))
                .route("default via 192.168.0.1");
            // As docs/concepts/firewall-marks.md says.
            node.sh("ip rule add iif eth0 ipproto tcp dport 80 lookup 100 && \
                     ip route add local 0.0.0.0/0 dev lo table 100")
                .expect("ip");
            servers.push(Server::transparent(&node, "0.0.0.0:80", &name));
        }
        let agent = Standalone::start(&director);
        Caches { client, director, agent, _world: world, _servers: servers }
    }

    #[track_caller]
    fn serve(&self, scheduler: &str, destinations: &str) {
        let spec =
            format!("scheduler: {scheduler}, firewallMark: {{destinations: [{destinations}]}}");
        let mut objects = vec![virtual_service("cache", &spec)];
        for number in 1..=3 {
            let spec = format!("address: 192.168.0.10{number}, weight: 100");
            objects.push(real_server(&format!("cache-{number}"), "cache", &spec));
        }
        self.agent.put("cache.yaml", objects.join("---\n"));
        sleep(SETTLED);
        self.agent.wait_for("cache", "Programmed", "True");
    }

    /// The cache that each of 40 sites meets, asked by this client.
    fn met(&self, client: &str) -> anyhow::Result<Vec<String>> {
        let client = Client::new(&self.client).from(&format!("{client}:0"));
        (1..=40).map(|site| Ok(client.get(&format!("203.0.113.{site}:80"))?.server)).collect()
    }
}

#[test]
fn a_site_meets_one_cache_and_sites_are_spread() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let caches = Caches::new();
        assert_eq!(caches.client.get("203.0.113.1:80")?.server, "world", "it is forwarded");
        for scheduler in ["dh", "lblc", "lblcr"] {
            caches.serve(scheduler, "203.0.113.0/24");
            let first = caches.met("192.168.0.50")?;
            let servers: BTreeSet<_> = first.iter().cloned().collect();
            let all = ["cache1", "cache2", "cache3"].map(str::to_owned);
            assert_eq!(servers, all.into(), "{scheduler}");
            assert_eq!(caches.met("192.168.0.51")?, first, "{scheduler}: another client");
            assert_eq!(caches.met("192.168.0.50")?, first, "{scheduler}: again");
            let answer = caches.client.get("203.0.113.7:80")?;
            assert_eq!(answer.seen_local.to_string(), "203.0.113.7:80", "the site's address");
            assert_eq!(answer.seen_source.ip().to_string(), "192.168.0.50", "the client's");
            // The next one shall not find their load on the caches.
            sleep(FORGOTTEN);
        }
        assert_eq!(caches.client.get("203.0.113.1:81")?.server, "world", "another port passes");
        caches.agent.remove("cache.yaml");
        sleep(SETTLED);
        assert_eq!(caches.client.get("203.0.113.1:80")?.server, "world", "forwarded again");
        Ok(())
    });
}

#[test]
fn what_is_for_the_director_itself_does_not_pass_through() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let caches = Caches::new();
        // Of the director's own programs one, on its own address.
        let _own = Server::tcp(&caches.director, "192.168.0.1:80", "director");
        let inside = Link::new("farm");
        let director = caches.director.clone().on(&inside, "eth2", "10.0.0.1/24");
        let mut servers = Vec::new();
        for number in 1..=2 {
            let name = format!("rs{number}");
            let address = format!("10.0.0.{}", 100 + number);
            let node = Node::new(&name)
                .on(&inside, "eth0", &format!("{address}/24"))
                .route("default via 10.0.0.1");
            servers.push(Server::tcp(&node, &format!("{address}:80"), &name));
        }
        // Their VIPs lie in the networks of the caches: one without a mark, one with its own.
        let other = |name: &str, vip: &str, server: &str, more: &str| {
            let spec = format!("addresses: [{vip}], forwarding: NAT{more}");
            let server = real_server(name, name, &format!("address: {server}"));
            [virtual_service(name, &spec), server].join("---\n")
        };
        let put = || {
            caches.agent.put("plain.yaml", other("plain", "192.168.0.10", "10.0.0.101", ""));
            let mark = ", firewallMark: {}";
            caches.agent.put("marked.yaml", other("marked", "192.168.0.11", "10.0.0.102", mark));
        };
        let check = |order: &str| -> anyhow::Result<()> {
            sleep(SETTLED);
            for name in ["plain", "marked", "cache"] {
                caches.agent.wait_for(name, "Programmed", "True");
            }
            for (address, server) in [
                ("192.168.0.10:80", "rs1"),
                ("192.168.0.11:80", "rs2"),
                ("192.168.0.1:80", "director"),
            ] {
                assert_eq!(caches.client.get(address)?.server, server, "{address}, {order}");
            }
            let met = caches.client.get("203.0.113.1:80")?.server;
            assert!(met.starts_with("cache"), "{met}, {order}");
            // What the director itself sends does not pass through, either.
            assert_eq!(director.get("203.0.113.1:80")?.server, "world", "{order}");
            Ok(())
        };
        let everything = "0.0.0.0/0, 10.0.0.0/8, 192.168.0.0/24";
        caches.serve("dh", everything);
        put();
        check("the caches first")?;
        caches.agent.remove("cache.yaml");
        sleep(SETTLED);
        caches.serve("dh", everything);
        check("the caches last")?;

        // Somebody else's networks within these are refused.
        let spec = "firewallMark: {destinations: [203.0.113.0/24]}";
        caches.agent.put("younger.yaml", virtual_service("younger", spec));
        caches.agent.wait_for_told("younger", "Accepted", "False", "0.0.0.0/0 TCP/80");
        check("with one refused")
    });
}
