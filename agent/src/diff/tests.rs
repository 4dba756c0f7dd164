use super::*;
use crate::plan::IP_FORWARD;
use crate::state::{HeldAddress, InterfaceName, Packets, SyncDaemon, SyncRole, TunnelDevice};
use lvs_ipvs::{DestinationKey, Service, ServiceKey};
use proptest::collection::{btree_map, btree_set};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

fn key(port: u16) -> ServiceKey {
    ServiceKey::tcp(Ipv4Addr::new(192, 168, 0, 10), port)
}

fn destination(host: u8, weight: u32) -> Destination {
    let key = DestinationKey::new(Ipv4Addr::new(10, 0, 0, host), 80);
    Destination::new(key, Forwarding::DirectRoute, weight)
}

fn state(port: u16, scheduler: &str, destinations: &BTreeMap<u8, u32>) -> ServiceState {
    let destinations =
        destinations.iter().map(|(host, weight)| destination(*host, *weight)).map(|d| (d.key, d));
    ServiceState::new(Service::new(key(port), scheduler), destinations.collect())
}

fn held(interface: &str, address: &str) -> HeldAddress {
    HeldAddress { interface: interface.to_owned(), address: address.parse().unwrap() }
}

/// Does what a kernel does, and panics on what a kernel would refuse.
fn apply(
    ops: &[Op],
    observed: &mut Observed,
    ours: &mut Ours,
    previous: &BTreeMap<String, String>,
) {
    let services = observed.services.get_or_insert_default();
    for op in ops {
        match op.clone() {
            Op::SetSysctl { path, value } => {
                ours.insert(Made::Sysctl(path.clone()));
                observed.sysctls.insert(path, value);
            }
            Op::RestoreSysctl { path } => {
                assert!(ours.remove(&Made::Sysctl(path.clone())));
                observed.sysctls.insert(path.clone(), previous[&path].clone());
            }
            Op::AddAddress(address) => {
                assert!(observed.addresses.insert(address.clone()));
                ours.insert(Made::Address(address));
            }
            Op::DelAddress(address) => {
                assert!(observed.addresses.remove(&address));
                assert!(ours.remove(&Made::Address(address)));
            }
            Op::AddFixture(fixture) => {
                assert!(observed.fixtures.insert(fixture));
                ours.insert(Made::Fixture(fixture));
            }
            Op::DelFixture(fixture) => {
                assert!(observed.fixtures.remove(&fixture));
                assert!(ours.remove(&Made::Fixture(fixture)));
            }
            Op::Ipvs(Operation::NewService(service)) => {
                let key = service.key;
                let state = ServiceState::new(service, BTreeMap::new());
                assert_eq!(services.insert(key, state), None);
                ours.insert(Made::Service(key));
            }
            Op::Ipvs(Operation::SetService(service)) => {
                let key = service.key;
                services.get_mut(&key).unwrap().service = service;
            }
            Op::Ipvs(Operation::DelService(key)) => {
                assert!(services.remove(&key).is_some());
                assert!(ours.remove(&Made::Service(key)));
            }
            Op::Ipvs(Operation::NewDestination { service, destination }) => {
                let all = &mut services.get_mut(&service).unwrap().destinations;
                assert_eq!(all.insert(destination.key, destination), None);
            }
            Op::Ipvs(Operation::SetDestination { service, destination }) => {
                let all = &mut services.get_mut(&service).unwrap().destinations;
                assert!(all.insert(destination.key, destination).is_some());
            }
            Op::Ipvs(Operation::DelDestination { service, destination }) => {
                let all = &mut services.get_mut(&service).unwrap().destinations;
                assert!(all.remove(&destination).is_some());
            }
            Op::Ipvs(other) => panic!("{other}"),
        }
    }
}

fn packets(port: u16) -> Packets {
    Packets {
        destination: "192.168.0.10/32".parse().unwrap(),
        protocol: lvs_ipvs::Protocol::Tcp,
        first_port: port,
        last_port: port,
    }
}

fn mark(port: u16, mark: u32) -> Fixture {
    Fixture::Mark { packets: packets(port), mark: mark.try_into().unwrap() }
}

