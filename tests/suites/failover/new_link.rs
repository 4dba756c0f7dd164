//! A director's cable is plugged in again, at a switch that makes sure first that there is no loop (STP): for 4 s the port
//! has carrier and lets nothing pass.

use super::{Directors, Guest, VIP, WEB, in_guest, virtual_service};
use lvs_tests::traffic::Server;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Twice the bridge's forward delay.
const BLOCKED: Duration = Duration::from_secs(4);
const PREEMPT: Duration = Duration::from_secs(10);
/// From a connection's handshake to when the other director knows it.
const TOLD: Duration = Duration::from_secs(4);
const LOOK: Duration = Duration::from_millis(20);
const CONNECTIONS: usize = 50;

/// Directors of one VIP; it is at home.
fn directors(group: &str, directors: usize) -> (Directors, usize) {
    let mut net = Directors::by_hand(directors, 2, &[&format!("{VIP}/32")]);
    net.spanning_tree();
    sleep(BLOCKED + Duration::from_secs(1));
    net.listen(Server::tcp, "0.0.0.0:80");
    let mut objects = net.real_servers(false, "weight: 1");
    let spec = format!("addresses: [{VIP}], forwarding: DR, scheduler: rr");
    objects.push(virtual_service("web", &spec));
    net.apply(group, &objects);
    sleep(PREEMPT + Duration::from_secs(5));
    let home = net.holder(VIP);
    (net, home)
}

#[test]
fn a_director_that_hears_nobody_yet_takes_nothing_from_those_who_serve() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let (mut net, home) = directors("failover: {preemptDelaySeconds: 10}", 2);
        for preempt in [true, false] {
            net.unplug(home);
            sleep(Duration::from_secs(5));
            let other = net.holder(VIP);
            assert_ne!(other, home);
            let mut connections = net.client.hold_many(WEB, CONNECTIONS)?;
            net.plug(home);
            let back = Instant::now();
            let mut asked = back;
            let took = loop {
                let (holders, time) = (net.holders(VIP), back.elapsed());
                if holders.contains(&home) || time > 2 * (BLOCKED + PREEMPT) {
                    break time;
                }
                assert_eq!(holders, [other], "after {time:?}");
                // Of one that is silent since before its port let anything pass the other director cannot hear.
                if asked.elapsed() > Duration::from_secs(1) {
                    asked = Instant::now();
                    connections.assert_alive("a second");
                }
                sleep(LOOK);
            };
            println!("it was back after {took:?}");
            if preempt {
                assert!(took >= BLOCKED + PREEMPT, "{took:?}");
                assert!(took <= BLOCKED + PREEMPT + Duration::from_secs(3), "{took:?}");
            } else {
                assert_eq!(net.holders(VIP), [other]);
            }
            sleep(Duration::from_secs(1));
            assert_eq!(net.holders(VIP).len(), 1);
            connections.assert_alive("the director was back");
            net.client.hold_many(WEB, CONNECTIONS)?.assert_alive("anew");
            net.again("failover: {preempt: false}");
            sleep(TOLD);
        }
        Ok(())
    });
}

#[test]
fn the_only_one_that_lives_has_its_addresses_back_as_soon_as_anybody_is_heard() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let (net, home) = directors("failover: {preemptDelaySeconds: 10}", 2);
        net.client.hold_many(WEB, 2)?.assert_alive("both servers were heard");
        net.unplug(1 - home);
        sleep(Duration::from_secs(5));
        net.unplug(home);
        sleep(Duration::from_secs(5));
        assert!(net.holders(VIP).is_empty());
        net.plug(home);
        let back = Instant::now();
        while net.holders(VIP) != [home] {
            sleep(LOOK);
        }
        let took = back.elapsed();
        println!("the only one has it back after {took:?}");
        // The port; a second until somebody is asked again; and one and a half for members, and their silence.
        assert!(took <= BLOCKED + Duration::from_millis(1000 + 1500 + 300), "{took:?}");
        Ok(())
    });
}
