//! An interface gets another MAC address, another device, another name or its carrier back: whoever sends to its addresses hears
//! of it at once.

use super::several::{group, held, reported, start};
use super::{VIP, has, time_until};
use lvs_agent::failover::{Carrier as _, Handle, Wants};
use lvs_agent::state::HeldAddress;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::carrying::wants;
use lvs_tests::wire::{Capture, Packet};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

const VIP_SIX: &str = "fd00::100";
/// From the kernel's word to the announcement.
const PROMISE: Duration = Duration::from_millis(100);

struct World {
    a: Node,
    b: Node,
    client: Node,
}

fn world() -> World {
    let link = Link::new("lan");
    World {
        a: Node::new("a").on(&link, "eth0", "10.0.0.1/24 fd00::1/64"),
        b: Node::new("b").on(&link, "eth0", "10.0.0.2/24 fd00::2/64"),
        client: Node::new("client").on(&link, "eth0", "10.0.0.50/24 fd00::50/64"),
    }
}

fn vip_six(interface: &str) -> HeldAddress {
    HeldAddress {
        interface: interface.to_owned(),
        address: format!("{VIP_SIX}/128").parse().unwrap(),
    }
}

fn wanted(own: &str, interface: &str) -> Wants {
    let mut want = group(own, 10, &["a", "b"], held(VIP, interface));
    want.routers.get_mut(&10).expect("the router").addresses.insert(vip_six(interface));
    wants(1, vec![("one", want)])
}

/// Both directors, once `a` carries both VIPs on this interface and its announcements are over.
fn carried(world: &World, interface: &str) -> (Handle, Handle) {
    let (mut at_a, mut at_b) = (start(&world.a), start(&world.b));
    at_a.want(wanted("a", interface));
    at_b.want(wanted("b", "eth0"));
    time_until("it is at home", Duration::from_secs(5), || {
        has(&world.a, VIP) && !has(&world.b, VIP)
    });
    sleep(Duration::from_secs(6));
    assert!(has(&world.a, VIP) && has(&world.a, VIP_SIX));
    (at_a, at_b)
}

/// Who says to have which address, of those that tell everybody.
fn announced(capture: &Capture) -> BTreeSet<(IpAddr, String)> {
    let said = capture.frames().into_iter().filter_map(|frame| match frame.packet {
        Packet::Arp { sender, target, sender_mac, .. } if sender == target => {
            Some((IpAddr::V4(sender), sender_mac))
        }
        Packet::Ip { protocol: 58, payload, .. } if payload.first() == Some(&136) => {
            let target: [u8; 16] = payload.get(8..24)?.try_into().ok()?;
            Some((IpAddr::V6(Ipv6Addr::from(target)), frame.source_mac))
        }
        _ => None,
    });
    said.collect()
}

/// How long it takes until everybody has heard that this MAC address has both VIPs.
#[track_caller]
fn told(capture: &Capture, mac: &str) -> Duration {
    let wanted = |address: &str| (address.parse::<IpAddr>().unwrap(), mac.to_owned());
    let mut heard = BTreeSet::new();
    time_until("both VIPs are announced", Duration::from_secs(15), || {
        heard.extend(announced(capture));
        heard.contains(&wanted(VIP)) && heard.contains(&wanted(VIP_SIX))
    })
}

/// Somebody has the address, and says that there is no such service.
#[track_caller]
pub(super) fn is_found(client: &Node, address: &str) {
    let target = SocketAddr::new(address.parse().expect("an address"), 9);
    let met = client.run(|| TcpStream::connect_timeout(&target, Duration::from_secs(1)));
    assert!(met.is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused), "{address} is not found");
}

/// A client that knows where the VIPs were finds them.
#[track_caller]
fn both_are_found(client: &Node) {
    [VIP, VIP_SIX].iter().for_each(|vip| is_found(client, vip));
}

