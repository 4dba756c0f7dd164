//! What goes by direct routing passes filters that drop what is `invalid`, and what arrives is counted, with services that
//! an admin made with ipvsadm.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{add, remove, tcp, to};
use lvs_agent::kernel::Nftables;
use lvs_agent::state::{Fixture, Packets};
use lvs_ipvs::Protocol;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};
use lvs_tests::traffic::{Client, Server};
use lvs_tests::wait_for;

/// What a stateful firewall begins with, at the end of the way and on it.
const DROPS_INVALID: &str = "nft add table inet firewall '{ \
    chain input { type filter hook input priority 0; ct state invalid counter drop; }; \
    chain forward { type filter hook forward priority 0; ct state invalid counter drop; }; \
    chain output { type filter hook output priority 0; ct state invalid counter drop; }; }'";

fn untracked(packets: Packets) -> Fixture {
    Fixture::Untracked { packets }
}

fn arrivals(packets: Packets) -> Fixture {
    Fixture::Arrivals { packets }
}

fn real_server(lan: &Link, name: &str, address: &str, vips: &[&str]) -> Node {
    let node = Node::new(name)
        .on(lan, "eth0", address)
        .sysctl("net.ipv4.conf.all.arp_ignore", "1")
        .sysctl("net.ipv4.conf.all.arp_announce", "2");
    for vip in vips {
        node.ip(&format!("addr add {vip} dev lo"));
    }
    node
}

fn counted(director: &Node) -> BTreeMap<String, u64> {
    let counted = director.run(|| Nftables::new().arrivals().expect("an answer"));
    counted.into_iter().map(|(packets, count)| (packets.to_string(), count)).collect()
}

/// The states of IPVS's TCP connections, with client and virtual server.
fn states(director: &Node) -> Vec<String> {
    let shown = director.sh("ipvsadm -Lnc").expect("ipvsadm");
    let state = |line: &str| line.split_whitespace().nth(2).map(str::to_owned);
    shown.lines().filter(|line| line.starts_with("TCP")).filter_map(state).collect()
}

#[test]
fn direct_routing_passes_a_filter_that_drops_what_is_invalid_and_ends_cleanly() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let director = Node::new("director").on(
            &lan,
            "eth0",
            "10.0.0.1/24 10.0.0.10/32 10.0.0.11/32 2001:db8::1/64 2001:db8::10/128",
        );
        let client = Node::new("client").on(&lan, "eth0", "10.0.0.50/24 2001:db8::50/64");
        let vips = ["10.0.0.10/32", "10.0.0.11/32", "2001:db8::10/128"];
        let rs1 = real_server(&lan, "rs1", "10.0.0.101/24 2001:db8::101/64", &vips);
        let services = [
            ("10.0.0.10:80", tcp(vips[0], 80, 80)),
            // Of all ports, and of a range that a mark makes one service of.
            ("10.0.0.11:4711", tcp(vips[1], 0, 65535)),
            ("10.0.0.10:8042", tcp(vips[0], 8000, 8080)),
            ("[2001:db8::10]:80", tcp(vips[2], 80, 80)),
            ("[2001:db8::10]:8042", tcp(vips[2], 8000, 8080)),
        ];
        let _servers = services.map(|(address, _)| Server::bulk(&rs1, address, "rs1"));
        director.sh("ipvsadm -A -t 10.0.0.10:80 -s wlc && ipvsadm -a -t 10.0.0.10:80 -r 10.0.0.101 -g && \
             ipvsadm -A -t 10.0.0.11:0 -s wlc -p 60 && ipvsadm -a -t 10.0.0.11:0 -r 10.0.0.101 -g && \
             ipvsadm -A -f 7 -s wlc && ipvsadm -a -f 7 -r 10.0.0.101 -g && \
             ipvsadm -A -t [2001:db8::10]:80 -s wlc && ipvsadm -a -t [2001:db8::10]:80 -r [2001:db8::101]:80 -g && \
             ipvsadm -A -f 7 -6 -s wlc && ipvsadm -a -f 7 -6 -r [2001:db8::101]:80 -g && \
             nft add table inet marks '{ chain pre { type filter hook prerouting priority mangle; \
               tcp dport 8000-8080 meta mark set 7; }; }'")?;
        director.sh(DROPS_INVALID)?;
        let impatient = || Client::new(&client).patience(Duration::from_secs(3));
        for conntrack in ["1", "0"] {
            director.sh(&format!("sysctl -w net.ipv4.vs.conntrack={conntrack}"))?;
            for (address, packets) in services {
                if conntrack == "1" {
                    assert!(
                        impatient().bulk(address, 200_000).is_err(),
                        "{address}: the fault is gone"
                    );
                }
                director
                    .run(|| add(&mut Nftables::new(), &[arrivals(packets), untracked(packets)]));
                director.sh("conntrack -F 2>&1")?;
                impatient().bulk(address, 200_000)?;
                let ended = || states(&director).iter().all(|state| state != "ESTABLISHED");
                wait_for("the connection's end is seen", Duration::from_secs(5), || {
                    ended().then_some(()).ok_or("still established")
                });
                let tracked =
                    director.sh("conntrack -L 2>/dev/null; conntrack -L -f ipv6 2>/dev/null")?;
                assert!(!tracked.contains("dport=80"), "{tracked}");
                director
                    .run(|| remove(&mut Nftables::new(), &[arrivals(packets), untracked(packets)]));
            }
        }
        Ok(())
    });
}

