//! What the table does to packets, with services that an admin made with ipvsadm.

use super::{add, mark, remove, tcp};
use lvs_agent::kernel::Nftables;
use lvs_agent::state::Fixture;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};
use lvs_tests::traffic::{Client, Server};

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

#[test]
fn a_mark_makes_one_service_of_two_ports() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let director = Node::new("director").on(
            &lan,
            "eth0",
            "10.0.0.1/24 10.0.0.10/32 10.0.0.11/32 2001:db8::1/64 2001:db8::10/128",
        );
        let client = Node::new("client").on(&lan, "eth0", "10.0.0.50/24 2001:db8::50/64");
        let mut servers = Vec::new();
        let vips = ["10.0.0.10/32", "2001:db8::10/128"];
        let rs1 = real_server(&lan, "rs1", "10.0.0.101/24 2001:db8::101/64", &vips);
        let rs2 = real_server(&lan, "rs2", "10.0.0.102/24 2001:db8::102/64", &vips);
        for node in [&rs1, &rs2] {
            for address in ["10.0.0.10:80", "10.0.0.10:443", "[2001:db8::10]:80", "0.0.0.0:8080"] {
                servers.push(Server::tcp(node, address, node.name()));
            }
        }
        director.sh("ipvsadm -A -f 5 -s rr -p 60 && \
             ipvsadm -a -f 5 -r 10.0.0.101 -g && ipvsadm -a -f 5 -r 10.0.0.102 -g && \
             ipvsadm -A -f 6 -s rr && ipvsadm -a -f 6 -r 10.0.0.101:8080 -m && \
             ipvsadm -A -f 5 -6 -s rr && ipvsadm -a -f 5 -6 -r [2001:db8::102]:80 -g")?;
        assert!(client.get("10.0.0.10:80").is_err(), "nothing marks yet");
        let ports = [mark(tcp("10.0.0.10/32", 80, 80), 5), mark(tcp("10.0.0.10/32", 443, 443), 5)];
        let local = mark(tcp("10.0.0.11/32", 8080, 8080), 6);
        let six = mark(tcp("2001:db8::10/128", 0, 65535), 5);
        let foreign = || director.run(|| Nftables::new().foreign_marks().expect("an answer"));
        assert_eq!(foreign(), 0, "without a table");
        director.run(|| add(&mut Nftables::new(), &[&ports[..], &[local, six]].concat()));

        let met = [client.get("10.0.0.10:80")?, client.get("10.0.0.10:443")?];
        assert_eq!(met[0].server, met[1].server, "persistence across ports");
        assert_eq!(client.shares("[2001:db8::10]:80", 2)?, [("rs2".to_owned(), 2)].into());
        // A service without persistence: the node's own client, whose packets do not come in.
        let shares = Client::new(&director).from("10.0.0.1:0").shares("10.0.0.11:8080", 2)?;
        assert_eq!(shares, [("rs1".to_owned(), 2)].into(), "from the director itself");
        assert_eq!(foreign(), 0);

        director
            .sh("nft add table ip other '{ chain pre { type filter hook prerouting priority 0; \
             tcp dport 443 meta mark set 0x99; }; }'")?;
        assert_eq!(client.get("10.0.0.10:443")?.server, met[0].server, "ours replaces it");
        let counted = foreign();
        assert!(counted >= 3, "SYN, ACK, and the request: {counted}");
        client.get("10.0.0.10:80")?;
        assert_eq!(foreign(), counted, "packets without a mark do not count");

        director.run(|| remove(&mut Nftables::new(), &ports[..1]));
        assert!(client.get("10.0.0.10:80").is_err(), "no longer marked");
        client.get("10.0.0.10:443")?;
        Ok(())
    });
}

