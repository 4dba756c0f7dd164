//! What is somebody else's, what the kernel lacks, and how little is asked of it.

use super::{everything, make, reason, standing, unmake};
use lvs_agent::kernel::Tunnels;
use lvs_agent::state::{Fixture, Packets, TunnelDevice};
use lvs_ipvs::{Family, Protocol};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};

fn tunnel(device: TunnelDevice) -> Fixture {
    Fixture::Tunnel { device, local: "10.0.0.101".parse().expect("an address") }
}

const GUE: Fixture = Fixture::Gue { family: Family::V4, port: 6080 };

fn server() -> Node {
    Node::new("rs1").on(&Link::new("lan"), "eth0", "10.0.0.101/24")
}

fn add(node: &Node, fixture: Fixture) -> String {
    node.run(|| reason(&Tunnels::default().add(&[fixture])[0]))
}

fn remove(node: &Node, fixture: Fixture) -> String {
    node.run(|| reason(&Tunnels::default().remove(&[fixture])[0]))
}

#[test]
fn what_others_made_is_named_and_stays() {
    in_guest(Guest::kernel().virtual_time(), || {
        let node = server();
        node.ip("link add theirs type ipip local 10.0.0.101 remote any\nlink add lvss0a000065 type dummy");
        node.sh("ip fou add port 6080 gue && ip fou add port 6081 ipproto 4").expect("their ports");
        node.ip("rule add pref 8848 to 203.0.113.0/24 ipproto tcp dport 80 lookup 100");
        let before = everything(&node);
        assert!(add(&node, tunnel(TunnelDevice::Ipip)).contains("the link theirs exists"));
        assert!(add(&node, tunnel(TunnelDevice::Sit)).contains("the link lvss0a000065 exists"));
        assert!(add(&node, GUE).contains("was not made by this agent"));
        assert!(standing(&node).contains(&GUE), "it serves");
        let taken = Fixture::Gue { family: Family::V4, port: 6081 };
        let in_use = add(&node, taken);
        assert!(in_use.contains("98"), "{in_use}");
        assert!(!standing(&node).contains(&taken), "that one does not");
        for device in [TunnelDevice::Ipip, TunnelDevice::Sit] {
            assert_eq!(remove(&node, tunnel(device)), "ok");
        }
        assert_eq!(everything(&node), before);
    });
}

#[test]
fn a_device_that_was_set_down_or_made_strict_does_not_stand_and_is_repaired() {
    in_guest(Guest::kernel().virtual_time(), || {
        let node = server();
        let fixture = tunnel(TunnelDevice::Ipip);
        make(&node, &[fixture]);
        node.ip("link set lvsi0a000065 down");
        assert!(!standing(&node).contains(&fixture), "down");
        make(&node, &[fixture]);
        node.sh("sysctl -qw net.ipv4.conf.lvsi0a000065.rp_filter=1").expect("sysctl");
        assert!(!standing(&node).contains(&fixture), "strict");
        make(&node, &[fixture]);
        let filter = node.sh("cat /proc/sys/net/ipv4/conf/lvsi0a000065/rp_filter").expect("sysctl");
        assert_eq!(filter.trim(), "2");
        unmake(&node, &[fixture]);
    });
}

#[test]
fn gre_with_and_without_checksum_take_turns_on_one_device() {
    in_guest(Guest::kernel().virtual_time(), || {
        let node = server();
        let (plain, sum) = (tunnel(TunnelDevice::Gre), tunnel(TunnelDevice::GreChecksum));
        make(&node, &[plain]);
        assert!(add(&node, sum).contains("the link lvsg0a000065 exists"), "both are wanted");
        assert_eq!(standing(&node), [plain].into());
        let results = node.run(|| Tunnels::default().exchange(&[plain], &[sum]));
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert_eq!(standing(&node), [sum].into());
        unmake(&node, &[sum]);
    });
}

#[test]
fn each_change_costs_a_few_requests() {
    in_guest(Guest::kernel().virtual_time(), || {
        let node = server();
        let packets = |destination: &str| Fixture::LocalDelivery {
            packets: Packets {
                destination: destination.parse().expect("a network"),
                protocol: Protocol::Tcp,
                first_port: 80,
                last_port: 80,
            },
        };
        node.run(|| {
            let mut tunnels = Tunnels::default();
            let mut cost = |change: &dyn Fn(&mut Tunnels) -> Vec<String>| {
                let before = tunnels.sent();
                let results = change(&mut tunnels);
                assert!(results.iter().all(|it| it == "ok"), "{results:?}");
                tunnels.sent() - before
            };
            let add = |fixture: Fixture| {
                move |it: &mut Tunnels| it.add(&[fixture]).iter().map(reason).collect::<Vec<_>>()
            };
            let remove = |fixture: Fixture| {
                move |it: &mut Tunnels| it.remove(&[fixture]).iter().map(reason).collect::<Vec<_>>()
            };
            // The links, the device, the links again for its number, and four settings.
            assert_eq!(cost(&add(tunnel(TunnelDevice::Ipip))), 7);
            assert_eq!(cost(&remove(tunnel(TunnelDevice::Ipip))), 2);
            // The family's number is asked once.
            assert_eq!(cost(&add(GUE)), 2);
            assert_eq!(cost(&remove(GUE)), 1);
            // The rules, the frame's three, and the fixture's own; a thousandth costs the same.
            let (one, other) = (packets("203.0.113.0/24"), packets("198.51.100.0/24"));
            assert_eq!(cost(&add(one)), 5);
            assert_eq!(cost(&add(other)), 5);
            assert_eq!(cost(&remove(one)), 2);
            assert_eq!(cost(&remove(other)), 5);
        });
    });
}

#[test]
fn a_kernel_without_the_module_is_told_which() {
    in_guest(Guest::debian().without_module("ip_gre"), || {
        let node = server();
        let before = everything(&node);
        assert!(add(&node, GUE).contains("this kernel has no fou"), "{}", add(&node, GUE));
        let gre = add(&node, tunnel(TunnelDevice::Gre));
        assert!(gre.contains("this kernel has no ip_gre"), "{gre}");
        assert_eq!(remove(&node, GUE), "ok");
        make(&node, &[tunnel(TunnelDevice::Ipip)]);
        unmake(&node, &[tunnel(TunnelDevice::Ipip)]);
        assert_eq!(everything(&node), before);
    });
}