fn daemon(role: SyncRole, sync_id: u8) -> Fixture {
    Fixture::SyncDaemon(SyncDaemon {
        role,
        interface: InterfaceName::new("eth0").unwrap(),
        sync_id,
        group: Ipv4Addr::new(224, 0, 0, 81).into(),
        port: 8848,
        ttl: 1,
        max_length: 1472,
    })
}

fn some_fixtures() -> [Fixture; 15] {
    [
        Fixture::Tunnel { device: TunnelDevice::Ipip, local: Ipv4Addr::new(10, 0, 0, 1).into() },
        Fixture::Gue { family: lvs_ipvs::Family::V4, port: 6080 },
        mark(80, 1),
        mark(80, 2),
        Fixture::Masquerade { packets: packets(80) },
        Fixture::LocalDelivery { packets: packets(80) },
        Fixture::SegmentSize { packets: packets(80), bytes: 1440 },
        Fixture::SegmentSize { packets: packets(80), bytes: 1400 },
        Fixture::Untracked { packets: packets(80) },
        Fixture::Arrivals { packets: packets(80) },
        Fixture::Balanced { packets: packets(80), mark: 3.try_into().unwrap() },
        Fixture::OtherDirector { mac: crate::state::Mac([2, 0, 0, 0, 0, 1]) },
        daemon(SyncRole::Master, 1),
        daemon(SyncRole::Master, 2),
        daemon(SyncRole::Backup, 1),
    ]
}

const PATHS: [&str; 3] = [IP_FORWARD, ARP_IGNORE, ARP_ANNOUNCE];
const HELD: [(&str, &str); 5] = [
    ("eth0", "192.168.0.10/24"),
    ("eth0", "192.168.0.10/32"),
    ("eth1", "10.0.0.1/24"),
    ("lo", "192.168.0.10/32"),
    ("lo", "10.0.0.1/32"),
];

prop_compose! {
    fn services()(of in btree_map(1_u16..6, ("rr|wlc", btree_map(1_u8..5, 0_u32..3, 0..4)), 0..5))
        -> BTreeMap<ServiceKey, ServiceState>
    {
        of.iter().map(|(port, (scheduler, to))| (key(*port), state(*port, scheduler, to))).collect()
    }
}

prop_compose! {
    fn addresses()(of in btree_set(0..HELD.len(), 0..HELD.len())) -> BTreeSet<HeldAddress> {
        of.into_iter().map(|index| held(HELD[index].0, HELD[index].1)).collect()
    }
}

prop_compose! {
    fn fixtures()(of in btree_set(0..8_usize, 0..8)) -> BTreeSet<Fixture> {
        of.into_iter().map(|index| some_fixtures()[index]).collect()
    }
}

prop_compose! {
    fn wanted()(
        services in services(),
        addresses in addresses(),
        sysctls in btree_set(0..PATHS.len(), 0..PATHS.len()),
        fixtures in fixtures(),
    ) -> NodeState {
        let value = |path: &str| if path == ARP_ANNOUNCE { "2" } else { "1" };
        let sysctls =
            sysctls.into_iter().map(|i| (PATHS[i].to_owned(), value(PATHS[i]).to_owned())).collect();
        NodeState { services, addresses, sysctls, fixtures, ..NodeState::default() }
    }
}

prop_compose! {
    /// A kernel, and a subset of what is in it that is ours.
    fn found()(
        services in services(),
        addresses in addresses(),
        values in prop::collection::vec("[0-8]", PATHS.len()),
        fixtures in fixtures(),
        seed in any::<u64>(),
    ) -> (Observed, Ours) {
        let sysctls: BTreeMap<_, _> =
            PATHS.iter().map(|path| (*path).to_owned()).zip(values).collect();
        let all = services.keys().copied().map(Made::Service)
            .chain(addresses.iter().cloned().map(Made::Address))
            .chain(sysctls.keys().cloned().map(Made::Sysctl))
            .chain(fixtures.iter().copied().map(Made::Fixture));
        let ours = all.enumerate().filter(|(i, _)| seed >> (i % 64) & 1 == 1).map(|(_, m)| m).collect();
        let services = Some(services);
        (Observed { services, addresses, sysctls, fixtures, connections: None, unseen: BTreeMap::new() }, ours)
    }
}

