//! Conversations with the kernel, each with what must come of it. `examples/record.rs` holds them with a
//! real kernel and writes down the bytes; `tests/replay.rs` holds them again with those bytes.

#![allow(clippy::expect_used, clippy::panic)] // Test code, also where no #[test] is near.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use lvs_ipvs::{
    Client, Daemon, DaemonState, Destination, DestinationKey, Errno, Family, Forwarding, Netmask,
    Operation, Protocol, Service, ServiceFlags, ServiceKey, Stats, Timeouts, Transport, Tunnel,
    TunnelFlags, TunnelType,
};

/// The interface that the sync daemons of [`daemons`] speak through.
pub const INTERFACE: &str = "dummy0";

/// A name and a conversation.
pub type Scene<T> = (&'static str, fn(&mut Client<T>));

pub fn each<T: Transport>() -> [Scene<T>; 5] {
    [
        ("table", table),
        ("refusals", refusals),
        ("daemons", daemons),
        ("settings", settings),
        ("large", large),
    ]
}

fn v4(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 0, last)
}

fn v6(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

fn mark(mark: u32) -> NonZeroU32 {
    NonZeroU32::new(mark).expect("not zero")
}

fn all_done(results: Vec<Result<(), lvs_ipvs::Error>>) {
    for result in results {
        result.expect("done");
    }
}

/// Every kind of service and destination, set and read back.
fn table<T: Transport>(client: &mut Client<T>) {
    let persistent = Service {
        netmask: Netmask::V4(Ipv4Addr::new(255, 255, 255, 0)),
        ..Service::new(ServiceKey::tcp(v4(10), 80), "wlc").persistent(300)
    };
    let plain6 = Service {
        netmask: Netmask::V6(64),
        ..Service::new(ServiceKey::udp(v6(1), 53), "rr").persistent(60)
    };
    let marked = Service::new(ServiceKey::mark(Family::V4, mark(7)), "rr");
    let marked6 = Service::new(ServiceKey::mark(Family::V6, mark(7)), "sh");
    let one_packet = Service {
        flags: ServiceFlags::ONE_PACKET | ServiceFlags::SCHED1 | ServiceFlags::SCHED2,
        ..Service::new(ServiceKey::udp(v4(10), 53), "sh")
    };
    let sctp = Service::new(ServiceKey::new(Protocol::Sctp, v4(10), 9), "wrr");
    let sip = Service {
        pe_name: Some("sip".to_owned()),
        ..Service::new(ServiceKey::udp(v4(10), 5060), "rr").persistent(120)
    };
    let services = [persistent, plain6, marked, marked6, one_packet, sctp, sip];

    let nat = Destination {
        upper_threshold: 100,
        lower_threshold: 50,
        ..Destination::new(DestinationKey::new([10, 0, 0, 1], 8080), Forwarding::Masquerade, 5)
    };
    let route =
        Destination::new(DestinationKey::new([10, 0, 0, 2], 80), Forwarding::DirectRoute, 0);
    let gue = Destination {
        tunnel: Tunnel { kind: TunnelType::Gue, port: 5555, flags: TunnelFlags::REMOTE_CHECKSUM },
        ..Destination::new(DestinationKey::new([10, 0, 0, 3], 80), Forwarding::Tunnel, 65535)
    };
    let gre = Destination {
        tunnel: Tunnel { kind: TunnelType::Gre, port: 0, flags: TunnelFlags::CHECKSUM },
        ..Destination::new(DestinationKey::new([10, 0, 0, 4], 80), Forwarding::Tunnel, 1)
    };
    let other_family = Destination::new(DestinationKey::new(v6(0x50), 80), Forwarding::Tunnel, 1);
    let own = Destination::new(DestinationKey::new([127, 0, 0, 1], 80), Forwarding::DirectRoute, 1);
    let destinations = [nat, route, gue, gre, other_family, own];

    let before = client.requests();
    let mut operations: Vec<_> = services.iter().cloned().map(Operation::NewService).collect();
    operations.extend(
        destinations.iter().map(|&destination| Operation::NewDestination {
            service: services[0].key,
            destination,
        }),
    );
    all_done(client.apply(&operations));
    assert_eq!(client.requests() - before, operations.len() as u64);

    let mut read = client.services().expect("services");
    read.sort_by_key(|entry| entry.service.key);
    let mut asked = services.to_vec();
    asked.sort();
    assert_eq!(read.iter().map(|e| e.service.clone()).collect::<Vec<_>>(), asked);
    assert!(read.iter().all(|entry| entry.stats == Stats::default()));
    for service in &services {
        let entry = client.service(&service.key).expect("read").expect("there");
        assert_eq!(entry.service, *service);
    }

    let mut read = client.destinations(&services[0].key).expect("destinations");
    read.sort_by_key(|entry| entry.destination.key);
    let mut asked = destinations.to_vec();
    asked.sort_by_key(|destination| destination.key);
    assert_eq!(read.iter().map(|e| e.destination).collect::<Vec<_>>(), asked);

    // In place: scheduler, flags, persistence, weight, method.
    let changed = Service::new(services[0].key, "sed");
    let reweighted = Destination { weight: 7, ..gue };
    let nat_now = Destination { forwarding: Forwarding::Masquerade, ..gre };
    let in_service =
        |destination| Operation::SetDestination { service: services[0].key, destination };
    all_done(client.apply(&[
        Operation::SetService(changed.clone()),
        in_service(reweighted),
        in_service(nat_now),
        Operation::DelDestination { service: services[0].key, destination: nat.key },
        Operation::ZeroService(services[0].key),
        Operation::ZeroAll,
    ]));
    assert_eq!(client.service(&changed.key).expect("read").expect("there").service, changed);
    let left = client.destinations(&changed.key).expect("destinations");
    assert_eq!(left.len(), destinations.len() - 1);
    assert!(left.iter().any(|entry| entry.destination == reweighted));
    let unsent_tunnel = Destination { tunnel: Tunnel::default(), ..nat_now };
    assert!(left.iter().any(|entry| entry.destination == unsent_tunnel));

    all_done(client.apply(&services.map(|service| Operation::DelService(service.key))));
    assert!(client.services().expect("services").is_empty());
}

/// What the kernel says no to, in one datagram, with what it takes around it.
fn refusals<T: Transport>(client: &mut Client<T>) {
    let web = ServiceKey::tcp(v4(20), 80);
    let missing = ServiceKey::tcp(v4(21), 80);
    let server =
        Destination::new(DestinationKey::new([10, 0, 0, 1], 80), Forwarding::DirectRoute, 1);
    let no_server = DestinationKey::new([10, 0, 0, 9], 80);
    let to_web = |destination| Operation::NewDestination { service: web, destination };
    let cases = [
        (Operation::NewService(Service::new(web, "rr")), None),
        (Operation::NewService(Service::new(web, "rr")), Some((Errno::EEXIST, "AlreadyExists"))),
        (
            Operation::NewService(Service::new(missing, "nosuch")),
            Some((Errno::ENOENT, "SchedulerMissing")),
        ),
        (Operation::SetService(Service::new(missing, "rr")), Some((Errno::ESRCH, "NotFound"))),
        (Operation::DelService(missing), Some((Errno::ESRCH, "NotFound"))),
        (to_web(server), None),
        (to_web(server), Some((Errno::EEXIST, "AlreadyExists"))),
        (
            Operation::NewDestination { service: missing, destination: server },
            Some((Errno::ESRCH, "NotFound")),
        ),
        (
            Operation::DelDestination { service: web, destination: no_server },
            Some((Errno::ENOENT, "NotFound")),
        ),
        (
            to_web(Destination {
                weight: u32::MAX,
                ..Destination::new(no_server, Forwarding::Masquerade, 1)
            }),
            Some((Errno::ERANGE, "OutOfRange")),
        ),
        (
            to_web(Destination {
                lower_threshold: 2,
                upper_threshold: 1,
                ..Destination::new(no_server, Forwarding::Masquerade, 1)
            }),
            Some((Errno::ERANGE, "OutOfRange")),
        ),
        (
            to_web(Destination::new(
                DestinationKey::new([224, 0, 0, 1], 80),
                Forwarding::Masquerade,
                1,
            )),
            Some((Errno::EINVAL, "Refused")),
        ),
        (
            Operation::NewService(Service {
                netmask: Netmask::V6(0),
                ..Service::new(ServiceKey::tcp(v6(1), 80), "rr")
            }),
            Some((Errno::EINVAL, "Refused")),
        ),
        (
            Operation::NewDaemon(Daemon::new(DaemonState::Master, "nosuch0", 1)),
            Some((Errno::ENODEV, "InterfaceMissing")),
        ),
        (Operation::DelDaemon(DaemonState::Backup), Some((Errno::ESRCH, "NotFound"))),
        (Operation::DelService(web), None),
    ];
    let operations: Vec<_> = cases.iter().map(|(operation, _)| operation.clone()).collect();
    for ((operation, expected), result) in cases.iter().zip(client.apply(&operations)) {
        let got = result.err().map(|error| (error.errno().expect("an errno"), error.reason()));
        assert_eq!(got, *expected, "{operation}");
    }
    assert_eq!(client.service(&missing).expect("read"), None);
    // The trap: no error, nothing to see.
    assert_eq!(client.destinations(&missing).expect("destinations"), []);
}

/// Both sync daemons at once, one with all options.
fn daemons<T: Transport>(client: &mut Client<T>) {
    assert_eq!(client.daemons().expect("daemons"), []);
    let master = Daemon {
        max_length: Some(1400),
        group: Some(Ipv4Addr::new(224, 0, 0, 82).into()),
        port: Some(8850),
        ttl: Some(3),
        ..Daemon::new(DaemonState::Master, INTERFACE, 7)
    };
    let backup = Daemon::new(DaemonState::Backup, INTERFACE, 7);
    all_done(client.apply(&[Operation::NewDaemon(master.clone()), Operation::NewDaemon(backup)]));
    let read = client.daemons().expect("daemons");
    assert_eq!(read.len(), 2);
    assert_eq!(read[0], master);
    assert_eq!(
        (read[1].state, read[1].group, read[1].port, read[1].ttl),
        (DaemonState::Backup, Some(Ipv4Addr::new(224, 0, 0, 81).into()), Some(8848), Some(1)),
    );
    started();
    all_done(client.apply(&[
        Operation::DelDaemon(DaemonState::Master),
        Operation::DelDaemon(DaemonState::Backup),
    ]));
    let group6 = Daemon {
        group: Some(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x81).into()),
        ..Daemon::new(DaemonState::Backup, INTERFACE, 8)
    };
    client.execute(Operation::NewDaemon(group6.clone())).expect("started");
    assert_eq!(client.daemons().expect("daemons")[0].group, group6.group);
    started();
    client.execute(Operation::DelDaemon(DaemonState::Backup)).expect("stopped");
    assert_eq!(client.daemons().expect("daemons"), []);
}

