//! The acting half of the agent on a real kernel: whose things it touches, what it leaves behind, what a look costs.

#[path = "kernel/looks.rs"]
mod looks;
#[path = "kernel/refusals.rs"]
mod refusals;

use std::net::IpAddr;
use std::path::Path;

use lvs_agent::cleanup::{Cleaned, cleanup};
use lvs_agent::journal::{Change, Entry, Journal};
use lvs_agent::kernel::{Done, Kernel, KernelError, Linux, changes};
use lvs_agent::state::{HeldAddress, Made, Op};
use lvs_ipvs::{Destination, DestinationKey, Forwarding, Operation, Service, ServiceKey};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};
use lvs_tests::traffic::Server;

/// In the guest, /tmp is its own.
const STATE: &str = "/tmp/state";
const ARP_IGNORE: &str = "net/ipv4/conf/all/arp_ignore";
const IP_FORWARD: &str = "net/ipv4/ip_forward";

type Results = Vec<Result<Done, KernelError>>;

fn held(interface: &str, address: &str) -> HeldAddress {
    HeldAddress { interface: interface.into(), address: address.parse().expect("an address") }
}

fn add(interface: &str, address: &str) -> Op {
    Op::AddAddress(held(interface, address))
}

fn remove(interface: &str, address: &str) -> Op {
    Op::DelAddress(held(interface, address))
}

fn set(path: &str, value: &str) -> Op {
    Op::SetSysctl { path: path.into(), value: value.into() }
}

fn web() -> ServiceKey {
    ServiceKey::tcp([192, 168, 0, 10], 80)
}

fn new_service(key: ServiceKey, scheduler: &str) -> Op {
    Op::Ipvs(Operation::NewService(Service::new(key, scheduler)))
}

fn server(last: u8, forwarding: Forwarding, weight: u32) -> Destination {
    Destination::new(DestinationKey::new([192, 168, 0, last], 80), forwarding, weight)
}

fn new_destination(service: ServiceKey, destination: Destination) -> Op {
    Op::Ipvs(Operation::NewDestination { service, destination })
}

#[track_caller]
fn all_changed(results: &Results) {
    assert!(results.iter().all(|result| matches!(result, Ok(Done::Changed))), "{results:#?}");
}

fn reasons(results: &Results) -> Vec<&'static str> {
    let reason = |result: &Result<Done, KernelError>| match result {
        Ok(Done::Changed) => "ok",
        Ok(Done::Foreign) => "foreign",
        Ok(Done::TakenOver { .. }) => "taken over",
        Ok(Done::Left { .. }) => "left",
        Err(error) => error.reason(),
    };
    results.iter().map(reason).collect()
}

fn director() -> Node {
    Node::new("director").on(&Link::new("lan"), "eth0", "192.168.0.1/24 2001:db8::1/64")
}

/// A kernel and a journal, in the namespace of the calling thread.
fn agent() -> (Linux, Journal) {
    (Linux::open().expect("a kernel"), Journal::open(STATE).expect("a journal"))
}

/// Everything on a node that an agent may change, as text.
fn everything(node: &Node) -> String {
    let sysctls =
        "cd /proc/sys/net && grep -r . ipv4/ip_forward ipv4/conf ipv6/conf 2>/dev/null | sort";
    ["ipvsadm -S -n | sort", "ip -o addr | sed 's/valid_lft.*//'", "ip route; ip -6 route", sysctls]
        .map(|command| node.sh(command).expect(command))
        .join("--\n")
}