#[test]
fn masquerading_spares_real_servers_the_way_back_and_leaves_other_forwarding_alone() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let (outside, inside) = (Link::new("outside"), Link::new("inside"));
        let (vip, vip6) = ("203.0.113.10/32", "2001:db8:1::10/128");
        let director = Node::new("director")
            .on(
                &outside,
                "eth1",
                "203.0.113.1/24 203.0.113.10/32 2001:db8:1::1/64 2001:db8:1::10/128",
            )
            .on(&inside, "eth0", "10.0.0.1/24 fd00::1/64")
            .sysctl("net.ipv4.ip_forward", "1")
            .sysctl("net.ipv6.conf.all.forwarding", "1")
            .sysctl("net.ipv4.vs.conntrack", "1");
        let client = Node::new("client").on(&outside, "eth0", "203.0.113.50/24 2001:db8:1::50/64");
        // No default route: of the outside it knows only the VIP.
        let nat = Node::new("nat")
            .on(&inside, "eth0", "10.0.0.101/24 fd00::101/64")
            .route("203.0.113.10/32 via 10.0.0.1");
        let direct = real_server(&outside, "direct", "203.0.113.102/24", &[vip, vip6]);
        let tunnel = real_server(&outside, "tunnel", "203.0.113.103/24", &[vip])
            .sysctl("net.ipv4.conf.all.rp_filter", "0")
            .sysctl("net.ipv4.conf.tunl0.rp_filter", "0");
        tunnel.ip("link set tunl0 up");
        let _servers = [
            Server::tcp(&nat, "10.0.0.101:8080", "nat"),
            Server::tcp(&nat, "[fd00::101]:8080", "nat"),
            Server::tcp(&direct, "203.0.113.10:80", "direct"),
            Server::tcp(&tunnel, "203.0.113.10:80", "tunnel"),
        ];
        director.sh("ipvsadm -A -t 203.0.113.10:80 -s rr && \
             ipvsadm -a -t 203.0.113.10:80 -r 10.0.0.101:8080 -m && \
             ipvsadm -A -t [2001:db8:1::10]:80 -s rr && \
             ipvsadm -a -t [2001:db8:1::10]:80 -r [fd00::101]:8080 -m")?;
        let (web, web6) = ("203.0.113.10:80", "[2001:db8:1::10]:80");
        assert!(client.get(web).is_err(), "the real server does not know the way back");
        assert!(client.get(web6).is_err());
        assert!(nat.get(web).is_err(), "its own answer never passes the director");
        let masquerade =
            [tcp(vip, 80, 80), tcp(vip6, 80, 80)].map(|packets| Fixture::Masquerade { packets });
        let all_ports = [vip, vip6].map(|vip| Fixture::Masquerade { packets: tcp(vip, 0, 65535) });
        let from = |node: &Node, server| -> anyhow::Result<String> {
            Ok(node.get(server)?.seen_source.ip().to_string())
        };
        director.run(|| add(&mut Nftables::new(), &all_ports));
        assert_eq!(
            (from(&client, web)?, from(&client, web6)?),
            ("10.0.0.1".into(), "fd00::1".into())
        );
        director.run(|| add(&mut Nftables::new(), &masquerade));
        assert_eq!(
            (from(&client, web)?, from(&client, web6)?),
            ("10.0.0.1".into(), "fd00::1".into())
        );
        director.run(|| remove(&mut Nftables::new(), &all_ports));

        let seen = |node: &Node, server| -> anyhow::Result<(String, String)> {
            let answer = node.get(server)?;
            Ok((answer.server, answer.seen_source.ip().to_string()))
        };
        let from_director = ("nat".to_owned(), "10.0.0.1".to_owned());
        assert_eq!(seen(&client, web)?, from_director);
        assert_eq!(seen(&client, web6)?, ("nat".to_owned(), "fd00::1".to_owned()));
        assert_eq!(seen(&nat, web)?, from_director, "a real server that is its own client");
        director.sh("ipvsadm -a -t 203.0.113.10:80 -r 203.0.113.102 -g && \
             ipvsadm -a -t 203.0.113.10:80 -r 203.0.113.103 -i")?;
        let mut met = Vec::new();
        for _ in 0..3 {
            met.push(seen(&client, web)?);
        }
        met.sort();
        let clients = |name: &str| (name.to_owned(), "203.0.113.50".to_owned());
        assert_eq!(met, [clients("direct"), from_director, clients("tunnel")]);
        Ok(())
    });
}

