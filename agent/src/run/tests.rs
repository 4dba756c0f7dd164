//! The loop against a kernel in memory.

mod addresses;
mod fill;
mod fixtures;
mod floating;
mod health;
mod macs;

use super::engine::Engine;
use crate::failover::{Carrier, Nobody};
use crate::input::{SLICE, Unreadable, Update, slice_name};
use crate::journal::{Identity, Journal};
use crate::kernel::Kernel;
use crate::kernel::fake::Fake;
use crate::metrics::Metrics;
use crate::scenario::{group, network, node, server, service, slice};
use crate::state::{Facts, HeldAddress, Made, ServiceState};
use lvs_crds::Forwarding::DR;
use lvs_crds::{DirectorGroup, FailedRole, VirtualServiceSlice};
use lvs_ipvs::{Service, ServiceKey};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const VIP: &str = "192.168.0.10";
const T0: Duration = Duration::ZERO;

fn key() -> ServiceKey {
    ServiceKey::tcp(Ipv4Addr::new(192, 168, 0, 10), 80)
}

fn director() -> Facts {
    node("d", &[("eth0", "192.168.0.1/24")], None)
}

fn engine(kernel: Fake, dir: &TempDir) -> Engine<Fake> {
    engine_with(kernel, dir, Box::new(Nobody))
}

fn engine_with(kernel: Fake, dir: &TempDir, carrier: Box<dyn Carrier>) -> Engine<Fake> {
    let identity = Identity { boot: "boot".to_owned(), netns: "net".to_owned() };
    let journal = Journal::open_as(dir.path(), &identity).unwrap();
    Engine::new("d", kernel, journal, Arc::new(Metrics::default()), carrier).unwrap()
}

fn started() -> (Engine<Fake>, TempDir) {
    let dir = TempDir::new().unwrap();
    (engine(Fake::new(director()), &dir), dir)
}

fn news(slices: &[VirtualServiceSlice]) -> Update {
    Update {
        version: slices.iter().map(|s| crate::input::version(&s.metadata)).max().unwrap_or(0),
        slices: slices.iter().map(|s| (slice_name(s), Some(s.clone()))).collect(),
        slices_synced: true,
        groups_synced: true,
        ..Update::default()
    }
}

fn with_group(mut update: Update, group: DirectorGroup) -> Update {
    update.groups.push(("default".to_owned(), Some(group)));
    update
}

fn web(version: u64, weight: i32) -> VirtualServiceSlice {
    let servers = [server("192.168.0.101", DR, weight, 80), server("192.168.0.102", DR, 1, 80)];
    slice("web", version, &[service(VIP, 80)], &servers)
}

fn gone(slice: &VirtualServiceSlice, version: u64) -> Update {
    Update { slices: vec![(slice_name(slice), None)], version, ..Update::default() }
}

fn weights(engine: &Engine<Fake>) -> Vec<u32> {
    let services = engine.kernel.services.as_ref().unwrap();
    services[&key()].destinations.values().map(|destination| destination.weight).collect()
}

fn programmed(engine: &Engine<Fake>) -> Option<String> {
    engine.status().programmed.map(|programmed| programmed.resource_version)
}

fn reasons(engine: &Engine<Fake>) -> Vec<String> {
    engine.status().failures.into_iter().map(|failure| failure.reason).collect()
}

fn held(interface: &str, address: &str) -> HeldAddress {
    HeldAddress { interface: interface.to_owned(), address: address.parse().unwrap() }
}

#[test]
fn news_are_programmed_read_back_and_reported() {
    let (mut engine, _dir) = started();
    engine.take(with_group(news(&[web(7, 5)]), group("d")));
    engine.step(T0);
    assert_eq!(weights(&engine), [5, 1]);
    assert!(engine.kernel.addresses.contains(&held("eth0", "192.168.0.10/32")));
    let status = engine.status();
    assert_eq!(programmed(&engine).as_deref(), Some("7"));
    assert_eq!(status.failures, []);
    let table = status.table.unwrap();
    assert_eq!((table.services, table.destinations, table.vips), (1, 2, 1));
    assert_eq!(status.display, "director of default");
}

