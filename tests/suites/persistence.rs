//! Persistence by packets: who counts as one client, for how long, and what becomes of it when its server drains.

use std::thread::sleep;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::scenario::{Farm, director_group, virtual_service};
use lvs_tests::traffic::{Client, Server, by_server, shares};

/// Longer than a closed connection's entry lives (120 s), which would hold the template.
const WINDOW: Duration = Duration::from_secs(200);
/// The kernel's timers of that length are some seconds coarse (kernel/time/timer.c).
const TIMER: Duration = Duration::from_secs(10);

/// Sources of one network, each with a port of the kernel's choice.
fn sources(network: &str, last: std::ops::Range<u8>) -> Vec<String> {
    let six = network.contains(':');
    last.map(|host| if six { format!("[{network}{host}]:0") } else { format!("{network}{host}:0") })
        .collect()
}

#[test]
fn a_client_meets_its_server_again() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = Farm::new(3);
        it_is_remembered_for_the_window_and_then_forgotten(&mut farm)?;
        it_is_remembered_while_a_connection_is_open(&mut farm)?;
        a_netmask_makes_one_client_of_a_network(&mut farm)?;
        port_0_is_every_port_that_no_other_service_has(&mut farm)?;
        it_keeps_coming_to_a_drained_server_unless_templates_expire(&mut farm)
    });
}

fn it_is_remembered_for_the_window_and_then_forgotten(farm: &mut Farm) -> anyhow::Result<()> {
    let web = farm.serve("scheduler: rr", &[1, 1, 1]);
    assert_eq!(farm.client.shares(&web, 6)?.len(), 3, "without persistence");
    farm.change("scheduler: rr, persistence: {timeoutSeconds: 200}");
    let first = farm.client.get(&web)?.server;
    assert_eq!(farm.client.shares(&web, 6)?, shares([(&first, 6)]));
    for _ in 0..2 {
        sleep(WINDOW - TIMER);
        assert_eq!(farm.client.get(&web)?.server, first, "the window begins anew each time");
    }
    sleep(WINDOW + TIMER);
    assert_ne!(farm.client.get(&web)?.server, first, "rr has the next one");
    Ok(())
}

fn it_is_remembered_while_a_connection_is_open(farm: &mut Farm) -> anyhow::Result<()> {
    let web = farm.serve("scheduler: rr, persistence: {timeoutSeconds: 200}", &[1, 1, 1]);
    let mut held = farm.client.hold_many(&web, 1)?;
    let first = held.servers()[0].clone();
    for _ in 0..3 {
        sleep(WINDOW + TIMER);
        held.assert_alive("the window");
    }
    let again = farm.client.hold_many(&web, 1)?;
    assert_eq!(again.shares(), shares([(&first, 1)]), "after three windows");
    held.extend(again);
    held.reset(&first, 2)?;
    // The entries of both last 10 s more; the template looks every 60 s whether any are left (ip_vs_conn_expire).
    sleep(WINDOW + Duration::from_secs(60) + TIMER * 2);
    assert_ne!(farm.client.get(&web)?.server, first, "rr has the next one");
    Ok(())
}

fn a_netmask_makes_one_client_of_a_network(farm: &mut Farm) -> anyhow::Result<()> {
    let [one, two] = ["172.20.1.", "172.20.2."].map(|network| sources(network, 1..10));
    let web = farm.serve("scheduler: rr, persistence: {}", &[1, 1, 1]);
    let each = by_server(&farm.client.met_from(&one, &web)?);
    assert_eq!(each, shares([("rs1", 3), ("rs2", 3), ("rs3", 3)]), "each for itself");

    let web = farm.serve("scheduler: rr, persistence: {ipv4Netmask: 255.255.255.0}", &[1, 1, 1]);
    let [first, second] =
        [&one, &two].map(|from| farm.client.met_from(from, &web).map(|met| by_server(&met)));
    let (first, second) = (first?, second?);
    assert_eq!(
        (first.values().sum::<usize>(), first.len(), second.len()),
        (9, 1, 1),
        "{first:?} {second:?}"
    );
    assert_ne!(first, second, "two networks are two clients");
    Ok(())
}

