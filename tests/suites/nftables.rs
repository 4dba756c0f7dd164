//! Our table in nftables on a real kernel: what stands in it, what a change costs, and what it does to packets.

#[path = "nftables/packets.rs"]
mod packets;
#[path = "nftables/untracked.rs"]
mod untracked;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use lvs_agent::kernel::{Direction, FixtureError, Nftables};
use lvs_agent::state::{Fixture, Packets};
use lvs_ipvs::Protocol;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};

fn to(destination: &str, protocol: Protocol, first_port: u16, last_port: u16) -> Packets {
    let destination = destination.parse().expect("a network");
    Packets { destination, protocol, first_port, last_port }
}

fn tcp(destination: &str, first_port: u16, last_port: u16) -> Packets {
    to(destination, Protocol::Tcp, first_port, last_port)
}

fn mark(packets: Packets, mark: u32) -> Fixture {
    Fixture::Mark { packets, mark: NonZeroU32::new(mark).expect("not 0") }
}

fn change(nftables: &mut Nftables, direction: Direction, fixtures: &[Fixture]) -> Vec<String> {
    let changes: Vec<_> = fixtures.iter().map(|fixture| (direction, *fixture)).collect();
    let results = nftables.change(&changes);
    assert_eq!(results.len(), fixtures.len());
    results.into_iter().filter_map(|result| result.err().map(|error| error.to_string())).collect()
}

#[track_caller]
fn add(nftables: &mut Nftables, fixtures: &[Fixture]) {
    assert_eq!(change(nftables, Direction::Add, fixtures), [""; 0]);
}

#[track_caller]
fn remove(nftables: &mut Nftables, fixtures: &[Fixture]) {
    assert_eq!(change(nftables, Direction::Remove, fixtures), [""; 0]);
}