#[test]
fn a_slice_that_is_not_understood_keeps_what_stands_and_fails_its_service_alone() {
    let (mut engine, _dir) = started();
    let other = slice("other", 7, &[service(VIP, 81)], &[server("192.168.0.101", DR, 1, 81)]);
    engine.take(with_group(news(&[web(7, 5), other]), group("d")));
    engine.step(T0);
    let unreadable = Unreadable {
        kind: SLICE,
        name: slice_name(&web(8, 5)),
        virtual_service: Some("web".to_owned()),
        error: "unknown variant".to_owned(),
    };
    engine.take(Update { unreadable: vec![unreadable], ..Update::default() });
    engine.step(T0);
    assert_eq!((weights(&engine), programmed(&engine).as_deref()), (vec![5, 1], Some("7")));
    let status = engine.status();
    let [failure] = status.failures.as_slice() else { panic!("{:?}", status.failures) };
    assert_eq!((failure.reason.as_str(), failure.role), ("Unreadable", FailedRole::Director));
    assert_eq!(failure.virtual_service.as_deref(), Some("web"));
    assert!(failure.message.contains("VirtualServiceSlice default/web-0"), "{failure:?}");

    engine.take(news(&[web(9, 6)]));
    engine.step(T0);
    assert_eq!((weights(&engine), reasons(&engine)), (vec![6, 1], vec![]));
}

#[test]
fn a_weight_change_costs_one_request_whatever_the_table() {
    let (mut engine, _dir) = started();
    let many: Vec<_> = (0..200)
        .map(|index| {
            let servers = [server("192.168.0.101", DR, 1, 1000 + index)];
            slice(&format!("vs{index}"), 1, &[service(VIP, 1000 + index)], &servers)
        })
        .collect();
    engine.take(with_group(news(&many), group("d")));
    engine.step(T0);
    let before = engine.kernel.requests().ipvs;
    let servers = [server("192.168.0.101", DR, 9, 1042)];
    engine.take(news(&[slice("vs42", 2, &[service(VIP, 1042)], &servers)]));
    engine.step(T0);
    // The fake counts changes; the read-back is two more on the real kernel, of the one service.
    assert_eq!(engine.kernel.requests().ipvs - before, 1);
    assert_eq!(programmed(&engine).as_deref(), Some("2"));
}

#[test]
fn a_kernel_that_acknowledges_without_doing_is_told_and_tried_again() {
    let (mut engine, _dir) = started();
    engine.take(with_group(news(&[web(7, 5)]), group("d")));
    engine.step(T0);
    engine.kernel.lying = true;
    engine.take(news(&[web(8, 6)]));
    engine.step(T0);
    let status = engine.status();
    assert_eq!(status.failure_count, 1);
    let failure = &status.failures[0];
    assert_eq!(failure.reason, "NotApplied");
    assert_eq!(failure.virtual_service.as_deref(), Some("web"));
    assert!(failure.message.contains("acknowledged but reads back Route weight 5"), "{failure:?}");
    engine.kernel.lying = false;
    engine.audit(Duration::from_secs(2));
    assert_eq!((weights(&engine), reasons(&engine)), (vec![6, 1], vec![]));
    assert_eq!(engine.status().drift, None);
}

#[test]
fn a_failure_is_tried_again_ever_more_seldom() {
    let (mut engine, _dir) = started();
    engine.kernel.schedulers.remove("wrr");
    engine.take(with_group(news(&[web(7, 5)]), group("d")));
    engine.step(T0);
    let mut tries = 0;
    for second in 1..=120 {
        let before = engine.kernel.requests().ipvs;
        engine.audit(Duration::from_secs(second));
        tries += i32::from(engine.kernel.requests().ipvs > before);
    }
    assert!((4..=8).contains(&tries), "{tries}");
    engine.kernel.schedulers.insert("wrr".to_owned());
    engine.audit(Duration::from_secs(240));
    assert_eq!(reasons(&engine), [] as [String; 0]);
    assert_eq!(weights(&engine), [5, 1]);
}

#[test]
fn without_a_service_behind_it_the_vip_stays_away() {
    let (mut engine, _dir) = started();
    engine.kernel.schedulers.remove("wrr");
    engine.take(with_group(news(&[web(7, 5)]), group("d")));
    engine.step(T0);
    assert!(!engine.kernel.addresses.contains(&held("eth0", "192.168.0.10/32")));
    assert_eq!(reasons(&engine), ["SchedulerMissing", "Withheld"]);
    engine.kernel.schedulers.insert("wrr".to_owned());
    engine.audit(Duration::from_secs(2));
    engine.audit(Duration::from_secs(4));
    assert!(engine.kernel.addresses.contains(&held("eth0", "192.168.0.10/32")));
    assert_eq!(reasons(&engine), [] as [String; 0]);
}

