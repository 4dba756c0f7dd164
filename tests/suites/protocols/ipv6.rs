//! IPv6: NAT with port mapping, and DR with real servers that keep quiet about the VIP.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::scenario::{Farm, Flat, virtual_service};
use lvs_tests::traffic::{Server, shares};
use lvs_tests::wire::{Capture, Frame, Packet};

/// Types of ICMPv6 (RFC 4861, 4.3 and 4.4).
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const ICMPV6: u8 = 58;

#[test]
fn nat_maps_the_port_and_keeps_the_clients_address() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = Farm::six(3);
        let web = farm.serve("scheduler: rr", &[1, 1, 1]);
        let answer = farm.client.get(&web)?;
        assert_eq!(answer.seen_source.ip().to_string(), "2001:db8::50");
        assert_eq!(answer.seen_local.port(), farm.target());
        assert!(answer.seen_local.ip().to_string().starts_with("fd00::10"), "{answer:?}");
        assert_eq!(farm.client.shares(&web, 6)?, shares([("rs1", 2), ("rs2", 2), ("rs3", 2)]));
        let udp = "scheduler: rr, ports: [{port: PORT, protocol: UDP, targetPort: 8080}]";
        let echo = farm.serve(udp, &[1, 1, 1]);
        let answer = farm.client.get_udp(&echo)?;
        assert_eq!(answer.seen_source.ip().to_string(), "2001:db8::50");
        Ok(())
    });
}

/// A neighbour message of this type about this address; `from` looks at who speaks, not at whom it is about.
fn is_about(frame: &Frame, kind: u8, about: Ipv6Addr) -> bool {
    match &frame.packet {
        Packet::Ip { protocol: ICMPV6, payload, .. } => {
            payload.first() == Some(&kind) && payload.get(8..24) == Some(&about.octets()[..])
        }
        _ => false,
    }
}

#[test]
fn dr_works_while_real_servers_never_answer_for_the_vip() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let vip: Ipv6Addr = Flat::VIP_SIX.parse()?;
        let web = format!("[{vip}]:80");
        let mut flat = Flat::new(2);
        // The bed switches duplicate address detection off; here everybody would do it.
        for node in flat.nodes.iter().chain([&flat.director]) {
            for interface in ["eth0", "lo", "all"] {
                node.clone().sysctl(&format!("net.ipv6.conf.{interface}.accept_dad"), "1");
                node.clone().sysctl(&format!("net.ipv6.conf.{interface}.dad_transmits"), "1");
            }
        }
        let on_rs1 = Capture::start(&flat.nodes[0]);
        let on_client = Capture::start(&flat.client);
        let mut objects =
            vec![virtual_service("web", &format!("addresses: ['{vip}'], scheduler: rr"))];
        objects.extend(flat.real_servers(true, &["weight: 1", "weight: 1"]));
        flat.apply("", &["web"], &objects);
        flat.listen(Server::tcp, &web);
        assert!(
            !on_client.frames().iter().any(|frame| is_about(frame, SOLICITATION, vip)),
            "nobody asks whether it is taken: it serves at once, on all that have it"
        );

        for _ in 0..4 {
            flat.client.sh("ip -6 neigh flush dev eth0")?;
            assert_eq!(flat.client.shares(&web, 4)?, shares([("rs1", 2), ("rs2", 2)]));
        }
        let seen = on_client.frames();
        let answering: BTreeSet<_> = seen
            .iter()
            .filter(|frame| !frame.outgoing && is_about(frame, ADVERTISEMENT, vip))
            .map(|frame| frame.source_mac.as_str())
            .collect();
        assert_eq!(answering, [flat.director.mac("eth0")].into());
        let heard = on_rs1.frames();
        let asked = heard.iter().filter(|f| !f.outgoing && is_about(f, SOLICITATION, vip)).count();
        assert!(asked >= 4, "it was asked too: {asked}");
        // Nor does it ask as the VIP, which would bind the VIP to its MAC address at the one that is asked.
        let as_vip = heard.iter().filter(|frame| {
            let neighbour = matches!(&frame.packet, Packet::Ip { protocol: ICMPV6, .. });
            frame.outgoing && neighbour && frame.is_from(Flat::VIP_SIX)
        });
        assert_eq!(as_vip.count(), 0);

        let replies: Vec<_> = seen
            .iter()
            .filter(|frame| frame.is_from(Flat::VIP_SIX))
            .filter(|frame| !matches!(frame.packet, Packet::Ip { protocol: ICMPV6, .. }))
            .map(|frame| frame.source_mac.clone())
            .collect();
        let macs: BTreeSet<_> = flat.macs().into_iter().collect();
        assert_eq!(replies.into_iter().collect::<BTreeSet<_>>(), macs, "straight from both");
        assert_eq!(flat.client.get(&web)?.seen_source.ip().to_string(), "2001:db8::50");

        // On an interface that asks and answers it would not be quiet.
        flat.nodes[0].ip(&format!("addr add {vip}/128 dev eth0 nodad"));
        flat.client.sh("ip -6 neigh flush dev eth0")?;
        let _ = flat.client.get(&web);
        let seen = on_client.frames();
        let rs1 = seen.iter().filter(|frame| is_about(frame, ADVERTISEMENT, vip));
        assert!(rs1.map(|f| &*f.source_mac).any(|mac| mac == flat.nodes[0].mac("eth0")));
        Ok(())
    });
}