fn previous() -> BTreeMap<String, String> {
    PATHS.iter().map(|path| ((*path).to_owned(), "0".to_owned())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn applied_once_ours_is_as_wanted_and_nothing_is_left_to_do((found, ours) in found(), wanted in wanted()) {
        let (mut after, mut ours_after) = (found.clone(), ours);
        let difference = diff(&wanted, &found, &ours_after);
        apply(&difference.ops, &mut after, &mut ours_after, &previous());
        let foreign: BTreeSet<_> = difference.foreign.iter().cloned().collect();
        for (key, state) in &wanted.services {
            if !foreign.contains(&Made::Service(*key)) {
                prop_assert_eq!(after.services.as_ref().unwrap().get(key), Some(state));
            }
        }
        prop_assert!(wanted.addresses.is_subset(&after.addresses));
        prop_assert!(wanted.fixtures.is_subset(&after.fixtures));
        for (path, value) in &wanted.sysctls {
            prop_assert!(is_sufficient(path, value, &after.sysctls[path]));
        }
        for made in &ours_after {
            prop_assert!(match made {
                Made::Service(key) => wanted.services.contains_key(key),
                Made::Address(address) => wanted.addresses.contains(address),
                Made::Sysctl(path) => wanted.sysctls.contains_key(path) || is_forwarding(path),
                Made::Fixture(fixture) => wanted.fixtures.contains(fixture),
            }, "{:?} is left over", made);
        }
        let again = diff(&wanted, &after, &ours_after);
        prop_assert_eq!(again.ops, vec![]);
    }

    #[test]
    fn what_is_not_ours_is_as_before((found, ours) in found(), wanted in wanted()) {
        let (mut after, mut ours_after) = (found.clone(), ours.clone());
        apply(&diff(&wanted, &found, &ours).ops, &mut after, &mut ours_after, &previous());
        for (key, state) in found.services.as_ref().unwrap() {
            if !ours.contains(&Made::Service(*key)) {
                prop_assert_eq!(after.services.as_ref().unwrap().get(key), Some(state));
            }
        }
        for address in &found.addresses {
            if !ours.contains(&Made::Address(address.clone())) {
                prop_assert!(after.addresses.contains(address));
            }
        }
        for fixture in &found.fixtures {
            prop_assert!(ours.contains(&Made::Fixture(*fixture)) || after.fixtures.contains(fixture));
        }
        for (path, value) in &found.sysctls {
            if !ours.contains(&Made::Sysctl(path.clone())) && !wanted.sysctls.contains_key(path) {
                prop_assert_eq!(after.sysctls.get(path), Some(value));
            }
        }
    }

    #[test]
    fn the_order_is_kept((found, ours) in found(), wanted in wanted()) {
        let resized = |packets: &Packets| wanted.fixtures.difference(&found.fixtures).any(|new|
            matches!(new, Fixture::SegmentSize { packets: same, .. } if same == packets));
        let rank = |op: &Op| match op {
            Op::SetSysctl { .. } => 0,
            Op::DelFixture(Fixture::LocalDelivery { .. }) => 1,
            Op::DelFixture(Fixture::SegmentSize { packets, .. }) if resized(packets) => 3,
            Op::AddFixture(Fixture::LocalDelivery { .. }) => 12,
            Op::DelFixture(Fixture::Mark { .. } | Fixture::Balanced { .. }) => 8,
            Op::DelFixture(Fixture::OtherDirector { .. }) => 8,
            Op::AddFixture(Fixture::Mark { .. } | Fixture::Balanced { .. }) => 9,
            Op::AddFixture(Fixture::OtherDirector { .. }) => 9,
            Op::DelFixture(Fixture::SyncDaemon(_)) => 3,
            Op::AddFixture(Fixture::SyncDaemon(_)) => 14,
            Op::AddFixture(_) => 4,
            Op::DelFixture(_) => 14,
            Op::DelAddress(gone) => {
                // One that moves within the same role goes after its successor has come.
                let moves = gone.interface != LOOPBACK && wanted.addresses.iter().any(|new|
                    new.interface != LOOPBACK && new.address.addr() == gone.address.addr());
                if moves { 13 } else { 2 }
            }
            Op::Ipvs(Operation::NewService(_) | Operation::SetService(_)) => 5,
            Op::Ipvs(Operation::NewDestination { .. } | Operation::SetDestination { .. }) => 6,
            Op::Ipvs(Operation::DelDestination { .. }) => 7,
            Op::Ipvs(_) => 10,
            Op::AddAddress(_) => 11,
            Op::RestoreSysctl { .. } => 15,
        };
        let ops = diff(&wanted, &found, &ours).ops;
        prop_assert!(ops.is_sorted_by_key(rank), "{:?}", ops);
    }
}

/// The kernel has room for one of the two.
#[test]
fn a_device_that_comes_in_the_place_of_another_waits_until_that_is_gone() {
    let device = |device| Fixture::Tunnel { device, local: "10.0.0.7".parse().unwrap() };
    let (sum, plain) = (device(TunnelDevice::GreChecksum), device(TunnelDevice::Gre));
    let ipip = device(TunnelDevice::Ipip);
    for (old, new, last) in [(plain, sum, ipip), (sum, plain, ipip)] {
        let found = Observed { fixtures: [old, last].into(), ..Observed::default() };
        let wanted = NodeState { fixtures: [new].into(), ..NodeState::default() };
        let ours = found.fixtures.iter().copied().map(Made::Fixture).collect();
        let ops = [Op::DelFixture(old), Op::AddFixture(new), Op::DelFixture(last)];
        assert_eq!(diff(&wanted, &found, &ours).ops, ops);
    }
}

#[test]
fn a_weight_is_changed_in_place_and_alone() {
    let old = state(80, "rr", &BTreeMap::from([(1, 1), (2, 1)]));
    let new = state(80, "rr", &BTreeMap::from([(1, 1), (2, 7)]));
    let wanted = NodeState { services: BTreeMap::from([(key(80), new)]), ..NodeState::default() };
    let observed =
        Observed { services: Some(BTreeMap::from([(key(80), old)])), ..Observed::default() };
    let difference = diff(&wanted, &observed, &Ours::from([Made::Service(key(80))]));
    let set = Operation::SetDestination { service: key(80), destination: destination(2, 7) };
    assert_eq!(difference.ops, [Op::Ipvs(set)]);
}

#[test]
fn a_local_destination_is_what_was_asked_for() {
    let wanted_state = state(80, "rr", &BTreeMap::from([(1, 1)]));
    let mut found = wanted_state.clone();
    for destination in found.destinations.values_mut() {
        destination.forwarding = Forwarding::LocalNode;
    }
    let services = BTreeMap::from([(key(80), wanted_state)]);
    let wanted = NodeState { services, ..NodeState::default() };
    let observed =
        Observed { services: Some(BTreeMap::from([(key(80), found)])), ..Observed::default() };
    let difference = diff(&wanted, &observed, &Ours::from([Made::Service(key(80))]));
    assert_eq!(difference, Difference::default());
}

#[test]
fn an_admins_stricter_sysctl_stays() {
    for (path, wanted, found, enough) in [
        (ARP_IGNORE, "1", "2", true),
        (ARP_IGNORE, "1", "8", true),
        (ARP_IGNORE, "1", "3", false),
        (ARP_IGNORE, "1", "0", false),
        (ARP_ANNOUNCE, "2", "2", true),
        (ARP_ANNOUNCE, "2", "1", false),
        (IP_FORWARD, "1", "1\n", true),
        (IP_FORWARD, "1", "0", false),
    ] {
        assert_eq!(is_sufficient(path, wanted, found), enough, "{path} {found}");
    }
}

#[test]
fn a_kernel_without_ipvs_is_asked_for_services_and_nothing_is_removed_from_it() {
    let services = BTreeMap::from([(key(80), state(80, "rr", &BTreeMap::new()))]);
    let wanted = NodeState { services, ..NodeState::default() };
    let ours = Ours::from([Made::Service(key(81))]);
    let ops = diff(&wanted, &Observed::default(), &ours).ops;
    assert!(matches!(ops.as_slice(), [Op::Ipvs(Operation::NewService(_))]));
}

#[test]
fn another_mark_for_the_same_packets_is_one_run_of_changes_behind_its_service() {
    let services = BTreeMap::from([(key(80), state(80, "rr", &BTreeMap::from([(1, 1)])))]);
    let wanted = NodeState { services, fixtures: [mark(80, 2)].into(), ..NodeState::default() };
    let observed = Observed { fixtures: [mark(80, 1)].into(), ..Observed::default() };
    let ours = Ours::from([Made::Fixture(mark(80, 1))]);
    let ops = diff(&wanted, &observed, &ours).ops;
    assert_eq!(ops[2..], [Op::DelFixture(mark(80, 1)), Op::AddFixture(mark(80, 2))]);
    assert!(matches!(ops[1], Op::Ipvs(Operation::NewDestination { .. })));
}

#[test]
fn a_fixture_of_others_is_told_and_stays() {
    let [tunnel, ..] = some_fixtures();
    let wanted = NodeState { fixtures: [tunnel].into(), ..NodeState::default() };
    let observed = Observed { fixtures: [tunnel].into(), ..Observed::default() };
    let difference = diff(&wanted, &observed, &Ours::new());
    assert_eq!((difference.ops, difference.foreign), (vec![], vec![Made::Fixture(tunnel)]));
    assert_eq!(diff(&NodeState::default(), &observed, &Ours::new()), Difference::default());
}

/// The IPVS operations for these hosts (weight 1), as `+3`, `-3`, `=3`.
fn ordering(scheduler: &str, found: (&str, &[u8], bool), wanted: &[u8]) -> Vec<String> {
    let all = |hosts: &[u8]| hosts.iter().map(|host| (*host, 1)).collect();
    let mut standing = state(80, found.0, &all(found.1));
    standing.ordered = found.2;
    let observed = Observed { services: Some([(key(80), standing)].into()), ..Observed::default() };
    let mut target = NodeState::default();
    target.services.insert(key(80), state(80, scheduler, &all(wanted)));
    let ours = [Made::Service(key(80))].into();
    let host = |key: &DestinationKey| match key.address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(_) => 0,
    };
    let ops = diff(&target, &observed, &ours).ops.into_iter();
    ops.map(|op| match op {
        Op::Ipvs(Operation::NewDestination { destination, .. }) => {
            format!("+{}", host(&destination.key))
        }
        Op::Ipvs(Operation::SetDestination { destination, .. }) => {
            format!("={}", host(&destination.key))
        }
        Op::Ipvs(Operation::DelDestination { destination, .. }) => {
            format!("-{}", host(&destination))
        }
        other => format!("{other:?}").chars().take_while(|c| *c != ' ').collect(),
    })
    .collect()
}