#[test]
fn what_others_made_stays_and_after_cleanup_the_node_is_as_before() {
    in_guest(Guest::kernel(), || {
        let node = director();
        node.sh("ipvsadm -A -t 192.168.0.20:80 -s wlc -p 60 && ipvsadm -a -t 192.168.0.20:80 -r 192.168.0.77 -g -w 7")
            .expect("a foreign service");
        node.ip("addr add 192.168.0.20/32 dev eth0\naddr add 192.168.0.10/32 dev lo");
        let before = everything(&node);
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            let foreign = ServiceKey::tcp([192, 168, 0, 20], 80);
            let results = kernel.execute(
                &[
                    new_service(foreign, "rr"),
                    new_destination(foreign, server(101, Forwarding::DirectRoute, 1)),
                    Op::Ipvs(Operation::DelService(foreign)),
                    add("eth0", "192.168.0.20/32"),
                    remove("eth0", "192.168.0.20/32"),
                    add("lo", "192.168.0.10/32"),
                ],
                &mut journal,
            );
            let service = "ForeignService";
            assert_eq!(
                reasons(&results),
                [service, service, service, "foreign", "ForeignAddress", "foreign"]
            );
            assert!(journal.ours().is_empty());
        });
        assert_eq!(everything(&node), before, "refused without a trace");
        // For which ARP would stay silent.
        node.ip("addr del 192.168.0.10/32 dev lo");
        let before = everything(&node);
        let told = node.run(|| {
            let (mut kernel, mut journal) = agent();
            all_changed(&kernel.execute(
                &[
                    set(ARP_IGNORE, "1"),
                    new_service(web(), "wlc"),
                    new_destination(web(), server(101, Forwarding::DirectRoute, 5)),
                    add("eth0", "192.168.0.10/24"),
                    add("lo", "192.168.0.11/32"),
                    add("lo", "2001:db8::11/128"),
                    add("eth0", "2001:db8::10/64"),
                ],
                &mut journal,
            ));
            assert_ne!(everything(&node), before);
            let mut told = Vec::new();
            let cleaned = cleanup(&mut kernel, &mut journal, &mut told).expect("a report");
            assert_eq!(cleaned, Cleaned { done: 6, failed: 0 });
            String::from_utf8(told).expect("text")
        });
        assert_eq!(told.lines().count(), 6, "{told}");
        assert_eq!(everything(&node), before, "given back");
        let again = node.run(|| {
            let (mut kernel, mut journal) = agent();
            cleanup(&mut kernel, &mut journal, &mut Vec::new()).expect("a report")
        });
        assert_eq!(again, Cleaned::default());
    });
}

#[test]
fn addresses_stand_as_directors_and_real_servers_need_them() {
    in_guest(Guest::kernel(), || {
        let lan = Link::new("lan");
        let node = Node::new("director").on(&lan, "eth0", "222.117.155.123/24");
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            all_changed(&kernel.execute(
                &[
                    add("eth0", "192.168.0.10/24"),
                    add("lo", "192.168.0.11/32"),
                    add("lo", "2001:db8::11/128"),
                    add("eth0", "2001:db8:1::10/64"),
                    add("eth0", "2001:db8:2::10/128"),
                ],
                &mut journal,
            ));
        });
        let routes = node.sh("ip route; ip -6 route").expect("routes");
        assert!(routes.contains("192.168.0.0/24 dev eth0"), "the VIP brings its network: {routes}");
        assert!(routes.contains("2001:db8:1::/64 dev eth0"), "{routes}");
        for host in ["192.168.0.11", "2001:db8::11", "2001:db8:2::10"] {
            assert!(!routes.contains(host), "{host} needs no route: {routes}");
        }
        let shown = node.sh("ip -o addr").expect("addresses");
        let line =
            |address: &str| shown.lines().find(|line| line.contains(address)).expect("shown");
        assert!(line("192.168.0.10/24").contains("scope host"), "no source for ARP: {shown}");
        assert!(line("192.168.0.11/32").contains("scope host"), "{shown}");
        for six in ["2001:db8::11/128", "2001:db8:1::10/64", "2001:db8:2::10/128"] {
            assert!(line(six).contains("nodad") && !line(six).contains("tentative"), "{shown}");
        }
        assert!(line("2001:db8:2::10/128").contains("deprecated"));
        assert!(line("2001:db8:1::10/64").contains("deprecated"));
        // Neither is the source of what the node itself sends, where it has another address.
        node.ip("route add default via 222.117.155.1\nroute add 2001:db8:9::/64 dev eth0");
        let source = node.sh("ip route get 8.8.8.8; ip route get 2001:db8:9::1").expect("sources");
        assert!(source.contains("src 222.117.155.123"), "{source}");
        assert!(
            source.contains("src 2001:db8:"),
            "where there is no other, one of them is: {source}"
        );
        node.ip("addr add 2001:db8:f::1/64 dev eth0 nodad");
        let source = node.sh("ip route get 2001:db8:1::99").expect("a source");
        assert!(source.contains("src 2001:db8:f::1"), "{source}");
    });
}

