//! Marks, tunnels and a group's settings through the whole loop, and what each change costs.

use super::*;
use crate::kernel::{MarkReport, Requests};
use crate::scenario::marked;
use crate::state::{Fixture, FixtureKind};
use lvs_crds::Forwarding::{DR, NAT, TUN};
use lvs_crds::{Sysctls, Timeouts};
use std::net::IpAddr;

fn cost(before: Requests, after: Requests) -> Requests {
    Requests {
        ipvs: after.ipvs - before.ipvs,
        route: after.route - before.route,
        table_reads: after.table_reads - before.table_reads,
        sysctls: after.sysctls - before.sysctls,
        nftables: after.nftables - before.nftables,
        links: after.links - before.links,
        rules: after.rules - before.rules,
    }
}

/// Two hundred mark services of two hundred VIPs.
fn many_marks() -> Vec<VirtualServiceSlice> {
    let servers = [server("192.168.0.101", DR, 1, 80)];
    (1..=200)
        .map(|n| slice(&format!("vs{n}"), 1, &[marked(n, &[&format!("192.168.0.{n}")])], &servers))
        .filter(|slice| {
            slice.spec.virtual_service != "vs101" && slice.spec.virtual_service != "vs1"
        })
        .collect()
}

/// The engine with them, before and after `update`.
fn change(slices: &[VirtualServiceSlice], update: Update) -> (Engine<Fake>, TempDir, Requests) {
    let (mut engine, dir) = started();
    engine.take(with_group(news(slices), group("d")));
    engine.step(T0);
    assert_eq!(reasons(&engine), [] as [String; 0]);
    engine.kernel.fixture_calls.clear();
    let before = engine.kernel.requests();
    engine.take(update);
    engine.step(T0);
    assert_eq!(reasons(&engine), [] as [String; 0]);
    let cost = cost(before, engine.kernel.requests());
    (engine, dir, cost)
}

fn nothing() -> Requests {
    Requests::default()
}

#[test]
fn another_weight_or_scheduler_of_a_mark_costs_one_request() {
    let mut servers = [server("192.168.0.101", DR, 7, 80)];
    let weight = slice("vs42", 2, &[marked(42, &["192.168.0.42"])], &servers);
    let (_, _dir, spent) = change(&many_marks(), news(&[weight]));
    assert_eq!(spent, Requests { ipvs: 1, ..nothing() });
    servers[0].weight = 1;
    let mut service = marked(42, &["192.168.0.42"]);
    service.scheduler = lvs_crds::Scheduler::Rr;
    let scheduler = slice("vs42", 2, &[service], &servers);
    let (_, _dir, spent) = change(&many_marks(), news(&[scheduler]));
    assert_eq!(spent, Requests { ipvs: 1, ..nothing() });
}

#[test]
fn one_more_mark_costs_the_same_whatever_the_table() {
    let servers = [server("192.168.0.101", DR, 1, 80)];
    let added = slice("vs201", 2, &[marked(201, &["192.168.0.201"])], &servers);
    let (_, _dir, spent) = change(&many_marks(), news(std::slice::from_ref(&added)));
    // Existence, service, destination; look, transaction, read back; look, address.
    assert_eq!(spent, Requests { ipvs: 3, nftables: 3, route: 2, ..nothing() });
    let (_, _dir, alone) = change(&[], news(&[added]));
    assert_eq!(alone, spent);
}

#[test]
fn another_number_of_a_mark_is_one_transaction() {
    let servers = [server("192.168.0.101", DR, 1, 80)];
    let moved = slice("vs42", 2, &[marked(4242, &["192.168.0.42"])], &servers);
    let (engine, _dir, _) = change(&many_marks(), news(&[moved]));
    let calls: Vec<Vec<bool>> = engine
        .kernel
        .fixture_calls
        .iter()
        .map(|call| call.iter().map(|(made, _)| *made).collect())
        .collect();
    assert_eq!(calls, [[false, true]]);
}

#[test]
fn one_more_tunnel_server_costs_one_request() {
    let one = [server("10.0.0.1", TUN, 1, 80)];
    let two = [server("10.0.0.1", TUN, 1, 80), server("10.0.0.2", TUN, 1, 80)];
    let web = |version, servers: &[_]| slice("web", version, &[service(VIP, 80)], servers);
    let (engine, _dir, spent) = change(&[web(1, &one)], news(&[web(2, &two)]));
    assert_eq!((spent, weights(&engine)), (Requests { ipvs: 1, ..nothing() }, vec![1, 1]));
}

