//! The IPVS client against a real kernel: everything in which netlink differs from what one would expect.

#[path = "ipvs_live/absent.rs"]
mod absent;
#[path = "ipvs_live/tap.rs"]
mod tap;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use lvs_ipvs::{
    Client, Command, Daemon, DaemonState, Destination, DestinationKey, Errno, Error, Family,
    Forwarding, Netmask, Operation, Service, ServiceFlags, ServiceKey, Stats, Timeouts, Tunnel,
    TunnelType,
};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::{Link, Node};
use lvs_tests::traffic::Server;
use tap::Tap;

const PATIENCE: Duration = Duration::from_secs(20);

/// A director on a net of its own, with the client of its kernel.
fn director() -> (Node, Client) {
    let node = Node::new("director").on(&Link::new("lan"), "eth0", "10.0.0.1/24");
    let client = client_of(&node);
    (node, client)
}

fn client_of(node: &Node) -> Client {
    node.run(|| Client::open().expect("a client"))
}

fn web() -> ServiceKey {
    ServiceKey::tcp([10, 0, 0, 10], 80)
}

fn six(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

fn nat(last: u8) -> Destination {
    let key = DestinationKey::new([10, 0, 0, last], 8080);
    Destination::new(key, Forwarding::Masquerade, 1)
}

fn to(service: ServiceKey, destination: Destination) -> Operation {
    Operation::NewDestination { service, destination }
}

#[track_caller]
fn done(results: Vec<Result<(), Error>>) {
    for result in results {
        result.expect("done");
    }
}

#[track_caller]
fn refused(client: &mut Client, operation: Operation) -> (Errno, &'static str) {
    let error = client.execute(operation).expect_err("refused");
    (error.errno().expect("an error number"), error.reason())
}

/// Lets the thread of a sync daemon run: the kernel does not acknowledge the end of one that never did.
fn started() {
    std::thread::sleep(Duration::from_millis(100));
}

#[test]
fn what_the_kernel_refuses_has_its_number_and_reason() {
    in_guest(Guest::kernel(), || {
        let (_node, mut client) = director();
        let missing = ServiceKey::tcp([10, 0, 0, 11], 80);
        done(client.apply(&[Operation::NewService(Service::new(web(), "rr")), to(web(), nat(20))]));
        let with = |weight, lower_threshold, upper_threshold| {
            to(web(), Destination { weight, lower_threshold, upper_threshold, ..nat(21) })
        };
        let masked = |length| {
            let key = ServiceKey::tcp(six(1), 80);
            let netmask = Netmask::V6(length);
            Operation::NewService(Service { netmask, ..Service::new(key, "rr") })
        };
        let set = |destination| Operation::SetDestination { service: web(), destination };
        let no_port = Destination {
            forwarding: Forwarding::Tunnel,
            tunnel: Tunnel { kind: TunnelType::Gue, ..Tunnel::default() },
            ..nat(21)
        };
        let multicast = DestinationKey::new([224, 0, 0, 1], 80);
        let link_local = DestinationKey::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 80);
        let exists = (Errno::EEXIST, "AlreadyExists");
        let no_service = (Errno::ESRCH, "NotFound");
        let no_destination = (Errno::ENOENT, "NotFound");
        let range = (Errno::ERANGE, "OutOfRange");
        let invalid = (Errno::EINVAL, "Refused");
        for (operation, expected) in [
            (Operation::NewService(Service::new(web(), "wlc")), exists),
            (to(web(), nat(20)), exists),
            (Operation::SetService(Service::new(missing, "rr")), no_service),
            (Operation::DelService(missing), no_service),
            (Operation::ZeroService(missing), no_service),
            (to(missing, nat(20)), no_service),
            (set(nat(21)), no_destination),
            (
                Operation::DelDestination { service: web(), destination: nat(21).key },
                no_destination,
            ),
            // -1, as the kernel takes it.
            (with(u32::MAX, 0, 0), range),
            (with(1, 2, 1), range),
            (set(Destination { lower_threshold: 1, ..nat(20) }), range),
            (masked(0), invalid),
            (masked(129), invalid),
            (to(web(), no_port), invalid),
            (to(web(), Destination::new(multicast, Forwarding::DirectRoute, 1)), invalid),
            (to(web(), Destination::new(link_local, Forwarding::Tunnel, 1)), invalid),
            (Operation::SetTimeouts(Timeouts { tcp: u32::MAX, ..Timeouts::default() }), invalid),
        ] {
            let name = operation.to_string();
            assert_eq!(refused(&mut client, operation), expected, "{name}");
        }
        done(client.apply(&[masked(1), with(70_000, 1, 1)]));
        // A refusal changes nothing.
        assert_eq!(client.destinations(&web()).expect("listed").len(), 2);

        let unknown = Operation::NewService(Service::new(missing, "nosuch"));
        let error = client.execute(unknown).expect_err("no such scheduler");
        assert_eq!((error.errno(), error.reason()), (Some(Errno::ENOENT), "SchedulerMissing"));
        assert!(error.to_string().contains("ip_vs_nosuch"), "{error}");
        let swap = Operation::SetService(Service::new(web(), "nosuch"));
        assert_eq!(refused(&mut client, swap), (Errno::ENOENT, "SchedulerMissing"));
        let engine = Service { pe_name: Some("nosuch".into()), ..Service::new(missing, "rr") };
        let error = client.execute(Operation::NewService(engine)).expect_err("no such engine");
        assert!(error.to_string().contains("ip_vs_pe_nosuch"), "{error}");
    });
}

