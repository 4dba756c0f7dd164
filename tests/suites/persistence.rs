//! Persistence by packets: who counts as one client, for how long, and what becomes of it when its server drains.

use std::thread::sleep;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::scenario::{Farm, director_group};
use lvs_tests::traffic::{by_server, shares};

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
        farm.director
            .clone()
            .sysctl("net.ipv4.vs.expire_quiescent_template", if expire { "1" } else { "0" });
        farm.beside(&director_group(
            "default",
            &format!("sysctls: {{expireQuiescentTemplate: {expire}}}"),
        ));
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