#[test]
fn another_timeout_costs_one_write_and_goes_back_with_the_membership() {
    let mut slow = group("d");
    slow.spec.timeouts = Some(Timeouts { tcp: Some(7200), ..Timeouts::default() });
    let update = with_group(Update::default(), slow.clone());
    let (mut engine, _dir, spent) = change(&many_marks(), update);
    // Before, given, read back by the batch's own look.
    assert_eq!((spent.ipvs, spent.nftables, spent.route), (0, 0, 0));
    assert!(spent.sysctls <= 3, "{spent:?}");
    assert_eq!(engine.kernel.sysctls["ipvs/timeout-tcp"], "7200");
    engine.kernel.sysctls.insert("ipvs/timeout-tcp".to_owned(), "10".to_owned());
    engine.audit(Duration::from_secs(2));
    assert_eq!(engine.kernel.sysctls["ipvs/timeout-tcp"], "7200");
    assert!(engine.status().drift.unwrap().last.contains("was 10 instead of 7200"));
    engine.take(with_group(Update::default(), group("other")));
    engine.step(T0);
    let value = |path: &str| engine.kernel.sysctls[path].clone();
    assert_eq!(value("ipvs/timeout-tcp"), "900");
    assert_eq!(value("net/ipv4/vs/expire_nodest_conn"), "0");
}

