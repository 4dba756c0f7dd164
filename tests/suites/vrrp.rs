//! The thread that carries floating addresses, on real interfaces: take-over, lifetimes, hand-over; and real keepalived as
//! the other director.

#[path = "vrrp/keepalived.rs"]
mod keepalived;
#[path = "vrrp/many.rs"]
mod many;
#[path = "vrrp/moved.rs"]
mod moved;
#[path = "vrrp/networkd.rs"]
mod networkd;
#[path = "vrrp/others.rs"]
mod others;
#[path = "vrrp/several.rs"]
mod several;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Daemon, Link, Node};
use lvs_tests::wait_for;
use lvs_tests::wire::{Capture, Packet};
use std::net::{IpAddr, UdpSocket};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Every test's VIP, and the virtual router it is in; `a` comes before `b`.
const VIP: &str = "10.0.0.100";
const ROUTER: &str = "10:a,b:10.0.0.100/24@eth0,fd00::100/128@eth0";

/// Default profile: three intervals and the skew of the second in order, 250 of 256 left to it.
const TAKE_OVER: Duration = Duration::from_millis(3 * 90 + 10);
const LIFETIME: Duration = Duration::from_secs(3);

fn carry(node: &Node, name: &str, options: &str) -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvs-carry"));
    command.args([name, "--member", "a=10.0.0.1", "--member", "b=10.0.0.2", "--router", ROUTER]);
    node.spawn(command.args(options.split_whitespace()))
}

/// Whether a node has an address: only then may a socket be bound to it.
fn has(node: &Node, address: &str) -> bool {
    let address: IpAddr = address.parse().expect("an address");
    node.run(|| UdpSocket::bind((address, 0)).is_ok())
}

/// How long it takes until `condition` holds, to the millisecond.
#[track_caller]
fn time_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(1));
    }
    start.elapsed()
}

struct Lan {
    a: Node,
    b: Node,
    client: Node,
}

fn lan() -> Lan {
    let link = Link::new("lan");
    Lan {
        a: Node::new("a").on(&link, "eth0", "10.0.0.1/24 fd00::1/64"),
        b: Node::new("b").on(&link, "eth0", "10.0.0.2/24 fd00::2/64"),
        client: Node::new("client").on(&link, "eth0", "10.0.0.50/24 fd00::50/64"),
    }
}

/// Both started, and `a` carries the VIP.
fn pair(lan: &Lan, options: &str) -> (Daemon, Daemon) {
    let b = carry(&lan.b, "b", options);
    let a = carry(&lan.a, "a", options);
    time_until("the home carries it alone", Duration::from_secs(5), || {
        has(&lan.a, VIP) && !has(&lan.b, VIP)
    });
    // Both know of each other by then.
    sleep(Duration::from_secs(2));
    assert!(has(&lan.a, VIP) && !has(&lan.b, VIP));
    (a, b)
}

#[test]
fn an_unplugged_director_is_replaced_in_time_and_everybody_hears_of_it() {
    in_guest(Guest::kernel().virtual_time(), || {
        let lan = lan();
        let _pair = pair(&lan, "--preempt 0");
        let capture = Capture::start(&lan.client);
        lan.a.unplug("eth0");
        let took = time_until("the other has the VIP", Duration::from_secs(2), || has(&lan.b, VIP));
        println!("taken over after {took:?}");
        assert!(took <= TAKE_OVER, "{took:?}");
        assert!(has(&lan.b, "fd00::100"), "the IPv6 one moves with it");
        time_until("the unplugged one lets go", LIFETIME, || !has(&lan.a, VIP));
        sleep(Duration::from_secs(5));
        let frames = capture.frames();
        let (mut arp, mut discovery) = (0, 0);
        for frame in frames.iter().filter(|frame| frame.source_mac == lan.b.mac("eth0")) {
            match &frame.packet {
                Packet::Arp { sender, target, sender_mac, .. } if sender == target => {
                    assert_eq!(
                        (sender.to_string().as_str(), sender_mac.as_str()),
                        (VIP, lan.b.mac("eth0"))
                    );
                    arp += 1;
                }
                Packet::Ip { protocol: 58, payload, .. }
                    if payload[0] == 136
                        && payload[8..24]
                            == "fd00::100".parse::<std::net::Ipv6Addr>().unwrap().octets() =>
                {
                    discovery += 1;
                }
                _ => {}
            }
        }
        println!("{arp} gratuitous ARP, {discovery} neighbour advertisements");
        // At 0, 0.1, 0.5, 1, 2, 3, 4 s, beyond the predecessor's lifetime.
        assert!(arp >= 7 && discovery >= 7, "{arp} {discovery}");

        lan.a.plug("eth0");
        time_until("the home has it back", Duration::from_secs(3), || {
            has(&lan.a, VIP) && !has(&lan.b, VIP)
        });
    });
}

