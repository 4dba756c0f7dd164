//! Weights and thresholds on a running service, with connections open: TCP, UDP and SCTP.

use std::thread::sleep;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{Farm, Standalone, real_server, virtual_service};
use lvs_tests::traffic::{Client, Server, by_server, shares};

/// A connection that was reset is known to the director for 10 s (sCL in ip_vs_proto_tcp.c), give or take a timer.
const FORGOTTEN: Duration = Duration::from_secs(15);

#[test]
fn weights_and_thresholds_change_on_a_running_service() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = Farm::new(3);
        a_server_without_a_weight_has_1(&mut farm)?;
        weights_change_in_place_and_no_connection_notices(&mut farm)?;
        an_overloaded_server_is_passed_over_until_it_is_below_the_lower_threshold(&mut farm)?;
        without_a_lower_threshold_it_is_three_quarters_of_the_upper_one(&mut farm)?;
        thresholds_change_in_place(&mut farm)
    });
}

fn a_server_without_a_weight_has_1(farm: &mut Farm) -> anyhow::Result<()> {
    let web = farm.serve("scheduler: wrr", &[1]);
    farm.servers_are(&["forwarding: NAT", "weight: 2", "weight: 1"]);
    assert_eq!(farm.destination("rs1").weight, 1);
    assert_eq!(farm.client.shares(&web, 8)?, shares([("rs1", 2), ("rs2", 4), ("rs3", 2)]));
    Ok(())
}

fn weights_change_in_place_and_no_connection_notices(farm: &mut Farm) -> anyhow::Result<()> {
    let mut now = [2, 1, 1];
    let web = farm.serve("scheduler: wrr", &now);
    let mut held = farm.client.hold_many(&web, 12)?;
    assert_eq!(held.shares(), shares([("rs1", 6), ("rs2", 3), ("rs3", 3)]));
    for (weights, wanted) in [
        // After a change a round may begin anywhere: 12 connections are whole rounds of all of these.
        ([0, 1, 1], shares([("rs2", 6), ("rs3", 6)])),
        ([4, 1, 1], shares([("rs1", 8), ("rs2", 2), ("rs3", 2)])),
        ([65535, 0, 65535], shares([("rs1", 6), ("rs3", 6)])),
        ([0, 0, 65535], shares([("rs3", 12)])),
        ([0, 30000, 60000], shares([("rs2", 4), ("rs3", 8)])),
        ([1, 2, 3], shares([("rs1", 2), ("rs2", 4), ("rs3", 6)])),
    ] {
        let before = farm.ipvs_requests();
        farm.weigh(&weights);
        let spent = farm.ipvs_requests() - before;
        let changed = weights.iter().zip(now).filter(|(new, old)| **new != *old).count();
        let most = u32::try_from(changed)? + 2;
        assert!((1.0..=f64::from(most)).contains(&spent), "{spent} requests for {changed} weights");
        now = weights;
        for (number, weight) in weights.into_iter().enumerate() {
            assert_eq!(farm.destination(&format!("rs{}", number + 1)).weight, i64::from(weight));
        }
        assert_eq!(farm.client.shares(&web, 12)?, wanted, "at once after {weights:?}");
        held.assert_alive(&format!("{weights:?}"));
    }
    farm.weigh(&[0, 0, 0]);
    let error = farm.client.get(&web).expect_err("nobody takes new ones");
    assert!(format!("{error:#}").contains("ECONNREFUSED"), "{error:#}");
    held.assert_alive("weight 0 everywhere");
    Ok(())
}

const OTHERS: &str = "weight: 1";

fn an_overloaded_server_is_passed_over_until_it_is_below_the_lower_threshold(
    farm: &mut Farm,
) -> anyhow::Result<()> {
    let web = farm.serve("scheduler: rr", &[1]);
    farm.servers_are(&["upperThreshold: 4, lowerThreshold: 2", OTHERS, OTHERS]);
    let mut held = farm.client.hold_many(&web, 18)?;
    assert_eq!(
        held.shares(),
        shares([("rs1", 4), ("rs2", 7), ("rs3", 7)]),
        "4 are its upper threshold"
    );
    held.reset("rs1", 2)?;
    sleep(FORGOTTEN);
    let more = farm.client.hold_many(&web, 6)?;
    assert_eq!(more.shares(), shares([("rs2", 3), ("rs3", 3)]), "2 are not below 2");
    held.extend(more);
    held.reset("rs1", 1)?;
    sleep(FORGOTTEN);
    let more = farm.client.hold_many(&web, 6)?;
    assert_eq!(more.shares(), shares([("rs1", 2), ("rs2", 2), ("rs3", 2)]), "1 is below 2");
    held.assert_alive("all that");
    Ok(())
}

/// `l_threshold_val` in ip_vs_ctl.c.
fn without_a_lower_threshold_it_is_three_quarters_of_the_upper_one(
    farm: &mut Farm,
) -> anyhow::Result<()> {
    let web = farm.serve("scheduler: rr", &[1]);
    farm.servers_are(&["upperThreshold: 4", OTHERS, OTHERS]);
    let mut held = farm.client.hold_many(&web, 15)?;
    assert_eq!(held.shares()["rs1"], 4, "{:?}", held.shares());
    held.reset("rs1", 1)?;
    sleep(FORGOTTEN);
    assert_eq!(farm.client.shares(&web, 4)?, shares([("rs2", 2), ("rs3", 2)]), "3 are not below 3");
    held.reset("rs1", 1)?;
    sleep(FORGOTTEN);
    assert_eq!(
        farm.client.shares(&web, 3)?,
        shares([("rs1", 1), ("rs2", 1), ("rs3", 1)]),
        "2 are below 3"
    );
    Ok(())
}