/// A director that has just taken over knows nothing of the connections whose replies come to it. Here it is another router
/// by which it has not seen a client ask.
#[test]
fn replies_of_unknown_connections_are_dropped_and_come_again() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let (outside, inside) = (Link::new("outside"), Link::new("inside"));
        let router = |name: &str, host: usize| {
            Node::new(name)
                .on(&outside, "eth1", &format!("203.0.113.{host}/24 2001:db8:1::{host}/64"))
                .on(&inside, "eth0", &format!("10.0.0.{host}/24 fd00::{host}/64"))
                .sysctl("net.ipv4.ip_forward", "1")
                .sysctl("net.ipv6.conf.all.forwarding", "1")
        };
        let (director, _other) = (router("director", 1), router("other", 2));
        director.ip("addr add 203.0.113.10/32 dev eth1");
        let client = |name: &str, host: usize, by: usize| {
            Node::new(name)
                .on(&outside, "eth0", &format!("203.0.113.{host}/24 2001:db8:1::{host}/64"))
                .route(&format!("10.0.0.0/24 via 203.0.113.{by}"))
                .route(&format!("fd00::/64 via 2001:db8:1::{by}"))
        };
        let (through, past) = (client("through", 51, 1), client("past", 52, 2));
        let nat = Node::new("nat")
            .on(&inside, "eth0", "10.0.0.101/24 fd00::101/64")
            .route("default via 10.0.0.1")
            .route("default via fd00::1");
        let (web, real, real6) = ("203.0.113.10:80", "10.0.0.101:8080", "[fd00::101]:8080");
        let _servers = [
            Server::tcp(&nat, real, "nat"),
            Server::tcp(&nat, real6, "nat"),
            Server::tcp(&through, "203.0.113.51:9000", "client"),
        ];
        director.sh("ipvsadm -A -t 203.0.113.10:80 -s rr && \
             ipvsadm -a -t 203.0.113.10:80 -r 10.0.0.101:8080 -m")?;
        let unknown = ["10.0.0.101/32", "fd00::101/128"]
            .map(|address| Fixture::UnknownReplies { packets: tcp(address, 8080, 8080) });
        for address in [real, real6] {
            let (mut seen, mut unseen) = (through.hold(address)?, past.hold(address)?);
            director.run(|| add(&mut Nftables::new(), &unknown));
            seen.ask()?;
            assert!(unseen.ask().is_err(), "{address}: nobody has asked by way of the director");
            assert!(past.get(address).is_err(), "{address}: nor has anybody begun");
            assert_eq!(through.get(address)?.server, "nat");
            assert_eq!(through.get(web)?.server, "nat", "what IPVS knows is translated before");
            let own = Client::new(&nat).from("10.0.0.101:0").get("203.0.113.51:9000")?;
            assert_eq!(own.server, "client", "its own connections have other ports");
            director.run(|| remove(&mut Nftables::new(), &unknown));
            unseen.ask()?;
            assert_eq!(past.get(address)?.server, "nat");
        }
        Ok(())
    });
}

#[test]
fn answers_ask_for_smaller_segments_and_never_for_larger() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let server = Node::new("rs1").on(&lan, "eth0", "10.0.0.101/24 2001:db8::101/64");
        let client = Node::new("client").on(&lan, "eth0", "10.0.0.50/24 2001:db8::50/64");
        let at = |port: u16, bytes| Fixture::SegmentSize {
            packets: tcp("10.0.0.101/32", port, port),
            bytes,
        };
        let six = Fixture::SegmentSize { packets: tcp("2001:db8::101/128", 80, 89), bytes: 1100 };
        server.run(|| add(&mut Nftables::new(), &[at(80, 1000), at(81, 1200), at(82, 9000), six]));
        let assert_segments = |address: &str, left: i32| -> anyhow::Result<()> {
            let _server = Server::tcp(&server, address, "rs1");
            let mut held = client.hold(address)?;
            held.ask()?;
            let told = client.sh("ss -tinH state established")?;
            let wanted = format!(" mss:{} ", left - 12);
            assert!(told.contains(&wanted), "{address}: no {wanted} in {told}");
            held.reset()
        };
        // Of an Ethernet frame 1460 bytes are left for TCP in IPv4; 12 of them are timestamps.
        for (address, left) in [
            ("10.0.0.101:80", 1000),
            ("10.0.0.101:81", 1200),
            ("10.0.0.101:82", 1460),
            ("10.0.0.101:83", 1460),
            ("[2001:db8::101]:85", 1100),
        ] {
            assert_segments(address, left)?;
        }
        // Of all ports and one of them the smaller counts.
        let all = Fixture::SegmentSize { packets: tcp("10.0.0.101/32", 0, 65535), bytes: 1100 };
        server.run(|| add(&mut Nftables::new(), &[all]));
        for (address, left) in
            [("10.0.0.101:80", 1000), ("10.0.0.101:81", 1100), ("10.0.0.101:83", 1100)]
        {
            assert_segments(address, left)?;
        }
        Ok(())
    });
}
