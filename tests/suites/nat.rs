//! The guide's second example, NAT, with its own addresses: a director between a public and a private net.

mod outgoing;

use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::scenario::{Cluster, NatNet};
use lvs_tests::table::NodeState;
use lvs_tests::wire::Capture;

/// Within which a node's drift is seen.
const REPAIRED: Duration = Duration::from_secs(5);
const WEB: &str = NatNet::WEB;

#[test]
fn the_nat_example() {
    let guest = Guest::control_plane().virtual_time().limit(Duration::from_secs(300));
    in_guest(guest, || -> anyhow::Result<()> {
        let net = NatNet::new();
        let mut cluster = Cluster::start();
        let director_before = cluster.add_director(&net.director);
        cluster.add_node(&net.rs1);
        cluster.add_node(&net.rs2);
        cluster.apply_example("nat.yaml");
        cluster.wait_for("virtualservice/web", "Available");

        it_is_programmed_as_the_guide_says(&net);
        held_connections_follow_the_weights(&net)?;
        addresses_and_ports_are_translated_and_the_client_is_seen(&net)?;
        rules_that_drop_what_is_invalid_stop_nobody(&net)?;
        a_wrong_default_gateway_is_reported(&net, &cluster)?;

        cluster.clean_up(&net.director);
        NodeState::of(&net.director).assert_same_as(&director_before);
        Ok(())
    });
}

fn it_is_programmed_as_the_guide_says(net: &NatNet) {
    let service = net.director.service(WEB).expect("the virtual service");
    assert_eq!((service.protocol.as_str(), service.scheduler.as_str()), ("TCP", "wlc"));
    assert_eq!(service.flags, "");
    for (address, weight) in [("10.0.0.101:8080", 1), ("10.0.0.102:8080", 2)] {
        let destination = service.destination(address);
        assert_eq!((destination.forwarding.as_str(), destination.weight), ("Masq", weight));
    }
    let addresses = net.director.addresses();
    assert!(addresses.contains("eth0 10.0.0.234/24"), "the floating inside address: {addresses:?}");
    assert!(addresses.iter().any(|a| a.starts_with("eth1 211.47.13.234/")), "{addresses:?}");
    assert_eq!(net.director.read_sysctl("net.ipv4.ip_forward"), "1");
}

fn held_connections_follow_the_weights(net: &NatNet) -> anyhow::Result<()> {
    let mut held = Vec::new();
    for round in 1..=4 {
        for _ in 0..3 {
            let mut connection = net.client.hold(WEB)?;
            connection.ask()?;
            held.push(connection);
        }
        let open = (net.web1.connections(), net.web2.connections());
        assert_eq!(open, (round, 2 * round), "one to two at any time");
    }
    let service = net.director.service(WEB).expect("the virtual service");
    assert_eq!(service.destination("10.0.0.101:8080").active, 4);
    assert_eq!(service.destination("10.0.0.102:8080").active, 8);
    for connection in &mut held {
        connection.ask()?;
    }
    Ok(())
}

/// As kube-proxy makes them in iptables mode: to connection tracking a real server's answer belongs to nothing, unless IPVS has
/// its connections tracked.
fn rules_that_drop_what_is_invalid_stop_nobody(net: &NatNet) -> anyhow::Result<()> {
    let conntrack = || net.director.read_sysctl("net.ipv4.vs.conntrack");
    assert_eq!(conntrack(), "0", "nobody needs it yet");
    net.director.sh("nft 'add table ip filter; add chain ip filter KUBE-FORWARD; \
         add chain ip filter FORWARD { type filter hook forward priority 0; }; \
         add rule ip filter FORWARD jump KUBE-FORWARD; \
         add rule ip filter KUBE-FORWARD ct state invalid counter drop'")?;
    eventually("connections are tracked", REPAIRED, conntrack, |value| value == "1");
    net.client.shares(WEB, 3)?;
    net.director.sh("nft delete table ip filter")?;
    eventually("connections are not tracked", REPAIRED, conntrack, |value| value == "0");
    net.client.shares(WEB, 3)?;
    Ok(())
}

fn addresses_and_ports_are_translated_and_the_client_is_seen(net: &NatNet) -> anyhow::Result<()> {
    let (outside, inside) = (Capture::start(&net.client), Capture::start(&net.rs2));
    for _ in 0..3 {
        let answer = net.client.get(WEB)?;
        assert_eq!(answer.seen_source.ip().to_string(), NatNet::CLIENT, "the client's own address");
        let own = if answer.server == "rs1" { "10.0.0.101:8080" } else { "10.0.0.102:8080" };
        assert_eq!(answer.seen_local.to_string(), own, "its own address and port");
    }
    let outside = outside.frames();
    assert!(outside.iter().any(|frame| frame.is_from(NatNet::VIP)), "{outside:#?}");
    assert!(!outside.iter().any(|frame| frame.is_from("10.0.0.102")), "{outside:#?}");
    let inside = inside.frames();
    let replies: Vec<_> =
        inside.iter().filter(|frame| frame.outgoing && frame.is_to(NatNet::CLIENT)).collect();
    assert!(!replies.is_empty(), "{inside:#?}");
    assert!(
        replies.iter().all(|frame| frame.target_mac == net.director.mac("eth0")),
        "back through the director: {replies:#?}"
    );
    Ok(())
}

fn a_wrong_default_gateway_is_reported(net: &NatNet, cluster: &Cluster) -> anyhow::Result<()> {
    let degraded = || cluster.condition("virtualservice/web", "Degraded");
    assert_eq!(degraded().status, "False");
    net.rs2.sh("ip route replace default via 10.0.0.99")?;
    cluster.wait_for("virtualservice/web", "Degraded");
    let message = degraded().message;
    for wanted in ["rs2", "10.0.0.99", "10.0.0.234"] {
        assert!(message.contains(wanted), "{message}");
    }
    net.rs2.sh("ip route replace default via 10.0.0.234")?;
    cluster.wait_for("virtualservice/web", "Degraded=False");
    Ok(())
}