#[test]
fn a_service_or_destination_with_an_attribute_missing_is_refused() {
    in_guest(Guest::kernel(), || {
        let (node, mut client) = director();
        done(client.apply(&[Operation::NewService(Service::new(web(), "rr"))]));
        let (tap, control) = node.run(Tap::open);
        let mut tapped = Client::connect(tap).expect("a client");
        let other = ServiceKey::tcp([10, 0, 0, 12], 80);
        // The headers of SCHED_NAME, FLAGS, TIMEOUT, NETMASK; then FWD_METHOD, WEIGHT, U_THRESH, L_THRESH.
        for header in [[7, 0, 6, 0], [12, 0, 7, 0], [8, 0, 8, 0], [8, 0, 9, 0]] {
            control.hide(Some(header));
            let operation = Operation::NewService(Service::new(other, "rr"));
            let error = tapped.execute(operation).expect_err("incomplete");
            assert_eq!(error.errno(), Some(Errno::EINVAL), "{header:?}");
        }
        for header in [[8, 0, 3, 0], [8, 0, 4, 0], [8, 0, 5, 0], [8, 0, 6, 0]] {
            control.hide(Some(header));
            let error = tapped.execute(to(web(), nat(20))).expect_err("incomplete");
            assert_eq!(error.errno(), Some(Errno::EINVAL), "{header:?}");
        }
        control.hide(None);
        done(tapped.apply(&[Operation::NewService(Service::new(other, "rr")), to(web(), nat(20))]));
    });
}

#[test]
fn listing_the_destinations_of_no_service_is_empty_and_no_error() {
    in_guest(Guest::kernel(), || {
        let (_node, mut client) = director();
        assert_eq!(client.destinations(&web()).expect("no error"), []);
        assert_eq!(client.service(&web()).expect("no error"), None);
        client.execute(Operation::NewService(Service::new(web(), "rr"))).expect("made");
        assert_eq!(client.destinations(&web()).expect("no error"), []);
        assert!(client.service(&web()).expect("no error").is_some());
    });
}