#[test]
fn another_mac_address_of_a_directors_interface_is_announced_at_once_and_moves_nothing() {
    in_guest(Guest::kernel().virtual_time(), || {
        let world = world();
        let (at_a, at_b) = carried(&world, "eth0");
        both_are_found(&world.client);
        let capture = Capture::start(&world.client);
        let before = (at_a.figures().transitions, at_b.figures().transitions);
        for number in 1..=3 {
            let mac = format!("02:aa:00:00:00:0{number}");
            world.a.ip(&format!("link set eth0 address {mac}"));
            let took = told(&capture, &mac);
            println!("announced after {took:?}");
            assert!(took <= PROMISE, "{took:?}");
            both_are_found(&world.client);
            sleep(Duration::from_secs(5));
        }
        assert_eq!((at_a.figures().transitions, at_b.figures().transitions), before);
        let reports = (at_a.report(), at_b.report());
        assert!(reports.0.conflicts.is_empty() && reports.1.conflicts.is_empty(), "{reports:?}");
    });
}

#[test]
fn a_bridge_that_takes_the_mac_address_of_another_port_announces_its_vips() {
    in_guest(Guest::kernel().virtual_time(), || {
        let world = world();
        world.a.ip(
            "addr flush dev eth0\nlink add br0 type bridge\nlink set eth0 master br0\nlink set br0 up\n\
             addr add 10.0.0.1/24 dev br0\naddr add fd00::1/64 dev br0 nodad",
        );
        let _both = carried(&world, "br0");
        both_are_found(&world.client);
        let capture = Capture::start(&world.client);
        // A bridge has the lowest MAC address of its ports (br_stp_recalculate_bridge_id).
        let lowest = "02:00:00:00:00:00";
        world.a.ip(&format!("link add d0 address {lowest} type dummy\nlink set d0 master br0"));
        let took = told(&capture, lowest);
        assert!(took <= PROMISE, "{took:?}");
        both_are_found(&world.client);
        // Announcements are at most ten a second.
        sleep(Duration::from_secs(1));
        world.a.ip("link del d0");
        let took = told(&capture, world.a.mac("eth0"));
        assert!(took <= PROMISE, "{took:?}");
        both_are_found(&world.client);
    });
}

#[test]
fn what_stays_on_a_director_that_is_alone_is_announced_too_and_when_its_carrier_is_back() {
    in_guest(Guest::kernel().virtual_time(), || {
        let world = world();
        world.a.ip("addr add 10.0.0.100/24 dev eth0\naddr add fd00::100/128 dev eth0 nodad");
        let mut at_a = start(&world.a);
        let staying = BTreeSet::from([held(VIP, "eth0"), vip_six("eth0")]);
        at_a.want(Wants { number: 1, staying, ..Wants::default() });
        reported(&at_a, "it has heard of it", |it| it.number == 1);
        let capture = Capture::start(&world.client);
        world.a.ip("link set eth0 address 02:aa:00:00:00:01");
        let took = told(&capture, "02:aa:00:00:00:01");
        assert!(took <= PROMISE, "{took:?}");
        sleep(Duration::from_secs(6));
        announced(&capture);
        world.a.unplug("eth0");
        sleep(Duration::from_secs(1));
        assert_eq!(announced(&capture), BTreeSet::new());
        world.a.plug("eth0");
        let took = told(&capture, "02:aa:00:00:00:01");
        assert!(took <= PROMISE, "{took:?}");
        // IPv6 addresses go with the carrier's interface where it is set down, and are the engine's to put back.
        sleep(Duration::from_secs(6));
        assert!(has(&world.a, VIP));
    });
}

#[test]
fn an_interface_with_another_name_keeps_no_vip_that_nobody_would_take_away() {
    in_guest(Guest::kernel().virtual_time(), || {
        let world = world();
        // Alone it has them for ever.
        let mut at_a = start(&world.a);
        at_a.want(wanted("a", "eth0"));
        time_until("it is alone", Duration::from_secs(1), || has(&world.a, VIP));
        world.a.ip("link set eth0 down\nlink set eth0 name wan\nlink set wan up");
        time_until("it has no VIP any more", Duration::from_secs(1), || !has(&world.a, VIP));
        assert!(has(&world.a, "10.0.0.1"), "what is not ours stays");
        let mut wanted = wanted("a", "wan");
        wanted.number = 2;
        at_a.want(wanted);
        // Its link has just come up, so it listens first for who else may be there.
        time_until("it has them again", Duration::from_secs(3), || {
            has(&world.a, VIP) && has(&world.a, VIP_SIX)
        });
        reported(&at_a, "as its own", |it| it.held.len() == 2 && it.foreign.is_empty());
    });
}

