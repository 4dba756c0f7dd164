//! The guide's first example, DR, with its own addresses: the director serves too, and a real server is once a node of
//! ours and once a machine that its admin set up by hand.

use std::thread::sleep;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::scenario::{Cluster, DrNet};
use lvs_tests::table::NodeState;
use lvs_tests::wire::Capture;

const VIP: &str = DrNet::VIP;
const WEB: &str = DrNet::WEB;
/// Of persistence, in dr.yaml.
const WINDOW: Duration = Duration::from_secs(300);
/// The kernel's timers of that length are some seconds coarse (kernel/time/timer.c).
const TIMER: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn the_dr_example_with_a_real_server_that_is_our_node_and_then_with_one_that_is_not() {
    let guest = Guest::control_plane().virtual_time().limit(Duration::from_secs(300));
    in_guest(guest, || -> anyhow::Result<()> {
        let net = DrNet::new();
        let mut cluster = Cluster::start_with(&["--audit-interval", "30s"]);
        let director_before = cluster.add_director(&net.director);
        let rs1_before = cluster.add_node(&net.rs1);
        cluster.apply_example("dr.yaml");
        cluster.wait_for("virtualservice/web", "Available");

        it_is_programmed_as_the_guide_says(&net);
        it_is_shown_as_ipvsadm_would(&cluster)?;
        only_the_director_answers_arp(&net);
        // Twenty minutes, in which the control plane would do nothing at some expense.
        cluster.plane.kill_api();
        cluster.kill_operator();
        a_client_sticks_until_the_window_has_passed(&net)?;
        cluster.plane.restart_api();
        cluster.start_operator();

        cluster.patch("virtualservice/web", r#"[{"op": "remove", "path": "/spec/persistence"}]"#);
        cluster.wait_for("virtualservice/web", "Programmed");
        shares_follow_the_weights(&net)?;
        replies_pass_the_director_by(&net)?;

        // Our agent leaves the real server as it found it; then its admin does by hand what the agent did.
        cluster.clean_up(&net.rs1);
        NodeState::of(&net.rs1).assert_same_as(&rs1_before);
        net.rs1.sh(
            "sysctl -q -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2 && \
             ip address add 192.168.0.10/32 dev lo",
        )?;
        only_the_director_answers_arp(&net);
        shares_follow_the_weights(&net)?;
        replies_pass_the_director_by(&net)?;

        cluster.delete("virtualservice/web");
        eventually("the service is gone", PATIENCE, || net.director.service(WEB), Option::is_none);
        cluster.clean_up(&net.director);
        NodeState::of(&net.director).assert_same_as(&director_before);
        Ok(())
    });
}

fn it_is_programmed_as_the_guide_says(net: &DrNet) {
    let service = net.director.service(WEB).expect("the virtual service");
    assert_eq!((service.protocol.as_str(), service.scheduler.as_str()), ("TCP", "wrr"));
    assert_eq!(service.flags, "persistent 300 255.255.255.255");
    let destinations: Vec<_> = service
        .destinations
        .iter()
        .map(|to| (to.address.as_str(), to.forwarding.as_str(), to.weight))
        .collect();
    assert_eq!(destinations.len(), 2);
    assert!(destinations.contains(&("192.168.0.101:80", "Route", 5)), "{destinations:?}");
    assert!(destinations.contains(&("222.117.155.123:80", "Route", 10)), "{destinations:?}");

    let addresses = net.director.addresses();
    assert!(addresses.contains("eth0 192.168.0.10/24"), "{addresses:?}");
    // What is available is so by its directors; a real server's agent may be a moment later.
    eventually(
        "rs1 has the VIP",
        PATIENCE,
        || net.rs1.addresses(),
        |all| all.contains("lo 192.168.0.10/32"),
    );
    assert_eq!(net.rs1.read_sysctl("net.ipv4.conf.all.arp_ignore"), "1");
    assert_eq!(net.rs1.read_sysctl("net.ipv4.conf.all.arp_announce"), "2");
}

fn it_is_shown_as_ipvsadm_would(cluster: &Cluster) -> anyhow::Result<()> {
    let shown = cluster.kubectl("get lvs")?;
    let line = shown.lines().find(|line| line.starts_with("virtualservice.kube-lvs.io/web"));
    let words: Vec<_> = line.unwrap_or_default().split_whitespace().collect();
    assert_eq!(
        words[1..8],
        ["192.168.0.10", "TCP/80", "wrr", "DR", "director", "2/2", "True"],
        "{shown}"
    );
    let events = || cluster.kubectl("events --for virtualservice/web").unwrap_or_default();
    let all = ["Accepted", "Programmed", "Available"];
    eventually("all is told by events", PATIENCE, events, |events| {
        all.iter().all(|it| events.contains(it))
    });
    Ok(())
}

fn only_the_director_answers_arp(net: &DrNet) {
    let answering = net.client.who_has(VIP, "eth0");
    assert_eq!(answering, [net.director.mac("eth0").to_owned()].into());
}

/// wrr alone would send one of three connections to rs1.
fn a_client_sticks_until_the_window_has_passed(net: &DrNet) -> anyhow::Result<()> {
    let first = net.client.get(WEB)?.server;
    assert_eq!(net.client.shares(WEB, 9)?, [(first.clone(), 9)].into());
    sleep(WINDOW - Duration::from_secs(5));
    assert_eq!(net.client.get(WEB)?.server, first, "within the window, which begins anew");
    sleep(WINDOW - Duration::from_secs(5));
    assert_eq!(net.client.get(WEB)?.server, first, "within the new window");
    let mut met = vec![first];
    while met.len() < 3 {
        sleep(WINDOW + TIMER);
        met.push(net.client.get(WEB)?.server);
    }
    met.sort();
    assert_eq!(met, ["director", "director", "rs1"], "after the window the scheduler decides");
    Ok(())
}

fn shares_follow_the_weights(net: &DrNet) -> anyhow::Result<()> {
    for _ in 0..4 {
        let wanted = [("director".to_owned(), 10), ("rs1".to_owned(), 5)].into();
        assert_eq!(net.client.shares(WEB, 15)?, wanted);
    }
    Ok(())
}

fn replies_pass_the_director_by(net: &DrNet) -> anyhow::Result<()> {
    // The last of a connection's packets come after its answer.
    const QUIET: Duration = Duration::from_secs(1);
    sleep(QUIET);
    let (at_client, at_director) = (Capture::start(&net.client), Capture::start(&net.director));
    for _ in 0..3 {
        let answer = net.client.get(WEB)?;
        sleep(QUIET);
        assert_eq!(answer.seen_source.ip().to_string(), DrNet::CLIENT, "the client's own address");
        assert_eq!(answer.seen_local.to_string(), WEB, "the packet came unchanged");
        let server = if answer.server == "rs1" { &net.rs1 } else { &net.director };
        let from_vip: Vec<_> =
            at_client.frames().into_iter().filter(|frame| frame.is_from(VIP)).collect();
        assert!(from_vip.len() >= 3, "{from_vip:#?}");
        assert!(
            from_vip.iter().all(|frame| frame.source_mac == server.mac("eth0")),
            "{from_vip:#?}"
        );

        let passed = at_director.frames();
        let requests = passed.iter().filter(|frame| !frame.outgoing && frame.is_to(VIP)).count();
        assert!(requests >= 3, "requests go to the director: {passed:#?}");
        let replies = passed.iter().filter(|frame| frame.is_from(VIP)).count();
        assert_eq!(replies > 0, answer.server == "director", "{passed:#?}");
    }
    Ok(())
}

#[test]
fn a_real_server_that_its_admin_had_prepared_by_hand_is_no_clash_and_keeps_what_he_made() {
    let guest = Guest::control_plane().virtual_time().limit(Duration::from_secs(300));
    in_guest(guest, || -> anyhow::Result<()> {
        let net = DrNet::new();
        // docs/real-servers.md, before there was any agent; and other load balancers, which hold VIPs on dummies.
        net.rs1.sh(
            "sysctl -q -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2 && \
             ip address add 192.168.0.10/32 dev lo",
        )?;
        net.director.sh(
            "ip link add kube-ipvs0 type dummy && ip address add 192.168.0.10/32 dev kube-ipvs0",
        )?;
        let mut cluster = Cluster::start();
        cluster.add_director(&net.director);
        let rs1_before = cluster.add_node(&net.rs1);
        let report = || cluster.kubectl("get lvsnodes -o jsonpath={.items[*].status.addresses}");
        eventually("both report", PATIENCE, report, |found| {
            found.as_ref().is_ok_and(|it| it.contains("101") && it.contains("222.117.155.123"))
        })?;
        cluster.apply_example("dr.yaml");
        cluster.wait_for("virtualservice/web", "Available");
        // The director's route to real servers is by the VIP's network.
        shares_follow_the_weights_but_persistence(&net)?;
        only_the_director_answers_arp(&net);
        cluster.clean_up(&net.rs1);
        NodeState::of(&net.rs1).assert_same_as(&rs1_before);
        assert!(net.rs1.addresses().contains("lo 192.168.0.10/32"));

        // What a network leads to is a machine's own.
        let own = std::fs::read_to_string("../examples/dr.yaml")?
            .replace("[192.168.0.10]", "[222.117.155.123]");
        cluster.apply(&own.replace("name: web\n", "name: own\n"));
        let message = || {
            let path = r#"jsonpath={.status.conditions[?(@.type=="Accepted")].reason}"#;
            cluster.kubectl(&format!("get virtualservice own -o {path}")).unwrap_or_default()
        };
        eventually("it is refused", PATIENCE, message, |found| found.contains("AddressOfNode"));
        Ok(())
    });
}

/// Someone is served, and by rs1 too, by one client or another.
fn shares_follow_the_weights_but_persistence(net: &DrNet) -> anyhow::Result<()> {
    let served = net.client.shares(WEB, 6)?;
    assert_eq!(served.values().sum::<usize>(), 6, "{served:?}");
    Ok(())
}