/// Lets the daemons' threads run: the kernel does not acknowledge the end of one that never ran.
fn started() {
    std::thread::sleep(std::time::Duration::from_millis(50));
}

/// Timeouts and version.
fn settings<T: Transport>(client: &mut Client<T>) {
    let before = client.timeouts().expect("timeouts");
    assert_eq!(before, Timeouts { tcp: 900, tcp_fin: 120, udp: 300 });
    let only_udp = Timeouts { udp: 10, ..Timeouts::default() };
    client.execute(Operation::SetTimeouts(only_udp)).expect("set");
    assert_eq!(client.timeouts().expect("timeouts"), Timeouts { udp: 10, ..before });
    client.execute(Operation::SetTimeouts(before)).expect("set back");
    let info = client.info().expect("info");
    assert_eq!(info.version.to_string(), "1.2.1");
    assert_eq!(info.connection_table_size, 4096);
}

/// Listings that take several datagrams.
fn large<T: Transport>(client: &mut Client<T>) {
    let keys: Vec<_> = (1..=30).map(|port| ServiceKey::tcp(v4(30), port)).collect();
    let mut operations: Vec<_> =
        keys.iter().map(|&key| Operation::NewService(Service::new(key, "rr"))).collect();
    operations.extend((1..=30).map(|last| Operation::NewDestination {
        service: keys[0],
        destination: Destination::new(
            DestinationKey::new([10, 0, 1, last], 80),
            Forwarding::Tunnel,
            1,
        ),
    }));
    all_done(client.apply(&operations));
    assert_eq!(client.services().expect("services").len(), 30);
    assert_eq!(client.destinations(&keys[0]).expect("destinations").len(), 30);
    let per_service: Vec<_> =
        client.destinations_of(&keys[..2]).expect("both").iter().map(Vec::len).collect();
    assert_eq!(per_service, [30, 0]);
    let operations: Vec<_> = keys.into_iter().map(Operation::DelService).collect();
    all_done(client.apply(&operations));
}