#[test]
fn a_vip_with_one_good_service_stands() {
    let (mut engine, _dir) = started();
    let servers = [server("192.168.0.101", DR, 1, 80), server("192.168.0.101", DR, 1, 81)];
    let mut bad = service(VIP, 81);
    bad.scheduler = lvs_crds::Scheduler::Mh;
    engine
        .take(with_group(news(&[slice("web", 7, &[service(VIP, 80), bad], &servers)]), group("d")));
    engine.step(T0);
    assert_eq!(reasons(&engine), ["SchedulerMissing"]);
    assert!(engine.kernel.addresses.contains(&held("eth0", "192.168.0.10/32")));
}

#[test]
fn drift_is_repaired_counted_and_told() {
    let (mut engine, _dir) = started();
    engine.take(with_group(news(&[web(7, 5)]), group("d")));
    engine.step(T0);
    engine.kernel.services = Some(BTreeMap::new());
    engine.audit(Duration::from_secs(2));
    assert_eq!(weights(&engine), [5, 1]);
    engine.kernel.addresses.retain(|address| address.interface != "eth0");
    engine.audit(Duration::from_secs(4));
    assert!(engine.kernel.addresses.contains(&held("eth0", "192.168.0.10/32")));
    let drift = engine.status().drift.unwrap();
    assert_eq!(
        (drift.repairs, drift.last),
        (2, "address 192.168.0.10/32 was gone from eth0".to_owned())
    );
    engine.audit(Duration::from_secs(6));
    assert_eq!(engine.status().drift.unwrap().repairs, 2);
}

#[test]
fn a_changed_weight_or_sysctl_is_drift_too() {
    let dir = TempDir::new().unwrap();
    let facts = node("d", &[("eth0", "192.168.0.101/24")], None);
    let mut engine = engine(Fake::new(facts), &dir);
    engine.take(with_group(news(&[web(7, 5)]), group("other")));
    engine.step(T0);
    let path = crate::plan::ARP_IGNORE;
    assert_eq!(engine.kernel.sysctls[path], "1");
    assert!(engine.kernel.addresses.contains(&held("lo", "192.168.0.10/32")));
    engine.kernel.sysctls.insert(path.to_owned(), "0".to_owned());
    engine.audit(Duration::from_secs(2));
    assert_eq!(engine.kernel.sysctls[path], "1");
    assert!(engine.status().drift.unwrap().last.contains("was 0 instead of 1"));
    assert_eq!(engine.status().display, "real server");
}

#[test]
fn what_is_deleted_goes_and_sysctls_go_back() {
    let dir = TempDir::new().unwrap();
    let facts = node("d", &[("eth0", "192.168.0.101/24")], None);
    let mut engine = engine(Fake::new(facts), &dir);
    let before = (engine.kernel.addresses.clone(), engine.kernel.sysctls.clone());
    engine.take(with_group(news(&[web(7, 5)]), group("other")));
    engine.step(T0);
    assert_ne!(engine.kernel.addresses, before.0);
    engine.take(gone(&web(7, 5), 9));
    engine.step(T0);
    assert_eq!((engine.kernel.addresses.clone(), engine.kernel.sysctls.clone()), before);
    assert_eq!(programmed(&engine).as_deref(), Some("9"));
    assert!(engine.journal.ours().is_empty());
}

#[test]
fn a_foreign_service_is_reported_and_never_touched() {
    let (_, dir) = started();
    let mut kernel = Fake::new(director());
    let foreign = ServiceState::new(Service::new(key(), "lc"), BTreeMap::new());
    kernel.services.as_mut().unwrap().insert(key(), foreign.clone());
    let mut engine = engine(kernel, &dir);
    engine.take(with_group(news(&[web(7, 5)]), group("d")));
    engine.step(T0);
    let status = engine.status();
    assert_eq!(status.failures[0].reason, "ForeignService");
    assert_eq!(status.failures[0].role, FailedRole::Director);
    engine.take(gone(&web(7, 5), 9));
    engine.step(T0);
    engine.audit(Duration::from_secs(2));
    assert_eq!(engine.kernel.services.as_ref().unwrap().get(&key()), Some(&foreign));
    assert_eq!(engine.status().failure_count, 0);
}

