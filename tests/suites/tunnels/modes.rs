//! Every tunnel, inner and outer family, with a megabyte both ways over links of 1500 bytes.

use super::{everything, make, unmake};
use lvs_agent::state::{Fixture, TunnelDevice};
use lvs_ipvs::Family;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};
use lvs_tests::traffic::{Client, Server};
use lvs_tests::wire::{Capture, Frame, Packet};
use std::net::IpAddr;

const GUE_PORT: u16 = 6080;
const MEGABYTE: usize = 1 << 20;

/// What `ipvsadm -i` is told, and what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tunnel {
    Ipip,
    Gre { checksum: bool },
    Gue(&'static str),
}

const TUNNELS: [Tunnel; 6] = [
    Tunnel::Ipip,
    Tunnel::Gre { checksum: false },
    Tunnel::Gre { checksum: true },
    Tunnel::Gue("nocsum"),
    Tunnel::Gue("csum"),
    Tunnel::Gue("remcsum"),
];

impl Tunnel {
    fn options(self) -> String {
        match self {
            Self::Ipip => "--tun-type ipip".into(),
            Self::Gre { checksum: false } => "--tun-type gre --tun-nocsum".into(),
            Self::Gre { checksum: true } => "--tun-type gre --tun-csum".into(),
            Self::Gue(sum) => format!("--tun-type gue --tun-port {GUE_PORT} --tun-{sum}"),
        }
    }

    /// What a real server needs for packets of one family in packets of another.
    fn fixtures(self, inner: Family, outer: Family) -> Vec<Fixture> {
        let local: IpAddr = address(outer, 101).parse().expect("an address");
        let device = match (self, inner, outer) {
            (Self::Gre { checksum: false }, _, Family::V4) => TunnelDevice::Gre,
            (Self::Gre { checksum: true }, _, Family::V4) => TunnelDevice::GreChecksum,
            (Self::Gre { checksum: false }, _, Family::V6) => TunnelDevice::Ip6gre,
            (Self::Gre { checksum: true }, _, Family::V6) => TunnelDevice::Ip6greChecksum,
            (_, Family::V4, Family::V4) => TunnelDevice::Ipip,
            (_, Family::V6, Family::V4) => TunnelDevice::Sit,
            (_, _, Family::V6) => TunnelDevice::Ip6tnl,
        };
        let mut fixtures = vec![Fixture::Tunnel { device, local }];
        if matches!(self, Self::Gue(_)) {
            fixtures.push(Fixture::Gue { family: outer, port: GUE_PORT });
        }
        fixtures
    }

    /// The outer packet's protocol.
    fn protocol(self, inner: Family) -> u8 {
        match (self, inner) {
            (Self::Ipip, Family::V4) => 4,
            (Self::Ipip, Family::V6) => 41,
            (Self::Gre { .. }, _) => 47,
            (Self::Gue(_), _) => 17,
        }
    }
}

fn address(family: Family, host: u8) -> String {
    match family {
        Family::V4 => format!("10.0.0.{host}"),
        Family::V6 => format!("fd00::{host}"),
    }
}

fn socket(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

struct Bed {
    client: Node,
    director: Node,
    server: Node,
}

fn bed() -> Bed {
    let lan = Link::new("lan");
    let on = |name: &str, host: u8| {
        let addresses = format!("10.0.0.{host}/24 fd00::{host}/64");
        Node::new(name).on(&lan, "eth0", &addresses)
    };
    let director = on("director", 1);
    director
        .ip("addr add 10.0.0.10/32 dev eth0\naddr add fd00::10/128 dev eth0 nodad preferred_lft 0");
    // As strict as a distribution sets it: `default` is what a new device gets.
    let server = on("rs1", 101)
        .sysctl("net.ipv4.conf.all.arp_ignore", "1")
        .sysctl("net.ipv4.conf.all.arp_announce", "2")
        .sysctl("net.ipv4.conf.all.rp_filter", "1")
        .sysctl("net.ipv4.conf.default.rp_filter", "1")
        .sysctl("net.ipv4.conf.eth0.rp_filter", "1");
    server.ip("addr add 10.0.0.10/32 dev lo\naddr add fd00::10/128 dev lo nodad");
    Bed { client: on("client", 50), director, server }
}

/// What one combination did: how far the transfer came, and what of it was seen on the wire.
fn transfer(bed: &Bed, tunnel: Tunnel, inner: Family, outer: Family) -> anyhow::Result<String> {
    let (vip, real) = (socket(&address(inner, 10), 80), socket(&address(outer, 101), 80));
    bed.director.sh(&format!(
        "ipvsadm -A -t {vip} -s rr && ipvsadm -a -t {vip} -r {real} -i {}",
        tunnel.options()
    ))?;
    let fixtures = tunnel.fixtures(inner, outer);
    make(&bed.server, &fixtures);
    let capture = Capture::start(&bed.director);
    let answer = Client::new(&bed.client).bulk(&vip, MEGABYTE);
    let frames = capture.frames();
    let source = address(outer, 1);
    let wrapped = |frame: &&Frame| {
        frame.outgoing
            && frame.is_from(&source)
            && matches!(frame.packet, Packet::Ip { protocol, .. } if protocol == tunnel.protocol(inner))
    };
    // "Fragmentation needed" is ICMP 3/4, "packet too big" ICMPv6 2.
    let too_big = |frame: &&Frame| {
        let Packet::Ip { protocol, payload, .. } = &frame.packet else { return false };
        frame.outgoing && matches!((protocol, &payload[..]), (1, [3, 4, ..]) | (58, [2, ..]))
    };
    let seen = format!(
        "{} wrapped packets, {} \"too big\" to the client",
        frames.iter().filter(wrapped).count(),
        frames.iter().filter(too_big).count()
    );
    unmake(&bed.server, &fixtures);
    bed.director.sh(&format!("ipvsadm -D -t {vip}"))?;
    bed.client.sh("ip route flush cache; ip -6 route flush cache; ip tcp_metrics flush")?;
    match answer {
        Ok(answer) if answer.server == "rs1" => Ok(seen),
        Ok(answer) => anyhow::bail!("{answer:?}"),
        Err(error) => Err(error.context(seen)),
    }
}

#[test]
fn a_megabyte_passes_both_ways_through_every_tunnel() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let bed = bed();
        let before = everything(&bed.server);
        let _v4 = Server::bulk(&bed.server, "10.0.0.10:80", "rs1");
        let _v6 = Server::bulk(&bed.server, "[fd00::10]:80", "rs1");
        let mut failed = Vec::new();
        for tunnel in TUNNELS {
            for (inner, outer) in [
                (Family::V4, Family::V4),
                (Family::V6, Family::V6),
                (Family::V4, Family::V6),
                (Family::V6, Family::V4),
            ] {
                let case = format!("{tunnel:?} {inner:?} in {outer:?}");
                match transfer(&bed, tunnel, inner, outer) {
                    Ok(seen) => println!("{case}: {seen}"),
                    Err(error) => {
                        println!("{case}: FAILED {error:#}");
                        failed.push(case);
                    }
                }
            }
        }
        assert_eq!(failed, Vec::<String>::new());
        assert_eq!(everything(&bed.server), before, "all is reversed");
        Ok(())
    });
}