fn port_0_is_every_port_that_no_other_service_has(farm: &mut Farm) -> anyhow::Result<()> {
    for (number, node) in farm.nodes().to_vec().iter().enumerate() {
        farm.keep(Server::tcp(node, &format!("10.0.0.{}:8081", 101 + number), node.name()));
    }
    let [one, other] = ["8080", "8081"].map(|port| format!("{}:{port}", Farm::VIP));
    let clients = sources("172.20.1.", 1..10);
    farm.serve("scheduler: rr, persistence: {}, ports: [{port: 0}]", &[1, 1, 1]);
    let met = farm.client.met_from(&clients, &one)?;
    assert_eq!(by_server(&met), shares([("rs1", 3), ("rs2", 3), ("rs3", 3)]));
    assert_eq!(farm.client.met_from(&clients, &other)?, met, "one server on both ports");

    // The exact port wins, and its clients are not the others'.
    let exact = "forwarding: NAT, scheduler: rr, ports: [{port: 8081}]";
    let exact = virtual_service("exact", &format!("addresses: [{}], {exact}", Farm::VIP));
    farm.beside(&exact.replace("app: exact", "app: web"));
    let client = Client::new(&farm.client).from("172.20.1.1:0");
    assert_eq!(client.shares(&other, 6)?, shares([("rs1", 2), ("rs2", 2), ("rs3", 2)]));
    assert_eq!(farm.client.met_from(&clients, &one)?, met, "the other ports stay");
    farm.beside("");
    assert_eq!(farm.client.met_from(&clients, &other)?, met, "back among all ports");
    Ok(())
}

#[test]
fn a_prefix_length_makes_one_client_of_an_ipv6_network() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = Farm::six(3);
        let [one, two] =
            ["2001:db8:50:1::", "2001:db8:50:2::"].map(|network| sources(network, 1..10));
        let web = farm.serve("scheduler: rr, persistence: {}", &[1, 1, 1]);
        let each = by_server(&farm.client.met_from(&one, &web)?);
        assert_eq!(each, shares([("rs1", 3), ("rs2", 3), ("rs3", 3)]), "each for itself");
        let web = farm.serve("scheduler: rr, persistence: {ipv6PrefixLength: 64}", &[1, 1, 1]);
        let first = by_server(&farm.client.met_from(&one, &web)?);
        let second = by_server(&farm.client.met_from(&two, &web)?);
        assert_eq!(
            (first.values().sum::<usize>(), first.len(), second.len()),
            (9, 1, 1),
            "{first:?} {second:?}"
        );
        assert_ne!(first, second, "two networks are two clients");
        // Two bits less, and they are one.
        farm.change("scheduler: rr, persistence: {ipv6PrefixLength: 62}");
        let both = farm.client.met_from(&[one, two].concat(), &web)?;
        assert_eq!(by_server(&both).len(), 1, "{:?}", by_server(&both));
        Ok(())
    });
}

/// `expireQuiescentTemplate`.
fn it_keeps_coming_to_a_drained_server_unless_templates_expire(
    farm: &mut Farm,
) -> anyhow::Result<()> {
    for expire in [false, true] {
        // True is the agent's default.
        let said = if expire { "{}" } else { "{expireQuiescentTemplate: false}" };
        farm.beside(&director_group("default", &format!("sysctls: {said}")));
        let web = farm.serve("scheduler: rr, persistence: {}", &[1, 1, 1]);
        let mut held = farm.client.hold_many(&web, 3)?;
        let first = held.servers()[0].clone();
        assert_eq!(held.shares(), shares([(&first, 3)]));
        farm.weigh(&["rs1", "rs2", "rs3"].map(|name| i32::from(name != first)));
        let later = farm.client.shares(&web, 5)?;
        match expire {
            false => assert_eq!(later, shares([(&first, 5)]), "it never drains"),
            true => {
                assert!(later.len() == 1 && !later.contains_key(&first), "{first}, then {later:?}");
            }
        }
        held.assert_alive("weight 0");
    }
    Ok(())
}

