//! The acting half of the agent on a real kernel: whose things it touches, what it leaves behind, what a look costs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Instant;

use lvs_agent::cleanup::{Cleaned, cleanup};
use lvs_agent::journal::{Change, Entry, Journal, Made};
use lvs_agent::kernel::{Done, Kernel, KernelError, Linux, Requests, Scope, Services, changes};
use lvs_agent::state::{HeldAddress, NodeState, Observed, Op, ServiceState};
use lvs_ipvs::{Destination, DestinationKey, Forwarding, Operation, Service, ServiceKey};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};
use nix::unistd::{Uid, seteuid};

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

fn restore(path: &str) -> Op {
    Op::RestoreSysctl { path: path.into() }
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
        Ok(Done::ForeignAddress) => "foreign",
        Ok(Done::TakenOver { .. }) => "taken over",
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

fn all_exact(kernel: &mut Linux) -> Observed {
    let scope = Scope { services: Services::All { exact: BTreeSet::new() }, ..Scope::default() };
    let keys = kernel.observe(&scope).expect("a look").services.unwrap_or_default();
    let services = Services::These(keys.into_keys().collect());
    kernel.observe(&Scope { services, ..Scope::default() }).expect("a closer look")
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
        let told = node.run(|| {
            let (mut kernel, mut journal) = agent();
            all_changed(&kernel.execute(
                &[
                    set(ARP_IGNORE, "1"),
                    set(IP_FORWARD, "1"),
                    set("net/ipv6/conf/all/forwarding", "1"),
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
            assert_eq!(cleaned, Cleaned { done: 8, failed: 0 });
            String::from_utf8(told).expect("text")
        });
        assert_eq!(told.lines().count(), 8, "{told}");
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
        assert!(!line("2001:db8:1::10/64").contains("deprecated"));
        // Neither is the source of what the node itself sends.
        node.ip("route add default via 222.117.155.1\nroute add 2001:db8:9::/64 dev eth0");
        let source = node.sh("ip route get 8.8.8.8; ip route get 2001:db8:9::1").expect("sources");
        assert!(source.contains("src 222.117.155.123"), "{source}");
        assert!(source.contains("src 2001:db8:1::10"), "{source}");
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
fn forwarding_goes_back_with_all_that_the_kernel_changes_along_with_it() {
    in_guest(Guest::kernel(), || {
        let (outside, inside) = (Link::new("outside"), Link::new("inside"));
        let node =
            Node::new("director").on(&outside, "eth0", "203.0.113.1/24").on(&inside, "eth1", "");
        // An admin's own choices, which the switch overwrites.
        for (sysctl, value) in [
            ("ipv4/conf/all/accept_redirects", "0"),
            ("ipv4/conf/eth1/forwarding", "1"),
            ("ipv6/conf/eth1/forwarding", "1"),
        ] {
            node.sh(&format!("echo {value} >/proc/sys/net/{sysctl}")).expect("set");
        }
        let before = everything(&node);
        let six = "net/ipv6/conf/all/forwarding";
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            all_changed(&kernel.execute(&[set(IP_FORWARD, "1"), set(six, "1")], &mut journal));
            assert!(everything(&node).contains("ipv4/conf/eth0/forwarding:1"));
            assert_eq!(journal.ours().len(), 2, "what changes along is not wanted for itself");
            // As after a restart.
            drop(journal);
            let mut journal = Journal::open(STATE).expect("a journal");
            all_changed(&kernel.execute(&[restore(IP_FORWARD), restore(six)], &mut journal));
        });
        assert_eq!(everything(&node), before);
        // What somebody chooses meanwhile stays.
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            all_changed(&kernel.execute(&[set(IP_FORWARD, "1")], &mut journal));
            node.sh("echo 1 >/proc/sys/net/ipv4/conf/all/accept_redirects").expect("set");
            all_changed(&kernel.execute(&[restore(IP_FORWARD)], &mut journal));
        });
        assert_eq!(node.read_sysctl("net.ipv4.conf.all.accept_redirects"), "1");
        assert_eq!(node.read_sysctl("net.ipv4.ip_forward"), "0");
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
                change: Change {
                    previous: "0".into(),
                    given: "1".into(),
                    alongside: BTreeMap::new(),
                },
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
fn the_cheap_look_sees_what_netlink_sees() {
    in_guest(Guest::kernel(), || {
        let node = director();
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            let six = ServiceKey::tcp(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10), 443);
            let udp = ServiceKey::udp([192, 168, 0, 10], 53);
            let empty =
                ServiceKey::new(lvs_ipvs::Protocol::Sctp, Ipv4Addr::new(192, 168, 0, 10), 9);
            let mark = ServiceKey::mark(lvs_ipvs::Family::V6, 7.try_into().expect("not 0"));
            let at = |address: &str, port, forwarding, weight| {
                let address: IpAddr = address.parse().expect("an address");
                Destination::new(DestinationKey::new(address, port), forwarding, weight)
            };
            let limited =
                Destination { upper_threshold: 9, ..server(104, Forwarding::DirectRoute, 1) };
            let mut ops: Vec<Op> =
                [six, udp, empty, mark].map(|key| new_service(key, "wlc")).into();
            let persistent = Service::new(web(), "wrr").persistent(300);
            ops.push(Op::Ipvs(Operation::NewService(persistent)));
            ops.extend([
                new_destination(web(), server(101, Forwarding::DirectRoute, 5)),
                new_destination(web(), server(102, Forwarding::Masquerade, 0)),
                new_destination(web(), server(103, Forwarding::Tunnel, 70_000)),
                // The director's own address.
                new_destination(web(), server(1, Forwarding::DirectRoute, i32::MAX.unsigned_abs())),
                new_destination(udp, limited),
                new_destination(udp, at("192.168.0.101", 5353, Forwarding::Masquerade, 1)),
                new_destination(six, at("2001:db8::101", 443, Forwarding::DirectRoute, 1)),
                new_destination(six, at("2001:db8::1", 443, Forwarding::DirectRoute, 2)),
                new_destination(six, at("192.168.0.101", 443, Forwarding::Tunnel, 3)),
                new_destination(mark, at("2001:db8::101", 0, Forwarding::DirectRoute, 1)),
            ]);
            all_changed(&kernel.execute(&ops, &mut journal));

            let exact = all_exact(&mut kernel);
            let mut wanted = NodeState::default();
            let services = exact.services.clone().expect("IPVS");
            assert_eq!(services[&udp].destinations[&limited.key].upper_threshold, 9);
            assert_eq!(services.len(), 5);
            wanted.services = services;
            let before = kernel.requests();
            let seen = kernel.observe(&Scope::audit(&wanted, journal.ours())).expect("a look");
            assert_eq!(seen.services, exact.services);
            let cost = kernel.requests().ipvs - before.ipvs;
            assert_eq!(cost, 5, "one listing, and one each for thresholds, tunnels and the mark");
            // Of a service of which nobody wants thresholds, only these are missing.
            let before = kernel.requests();
            let scope =
                Scope { services: Services::All { exact: BTreeSet::new() }, ..Scope::default() };
            let mut cheap = kernel.observe(&scope).expect("a look").services.expect("IPVS");
            assert_eq!(
                kernel.requests().ipvs - before.ipvs,
                2,
                "one listing, and one for the mark"
            );
            let found =
                cheap.get_mut(&udp).and_then(|state| state.destinations.get_mut(&limited.key));
            *found.expect("there") = limited;
            assert_eq!(Some(cheap), exact.services);
        });
    });
}

#[test]
fn without_net_admin_the_error_says_how_to_get_it() {
    in_guest(Guest::kernel(), || {
        let node = director();
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            seteuid(Uid::from_raw(65534)).expect("another user");
            let refused = Linux::open().expect_err("no privilege");
            let ops = [new_service(web(), "rr"), add("eth0", "192.168.0.10/24")];
            let results = kernel.execute(&ops, &mut journal);
            seteuid(Uid::from_raw(0)).expect("root again");
            assert_eq!(refused.reason(), "NoNetAdmin");
            assert!(refused.to_string().contains("NET_ADMIN"), "{refused}");
            assert_eq!(reasons(&results), ["NoNetAdmin", "NoNetAdmin"]);
            assert!(journal.ours().is_empty());
        });
    });
}