#[test]
fn what_is_read_equals_what_was_set_although_the_kernel_adds_and_omits() {
    in_guest(Guest::kernel(), || {
        let (node, _) = director();
        let (tap, control) = node.run(Tap::open);
        let mut client = Client::connect(tap).expect("a client");
        let mark = NonZeroU32::new(7).expect("not zero");
        let flags = ServiceFlags::SCHED1 | ServiceFlags::SCHED2;
        let services = [
            Service { flags, ..Service::new(web(), "sh") },
            Service {
                netmask: Netmask::V6(64),
                ..Service::new(ServiceKey::udp(six(1), 53), "rr").persistent(360)
            },
            // One number, two services.
            Service {
                netmask: Netmask::V4(Ipv4Addr::new(255, 255, 255, 0)),
                ..Service::new(ServiceKey::mark(Family::V4, mark), "wlc").persistent(60)
            },
            Service::new(ServiceKey::mark(Family::V6, mark), "mh"),
        ];
        done(client.apply(&services.clone().map(Operation::NewService)));
        for service in &services {
            control.forget();
            let read = client.service(&service.key).expect("read").expect("there");
            assert_eq!(read.service, *service);
            // HASHED, which nobody set, is the kernel's own.
            let flags = control.received([12, 0, 7, 0]).expect("FLAGS");
            assert_eq!(flags[0] & 0x2, 0x2, "{}", service.key);
            let marked = matches!(service.key, ServiceKey::Mark { .. });
            assert_eq!(control.received([6, 0, 2, 0]).is_none(), marked, "PROTOCOL");
            assert_eq!(control.received([20, 0, 3, 0]).is_none(), marked, "ADDR");
            assert_eq!(control.received([6, 0, 4, 0]).is_none(), marked, "PORT");
        }
        let mut read: Vec<_> =
            client.services().expect("listed").into_iter().map(|entry| entry.service).collect();
        read.sort();
        let mut asked = services.to_vec();
        asked.sort();
        assert_eq!(read, asked);
        // By the mark: the one of the other family stays.
        done(client.apply(&[Operation::DelService(services[2].key)]));
        assert_eq!(client.service(&services[2].key).expect("read"), None);
        assert!(client.service(&services[3].key).expect("read").is_some());
    });
}

#[test]
fn a_service_changes_in_place_and_keeps_destinations_and_connections() {
    in_guest(Guest::kernel(), || -> anyhow::Result<()> {
        let (node, mut client) = director();
        let (_server, held) = connection(&node, &mut client)?;
        let mut held = held;
        let first = Service::new(local(), "rr");
        let changed = Service {
            flags: ServiceFlags::PERSISTENT | ServiceFlags::SCHED1,
            timeout: 120,
            ..Service::new(local(), "sh")
        };
        for service in [changed, first] {
            client.execute(Operation::SetService(service.clone()))?;
            assert_eq!(client.service(&local())?.expect("there").service, service);
            assert_eq!(client.destinations(&local())?[0].active_connections, 1);
            held.ask()?;
        }
        // Weight 0 takes no new connection and keeps the old one.
        let quiet = Destination { weight: 0, ..backend() };
        client.execute(Operation::SetDestination { service: local(), destination: quiet })?;
        let entry = client.destinations(&local())?[0];
        assert_eq!((entry.destination, entry.active_connections), (quiet, 1));
        held.ask()?;
        Ok(())
    });
}

#[test]
fn a_destination_deleted_and_added_again_has_its_counters_and_connections() {
    in_guest(Guest::kernel(), || -> anyhow::Result<()> {
        let (node, mut client) = director();
        let (_server, mut held) = connection(&node, &mut client)?;
        held.ask()?;
        // The counters are read as of the last estimate.
        let before = eventually(
            "the connection is counted",
            PATIENCE,
            || client.destinations(&local()).expect("listed")[0].stats,
            |stats| stats.connections == 1 && stats.in_packets > 2,
        );
        let destination = backend();
        client.execute(Operation::DelDestination {
            service: local(),
            destination: destination.key,
        })?;
        assert_eq!(client.destinations(&local())?, []);
        client.execute(to(local(), Destination { weight: 3, ..destination }))?;
        let entry = client.destinations(&local())?[0];
        assert_eq!((entry.destination.weight, entry.active_connections), (3, 1));
        assert_eq!(entry.stats.connections, 1);
        assert!(entry.stats.in_packets >= before.in_packets);
        held.ask()?;

        client.execute(Operation::ZeroService(local()))?;
        let entry = client.destinations(&local())?[0];
        assert_eq!((entry.stats, entry.active_connections), (Stats::default(), 1));
        assert_eq!(client.service(&local())?.expect("there").stats, Stats::default());
        Ok(())
    });
}

/// A service of the director itself, NATed to a server on the director itself.
fn local() -> ServiceKey {
    ServiceKey::tcp([10, 0, 0, 1], 80)
}

fn backend() -> Destination {
    Destination::new(DestinationKey::new([10, 0, 0, 1], 8080), Forwarding::Masquerade, 1)
}

