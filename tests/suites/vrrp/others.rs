//! What others do to a director's addresses and routes while it runs.

use super::moved::is_found;
use super::several::{Lan, group, held, lan, reported, start};
use super::{LIFETIME, TAKE_OVER, has, time_until};
use lvs_agent::failover::{Carrier as _, Handle, Report, Want};
use lvs_agent::state::HeldAddress;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::carrying::{member, wants};
use lvs_tests::wire::{Capture, Packet};
use std::net::{SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

/// In a subnet that has no other address at first.
const VIP: &str = "10.1.0.100";
/// Routes are looked at every 10 s.
const LOOKED_AT: Duration = Duration::from_secs(12);
/// What somebody does to addresses is heard of at once.
const HEARD: Duration = Duration::from_millis(500);

fn wanted(own: &str) -> Vec<(&'static str, Want)> {
    vec![("one", group(own, 10, &["a", "b"], held(VIP, "eth0")))]
}

/// Both directors, once the VIP is at home, at `a`.
fn at_home(a: &Node, b: &Node) -> (Handle, Handle) {
    let (mut at_a, mut at_b) = (start(a), start(b));
    at_a.want(wants(1, wanted("a")));
    at_b.want(wants(1, wanted("b")));
    time_until("it is at home", LIFETIME, || has(a, VIP) && !has(b, VIP));
    (at_a, at_b)
}

fn problem(report: &Report) -> Option<&str> {
    report.problems.get("one").map(|(reason, _)| reason.as_str())
}

#[test]
fn what_others_have_in_the_subnet_of_a_vip_stays_when_the_vip_goes() {
    in_guest(Guest::kernel().virtual_time(), || {
        let Lan { a, .. } = lan();
        let mut at_a = start(&a);
        at_a.want(wants(1, wanted("a")));
        time_until("it has it", Duration::from_secs(5), || has(&a, VIP));
        // The kernel takes it along with the first of its subnet.
        a.ip("addr add 10.1.0.5/24 scope host dev eth0");
        at_a.want(wants(2, Vec::new()));
        time_until("it lets go", Duration::from_secs(1), || !has(&a, VIP));
        assert!(has(&a, "10.1.0.5"));
    });
}

#[test]
fn an_address_of_another_scope_that_came_since_delays_no_take_over() {
    in_guest(Guest::kernel().virtual_time(), || {
        let Lan { a, b, .. } = lan();
        let _both = at_home(&a, &b);
        sleep(Duration::from_secs(2));
        // The kernel refuses a second address of the subnet with a wider scope.
        b.ip("addr add 10.1.0.5/24 scope link dev eth0");
        a.unplug("eth0");
        let took = time_until("the other has it", Duration::from_secs(5), || has(&b, VIP));
        assert!(took <= TAKE_OVER, "{took:?}");
    });
}

#[test]
fn a_director_that_has_lost_its_own_address_lets_go_and_says_so() {
    in_guest(Guest::kernel().virtual_time(), || {
        let Lan { a, b, .. } = lan();
        let (at_a, _at_b) = at_home(&a, &b);
        a.ip("addr del 10.0.0.1/24 dev eth0");
        let moved = || !has(&a, VIP) && has(&b, VIP);
        eventually("the other alone has it", 2 * HEARD, moved, |moved| *moved);
        assert_eq!(problem(&at_a.report()), Some("NoAddress"));
        a.ip("addr add 10.0.0.1/24 dev eth0");
        reported(&at_a, "it takes part again", |it| problem(it).is_none());
        let is_at_home = || has(&a, VIP) && !has(&b, VIP);
        // It waits for a second before it takes it back.
        eventually("it is at home again", Duration::from_secs(2), is_at_home, |is| *is);
        reported(&at_a, "all is well", |it| problem(it).is_none());
    });
}

#[test]
fn a_director_with_no_way_to_the_others_says_so_until_there_is_one() {
    in_guest(Guest::kernel().virtual_time(), || {
        let Lan { a, .. } = lan();
        let mut at_a = start(&a);
        let mut want = wanted("a");
        want[0].1.members[1] = member("b", "10.9.0.2");
        at_a.want(wants(1, want));
        reported(&at_a, "it says why", |it| {
            let told = it.problems.get("one");
            told.is_some_and(|(reason, text)| {
                reason == "SocketFailed" && text.contains("advertisements cannot be sent")
            })
        });
        a.ip("route add 10.9.0.0/24 dev eth0");
        let told = || at_a.report().problems;
        eventually("all is well", LOOKED_AT, told, |told| told.is_empty());
    });
}

#[test]
fn two_interfaces_on_one_link_are_no_rivals() {
    in_guest(Guest::kernel().virtual_time(), || {
        let link = Link::new("lan");
        let a = Node::new("a").on(&link, "eth0", "10.0.0.1/24").on(&link, "eth1", "10.2.0.1/24");
        let mut at_a = start(&a);
        let mut want = wanted("a");
        let router = want[0].1.routers.get_mut(&10).expect("the router");
        router.addresses.insert(held("10.2.0.100", "eth1"));
        at_a.want(wants(1, want));
        time_until("it has both", Duration::from_secs(5), || has(&a, VIP) && has(&a, "10.2.0.100"));
        // What is held is probed every 10 s, and each interface answers for the other's addresses.
        sleep(Duration::from_secs(45));
        let report = at_a.report();
        assert!(report.conflicts.is_empty() && report.held.len() == 2, "{report:?}");
    });
}

/// The source that the kernel gives the node's own packets to somebody, as it is on the wire.
pub(super) fn source(from: &Node, to: &Node, target: &str) -> String {
    let capture = Capture::start(to);
    let bind = if target.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let target = SocketAddr::new(target.parse().expect("an address"), 9);
    let sent = from.run(|| UdpSocket::bind(bind)?.send_to(b"?", target));
    sent.expect("a packet is sent");
    let mut found = None;
    time_until("it comes", Duration::from_secs(2), || {
        found = capture.frames().into_iter().find_map(|frame| match frame.packet {
            Packet::Ip { source, destination, protocol: 17, .. } if destination == target => {
                Some(source.ip().to_string())
            }
            _ => None,
        });
        found.is_some()
    });
    found.unwrap_or_default()
}

#[test]
fn a_vip_that_came_before_the_nodes_own_address_is_put_behind_it_and_stays() {
    in_guest(Guest::kernel().virtual_time(), || {
        let Lan { a, b, .. } = lan();
        let side = Link::new("side");
        // The sysctl as the agent sets it for such VIPs.
        let [a, b] = [a, b].map(|node| {
            node.on(&side, "eth1", "").sysctl("net.ipv4.conf.eth1.promote_secondaries", "1")
        });
        let host = Node::new("host").on(&side, "eth0", "10.1.0.50/24");
        let (mut at_a, mut at_b) = (start(&a), start(&b));
        let wanted =
            |own: &str| wants(1, vec![("one", group(own, 10, &["a", "b"], held(VIP, "eth1")))]);
        at_a.want(wanted("a"));
        at_b.want(wanted("b"));
        time_until("it is at home", LIFETIME, || has(&a, VIP) && !has(&b, VIP));
        sleep(Duration::from_secs(1));
        assert_eq!(source(&a, &host, "10.1.0.50"), VIP, "there is no other address in its subnet");
        // What a client of DHCP does late.
        a.ip("addr add 10.1.0.5/24 dev eth1");
        let took = time_until("it is behind", Duration::from_secs(11), || {
            a.sh("ip -o -4 addr show dev eth1 secondary").expect("a list").contains(VIP)
        });
        println!("put behind after {took:?}");
        assert!(took <= HEARD, "{took:?}");
        assert_eq!(source(&a, &host, "10.1.0.50"), "10.1.0.5");
        for _ in 0..500 {
            assert!(has(&a, VIP) && !has(&b, VIP));
            sleep(Duration::from_millis(10));
        }
        let list = a.sh("ip -o -4 addr show to 10.1.0.100").expect("a list");
        assert!(!list.contains("valid_lft forever"), "it has its lifetime still: {list}");
        // And where it goes, the node's own address stays.
        at_a.stop();
        time_until("it is handed over", Duration::from_secs(1), || has(&b, VIP) && !has(&a, VIP));
        assert!(has(&a, "10.1.0.5"));
    });
}

#[test]
fn what_a_director_sends_itself_never_comes_from_an_ipv6_vip_with_its_networks_prefix() {
    in_guest(Guest::kernel().virtual_time(), || {
        let Lan { link, a, .. } = lan();
        a.ip("addr add fd00::1/64 dev eth0 nodad");
        let host = Node::new("host").on(&link, "eth0", "fd00::101/64");
        let mut at_a = start(&a);
        // It has more bits in common with the host's address than the node's own (RFC 6724, rule 8).
        let mut want = wanted("a");
        let vip =
            HeldAddress { interface: "eth0".to_owned(), address: "fd00::100/64".parse().unwrap() };
        want[0].1.routers.get_mut(&10).expect("the router").addresses.insert(vip);
        at_a.want(wants(1, want));
        time_until("it has it", Duration::from_secs(5), || has(&a, "fd00::100"));
        assert_eq!(source(&a, &host, "fd00::101"), "fd00::1");
        // It answers all the same, and so it does where it is all there is.
        is_found(&host, "fd00::100");
        a.ip("addr del fd00::1/64 dev eth0");
        assert_eq!(source(&a, &host, "fd00::101"), "fd00::100");
    });
}