fn thresholds_change_in_place(farm: &mut Farm) -> anyhow::Result<()> {
    let web = farm.serve("scheduler: rr", &[1, 1, 1]);
    let mut held = farm.client.hold_many(&web, 9)?;
    let before = farm.ipvs_requests();
    farm.servers_are(&["upperThreshold: 2", OTHERS, OTHERS]);
    let spent = farm.ipvs_requests() - before;
    assert!((1.0..=3.0).contains(&spent), "{spent} requests for one threshold");
    assert_eq!(farm.client.shares(&web, 4)?, shares([("rs2", 2), ("rs3", 2)]), "3 are above 2");
    farm.servers_are(&[OTHERS, OTHERS, OTHERS]);
    assert_eq!(farm.client.shares(&web, 6)?, shares([("rs1", 2), ("rs2", 2), ("rs3", 2)]));
    held.assert_alive("changes of thresholds");
    Ok(())
}

#[test]
fn udp_and_sctp_are_balanced_by_connection() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = Farm::new(3);
        one_udp_socket_has_one_server(&mut farm)?;
        sctp_associations_are_balanced_and_survive_a_change_of_weights(&mut farm)
    });
}

fn one_udp_socket_has_one_server(farm: &mut Farm) -> anyhow::Result<()> {
    let dns = farm
        .serve("scheduler: rr, ports: [{port: PORT, protocol: UDP, targetPort: 8080}]", &[1, 1, 1]);
    let client = farm.client.clone();
    let client = Client::new(&client);
    let from: Vec<_> = (0..9).map(|number| format!("192.168.0.50:{}", 30_000 + number)).collect();
    let met = client.met_from_udp(&from, &dns, b"?\n")?;
    assert_eq!(by_server(&met), shares([("rs1", 3), ("rs2", 3), ("rs3", 3)]), "{met:?}");
    assert_eq!(client.met_from_udp(&from, &dns, b"?\n")?, met, "the same ports again");
    let of_one = client.datagrams(&dns, &["?\n"; 6])?;
    assert!(of_one.iter().all(|server| *server == of_one[0]), "{of_one:?}");
    // A UDP "connection" has no end: the director forgets it after 300 s without a datagram (ip_vs_proto_udp.c).
    sleep(Duration::from_secs(310));
    farm.weigh(&[0, 1, 1]);
    let met = by_server(&client.met_from_udp(&from, &dns, b"?\n")?);
    assert!(met.len() == 2 && !met.contains_key("rs1"), "{met:?}");
    Ok(())
}

fn sctp_associations_are_balanced_and_survive_a_change_of_weights(
    farm: &mut Farm,
) -> anyhow::Result<()> {
    for (number, node) in farm.nodes().to_vec().iter().enumerate() {
        farm.keep(Server::sctp(node, &format!("10.0.0.{}:8080", 101 + number), node.name()));
    }
    let web = farm.serve(
        "scheduler: rr, ports: [{port: PORT, protocol: SCTP, targetPort: 8080}]",
        &[1, 1, 1],
    );
    let client = farm.client.clone();
    let client = Client::new(&client).sctp();
    let mut held = client.hold_many(&web, 9)?;
    assert_eq!(held.shares(), shares([("rs1", 3), ("rs2", 3), ("rs3", 3)]));
    assert_eq!(farm.destination("rs1").active, 3);
    farm.weigh(&[0, 1, 1]);
    held.assert_alive("weight 0");
    assert_eq!(client.shares(&web, 4)?, shares([("rs2", 2), ("rs3", 2)]));
    farm.change("scheduler: wlc, ports: [{port: PORT, protocol: SCTP, targetPort: 8080}]");
    held.assert_alive("another scheduler");
    Ok(())
}

/// DR, since the replies to a datagram that left no entry would not be translated back.
#[test]
fn with_one_packet_each_datagram_is_balanced() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        const DNS: &str = "192.168.0.10:53";
        let lan = Link::new("lan");
        let client = Node::new("client").on(&lan, "eth0", "192.168.0.50/24");
        let director = Node::new("director").on(&lan, "eth0", "192.168.0.1/24");
        let mut objects = String::new();
        let mut programs = Vec::new();
        for number in 1..=3 {
            let (name, address) = (format!("rs{number}"), format!("192.168.0.{}", 100 + number));
            let node = Node::new(&name)
                .on(&lan, "eth0", &format!("{address}/24"))
                .sysctl("net.ipv4.conf.all.arp_ignore", "1")
                .sysctl("net.ipv4.conf.all.arp_announce", "2");
            node.ip("addr add 192.168.0.10/32 dev lo");
            programs.push(Server::udp(&node, DNS, &name));
            objects.push_str("---\n");
            objects.push_str(&real_server(&name, "dns", &format!("address: {address}")));
        }
        let agent = Standalone::start(&director);
        let put = |spec: &str| {
            let spec =
                format!("addresses: [192.168.0.10], ports: [{{port: 53, protocol: UDP}}], {spec}");
            agent.put("dns.yaml", virtual_service("dns", &spec) + &objects);
            sleep(Duration::from_secs(1));
            agent.wait_for("dns", "Programmed", "True");
        };
        put("scheduler: rr");
        let client = Client::new(&client);
        let without = client.datagrams(DNS, &["?\n"; 6])?;
        assert!(without.iter().all(|server| *server == without[0]), "{without:?}");
        put("scheduler: rr, onePacket: true");
        let mut with = client.datagrams(DNS, &["?\n"; 9])?;
        assert_ne!(with[0], with[1], "in turn: {with:?}");
        with.sort();
        assert_eq!(with, ["rs1", "rs1", "rs1", "rs2", "rs2", "rs2", "rs3", "rs3", "rs3"]);
        Ok(())
    });
}