#[test]
fn the_first_address_of_a_subnet_takes_no_other_along() {
    in_guest(Guest::kernel(), || {
        let node = Node::new("director").on(&Link::new("lan"), "eth0", "");
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            // Ours comes first and is primary; an admin's and another of ours are its secondaries.
            let one = [add("eth0", "192.168.0.10/24"), add("eth0", "192.168.0.11/24")];
            all_changed(&kernel.execute(&one, &mut journal));
            node.ip("addr add 192.168.0.1/24 dev eth0");
            node.ip("route add 10.9.0.0/16 via 192.168.0.254");
            let before =
                node.sh("cat /proc/sys/net/ipv4/conf/*/promote_secondaries").expect("read");
            let gone = [remove("eth0", "192.168.0.10/24")];
            all_changed(&kernel.execute(&gone, &mut journal));
            let left = node.sh("ip -4 -o addr show dev eth0").expect("addresses");
            assert!(!left.contains("192.168.0.10/"), "{left}");
            assert!(left.contains("192.168.0.1/24") && left.contains("192.168.0.11/24"), "{left}");
            assert!(node.sh("ip route").expect("routes").contains("192.168.0.0/24 dev eth0"));
            let after = node.sh("cat /proc/sys/net/ipv4/conf/*/promote_secondaries").expect("read");
            assert_eq!(after, before);
            assert_eq!(journal.ours(), &[Made::Address(held("eth0", "192.168.0.11/24"))].into());
        });
    });
}

#[test]
fn forwarding_that_others_may_need_by_now_is_never_turned_off() {
    in_guest(Guest::kernel(), || {
        let (outside, inside) = (Link::new("outside"), Link::new("inside"));
        let director = Node::new("director")
            .on(&outside, "eth0", "203.0.113.1/24 2001:db8:1::1/64")
            .on(&inside, "eth1", "10.9.0.1/24 2001:db8:9::1/64");
        let client = Node::new("client")
            .on(&outside, "eth0", "203.0.113.50/24 2001:db8:1::50/64")
            .route("10.9.0.0/24 via 203.0.113.1")
            .route("2001:db8:9::/64 via 2001:db8:1::1");
        let container = Node::new("container")
            .on(&inside, "eth0", "10.9.0.2/24 2001:db8:9::2/64")
            .route("default via 10.9.0.1")
            .route("default via 2001:db8:9::1");
        let _web = Server::tcp(&container, "[::]:80", "container");
        let six = "net/ipv6/conf/all/forwarding";
        director.run(|| {
            let (mut kernel, mut journal) = agent();
            all_changed(&kernel.execute(&[set(IP_FORWARD, "1"), set(six, "1")], &mut journal));
        });
        let is_served = || {
            for address in ["10.9.0.2:80", "[2001:db8:9::2]:80"] {
                assert_eq!(client.get(address).expect("an answer").server, "container");
            }
        };
        is_served();
        let told = director.run(|| {
            let (mut kernel, mut journal) = agent();
            let mut told = Vec::new();
            let cleaned = cleanup(&mut kernel, &mut journal, &mut told).expect("told");
            assert_eq!(cleaned, Cleaned { done: 2, failed: 0 });
            assert!(journal.ours().is_empty());
            String::from_utf8(told).expect("text")
        });
        assert!(told.contains("net/ipv4/ip_forward: left at 1, and was 0 before"), "{told}");
        assert!(told.contains("sysctl -w net.ipv6.conf.all.forwarding=0"), "{told}");
        is_served();
    });
}