#[test]
fn a_setting_that_the_kernel_lacks_is_a_warning_that_names_field_and_kernel() {
    let (mut engine, _dir) = started();
    engine.kernel.sysctls.remove("net/ipv4/vs/sloppy_tcp");
    let mut sloppy = group("d");
    sloppy.spec.sysctls = Some(Sysctls { sloppy_tcp: Some(true), ..Sysctls::default() });
    engine.take(with_group(news(&[web(7, 5)]), sloppy));
    engine.step(T0);
    let status = engine.status();
    assert_eq!((status.failures, status.failure_count), (vec![], 0));
    assert_eq!((status.warnings.len(), status.warnings[0].reason.as_str()), (1, "NoSuchSysctl"));
    let message = &status.warnings[0].message;
    for part in ["spec.sysctls.sloppyTcp of DirectorGroup default", "6.12.0-fake"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(programmed(&engine).as_deref(), Some("7"));
    assert_eq!(engine.kernel.sysctls["net/ipv4/vs/expire_nodest_conn"], "1");
}

#[test]
fn masquerading_without_conntrack_in_the_kernel_is_a_failure() {
    let (mut engine, _dir) = started();
    engine.kernel.sysctls.remove("net/ipv4/vs/conntrack");
    let mut slice = slice("web", 7, &[service(VIP, 80)], &[server("192.168.0.101", NAT, 1, 80)]);
    slice.spec.masquerade = true;
    engine.take(with_group(news(&[slice]), group("d")));
    engine.step(T0);
    assert_eq!(reasons(&engine), ["NoSuchSysctl"]);
    assert_eq!(engine.status().failures[0].virtual_service.as_deref(), Some("web"));
}

#[test]
fn without_its_mark_a_vip_stays_away_and_so_does_local_delivery() {
    let (mut engine, _dir) = started();
    engine.kernel.lacking.insert(FixtureKind::Nftables);
    let mut cache = marked(7, &[VIP]);
    cache.firewall_mark.as_mut().unwrap().destinations = vec!["203.0.113.0/24".to_owned()];
    let slice = slice("cache", 7, &[cache], &[server("192.168.0.101", DR, 1, 80)]);
    engine.take(with_group(news(&[slice]), group("d")));
    engine.step(T0);
    let mut found = reasons(&engine);
    found.sort();
    assert_eq!(found, ["NoNftables", "NoNftables", "Withheld", "Withheld"]);
    assert!(engine.status().failures.iter().all(|it| it.role == FailedRole::Director));
    assert!(engine.kernel.fixtures.is_empty());
    assert!(!engine.kernel.addresses.contains(&held("eth0", "192.168.0.10/32")));
    engine.kernel.lacking.clear();
    engine.audit(Duration::from_secs(2));
    engine.audit(Duration::from_secs(4));
    assert_eq!((reasons(&engine), engine.kernel.fixtures.len()), (vec![], 3));
    assert!(engine.kernel.addresses.contains(&held("eth0", "192.168.0.10/32")));
}

#[test]
fn a_mark_without_its_service_keeps_the_vip_away_too() {
    let (mut engine, _dir) = started();
    engine.kernel.schedulers.remove("wrr");
    let slice = slice("web", 7, &[marked(7, &[VIP])], &[server("192.168.0.101", DR, 1, 80)]);
    engine.take(with_group(news(&[slice]), group("d")));
    engine.step(T0);
    assert_eq!(reasons(&engine), ["SchedulerMissing", "Withheld"]);
    assert!(!engine.kernel.addresses.contains(&held("eth0", "192.168.0.10/32")));
}

#[test]
fn fixtures_that_somebody_takes_away_come_back_and_go_with_what_needed_them() {
    let dir = TempDir::new().unwrap();
    let facts = node("r", &[("eth0", "10.0.0.101/24")], None);
    let mut engine = engine(Fake::new(facts), &dir);
    let web = slice("web", 7, &[service(VIP, 80)], &[server("10.0.0.101", TUN, 1, 80)]);
    engine.take(with_group(news(std::slice::from_ref(&web)), group("other")));
    engine.step(T0);
    assert_eq!(engine.kernel.fixtures.len(), 2);
    let made = std::mem::take(&mut engine.kernel.fixtures);
    // A glance, after the kernel said that a link has changed, sees devices; the audit all.
    engine.glance(T0);
    assert_eq!(engine.kernel.fixtures.len(), 1);
    engine.audit(Duration::from_secs(2));
    assert_eq!(engine.kernel.fixtures, made);
    let drift = engine.status().drift.unwrap();
    assert_eq!(drift.repairs, 2);
    assert!(drift.last.contains("segment size 1440") && drift.last.contains("was gone"));
    engine.take(gone(&web, 9));
    engine.step(T0);
    assert!(engine.kernel.fixtures.is_empty() && engine.journal.ours().is_empty());
}

#[test]
fn a_missing_module_on_a_real_server_is_its_failure() {
    let dir = TempDir::new().unwrap();
    let facts = node("r", &[("eth0", "10.0.0.101/24")], None);
    let mut engine = engine(Fake::new(facts), &dir);
    engine.kernel.lacking.insert(FixtureKind::Gue);
    let mut server = server("10.0.0.101", TUN, 1, 80);
    server.tunnel = Some(crate::scenario::tunnel(lvs_crds::TunnelType::Gue, None, None));
    engine.take(with_group(news(&[slice("web", 7, &[service(VIP, 80)], &[server])]), group("x")));
    engine.step(T0);
    let status = engine.status();
    assert_eq!(reasons(&engine), ["ModuleMissing"]);
    assert_eq!(status.failures[0].role, FailedRole::RealServer);
    assert_eq!(status.failures[0].virtual_service.as_deref(), Some("web"));
    assert!(status.failures[0].message.contains("modprobe fou"), "{:?}", status.failures);
}

#[test]
fn a_tunnel_without_nftables_serves_and_warns() {
    let dir = TempDir::new().unwrap();
    let facts = node("r", &[("eth0", "10.0.0.101/24")], None);
    let mut engine = engine(Fake::new(facts), &dir);
    engine.kernel.lacking.insert(FixtureKind::Nftables);
    let server = server("10.0.0.101", TUN, 1, 80);
    engine.take(with_group(news(&[slice("web", 7, &[service(VIP, 80)], &[server])]), group("x")));
    engine.step(T0);
    let status = engine.status();
    assert_eq!((status.failures, status.failure_count), (vec![], 0));
    let warning = &status.warnings[0];
    assert_eq!((&*warning.reason, warning.role), ("NoNftables", FailedRole::RealServer));
    assert_eq!(warning.virtual_service.as_deref(), Some("web"));
    assert!(warning.message.contains("path MTU discovery"), "{warning:?}");
}

#[test]
fn a_kernel_that_acknowledges_a_mark_without_setting_it_is_told() {
    let (mut engine, _dir) = started();
    engine.take(with_group(news(&[web(7, 5)]), group("d")));
    engine.step(T0);
    engine.kernel.lying = true;
    let slice = slice("web", 8, &[marked(7, &[VIP])], &[server("192.168.0.101", DR, 1, 80)]);
    engine.take(news(&[slice]));
    engine.step(T0);
    let failures = engine.status().failures;
    let told = |text: &str| failures.iter().any(|failure| failure.message.contains(text));
    assert!(told("mark 7 on packets to 192.168.0.10/32 TCP/80"), "{failures:?}");
}

#[test]
fn after_a_restart_the_fixtures_of_the_first_run_are_known() {
    let (mut first, dir) = started();
    let slice = slice("web", 7, &[marked(7, &[VIP])], &[server("192.168.0.101", DR, 1, 80)]);
    first.take(with_group(news(std::slice::from_ref(&slice)), group("d")));
    first.step(T0);
    let kernel = first.kernel.clone();
    drop(first);
    let mut second = engine(kernel, &dir);
    let before = second.kernel.requests();
    second.take(with_group(news(std::slice::from_ref(&slice)), group("d")));
    second.step(T0);
    assert_eq!(second.kernel.requests(), before);
    second.take(gone(&slice, 9));
    second.step(T0);
    assert!(second.kernel.fixtures.is_empty());
}

#[test]
fn others_marks_are_warned_of_while_ours_stand() {
    let (mut engine, _dir) = started();
    engine.kernel.others_marks = MarkReport {
        foreign: true,
        clashes: [(7, "a rule in table ip mangle".to_owned()), (8, "no".to_owned())].into(),
    };
    let warned = |engine: &Engine<Fake>| {
        engine.status().warnings.into_iter().map(|warning| warning.reason).collect::<Vec<_>>()
    };
    engine.audit(Duration::from_secs(2));
    assert_eq!(warned(&engine), [] as [String; 0]);
    let slice = slice("web", 7, &[marked(7, &[VIP])], &[server("192.168.0.101", DR, 1, 80)]);
    engine.take(with_group(news(std::slice::from_ref(&slice)), group("d")));
    engine.step(T0);
    engine.audit(Duration::from_secs(4));
    assert_eq!(warned(&engine), ["ForeignMark", "MarkClash"]);
    assert!(engine.status().warnings[1].message.contains("table ip mangle"));
    assert_eq!(engine.status().failure_count, 0);
    engine.kernel.others_marks = MarkReport::default();
    engine.audit(Duration::from_secs(30));
    assert_eq!(warned(&engine).len(), 2, "the rules of others are not read at each audit");
    engine.audit(Duration::from_secs(70));
    assert_eq!(warned(&engine), [] as [String; 0]);
}

#[test]
fn ftp_by_nat_without_its_helper_is_a_warning_of_the_service() {
    let (mut engine, _dir) = started();
    let slice = slice("ftp", 7, &[service(VIP, 21)], &[server("192.168.0.101", NAT, 1, 21)]);
    engine.take(with_group(news(&[slice]), group("d")));
    engine.step(T0);
    let status = engine.status();
    assert_eq!((status.warnings.len(), status.failure_count), (1, 0));
    assert_eq!(status.warnings[0].virtual_service.as_deref(), Some("ftp"));
    engine.kernel.facts.ftp_helper = true;
    engine.audit(Duration::from_secs(2));
    assert_eq!(engine.status().warnings, []);
    assert_eq!(engine.kernel.sysctls["net/ipv4/vs/conntrack"], "1");
}

#[test]
fn where_others_drop_what_is_invalid_nat_is_tracked() {
    let (mut engine, _dir) = started();
    let slice = slice("web", 7, &[service(VIP, 80)], &[server("192.168.0.101", NAT, 1, 80)]);
    engine.take(with_group(news(&[slice]), group("d")));
    engine.step(T0);
    for (drops_invalid, conntrack) in [(false, "0"), (true, "1"), (false, "0")] {
        engine.kernel.facts.drops_invalid = drops_invalid;
        engine.audit(Duration::from_secs(2));
        assert_eq!(engine.kernel.sysctls["net/ipv4/vs/conntrack"], conntrack);
    }
}

#[test]
fn a_foreign_tunnel_is_reported_and_never_touched() {
    let dir = TempDir::new().unwrap();
    let facts = node("r", &[("eth0", "10.0.0.101/24")], None);
    let mut engine = engine(Fake::new(facts), &dir);
    let local: IpAddr = [10, 0, 0, 101].into();
    let tunnel = Fixture::Tunnel { device: crate::state::TunnelDevice::Ipip, local };
    engine.kernel.fixtures.insert(tunnel);
    let web = slice("web", 7, &[service(VIP, 80)], &[server("10.0.0.101", TUN, 1, 80)]);
    engine.take(with_group(news(std::slice::from_ref(&web)), group("other")));
    engine.step(T0);
    assert_eq!(reasons(&engine), ["ForeignFixture"]);
    engine.audit(Duration::from_secs(60));
    assert_eq!(reasons(&engine), ["ForeignFixture"]);
    engine.take(gone(&web, 9));
    engine.step(T0);
    assert_eq!(engine.kernel.fixtures, [tunnel].into());
    let removals = engine.kernel.fixture_calls.iter().flatten().filter(|(made, _)| !made);
    assert!(removals.into_iter().all(|(_, fixture)| *fixture != tunnel));
}

#[test]
fn a_sort_of_fixtures_that_cannot_be_listed_stays_as_it_was_and_is_told() {
    let servers = [server("192.168.0.101", DR, 1, 80)];
    let marks = |n: i64| {
        let vip = format!("192.168.0.{}", n + 20);
        slice(&format!("vs{n}"), 1, &[marked(n, &[&vip])], &servers)
    };
    let dir = TempDir::new().unwrap();
    let mut first = engine(Fake::new(director()), &dir);
    first.take(with_group(news(&[web(7, 5), marks(1)]), group("d")));
    first.step(T0);
    let stand = first.kernel.fixtures.clone();
    assert_eq!((stand.len(), reasons(&first).len()), (1, 0));

    first.kernel.unlistable = [FixtureKind::Nftables].into();
    first.audit(Duration::from_secs(10));
    let status = first.status();
    assert_eq!((&first.kernel.fixtures, status.failures.len(), &status.drift), (&stand, 0, &None));
    assert_eq!(status.warnings[0].reason, "FixtureRefused");
    assert!(status.warnings[0].message.contains("list what stands of nftables"), "{status:?}");

    // As after a restart; what is gone from the API is not forgotten, and what is new waits.
    let mut kernel = first.kernel.clone();
    drop(first);
    kernel.fixture_calls.clear();
    let mut second = engine(kernel, &dir);
    second.take(with_group(news(&[web(8, 6), marks(2)]), group("d")));
    second.step(T0);
    second.audit(Duration::from_secs(10));
    assert_eq!((&second.kernel.fixtures, second.kernel.fixture_calls.len()), (&stand, 0));
    assert_eq!(weights(&second), [6, 1], "what can be seen is changed");
    let failed: Vec<_> = second.status().failures;
    let services: Vec<_> = failed.iter().map(|it| it.virtual_service.as_deref()).collect();
    assert!(services.contains(&Some("vs2")) && !services.contains(&Some("web")), "{failed:#?}");

    second.kernel.unlistable.clear();
    second.audit(Duration::from_secs(100));
    assert_eq!((reasons(&second), second.status().drift), (vec![], None));
    let marks: Vec<_> = second.kernel.fixtures.iter().map(ToString::to_string).collect();
    assert_eq!(marks, ["mark 2 on packets to 192.168.0.22/32 TCP/80"]);
}

#[test]
fn a_table_that_others_have_flushed_is_back_before_the_audit_and_nothing_else_is_touched() {
    let (mut engine, _dir) = started();
    engine.kernel.facts.nftables = true;
    engine.audit(T0);
    let slice = slice("web", 7, &[service(VIP, 80)], &[server("192.168.0.101", DR, 1, 80)]);
    engine.take(with_group(news(&[slice]), group("d")));
    engine.step(T0);
    let whole = engine.kernel.fixtures.clone();
    assert_eq!(whole.len(), 2, "{whole:?}");
    let before = engine.kernel.addresses.clone();
    engine.kernel.fixtures.clear();
    engine.glance_at_filter(Duration::from_secs(1));
    assert_eq!((engine.kernel.fixtures.clone(), engine.drift.repairs), (whole, 1));
    assert_eq!(engine.kernel.addresses, before);
    assert!(!engine.drift.last.contains("address"), "{}", engine.drift.last);
    engine.glance_at_filter(Duration::from_secs(2));
    assert_eq!(engine.drift.repairs, 1, "all stands");
}
