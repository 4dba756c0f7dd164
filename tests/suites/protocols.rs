//! Protocols and families by packets: DNS by single datagrams, UDP and SCTP past the director (DR), one service of both
//! families, and IPv6 in NAT and DR.

#[path = "protocols/dns.rs"]
mod dns;
#[path = "protocols/ipv6.rs"]
mod ipv6;

use std::thread::sleep;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::scenario::{Farm, Flat, director_group, virtual_service};
use lvs_tests::traffic::{Client, Server, shares};
use lvs_tests::wire::Capture;

/// `timeouts.udp` of these tests.
const UDP: Duration = Duration::from_secs(10);
/// The kernel's timers of that length are some of these coarse.
const TIMER: Duration = Duration::from_secs(2);

#[test]
fn a_udp_client_keeps_its_server_until_the_timeout_through_nat() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = Farm::new(3);
        farm.beside(&director_group("default", "timeouts: {udp: 10}"));
        let udp = "scheduler: rr, ports: [{port: PORT, protocol: UDP, targetPort: 8080}]";
        let echo = farm.serve(udp, &[1, 1, 1]);
        let answer = farm.client.get_udp(&echo)?;
        assert_eq!(answer.seen_source.ip().to_string(), "192.168.0.50", "the client's own address");
        assert_eq!(answer.seen_local.port(), 8080, "the port is mapped");
        it_keeps_its_server(&Client::new(&farm.client).from("192.168.0.50:30000"), &echo)
    });
}

#[test]
fn a_udp_client_keeps_its_server_until_the_timeout_through_dr() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        const ECHO: &str = "192.168.0.10:7";
        let mut flat = Flat::new(3);
        let objects = service(&flat, "scheduler: rr, ports: [{port: 7, protocol: UDP}]");
        flat.apply("timeouts: {udp: 10}", &["web"], &objects);
        flat.listen(Server::udp, ECHO);
        let at_director = Capture::start(&flat.director);
        it_keeps_its_server(&Client::new(&flat.client).from("192.168.0.50:30000"), ECHO)?;
        let passed = at_director.frames();
        assert!(passed.iter().any(|frame| frame.is_to(Flat::VIP)));
        assert!(!passed.iter().any(|frame| frame.is_from(Flat::VIP)), "answers go past it");
        Ok(())
    });
}

fn it_keeps_its_server(client: &Client<'_>, echo: &str) -> anyhow::Result<()> {
    let first = client.get_udp(echo)?.server;
    for _ in 0..3 {
        sleep(UDP - TIMER);
        assert_eq!(client.get_udp(echo)?.server, first, "the timeout begins anew each time");
    }
    sleep(UDP + TIMER);
    assert_ne!(client.get_udp(echo)?.server, first, "rr has the next one");
    Ok(())
}

/// The VirtualService `web` at the IPv4 VIP, and its real servers.
fn service(flat: &Flat, spec: &str) -> Vec<String> {
    let mut objects = vec![virtual_service("web", &format!("addresses: [{}], {spec}", Flat::VIP))];
    objects.extend(flat.real_servers(false, &["weight: 1"; 3]));
    objects
}

#[test]
fn sctp_associations_go_to_real_servers_that_answer_past_the_director() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        const WEB: &str = "192.168.0.10:80";
        let mut flat = Flat::new(3);
        let sctp = "scheduler: rr, ports: [{port: 80, protocol: SCTP}]";
        let objects = service(&flat, sctp);
        flat.apply("", &["web"], &objects);
        flat.listen(Server::sctp, WEB);
        let (at_client, at_director) =
            (Capture::start(&flat.client), Capture::start(&flat.director));
        let mut held = Client::new(&flat.client).sctp().hold_many(WEB, 9)?;
        assert_eq!(held.shares(), shares([("rs1", 3), ("rs2", 3), ("rs3", 3)]));
        held.assert_alive("the handshake");
        let replies: Vec<_> =
            at_client.frames().into_iter().filter(|frame| frame.is_from(Flat::VIP)).collect();
        let macs = flat.macs();
        assert!(replies.len() >= 27, "INIT-ACK, COOKIE-ACK and data each: {}", replies.len());
        assert!(replies.iter().all(|frame| macs.contains(&frame.source_mac)), "{replies:#?}");
        assert!(!at_director.frames().iter().any(|frame| frame.is_from(Flat::VIP)));

        let mut objects = objects;
        objects.truncate(1);
        objects.extend(flat.real_servers(false, &["weight: 0", "weight: 1", "weight: 1"]));
        flat.apply("", &["web"], &objects);
        held.assert_alive("weight 0");
        let more = Client::new(&flat.client).sctp().hold_many(WEB, 4)?;
        assert_eq!(more.shares(), shares([("rs2", 2), ("rs3", 2)]));
        Ok(())
    });
}

#[test]
fn one_service_of_both_families_has_real_servers_and_shares_of_each() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let [four, six] = [format!("{}:80", Flat::VIP), format!("[{}]:80", Flat::VIP_SIX)];
        let mut flat = Flat::new(3);
        let addresses = format!("addresses: [{}, '{}']", Flat::VIP, Flat::VIP_SIX);
        let both = virtual_service("web", &format!("{addresses}, scheduler: wrr"));
        let mut objects = vec![both.clone()];
        objects.extend(flat.real_servers(false, &["weight: 1", "weight: 2", "weight: 3"]));
        objects.extend(flat.real_servers(true, &["weight: 2", "weight: 1", "weight: 0"]));
        flat.apply("", &["web"], &objects);
        flat.listen(Server::tcp, "[::]:80");
        for _ in 0..2 {
            let met = flat.client.shares(&four, 12)?;
            assert_eq!(met, shares([("rs1", 2), ("rs2", 4), ("rs3", 6)]), "IPv4");
            let met = flat.client.shares(&six, 12)?;
            assert_eq!(met, shares([("rs1", 8), ("rs2", 4)]), "IPv6");
        }
        // A machine leaves one family and stays in the other.
        let mut held = flat.client.hold_many(&four, 6)?;
        let mut objects = vec![both];
        objects.extend(flat.real_servers(false, &["weight: 1", "weight: 2", "weight: 3"]));
        objects.extend(flat.real_servers(true, &["weight: 0", "weight: 1", "weight: 0"]));
        flat.apply("", &["web"], &objects);
        assert_eq!(flat.client.shares(&six, 4)?, shares([("rs2", 4)]));
        assert_eq!(flat.client.shares(&four, 6)?["rs1"], 1);
        held.assert_alive("a change of the other family");
        Ok(())
    });
}