#[test]
fn arp_stays_silent_for_a_vip_of_somebody_else() {
    in_guest(Guest::kernel(), || {
        let lan = Link::new("lan");
        let client = Node::new("client").on(&lan, "eth0", "192.168.0.50/24");
        let node = Node::new("rs1").on(&lan, "eth0", "192.168.0.101/24");
        let cleaned = |node: &Node| {
            node.run(|| {
                let (mut kernel, mut journal) = agent();
                all_changed(&kernel.execute(&[set(ARP_IGNORE, "1")], &mut journal));
                cleanup(&mut kernel, &mut journal, &mut Vec::new()).expect("told")
            })
        };
        assert_eq!(cleaned(&node), Cleaned { done: 1, failed: 0 });
        assert_eq!(node.read_sysctl("net.ipv4.conf.all.arp_ignore"), "0");
        // kube-proxy sets it itself where it wants it.
        node.ip("link add kube-ipvs0 type dummy");
        node.ip("address add 10.96.0.1/32 dev kube-ipvs0");
        assert_eq!(cleaned(&node), Cleaned { done: 1, failed: 0 });
        assert_eq!(node.read_sysctl("net.ipv4.conf.all.arp_ignore"), "0");
        // Another load balancer's, which found the sysctl as it wants it.
        node.ip("link add kube-dummy-if type dummy");
        node.ip("address add 192.168.0.99/32 dev kube-dummy-if");
        assert_eq!(cleaned(&node), Cleaned { done: 1, failed: 0 });
        assert_eq!(node.read_sysctl("net.ipv4.conf.all.arp_ignore"), "1");
        assert_eq!(client.who_has("192.168.0.99", "eth0"), [].into());
    });
}

#[test]
fn a_crash_between_the_record_and_the_change_leaves_a_node_that_can_be_given_back() {
    in_guest(Guest::kernel(), || {
        let node = director();
        let before = everything(&node);
        let journaled = [
            Entry::Service(web()),
            Entry::Address(held("eth0", "192.168.0.10/24")),
            Entry::Sysctl {
                path: ARP_IGNORE.into(),
                change: Change { previous: "0".into(), given: "1".into() },
            },
        ];
        let changed = "ipvsadm -A -t 192.168.0.10:80 -s rr; ip addr add 192.168.0.10/24 dev eth0; \
                       echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore";
        for happened in ["true", changed] {
            for torn in ["", "{\"add\":{\"servi"] {
                node.run(|| Journal::open(STATE).expect("a journal").record(&journaled))
                    .expect("on disk");
                let path = Path::new(STATE).join("journal");
                let mut text = std::fs::read_to_string(&path).expect("a log");
                text.push_str(torn);
                std::fs::write(&path, text).expect("a torn log");
                node.sh(happened).expect("the change");
                node.run(|| {
                    let (mut kernel, mut journal) = agent();
                    assert!(journal.problems().is_empty());
                    let cleaned =
                        cleanup(&mut kernel, &mut journal, &mut Vec::new()).expect("told");
                    assert_eq!(cleaned, Cleaned { done: 3, failed: 0 });
                });
                assert_eq!(everything(&node), before, "{happened} {torn}");
            }
        }
    });
}

#[test]
fn facts_are_the_nodes_own_and_changes_of_them_are_told() {
    in_guest(Guest::kernel(), || {
        let node = director().route("default via 192.168.0.254");
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            all_changed(&kernel.execute(&[add("eth0", "192.168.0.10/24")], &mut journal));
            let facts = kernel.facts(journal.ours()).expect("facts");
            let eth0 = &facts.interfaces["eth0"];
            let own: Vec<_> = eth0.addresses.iter().map(ToString::to_string).collect();
            assert!(own.contains(&"192.168.0.1/24".to_owned()), "{own:?}");
            assert!(own.contains(&"2001:db8::1/64".to_owned()), "{own:?}");
            assert!(!own.contains(&"192.168.0.10/24".to_owned()), "{own:?}");
            assert!(eth0.up && !eth0.loopback && facts.interfaces["lo"].loopback);
            let default = facts.routes.iter().find(|route| route.destination.prefix_len() == 0);
            let default = default.expect("a default route");
            assert_eq!(default.gateway, Some(IpAddr::from([192, 168, 0, 254])));
            assert_eq!(default.interface, "eth0");

            let mut told = changes().expect("a socket");
            assert!(told.try_recv().is_err(), "nothing yet");
            for change in
                ["addr add 192.168.0.99/24 dev eth0", "route add 10.9.0.0/16 via 192.168.0.7"]
            {
                node.ip(change);
                told.blocking_recv().expect("told");
                // Let the rest of this change's messages come before the next.
                std::thread::sleep(std::time::Duration::from_millis(50));
                while told.try_recv().is_ok() {}
            }
        });
    });
}