#[test]
fn when_a_foreign_service_goes_ours_takes_its_place() {
    let (_, dir) = started();
    let mut kernel = Fake::new(director());
    let foreign = ServiceState::new(Service::new(key(), "lc"), BTreeMap::new());
    kernel.services.as_mut().unwrap().insert(key(), foreign);
    let mut engine = engine(kernel, &dir);
    engine.take(with_group(news(&[web(7, 5)]), group("d")));
    engine.step(T0);
    engine.kernel.services = Some(BTreeMap::new());
    engine.audit(Duration::from_secs(2));
    assert_eq!((weights(&engine), reasons(&engine)), (vec![5, 1], vec![]));
    assert_eq!(engine.status().drift, None);
}

#[test]
fn a_restart_changes_nothing_and_removes_nothing_before_all_is_known() {
    let (mut first, dir) = started();
    first.take(with_group(news(&[web(7, 5)]), group("d")));
    first.step(T0);
    let kernel = first.kernel.clone();
    drop(first);
    let mut second = engine(kernel.clone(), &dir);
    second.step(T0);
    // The API server tells of groups first, and of slices later.
    let mut groups = with_group(Update::default(), group("d"));
    groups.groups_synced = true;
    second.take(groups);
    second.step(T0);
    second.audit(Duration::from_secs(2));
    assert_eq!(second.kernel.services, kernel.services);
    assert_eq!(second.kernel.addresses, kernel.addresses);
    assert_eq!(second.status().programmed, None);
    let before = second.kernel.requests();
    second.take(news(&[web(7, 5)]));
    second.step(T0);
    assert_eq!(second.kernel.requests(), before);
    assert_eq!(programmed(&second).as_deref(), Some("7"));
}

#[test]
fn what_vanished_from_the_api_during_a_restart_goes_once_all_is_known() {
    let (mut first, dir) = started();
    first.take(with_group(news(&[web(7, 5)]), group("d")));
    first.step(T0);
    let kernel = first.kernel.clone();
    drop(first);
    let mut second = engine(kernel, &dir);
    second.resume(Update {
        slices_synced: false,
        groups_synced: false,
        ..with_group(news(&[web(7, 5)]), group("d"))
    });
    second.step(T0);
    assert!(second.ready() && !second.synced());
    second.take(with_group(
        Update { slices_synced: true, groups_synced: true, ..gone(&web(7, 5), 9) },
        group("d"),
    ));
    second.step(T0);
    assert_eq!(second.kernel.services, Some(BTreeMap::new()));
    assert_eq!(second.kernel.addresses.len(), 1);
}

#[test]
fn the_saved_state_is_programmed_without_the_api() {
    let (mut engine, _dir) = started();
    let saved = Update {
        slices_synced: false,
        groups_synced: false,
        ..with_group(news(&[web(7, 5)]), group("d"))
    };
    engine.resume(saved);
    engine.step(T0);
    assert_eq!(weights(&engine), [5, 1]);
    assert_eq!(engine.status().programmed, None);
}

#[test]
fn one_bad_object_stops_no_other() {
    let (mut engine, _dir) = started();
    let mut bad = service("192.168.0.11", 80);
    bad.scheduler = lvs_crds::Scheduler::Mh;
    let bad = slice("a-bad", 8, &[bad], &[]);
    let lost = slice("no-interface", 9, &[service("203.0.113.1", 80)], &[]);
    engine.take(with_group(news(&[web(7, 5), bad, lost]), group("d")));
    engine.step(T0);
    assert_eq!(weights(&engine), [5, 1]);
    let mut failed = reasons(&engine);
    failed.sort();
    assert_eq!(failed, ["NoInterface", "SchedulerMissing", "Withheld"]);
    assert_eq!(programmed(&engine).as_deref(), Some("9"));
}