#[test]
fn what_begins_is_counted_once_for_the_service_that_it_is_for() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let director = Node::new("director").on(
            &lan,
            "eth0",
            "10.0.0.1/24 10.0.0.10/32 2001:db8::1/64 2001:db8::10/128",
        );
        let client = Node::new("client").on(&lan, "eth0", "10.0.0.50/24 2001:db8::50/64");
        let vips = ["10.0.0.10/32", "2001:db8::10/128"];
        let rs1 = real_server(&lan, "rs1", "10.0.0.101/24 2001:db8::101/64", &vips);
        let _servers = [
            Server::tcp(&rs1, "10.0.0.10:80", "rs1"),
            Server::tcp(&rs1, "10.0.0.10:81", "rs1"),
            Server::tcp(&rs1, "[2001:db8::10]:80", "rs1"),
            Server::sctp(&rs1, "10.0.0.10:80", "rs1"),
            Server::udp(&rs1, "10.0.0.10:5042", "rs1"),
        ];
        director.sh("ipvsadm -A -t 10.0.0.10:0 -s rr -p 60 && ipvsadm -a -t 10.0.0.10:0 -r 10.0.0.101 -g && \
             ipvsadm -A -t 10.0.0.10:80 -s rr && ipvsadm -a -t 10.0.0.10:80 -r 10.0.0.101 -g && \
             ipvsadm -A --sctp-service 10.0.0.10:80 -s rr && ipvsadm -a --sctp-service 10.0.0.10:80 -r 10.0.0.101 -g && \
             ipvsadm -A -u 10.0.0.10:5042 -s rr && ipvsadm -a -u 10.0.0.10:5042 -r 10.0.0.101 -g && \
             ipvsadm -A -t [2001:db8::10]:80 -s rr && ipvsadm -a -t [2001:db8::10]:80 -r [2001:db8::101]:80 -g")?;
        assert!(counted(&director).is_empty(), "no counters");
        director.run(|| {
            add(
                &mut Nftables::new(),
                &[
                    arrivals(tcp(vips[0], 80, 80)),
                    arrivals(tcp(vips[0], 0, 65535)),
                    arrivals(to(vips[0], Protocol::Sctp, 80, 80)),
                    arrivals(to(vips[0], Protocol::Udp, 5000, 5099)),
                    arrivals(tcp(vips[1], 80, 80)),
                ],
            )
        });
        let mut held = client.hold("10.0.0.10:80")?;
        for _ in 0..5 {
            held.ask()?;
        }
        client.get("10.0.0.10:80")?;
        client.get("10.0.0.10:81")?;
        client.get("[2001:db8::10]:80")?;
        Client::new(&client).sctp().get("10.0.0.10:80")?;
        for _ in 0..3 {
            client.get_udp("10.0.0.10:5042")?;
        }
        let wanted = [
            ("10.0.0.10/32 TCP/0-65535", 1),
            ("10.0.0.10/32 TCP/80", 2),
            ("10.0.0.10/32 SCTP/80", 1),
            ("10.0.0.10/32 UDP/5000-5099", 3),
            ("2001:db8::10/128 TCP/80", 1),
        ];
        let wanted: BTreeMap<_, _> =
            wanted.into_iter().map(|(packets, count)| (packets.to_owned(), count)).collect();
        assert_eq!(counted(&director), wanted);
        // Before any filter.
        director.sh("nft add table inet firewall '{ chain input { type filter hook input priority 0; tcp dport 80 drop; }; }'")?;
        assert!(
            Client::new(&client).patience(Duration::from_millis(500)).get("10.0.0.10:80").is_err()
        );
        assert_eq!(counted(&director)["10.0.0.10/32 TCP/80"], 3);
        Ok(())
    });
}