#[test]
fn a_kernel_without_ipvs_still_gets_its_addresses_and_the_error_names_the_module() {
    in_guest(Guest::debian().without_module("ip_vs"), || {
        let node = director();
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            assert_eq!(kernel.about().expect("about").ipvs, None);
            let ops = [new_service(web(), "rr"), add("lo", "192.168.0.10/32")];
            let results = kernel.execute(&ops, &mut journal);
            assert_eq!(reasons(&results), ["NoIPVS", "ok"]);
            let error = results[0].as_ref().expect_err("no IPVS");
            assert!(error.is_no_ipvs() && error.to_string().contains("ip_vs"), "{error}");
            let scope = Scope::audit(&NodeState::default(), journal.ours());
            let observed = kernel.observe(&scope).expect("no error");
            assert_eq!(observed.services, None);
            assert!(observed.addresses.contains(&held("lo", "192.168.0.10/32")));
            assert_eq!(journal.ours().len(), 1);
        });
    });
}

#[test]
fn a_missing_scheduler_is_named_with_its_module_and_the_rest_works() {
    in_guest(Guest::debian(), || {
        let node = director();
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            let other = ServiceKey::tcp([192, 168, 0, 10], 81);
            let ops = [
                new_service(web(), "twos"),
                new_destination(web(), server(101, Forwarding::DirectRoute, 1)),
                new_service(other, "lblcr"),
                new_destination(other, server(101, Forwarding::DirectRoute, 1)),
            ];
            let results = kernel.execute(&ops, &mut journal);
            assert_eq!(reasons(&results), ["SchedulerMissing", "Withheld", "ok", "ok"]);
            let message = results[0].as_ref().expect_err("missing").to_string();
            assert!(message.contains("ip_vs_twos"), "{message}");
            assert_eq!(journal.ours(), &[Made::Service(other)].into());
            let about = kernel.about().expect("about");
            assert!(about.release.starts_with("6.1."), "{about:?}");
            assert_eq!(about.ipvs.expect("loaded").version.to_string(), "1.2.1");
        });
    });
}