/// A request as a SIP client sends it, with this Call-ID (RFC 3261, 20.8).
fn invite(call: &str) -> Vec<u8> {
    let text = format!(
        "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.0.50:5060;branch=z9hG4bK776asdhds\r\n\
         Max-Forwards: 70\r\nTo: Bob <sip:bob@example.com>\r\nFrom: Alice <sip:alice@example.com>;tag=1928301774\r\n\
         Call-ID: {call}@client.example.com\r\nCSeq: 314159 INVITE\r\nContent-Length: 0\r\n\r\n"
    );
    text.into_bytes()
}

#[test]
fn a_sip_call_meets_one_server() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = Farm::new(3);
        let udp = "scheduler: rr, ports: [{port: PORT, protocol: UDP, targetPort: 8080}]";
        let client = farm.client.clone();
        let client = Client::new(&client);
        let ports: Vec<_> =
            (0..9).map(|number| format!("192.168.0.50:{}", 30_000 + number)).collect();

        // By address alone the client is one, whatever it says.
        let sip = farm.serve(&format!("{udp}, persistence: {{}}"), &[1, 1, 1]);
        for call in ["a", "b", "c"] {
            let met = by_server(&client.met_from_udp(&ports[..3], &sip, &invite(call))?);
            assert_eq!(met.len(), 1, "{call}: {met:?}");
        }
        let sip = farm.serve(&format!("{udp}, persistence: {{engine: sip}}"), &[1, 1, 1]);
        let mut calls = Vec::new();
        for (number, call) in ["a", "b", "c"].into_iter().enumerate() {
            let ports = &ports[3 * number..3 * number + 3];
            let met = by_server(&client.met_from_udp(ports, &sip, &invite(call))?);
            assert_eq!(met.len(), 1, "{call}, from three ports: {met:?}");
            calls.extend(met.into_keys());
        }
        calls.sort();
        assert_eq!(calls, ["rs1", "rs2", "rs3"], "a call each");

        // The address counts besides (ip_vs_sip_ct_match), as far as the mask goes.
        let two = ["172.20.1.1:0", "172.20.1.2:0", "172.20.1.3:0"];
        let apart = by_server(&client.met_from_udp(&two, &sip, &invite("d"))?);
        assert_eq!(apart.len(), 3, "{apart:?}");
        let netmask = "{engine: sip, ipv4Netmask: 255.255.255.0}";
        let sip = farm.serve(&format!("{udp}, persistence: {netmask}"), &[1, 1, 1]);
        let together = by_server(&client.met_from_udp(&two, &sip, &invite("d"))?);
        assert_eq!(together.len(), 1, "{together:?}");

        // With no bits of it the Call-ID alone counts.
        let far = ["192.168.0.50:0", "172.20.9.1:0", "172.20.200.7:0"];
        let apart = by_server(&client.met_from_udp(&far, &sip, &invite("e"))?);
        assert_eq!(apart.len(), 3, "three networks: {apart:?}");
        let netmask = "{engine: sip, ipv4Netmask: 0.0.0.0}";
        let sip = farm.serve(&format!("{udp}, persistence: {netmask}"), &[1, 1, 1]);
        let mut calls = Vec::new();
        for call in ["a", "b", "c"] {
            let met = by_server(&client.met_from_udp(&far, &sip, &invite(call))?);
            assert_eq!(met.len(), 1, "{call}, from three networks: {met:?}");
            calls.extend(met.into_keys());
        }
        calls.sort();
        assert_eq!(calls, ["rs1", "rs2", "rs3"], "a call each");
        Ok(())
    });
}