/// A connection through [`local`] that stays open.
fn connection(
    node: &Node,
    client: &mut Client,
) -> anyhow::Result<(Server, lvs_tests::traffic::Held)> {
    done(
        client.apply(&[Operation::NewService(Service::new(local(), "rr")), to(local(), backend())]),
    );
    let server = Server::tcp(node, "10.0.0.1:8080", "self");
    let mut held = node.hold("10.0.0.1:80")?;
    held.ask()?;
    Ok((server, held))
}

#[test]
fn a_destination_of_the_other_family_must_be_a_tunnel_and_excludes_sync_daemons() {
    in_guest(Guest::kernel(), || {
        let (_node, mut client) = director();
        let other = |forwarding| {
            to(web(), Destination::new(DestinationKey::new(six(9), 80), forwarding, 1))
        };
        let invalid = (Errno::EINVAL, "Refused");
        client.execute(Operation::NewService(Service::new(web(), "rr"))).expect("made");
        for forwarding in [Forwarding::Masquerade, Forwarding::DirectRoute, Forwarding::Bypass] {
            assert_eq!(refused(&mut client, other(forwarding)), invalid, "{forwarding}");
        }
        let backup = Daemon::new(DaemonState::Backup, "eth0", 1);
        client.execute(Operation::NewDaemon(backup.clone())).expect("started");
        assert_eq!(refused(&mut client, other(Forwarding::Tunnel)), invalid);
        started();
        client.execute(Operation::DelDaemon(DaemonState::Backup)).expect("stopped");
        client.execute(other(Forwarding::Tunnel)).expect("added");
        assert_eq!(refused(&mut client, Operation::NewDaemon(backup.clone())), invalid);

        let read = client.destinations(&web()).expect("listed")[0].destination;
        assert_eq!((read.key.address, read.forwarding), (six(9).into(), Forwarding::Tunnel));
        let gone = Operation::DelDestination { service: web(), destination: read.key };
        client.execute(gone).expect("deleted");
        assert_eq!(client.destinations(&web()).expect("listed"), []);
    });
}

#[test]
fn both_sync_daemons_run_at_once() {
    in_guest(Guest::kernel(), || {
        let (_node, mut client) = director();
        let master = Daemon {
            max_length: Some(1400),
            group: Some(Ipv4Addr::new(224, 0, 0, 82).into()),
            port: Some(8850),
            ttl: Some(2),
            ..Daemon::new(DaemonState::Master, "eth0", 7)
        };
        let backup = Daemon {
            max_length: Some(1472),
            group: Some(Ipv4Addr::new(224, 0, 0, 81).into()),
            port: Some(8848),
            ttl: Some(1),
            ..Daemon::new(DaemonState::Backup, "eth0", 8)
        };
        let stop = Operation::DelDaemon;
        assert_eq!(client.daemons().expect("listed"), []);
        assert_eq!(refused(&mut client, stop(DaemonState::Master)), (Errno::ESRCH, "NotFound"));
        let absent = Operation::NewDaemon(Daemon::new(DaemonState::Master, "eth7", 7));
        assert_eq!(refused(&mut client, absent), (Errno::ENODEV, "InterfaceMissing"));
        let unicast = Daemon { group: Some(Ipv4Addr::LOCALHOST.into()), ..master.clone() };
        let unicast = Operation::NewDaemon(unicast);
        assert_eq!(refused(&mut client, unicast), (Errno::EINVAL, "Refused"));

        done(client.apply(&[
            Operation::NewDaemon(master.clone()),
            // The kernel fills in what is left out.
            Operation::NewDaemon(Daemon::new(DaemonState::Backup, "eth0", 8)),
        ]));
        let again = Operation::NewDaemon(master.clone());
        assert_eq!(refused(&mut client, again), (Errno::EEXIST, "AlreadyExists"));
        assert_eq!(client.daemons().expect("listed"), [master, backup.clone()]);
        started();
        client.execute(stop(DaemonState::Master)).expect("stopped");
        assert_eq!(client.daemons().expect("listed"), [backup]);
        client.execute(stop(DaemonState::Backup)).expect("stopped");
        assert_eq!(client.daemons().expect("listed"), []);
    });
}