#[test]
fn refused_addresses_say_why() {
    in_guest(Guest::kernel(), || {
        let node = director().sysctl("net.ipv6.conf.eth0.disable_ipv6", "1");
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            let ops = [
                add("eth7", "192.168.0.10/24"),
                add("eth0", "2001:db8::10/128"),
                set("net/ipv4/conf/all/no_such_thing", "1"),
                add("eth0", "192.168.0.10/24"),
            ];
            let results = kernel.execute(&ops, &mut journal);
            assert_eq!(
                reasons(&results),
                ["NoSuchInterface", "IPv6Disabled", "NoSuchSysctl", "ok"],
                "{results:?}"
            );
            let message = results[0].as_ref().expect_err("no such").to_string();
            assert!(message.contains("eth7") && message.contains("192.168.0.10/24"), "{message}");
            assert_eq!(journal.ours().len(), 1);
        });
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

/// Ten real servers for each of `count` services, as a plan would want them.
fn many(count: u16) -> NodeState {
    let mut wanted = NodeState::default();
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let key = ServiceKey::tcp([10, 1, high, low], 80);
        let destination = |last: u8| {
            let at = DestinationKey::new([10, 2, 0, last], 80);
            (at, Destination::new(at, Forwarding::Masquerade, u32::from(last)))
        };
        let destinations = (1..=10).map(destination).collect();
        wanted
            .services
            .insert(key, ServiceState { service: Service::new(key, "rr"), destinations });
    }
    wanted
}

fn since(now: Requests, before: Requests) -> String {
    format!(
        "{} IPVS requests, {} rtnetlink requests, {} reads of the table, {} of sysctls",
        now.ipvs - before.ipvs,
        now.route - before.route,
        now.table_reads - before.table_reads,
        now.sysctls - before.sysctls
    )
}

#[test]
fn a_look_at_a_large_table_is_one_listing_and_a_change_reads_no_table() {
    in_guest(Guest::kernel().limit(std::time::Duration::from_secs(300)), || {
        let node = director();
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            let wanted = many(10_000);
            let ops: Vec<Op> = wanted
                .services
                .values()
                .flat_map(|state| {
                    let service = Operation::NewService(state.service.clone());
                    let key = state.service.key;
                    let destinations = state.destinations.values().map(move |destination| {
                        Operation::NewDestination { service: key, destination: *destination }
                    });
                    std::iter::once(service).chain(destinations).map(Op::Ipvs)
                })
                .collect();
            let (start, before) = (Instant::now(), kernel.requests());
            all_changed(&kernel.execute(&ops, &mut journal));
            let made = since(kernel.requests(), before);
            println!("making 10,000 x 10: {made}, {:?}", start.elapsed());

            let (start, before) = (Instant::now(), kernel.requests());
            let observed = kernel.observe(&Scope::audit(&wanted, journal.ours())).expect("a look");
            let cost = since(kernel.requests(), before);
            println!("looking at 10,000 x 10: {cost}, {:?}", start.elapsed());
            let start = Instant::now();
            let text = std::fs::read_to_string("/proc/thread-self/net/ip_vs").expect("a table");
            println!("of that, reading {} kB of table: {:?}", text.len() / 1000, start.elapsed());
            let start = Instant::now();
            lvs_agent::kernel::table::parse(&text);
            println!("taking it apart: {:?}", start.elapsed());
            let start = Instant::now();
            let services = lvs_ipvs::Client::open().and_then(|mut client| client.services());
            println!("listing {} services: {:?}", services.expect("a list").len(), start.elapsed());
            assert_eq!(kernel.requests().ipvs - before.ipvs, 1);
            assert_eq!(kernel.requests().table_reads - before.table_reads, 1);
            assert!(observed.services.as_ref() == Some(&wanted.services), "as it was made");

            let before = kernel.requests();
            let key = ServiceKey::tcp([10, 1, 0, 7], 80);
            let destination = Destination {
                weight: 99,
                ..Destination::new(
                    DestinationKey::new([10, 2, 0, 1], 80),
                    Forwarding::Masquerade,
                    1,
                )
            };
            let change = [Op::Ipvs(Operation::SetDestination { service: key, destination })];
            all_changed(&kernel.execute(&change, &mut journal));
            let read = kernel.observe(&Scope::touched(&change, &wanted)).expect("a look");
            let read = read.services.expect("IPVS");
            assert_eq!(read[&key].destinations[&destination.key].weight, 99);
            assert_eq!(read.len(), 1);
            let after = kernel.requests();
            assert_eq!(after.ipvs - before.ipvs, 3);
            assert_eq!((after.table_reads, after.route), (before.table_reads, before.route));
        });
    });
}