#[test]
fn a_killed_director_loses_its_addresses_by_the_kernels_hand_only_while_another_lives() {
    in_guest(Guest::kernel().virtual_time(), || {
        let lan = lan();
        let (mut a, mut b) = pair(&lan, "");
        a.kill();
        let took = time_until("the other has the VIP", Duration::from_secs(2), || has(&lan.b, VIP));
        assert!(took <= TAKE_OVER, "{took:?}");
        let kept = time_until("the kernel takes it away", Duration::from_secs(9), || {
            !has(&lan.a, VIP) && !has(&lan.a, "fd00::100")
        });
        println!("the killed one had it for {:?}", took + kept);
        assert!(took + kept <= LIFETIME + Duration::from_secs(1), "{took:?} {kept:?}");

        // Nobody else lives: after the first one's presence is forgotten, the last one's crash takes nothing down.
        sleep(2 * LIFETIME);
        b.kill();
        sleep(Duration::from_secs(60));
        assert!(has(&lan.b, VIP) && has(&lan.b, "fd00::100"));

        // Restarted, it keeps what it has, and stays away from what the other took meanwhile.
        let ours = "--ours 10.0.0.100/24@eth0,fd00::100/128@eth0";
        let _b = carry(&lan.b, "b", ours);
        for _ in 0..1000 {
            assert!(has(&lan.b, VIP));
            sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn a_frozen_director_loses_its_addresses_and_wakes_without_them() {
    in_guest(Guest::kernel().virtual_time(), || {
        let lan = lan();
        let (a, _b) = pair(&lan, "");
        a.stop();
        time_until("the other has the VIP", TAKE_OVER, || has(&lan.b, VIP));
        time_until("the kernel takes it away", Duration::from_secs(4), || !has(&lan.a, VIP));
        sleep(Duration::from_secs(20));
        a.cont();
        for _ in 0..2000 {
            assert!(!has(&lan.a, VIP) && has(&lan.b, VIP));
            sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn one_that_was_frozen_for_less_than_its_lifetime_lets_go_at_once() {
    in_guest(Guest::kernel().virtual_time(), || {
        let lan = lan();
        let (a, _b) = pair(&lan, "");
        a.stop();
        sleep(Duration::from_secs(1));
        assert!(has(&lan.a, VIP) && has(&lan.b, VIP), "its kernel still has it");
        a.cont();
        let both = time_until("it lets go", Duration::from_secs(1), || !has(&lan.a, VIP));
        println!("let go after {both:?}");
        assert!(both < Duration::from_millis(20), "{both:?}");
        assert!(has(&lan.b, VIP));
    });
}

#[test]
fn one_that_comes_later_never_takes_what_it_is_not_home_to() {
    in_guest(Guest::kernel().virtual_time(), || {
        let lan = lan();
        let _a = carry(&lan.a, "a", "");
        time_until("it is alone", Duration::from_secs(1), || has(&lan.a, VIP));
        for phase in 0..10 {
            // Its neighbour's kernel has given up asking for its MAC address, and asks once a second.
            sleep(Duration::from_millis(3000 + 130 * phase));
            let mut b = carry(&lan.b, "b", "");
            for millisecond in 0..600 {
                assert!(!has(&lan.b, VIP), "phase {phase}, after {millisecond} ms");
                sleep(Duration::from_millis(1));
            }
            b.kill();
            lan.b.ip("link set eth0 down");
            lan.a.ip("neigh flush all");
            sleep(Duration::from_secs(4));
            lan.b.ip("link set eth0 up");
        }
    });
}

#[test]
fn a_director_that_is_told_to_stop_hands_over_without_a_gap() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let lan = lan();
        let (mut a, mut b) = pair(&lan, "");
        a.term();
        let gone = time_until("it lets go", Duration::from_secs(2), || {
            assert!(has(&lan.a, VIP) || has(&lan.b, VIP), "nobody has it");
            !has(&lan.a, VIP)
        });
        println!("handed over within {gone:?}");
        assert!(a.wait(Duration::from_secs(2))?.success());

        // The last one leaves it where it is.
        sleep(2 * LIFETIME);
        b.term();
        assert!(b.wait(Duration::from_secs(3))?.success());
        sleep(Duration::from_secs(60));
        assert!(has(&lan.b, VIP));

        // What was left with a lifetime is taken away by whoever starts again, before anything else.
        lan.b.ip("addr del 10.0.0.100/24 dev eth0\naddr add 10.0.0.100/24 dev eth0 valid_lft 300 preferred_lft 300");
        let _b = carry(&lan.b, "b", "--ours 10.0.0.100/24@eth0,fd00::100/128@eth0");
        time_until("the stale one goes", Duration::from_millis(50), || !has(&lan.b, VIP));
        time_until("and comes back by election", Duration::from_secs(1), || has(&lan.b, VIP));
        Ok(())
    });
}

#[test]
fn an_address_that_somebody_took_away_or_made_before_is_put_back_or_left_alone() {
    in_guest(Guest::kernel().virtual_time(), || {
        let lan = lan();
        // Somebody else's: it serves, and stays.
        lan.a.ip("addr add fd00::100/128 dev eth0 nodad");
        let (a, _b) = pair(&lan, "");
        lan.a.ip("addr del 10.0.0.100/24 dev eth0");
        wait_for("a renewal brings it back", Duration::from_secs(2), || {
            has(&lan.a, VIP).then_some(()).ok_or(())
        });
        a.term();
        time_until("it hands over", Duration::from_secs(2), || !has(&lan.a, VIP));
        assert!(has(&lan.a, "fd00::100"));
    });
}