#[test]
fn a_service_with_a_port_of_its_own_is_tracked_beside_one_of_all_ports_that_is_not() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let director = Node::new("director")
            .on(&lan, "eth0", "10.0.0.1/24 10.0.0.10/32")
            .sysctl("net.ipv4.ip_forward", "1")
            .sysctl("net.ipv4.vs.conntrack", "1");
        let client = Node::new("client").on(&lan, "eth0", "10.0.0.50/24");
        let (direct, vip) =
            (real_server(&lan, "direct", "10.0.0.101/24", &["10.0.0.10/32"]), "10.0.0.10/32");
        let nat = Node::new("nat").on(&lan, "eth0", "10.0.0.102/24");
        let _servers = [
            Server::tcp(&direct, "10.0.0.10:4711", "direct"),
            Server::tcp(&nat, "10.0.0.102:8080", "nat"),
        ];
        director.sh("ipvsadm -A -t 10.0.0.10:0 -s rr -p 60 && ipvsadm -a -t 10.0.0.10:0 -r 10.0.0.101 -g && \
             ipvsadm -A -t 10.0.0.10:80 -s rr && ipvsadm -a -t 10.0.0.10:80 -r 10.0.0.102:8080 -m")?;
        director.sh(DROPS_INVALID)?;
        let (all, one) = (tcp(vip, 0, 65535), tcp(vip, 80, 80));
        director.run(|| {
            let masquerade = Fixture::Masquerade { packets: one };
            add(&mut Nftables::new(), &[masquerade, arrivals(one), arrivals(all), untracked(all)]);
        });
        assert_eq!(client.get("10.0.0.10:4711")?.server, "direct");
        let met = client.get("10.0.0.10:80")?;
        assert_eq!(
            (met.server.as_str(), met.seen_source.ip().to_string().as_str()),
            ("nat", "10.0.0.1")
        );
        Ok(())
    });
}

/// A router on the real server's way to the client has a smaller MTU than both, and tells the VIP.
#[test]
fn errors_about_what_is_not_tracked_reach_the_real_server() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let (lan, far) = (Link::new("lan"), Link::new("far"));
        let router = Node::new("router")
            .on(&lan, "eth0", "10.0.0.254/24 2001:db8::fe/64")
            .on(&far, "eth1", "10.1.0.254/24 2001:db8:1::fe/64")
            .sysctl("net.ipv4.ip_forward", "1")
            .sysctl("net.ipv6.conf.all.forwarding", "1");
        router.ip("link set eth1 mtu 1300");
        let way =
            |node: Node, gateway: &str| node.route(&format!("default via 10.{gateway}.0.254"));
        let director = way(
            Node::new("director").on(
                &lan,
                "eth0",
                "10.0.0.1/24 10.0.0.10/32 2001:db8::1/64 2001:db8::10/128",
            ),
            "0",
        )
        .route("default via 2001:db8::fe");
        let vips = ["10.0.0.10/32", "2001:db8::10/128"];
        let rs1 = way(real_server(&lan, "rs1", "10.0.0.101/24 2001:db8::101/64", &vips), "0")
            .route("default via 2001:db8::fe");
        let client =
            way(Node::new("client").on(&far, "eth0", "10.1.0.50/24 2001:db8:1::50/64"), "1")
                .route("default via 2001:db8:1::fe");
        let services = [("10.0.0.10:80", vips[0]), ("[2001:db8::10]:80", vips[1])];
        let _servers = services.map(|(address, _)| Server::bulk(&rs1, address, "rs1"));
        director.sh("ipvsadm -A -t 10.0.0.10:80 -s wlc && ipvsadm -a -t 10.0.0.10:80 -r 10.0.0.101 -g && \
             ipvsadm -A -t [2001:db8::10]:80 -s wlc && ipvsadm -a -t [2001:db8::10]:80 -r [2001:db8::101]:80 -g")?;
        director.sh(DROPS_INVALID)?;
        let patient = Client::new(&client).patience(Duration::from_secs(3));
        for (address, vip) in services {
            director.run(|| add(&mut Nftables::new(), &[untracked(tcp(vip, 80, 80))]));
            patient.bulk(address, 200_000)?;
        }
        let dropped = director.sh("nft list chain inet firewall input")?;
        assert!(dropped.contains("counter packets 0 bytes 0 drop"), "{dropped}");
        // Without the rules for errors, to a server that has not been told.
        rs1.sh("ip route flush cache")?;
        director.sh(
            "nft flush chain inet kube-lvs untracked && nft add rule inet kube-lvs untracked \
             ip daddr . meta l4proto . th dport @untracked4 notrack",
        )?;
        assert!(patient.bulk(services[0].0, 200_000).is_err(), "the rules for errors do nothing");
        let dropped = director.sh("nft list chain inet firewall input")?;
        assert!(!dropped.contains("counter packets 0 bytes 0 drop"), "{dropped}");
        Ok(())
    });
}