#[test]
fn an_interface_that_is_made_anew_has_its_vips_again_and_they_are_announced() {
    in_guest(Guest::kernel().virtual_time(), || {
        let world = world();
        let side = Link::new("side");
        let a = world.a.clone().on(&side, "eth1", "10.1.0.1/24");
        let client = Node::new("other").on(&side, "eth0", "10.1.0.50/24");
        let mut at_a = start(&a);
        let want = group("a", 10, &["a", "b"], held("10.1.0.100", "eth1"));
        at_a.want(wants(1, vec![("one", want)]));
        time_until("it is alone", Duration::from_secs(1), || has(&a, "10.1.0.100"));
        sleep(Duration::from_secs(6));
        is_found(&client, "10.1.0.100");
        a.ip("link del eth1");
        let a = a.on(&side, "eth1", "10.1.0.1/24");
        let took = time_until("it has it again", Duration::from_secs(2), || has(&a, "10.1.0.100"));
        println!("back after {took:?}");
        sleep(PROMISE);
        is_found(&client, "10.1.0.100");
    });
}

/// Debian's kernel has bonds. One active port after the other, each with its own MAC address, under a VLAN.
#[test]
fn a_vlan_on_a_bond_with_another_active_port_announces_its_vips() {
    in_guest(Guest::debian(), || {
        let world = world();
        let link = Link::new("trunk");
        let a = world.a.clone().on(&link, "p0", "").on(&link, "p1", "");
        let client = Node::new("tagged").on(&link, "eth0", "");
        client.ip("link add link eth0 name eth0.5 type vlan id 5\nlink set eth0.5 up\naddr add 10.5.0.50/24 dev eth0.5");
        a.ip(
            "link set p0 down\nlink set p1 down\n\
             link add bond0 type bond mode active-backup fail_over_mac active miimon 100\n\
             link set p0 master bond0\nlink set p1 master bond0\nlink set bond0 up\n\
             link set bond0 type bond active_slave p0\n\
             link add link bond0 name bond0.5 type vlan id 5\nlink set bond0.5 up\naddr add 10.5.0.1/24 dev bond0.5",
        );
        let mut at_a = start(&a);
        let want = group("a", 10, &["a", "b"], held("10.5.0.100", "bond0.5"));
        at_a.want(wants(1, vec![("one", want)]));
        time_until("it is alone", Duration::from_secs(10), || has(&a, "10.5.0.100"));
        sleep(Duration::from_secs(6));
        let capture = Capture::start(&client);
        for port in ["p1", "p0"] {
            let start = Instant::now();
            a.ip(&format!("link set bond0 type bond active_slave {port}"));
            let vip = ("10.5.0.100".parse::<IpAddr>().unwrap(), a.mac(port).to_owned());
            let mut times = Vec::new();
            while start.elapsed() < Duration::from_secs(5) {
                let heard = capture.frames().into_iter().filter(|frame| {
                    matches!(&frame.packet, Packet::Arp { sender, target, sender_mac, .. }
                        if sender == target && frame.interface == "eth0.5"
                        && (IpAddr::V4(*sender), sender_mac.clone()) == vip)
                });
                times.extend(heard.map(|_| start.elapsed()));
                sleep(Duration::from_millis(5));
            }
            println!("{port}: announced after {times:?}");
            assert!(
                times.first().is_some_and(|first| *first <= Duration::from_millis(300)),
                "{times:?}"
            );
            // The kernel says it once, or never where the MAC address of a VLAN is its own.
            assert!(times.len() >= 5, "{times:?}");
        }
    });
}