#[test]
fn a_changed_network_moves_the_vip_without_a_gap() {
    let (mut engine, _dir) = started();
    engine.take(with_group(news(&[web(7, 5)]), group("d")));
    engine.step(T0);
    let mut moved = group("d");
    moved.spec.networks = vec![network("192.168.0.0/24", None)];
    engine.take(with_group(Update::default(), moved));
    engine.step(T0);
    let ours: Vec<_> = engine.journal.ours().iter().collect();
    assert!(ours.contains(&&Made::Address(held("eth0", "192.168.0.10/24"))));
    assert!(!engine.kernel.addresses.contains(&held("eth0", "192.168.0.10/32")));
}

#[test]
fn losing_the_director_role_releases_everything() {
    let (mut engine, _dir) = started();
    let before = engine.kernel.addresses.clone();
    engine.take(with_group(news(&[web(7, 5)]), group("d")));
    engine.step(T0);
    engine.take(with_group(Update::default(), group("other")));
    engine.step(T0);
    assert_eq!(engine.kernel.services, Some(BTreeMap::new()));
    assert_eq!(engine.kernel.addresses, before);
}

#[test]
fn an_address_of_this_node_that_appears_later_is_seen() {
    let (mut engine, _dir) = started();
    engine.take(with_group(news(&[web(7, 5)]), group("other")));
    engine.step(T0);
    assert!(!engine.kernel.addresses.contains(&held("lo", "192.168.0.10/32")));
    engine.kernel.addresses.push(held("eth0", "192.168.0.101/24"));
    engine.audit(Duration::from_secs(2));
    assert!(engine.kernel.addresses.contains(&held("lo", "192.168.0.10/32")));
}

#[test]
fn a_kernel_without_ipvs_is_reported_with_the_module_and_ipvs_may_come_later() {
    let dir = TempDir::new().unwrap();
    let mut kernel = Fake::new(director());
    kernel.services = None;
    let mut engine = engine(kernel, &dir);
    engine.take(with_group(news(&[web(7, 5)]), group("d")));
    engine.step(T0);
    let status = engine.status();
    assert_eq!(reasons(&engine), ["NoIPVS", "Withheld"]);
    assert!(status.failures[0].message.contains("ip_vs"), "{:?}", status.failures);
    assert_eq!(status.kernel.unwrap().ipvs, None);
    engine.kernel.services = Some(BTreeMap::new());
    engine.audit(Duration::from_secs(3));
    engine.audit(Duration::from_secs(6));
    assert_eq!(weights(&engine), [5, 1]);
    assert_eq!(engine.status().kernel.unwrap().ipvs.as_deref(), Some("1.2.1"));
}

#[test]
fn without_silence_on_arp_the_vip_stays_off_lo_even_when_tried_again_alone() {
    let dir = TempDir::new().unwrap();
    let mut kernel = Fake::new(node("d", &[("eth0", "192.168.0.101/24")], None));
    kernel.read_only.insert(crate::plan::ARP_IGNORE.to_owned());
    let mut engine = engine(kernel, &dir);
    engine.take(with_group(news(&[web(7, 5)]), group("other")));
    engine.step(T0);
    for second in 1..20 {
        engine.audit(Duration::from_secs(second));
        assert!(!engine.kernel.addresses.contains(&held("lo", "192.168.0.10/32")));
    }
    assert_eq!(reasons(&engine), ["SysctlRefused", "Withheld"], "the cause first");
    assert!(engine.status().failures.iter().all(|failure| failure.role == FailedRole::RealServer));
    engine.kernel.read_only.clear();
    engine.audit(Duration::from_secs(120));
    assert!(engine.kernel.addresses.contains(&held("lo", "192.168.0.10/32")));
    assert_eq!(reasons(&engine), [] as [String; 0]);
}

#[test]
fn what_an_old_saved_state_does_not_know_stays_until_the_api_has_spoken() {
    let (mut first, dir) = started();
    first.take(with_group(news(&[web(7, 5)]), group("d")));
    first.step(T0);
    let kernel = first.kernel.clone();
    drop(first);
    let mut second = engine(kernel, &dir);
    let servers = [server("192.168.0.101", DR, 5, 80)];
    let old = news(&[slice("web", 6, &[service(VIP, 80)], &servers)]);
    let saved = Update { slices_synced: false, groups_synced: false, ..old.clone() };
    second.resume(with_group(saved, group("d")));
    second.step(T0);
    assert_eq!((weights(&second), reasons(&second)), (vec![5, 1], vec![]));
    second.take(old);
    second.step(T0);
    assert_eq!(weights(&second), [5]);
}