/// As an admin sees it, one space between words.
fn ruleset(node: &Node) -> String {
    let text = node.sh("nft list ruleset").expect("nft");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const OTHERS: &str = "nft add table inet other '{ chain input { type filter hook input priority 0; \
                      ip daddr 10.9.9.9 meta mark set 0x7; meta mark 0x8 accept; \
                      meta mark and 0xf0 == 0x10 accept; meta mark 0x0 accept; }; }'";

/// One of each, of both families.
fn some_of_each() -> Vec<Fixture> {
    vec![
        mark(tcp("10.0.0.10/32", 80, 80), 5),
        mark(tcp("10.0.0.10/32", 443, 443), 5),
        mark(to("10.0.0.10/32", Protocol::Udp, 0, 65535), 6),
        mark(tcp("192.0.2.0/24", 20000, 20099), 7),
        mark(tcp("2001:db8::10/128", 80, 80), 5),
        mark(to("2001:db8:1::/64", Protocol::Sctp, 0, 65535), 0xffff_fff0),
        Fixture::Masquerade { packets: tcp("10.0.0.10/32", 80, 80) },
        Fixture::Masquerade { packets: tcp("2001:db8::10/128", 80, 443) },
        Fixture::Outgoing { network: "10.0.0.0/24".parse().expect("a network") },
        Fixture::Outgoing { network: "fd00::/64".parse().expect("a network") },
        Fixture::UnknownReplies { packets: tcp("10.0.0.101/32", 8080, 8080) },
        Fixture::UnknownReplies { packets: to("2001:db8::101/128", Protocol::Udp, 53, 53) },
        Fixture::SegmentSize { packets: tcp("10.0.0.10/32", 80, 80), bytes: 1440 },
        Fixture::SegmentSize { packets: tcp("10.0.0.10/32", 81, 81), bytes: 1400 },
        Fixture::SegmentSize { packets: tcp("2001:db8::10/128", 0, 65535), bytes: 1380 },
        Fixture::Untracked { packets: tcp("10.0.0.10/32", 80, 80) },
        Fixture::Untracked { packets: to("10.0.0.10/32", Protocol::Udp, 0, 65535) },
        Fixture::Untracked { packets: to("10.0.0.11/32", Protocol::Udp, 5000, 5099) },
        Fixture::Untracked { packets: tcp("2001:db8::10/128", 80, 80) },
        Fixture::Untracked { packets: to("2001:db8::10/128", Protocol::Sctp, 0, 65535) },
        Fixture::Untracked { packets: tcp("2001:db8::10/128", 8000, 8080) },
        Fixture::Arrivals { packets: tcp("10.0.0.10/32", 80, 80) },
        Fixture::Arrivals { packets: to("10.0.0.10/32", Protocol::Udp, 0, 65535) },
        Fixture::Arrivals { packets: to("10.0.0.11/32", Protocol::Udp, 5000, 5099) },
        Fixture::Arrivals { packets: tcp("2001:db8::10/128", 80, 80) },
    ]
}

#[test]
fn the_table_comes_and_goes_with_its_fixtures_and_touches_no_other() {
    in_guest(Guest::kernel().virtual_time(), || {
        let node = Node::new("director").on(&Link::new("lan"), "eth0", "10.0.0.1/24");
        node.sh(OTHERS).expect("a foreign table");
        let before = ruleset(&node);
        node.run(|| {
            let mut nftables = Nftables::new();
            assert!(nftables.standing().expect("an answer").is_empty());
            add(&mut nftables, &some_of_each());
            let wanted: BTreeSet<_> = some_of_each().into_iter().collect();
            assert_eq!(nftables.standing().expect("an answer"), wanted);
            assert_eq!(Nftables::new().standing().expect("an answer"), wanted, "after a restart");
        });
        let shown = ruleset(&node);
        println!("{}", node.sh("nft list ruleset").expect("nft"));
        for told in [
            "table inet kube-lvs {",
            "map marks4 { type ipv4_addr . inet_proto . inet_service : mark flags interval",
            "10.0.0.10 . tcp . 80 : 0x00000005",
            "10.0.0.10 . udp . 0-65535 : 0x00000006",
            "map network-marks4 { type ipv4_addr . inet_proto . inet_service : mark flags interval",
            "192.0.2.0/24 . tcp . 20000-20099 : 0x00000007",
            "2001:db8:1::/64 . sctp . 0-65535 : 0xfffffff0",
            "type filter hook input priority mangle; policy accept;",
            "type nat hook postrouting priority srcnat; policy accept;",
            "meta mark set ip daddr . meta l4proto . th dport map @marks4",
            "fib daddr type != local",
            "counter name \"foreign\"",
            "ct original ip daddr . meta l4proto . ct original proto-dst @masquerade4",
            "ct reply ip6 saddr . meta l4proto . ct reply proto-src != @masquerade6",
            "masquerade comment \"masquerade, IPv4\"",
            "ip saddr . meta l4proto . th sport @outgoing4 ip daddr . meta l4proto . th dport != @outgoing4 masquerade",
            "type filter hook forward priority 101; policy accept;",
            "ip saddr . meta l4proto . th sport @unknown-replies4 ct state invalid counter packets 0 bytes 0 drop",
            "ip6 saddr . meta l4proto . th sport @unknown-replies6 ct direction original counter packets 0 bytes 0 drop",
            "th sport map @segment-sizes4",
            "10.0.0.10 . tcp . 80 : 1440",
            "type filter hook prerouting priority raw; policy accept;",
            "set untracked4 { type ipv4_addr . inet_proto . inet_service elements = { 10.0.0.10 . tcp . 80 }",
            "set all-ports-untracked4 { type ipv4_addr . inet_proto elements = { 10.0.0.10 . udp }",
            "set range-untracked6 { type ipv6_addr . inet_proto . inet_service flags interval elements = { 2001:db8::10 . tcp . 8000-8080 }",
            "10.0.0.10 . tcp . 80 counter packets 0 bytes 0",
            "10.0.0.11 . udp . 5000-5099 counter packets 0 bytes 0",
            "ip daddr . meta l4proto . th dport @untracked4 notrack accept comment \"do not track what is for a service\"",
            "ip6 saddr . meta l4proto . th sport @range-untracked6 notrack accept",
            "tcp flags != syn / fin,syn,rst,ack accept",
            "ip daddr . meta l4proto . th dport @arrivals4 accept",
        ] {
            assert!(shown.contains(told), "no {told:?}");
        }
        assert!(shown.contains(&before), "the foreign table is as it was");
        node.run(|| {
            let mut nftables = Nftables::new();
            let all = some_of_each();
            let (marks, rest) = all.split_at(6);
            remove(&mut nftables, rest);
            let shown = ruleset(&node);
            assert!(!shown.contains("masquerade") && !shown.contains("segment"), "{shown}");
            assert!(!shown.contains("ct "), "no connection tracking for a mark: {shown}");
            assert_eq!(nftables.standing().expect("an answer"), marks.iter().copied().collect());
            remove(&mut nftables, rest);
            remove(&mut nftables, marks);
            assert!(nftables.standing().expect("an answer").is_empty());
        });
        assert_eq!(ruleset(&node), before, "nothing is left");
    });
}

#[test]
fn a_thousand_marks_are_one_transaction_and_one_more_costs_no_more_than_the_first() {
    in_guest(Guest::kernel(), || {
        let node = Node::new("director").on(&Link::new("lan"), "eth0", "10.0.0.1/24");
        let marks: Vec<_> = (0..1000_u16)
            .map(|n| {
                let address = format!("10.1.{}.{}/32", n / 250, n % 250 + 1);
                mark(tcp(&address, 1000 + n, 1000 + n), u32::from(n) + 1)
            })
            .collect();
        node.run(|| {
            let mut nftables = Nftables::new();
            nftables.standing().expect("an answer");
            let cost = |nftables: &mut Nftables, direction, fixtures: &[Fixture]| {
                let before = nftables.sent();
                assert_eq!(change(nftables, direction, fixtures), [""; 0]);
                nftables.sent() - before
            };
            let began = std::time::Instant::now();
            // Begin, end, table, counter, two maps, two chains, six rules, and the marks.
            assert_eq!(cost(&mut nftables, Direction::Add, &marks), 14 + 1000);
            println!("1000 marks: {:?}", began.elapsed());
            assert_eq!(nftables.standing().expect("an answer").len(), 1000);
            let one = mark(tcp("10.2.0.1/32", 80, 80), 5000);
            let began = std::time::Instant::now();
            assert_eq!(cost(&mut nftables, Direction::Add, &[one]), 3);
            println!("one among 1000: {:?}", began.elapsed());
            assert_eq!(cost(&mut nftables, Direction::Add, &[one]), 0, "it stands");
            assert_eq!(cost(&mut nftables, Direction::Remove, &[one]), 3);
            let changed = mark(tcp("10.1.0.1/32", 1000, 1000), 5001);
            let before = nftables.sent();
            let results =
                nftables.change(&[(Direction::Add, changed), (Direction::Remove, marks[0])]);
            assert!(results.iter().all(Result::is_ok), "{results:?}");
            assert_eq!(nftables.sent() - before, 4, "another mark for the same packets");
            let standing = nftables.standing().expect("an answer");
            assert!(standing.contains(&changed) && !standing.contains(&marks[0]));
            let rest: Vec<_> = standing.into_iter().collect();
            let began = std::time::Instant::now();
            assert_eq!(cost(&mut nftables, Direction::Remove, &rest), 3, "the table at once");
            println!("removal: {:?}", began.elapsed());
            assert!(nftables.standing().expect("an answer").is_empty());
        });
        assert_eq!(ruleset(&node), "");
    });
}

#[test]
fn one_that_is_refused_stops_no_other() {
    in_guest(Guest::kernel().virtual_time(), || {
        let node = Node::new("director").on(&Link::new("lan"), "eth0", "10.0.0.1/24");
        node.run(|| {
            let mut nftables = Nftables::new();
            let wide = mark(tcp("10.0.0.10/32", 1000, 2000), 1);
            let within = mark(tcp("10.0.0.10/32", 1500, 1600), 2);
            let beside = mark(tcp("10.0.0.10/32", 3000, 3000), 3);
            let odd = mark(to("10.0.0.10/32", Protocol::from_number(999), 1, 1), 4);
            let other = Fixture::Masquerade { packets: tcp("10.0.0.10/32", 80, 80) };
            add(&mut nftables, &[wide]);
            let told = change(&mut nftables, Direction::Add, &[within, beside, odd, other]);
            assert_eq!(told.len(), 2, "{told:?}");
            assert!(told[0].contains("change the set marks4"), "{told:?}");
            let wanted = BTreeSet::from([wide, beside, other]);
            assert_eq!(nftables.standing().expect("an answer"), wanted);
            remove(&mut nftables, &[wide]);
            add(&mut nftables, &[within]);
            remove(&mut nftables, &[within, beside, other]);
        });
        assert_eq!(ruleset(&node), "");
    });
}

#[test]
fn all_ports_of_a_host_and_one_of_them_stand_in_either_order() {
    in_guest(Guest::kernel().virtual_time(), || {
        let node = Node::new("director").on(&Link::new("lan"), "eth0", "10.0.0.1/24");
        let (all, one) = (tcp("10.0.0.10/32", 0, 65535), tcp("10.0.0.10/32", 80, 80));
        let masquerade = |packets| Fixture::Masquerade { packets };
        let size = |packets, bytes| Fixture::SegmentSize { packets, bytes };
        node.run(|| {
            for [outer, inner] in
                [[masquerade(all), masquerade(one)], [size(all, 1400), size(one, 1300)]]
            {
                for [first, second] in [[outer, inner], [inner, outer]] {
                    let mut nftables = Nftables::new();
                    add(&mut nftables, &[first]);
                    add(&mut nftables, &[second]);
                    let standing =
                        |nftables: &mut Nftables| nftables.standing().expect("an answer");
                    assert_eq!(standing(&mut nftables), [first, second].into());
                    remove(&mut nftables, &[first]);
                    assert_eq!(standing(&mut nftables), [second].into());
                    remove(&mut nftables, &[second]);
                }
            }
        });
        assert_eq!(ruleset(&node), "");
    });
}

#[test]
fn what_others_do_to_our_table_is_seen_and_made_good() {
    in_guest(Guest::kernel().virtual_time(), || {
        let node = Node::new("director").on(&Link::new("lan"), "eth0", "10.0.0.1/24");
        node.run(|| {
            let all = some_of_each();
            // Those of networks are in a chain of their own.
            let of_host = |it: &Fixture| match it {
                Fixture::Mark { packets, .. } => {
                    packets.destination.prefix_len() == packets.destination.max_prefix_len()
                }
                _ => false,
            };
            let (marks, rest): (Vec<_>, Vec<_>) = all.iter().copied().partition(of_host);
            let mut nftables = Nftables::new();
            add(&mut nftables, &all);
            let whole = ruleset(&node);
            node.sh("nft flush chain inet kube-lvs mark-input").expect("nft");
            let standing = nftables.standing().expect("an answer");
            assert_eq!(standing, rest.into_iter().collect(), "no mark of a host works");
            add(&mut nftables, &marks);
            assert_eq!(ruleset(&node), whole);
            node.sh("nft delete table inet kube-lvs").expect("nft");
            // Without having looked.
            let one = mark(tcp("10.0.0.11/32", 80, 80), 9);
            add(&mut nftables, &[one]);
            assert_eq!(nftables.standing().expect("an answer"), BTreeSet::from([one]));
            node.sh("nft delete table inet kube-lvs").expect("nft");
            remove(&mut nftables, &[one]);
        });
        assert_eq!(ruleset(&node), "");
    });
}

#[test]
fn rules_of_others_about_our_marks_are_told() {
    in_guest(Guest::kernel().virtual_time(), || {
        let node = Node::new("director").on(&Link::new("lan"), "eth0", "10.0.0.1/24");
        node.sh(OTHERS).expect("a foreign table");
        node.run(|| {
            let mut nftables = Nftables::new();
            add(&mut nftables, &[mark(tcp("10.0.0.10/32", 80, 80), 7)]);
            let marks = BTreeSet::from([5, 7, 8, 0x13]);
            let told = nftables.clashes(&marks).expect("an answer");
            assert_eq!(told.keys().copied().collect::<Vec<_>>(), [7, 8, 0x13], "{told:?}");
            assert!(
                told[&7].starts_with("a rule in table inet other, chain input, handle ")
                    && told[&7].ends_with(" sets it"),
                "{told:?}"
            );
            assert!(told[&8].ends_with(" matches it"), "{told:?}");
        });
    });
}

#[test]
fn a_kernel_without_nftables_is_told() {
    in_guest(Guest::debian(), || {
        let node = Node::new("director").on(&Link::new("lan"), "eth0", "10.0.0.1/24");
        node.run(|| {
            let mut nftables = Nftables::new();
            assert!(nftables.standing().expect("an answer").is_empty());
            let fixtures = [mark(tcp("10.0.0.10/32", 80, 80), 5), some_of_each()[6]];
            let results = nftables.change(&fixtures.map(|it| (Direction::Add, it)));
            for result in results {
                assert!(matches!(result, Err(FixtureError::NoNftables)), "{result:?}");
            }
            assert_eq!(nftables.foreign_marks().expect("an answer"), 0);
            assert!(nftables.clashes(&BTreeSet::from([5])).expect("an answer").is_empty());
        });
    });
}