#[test]
fn settings_and_tables_belong_to_the_namespace_in_which_the_client_was_opened() {
    in_guest(Guest::kernel(), || {
        let (node, mut client) = director();
        let other = Node::new("other");
        let mut others = client_of(&other);
        let defaults = Timeouts { tcp: 900, tcp_fin: 120, udp: 300 };
        assert_eq!(client.timeouts().expect("read"), defaults);
        let change = Timeouts { tcp: 0, tcp_fin: 30, udp: 10 };
        client.execute(Operation::SetTimeouts(change)).expect("set");
        assert_eq!(client.timeouts().expect("read"), Timeouts { tcp: 900, ..change });
        assert_eq!(others.timeouts().expect("read"), defaults);

        client.execute(Operation::NewService(Service::new(web(), "rr"))).expect("made");
        // Wherever it is used from.
        assert_eq!(other.run(|| client.services().expect("listed").len()), 1);
        assert_eq!(node.run(|| others.services().expect("listed").len()), 0);
        let info = client.info().expect("read");
        // One that sizes the table by itself starts with 2^8 buckets.
        let buckets = if Path::new("/proc/net/ip_vs_status").exists() { 256 } else { 4096 };
        assert_eq!(
            (info.version.to_string().as_str(), info.connection_table_size),
            ("1.2.1", buckets)
        );
    });
}

#[test]
fn a_thousand_services_of_ten_destinations_cost_one_request_each() {
    in_guest(Guest::kernel(), || {
        let (_node, mut client) = director();
        let keys: Vec<_> =
            (0..1000).map(|port| ServiceKey::tcp([10, 0, 0, 10], port + 1)).collect();
        let destinations: Vec<_> = (20..30).map(nat).collect();
        let operations: Vec<_> = keys
            .iter()
            .flat_map(|&key| {
                let adds = destinations.iter().map(move |&destination| to(key, destination));
                std::iter::once(Operation::NewService(Service::new(key, "wlc"))).chain(adds)
            })
            .collect();
        let before = client.requests();
        done(client.apply(&operations));
        assert_eq!(client.requests() - before, 11_000);

        let before = client.requests();
        let mut services: Vec<_> =
            client.services().expect("listed").iter().map(|entry| entry.service.key).collect();
        services.sort();
        assert_eq!(services, keys);
        assert_eq!(client.requests() - before, 1);
        for entries in client.destinations_of(&keys).expect("listed") {
            let mut read: Vec<_> = entries.iter().map(|entry| entry.destination).collect();
            read.sort();
            assert_eq!(read, destinations);
        }
        assert_eq!(client.requests_with(Command::GetDestination), 1000);

        let before = client.requests();
        let heavier = Destination { weight: 9, ..destinations[3] };
        client
            .execute(Operation::SetDestination { service: keys[500], destination: heavier })
            .expect("changed");
        assert_eq!(client.requests() - before, 1);

        let deletions: Vec<_> = keys.into_iter().map(Operation::DelService).collect();
        done(client.apply(&deletions));
        assert_eq!(client.services().expect("listed"), []);
    });
}

#[test]
fn answers_lost_to_a_full_socket_are_errors_although_the_kernel_did_it() {
    in_guest(Guest::kernel(), || {
        let (node, _) = director();
        let (tap, control) = node.run(Tap::open);
        let mut client = Client::connect(tap).expect("a client");
        let services: Vec<_> = (1..=100)
            .map(|port| {
                let key = ServiceKey::tcp([10, 0, 0, 10], port);
                Operation::NewService(Service::new(key, "rr"))
            })
            .collect();
        // The queue is full of answers to others by the time that these are sent.
        done(client.apply(&vec![Operation::ZeroAll; 128]));
        control.repeat_before_next(64);
        for result in client.apply(&services) {
            let error = result.expect_err("its answer was lost");
            assert_eq!(error.reason(), "AnswerLost");
            assert!(error.is_uncertain());
        }
        // It is usable at once, and reading back tells the truth.
        assert_eq!(client.services().expect("listed").len(), 100);
        let again = client.apply(&services);
        assert!(again.iter().all(|result| result.as_ref().is_err_and(Error::is_exists)));
    });
}