#[test]
fn a_destination_that_comes_in_between_takes_its_place_where_order_decides() {
    for scheduler in ["sh", "dh"] {
        let found = (scheduler, &[1, 3, 5][..], true);
        assert_eq!(ordering(scheduler, found, &[1, 3, 5, 7]), ["+7"]);
        assert_eq!(ordering(scheduler, found, &[1, 3, 4, 5]), ["+4", "-5", "+5"]);
        assert_eq!(ordering(scheduler, found, &[0, 1, 5]), ["+0", "-1", "+1", "-5", "+5", "-3"]);
        assert_eq!(ordering(scheduler, found, &[1, 5]), ["-3"]);
        let jumbled = (scheduler, &[1, 3][..], false);
        assert_eq!(ordering(scheduler, jumbled, &[1, 3]), ["-1", "+1", "-3", "+3"]);
    }
    assert_eq!(ordering("mh", ("mh", &[1, 5], false), &[1, 3, 5]), ["+3"]);
    let others = ordering("sh", ("wlc", &[1, 3], true), &[1, 3]);
    assert_eq!(others[1..], ["-1", "+1", "-3", "+3"], "of another scheduler nothing is known");
}

#[test]
fn an_ipv6_address_gives_way_to_itself_with_another_prefix_length() {
    let address = |text: &str| held("eth0", text);
    let moved = |old: &str, new: &str| {
        let mut observed = Observed::default();
        observed.addresses.insert(address(old));
        let mut wanted = NodeState::default();
        wanted.addresses.insert(address(new));
        diff(&wanted, &observed, &[Made::Address(address(old))].into()).ops
    };
    let (old, new) = ("2001:db8::10/128", "2001:db8::10/64");
    assert_eq!(moved(old, new), [Op::DelAddress(address(old)), Op::AddAddress(address(new))]);
    let (old, new) = ("192.0.2.10/32", "192.0.2.10/24");
    assert_eq!(moved(old, new), [Op::AddAddress(address(new)), Op::DelAddress(address(old))]);
}
