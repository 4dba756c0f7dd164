//! What a look sees, and what it costs.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use lvs_agent::kernel::{Kernel, Linux, Requests, Scope, Services};
use lvs_agent::state::{NodeState, Observed, Op, ServiceState};
use lvs_ipvs::{Destination, DestinationKey, Forwarding, Operation, Service, ServiceKey};
use lvs_tests::bed::{Guest, in_guest};

use crate::kernel::{agent, all_changed, director, new_destination, new_service, server, web};

fn all_exact(kernel: &mut Linux) -> Observed {
    let scope = Scope { services: Services::All { exact: BTreeSet::new() }, ..Scope::default() };
    let keys = kernel.observe(&scope).expect("a look").services.unwrap_or_default();
    let services = Services::These(keys.into_keys().collect());
    kernel.observe(&Scope { services, ..Scope::default() }).expect("a closer look")
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
        wanted.services.insert(key, ServiceState::new(Service::new(key, "rr"), destinations));
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
