use crate::journal::{Identity, Journal};
use crate::kernel::fake::Fake;
use crate::kernel::{Done, Kernel, KernelError, Scope};
use crate::state::{
    Facts, Fixture, FixtureKind, HeldAddress, Interface, Made, NodeState, Op, Packets, TunnelDevice,
};
use lvs_ipvs::{Destination, DestinationKey, Forwarding, Operation, Service, ServiceKey};
use std::net::{IpAddr, Ipv4Addr};
use tempfile::TempDir;

const ARP_IGNORE: &str = "net/ipv4/conf/all/arp_ignore";
const IP_FORWARD: &str = "net/ipv4/ip_forward";

fn held(interface: &str, address: &str) -> HeldAddress {
    HeldAddress { interface: interface.into(), address: address.parse().unwrap() }
}

fn node() -> Fake {
    let mut facts = Facts::default();
    let addresses = vec!["192.168.0.1/24".parse().unwrap()];
    let eth0 = Interface { index: 2, up: true, mtu: 1500, addresses, ..Interface::default() };
    facts.interfaces.insert("eth0".into(), eth0);
    let mut fake = Fake::new(facts);
    fake.sysctls.insert("net/ipv4/conf/eth0/promote_secondaries".into(), "0".into());
    fake.sysctls.insert("net/ipv4/conf/eth0/forwarding".into(), "0".into());
    fake.sysctls.insert("net/ipv4/conf/all/accept_redirects".into(), "0".into());
    fake
}

fn journal() -> (TempDir, Journal) {
    let dir = TempDir::new().unwrap();
    let journal = reopen(&dir);
    (dir, journal)
}

fn reopen(dir: &TempDir) -> Journal {
    let identity = Identity { boot: "boot".into(), netns: "1:1".into() };
    Journal::open_as(dir.path(), &identity).unwrap()
}

fn web() -> ServiceKey {
    ServiceKey::tcp(Ipv4Addr::new(192, 168, 0, 10), 80)
}

fn new_service(scheduler: &str) -> Op {
    Op::Ipvs(Operation::NewService(Service::new(web(), scheduler)))
}

fn destination(weight: u32) -> Destination {
    let key = DestinationKey::new(IpAddr::from([192, 168, 0, 101]), 80);
    Destination::new(key, Forwarding::DirectRoute, weight)
}

fn new_destination(weight: u32) -> Op {
    Op::Ipvs(Operation::NewDestination { service: web(), destination: destination(weight) })
}

fn set_destination(weight: u32) -> Op {
    Op::Ipvs(Operation::SetDestination { service: web(), destination: destination(weight) })
}

fn set_sysctl(path: &str, value: &str) -> Op {
    Op::SetSysctl { path: path.into(), value: value.into() }
}

fn restore(path: &str) -> Op {
    Op::RestoreSysctl { path: path.into() }
}

fn all_changed(results: &[Result<Done, KernelError>]) -> bool {
    results.iter().all(|result| matches!(result, Ok(Done::Changed)))
}

fn reasons(results: &[Result<Done, KernelError>]) -> Vec<&'static str> {
    let reason = |result: &Result<Done, KernelError>| match result {
        Ok(Done::Changed) => "ok",
        Ok(Done::Foreign) => "foreign",
        Ok(Done::TakenOver { .. }) => "taken over",
        Ok(Done::Left { .. }) => "left",
        Err(error) => error.reason(),
    };
    results.iter().map(reason).collect()
}

#[test]
fn what_is_made_is_in_the_journal_and_what_is_undone_is_not() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    let vip = held("eth0", "192.168.0.10/24");
    let ops = [
        set_sysctl(ARP_IGNORE, "1"),
        new_service("wlc"),
        new_destination(1),
        Op::AddAddress(vip.clone()),
    ];
    assert!(all_changed(&fake.execute(&ops, &mut journal)));
    assert_eq!(journal.previous(ARP_IGNORE), Some("0"));
    let made = [Made::Service(web()), Made::Address(vip.clone()), Made::Sysctl(ARP_IGNORE.into())];
    assert_eq!(journal.ours(), &made.into());

    let ops = [Op::DelAddress(vip), Op::Ipvs(Operation::DelService(web())), restore(ARP_IGNORE)];
    assert!(all_changed(&fake.execute(&ops, &mut journal)));
    assert!(journal.ours().is_empty());
    assert_eq!(fake.services, node().services);
    assert_eq!(fake.addresses, node().addresses);
    assert_eq!(fake.sysctls, node().sysctls);
}

#[test]
fn a_foreign_service_is_refused_with_everything_below_it() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    let (_other, mut theirs) = self::journal();
    fake.execute(&[new_service("rr"), new_destination(3)], &mut theirs);
    let before = fake.services.clone();
    let ops = [
        new_service("wlc"),
        new_destination(1),
        set_destination(2),
        Op::Ipvs(Operation::DelService(web())),
    ];
    let results = fake.execute(&ops, &mut journal);
    assert_eq!(reasons(&results), ["ForeignService"; 4]);
    assert_eq!(fake.services, before);
    assert!(journal.ours().is_empty());
    let message = results[0].as_ref().unwrap_err().to_string();
    assert!(message.contains("TCP 192.168.0.10:80"), "{message}");
}

#[test]
fn a_foreign_address_is_left_and_never_removed() {
    let (dir, mut journal) = journal();
    let mut fake = node();
    let own = held("eth0", "192.168.0.1/24");
    let results = fake.execute(&[Op::AddAddress(own.clone())], &mut journal);
    assert_eq!(results[0].as_ref().unwrap(), &Done::Foreign);
    let log = std::fs::read_to_string(dir.path().join("journal")).unwrap();
    assert!(!log.contains("192.168.0.1/24"), "after a crash it would be taken for ours: {log}");
    let results = fake.execute(&[Op::DelAddress(own.clone())], &mut journal);
    assert_eq!(reasons(&results), ["ForeignAddress"]);
    assert!(fake.addresses.contains(&own) && journal.ours().is_empty());
}

#[test]
fn without_its_journal_nothing_is_made() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    journal.break_for_test();
    let results = fake.execute(&[new_service("wlc"), set_sysctl(IP_FORWARD, "1")], &mut journal);
    assert_eq!(reasons(&results), ["JournalFailed"; 2]);
    assert_eq!(fake.services, node().services);
    assert_eq!(fake.sysctls, node().sysctls);
}

#[test]
fn a_missing_scheduler_is_told_once_and_the_destinations_say_what_they_wait_for() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    let results = fake.execute(&[new_service("twos"), new_destination(1)], &mut journal);
    assert_eq!(reasons(&results), ["SchedulerMissing", "Withheld"]);
    let message = results[1].as_ref().unwrap_err().to_string();
    assert!(message.contains("ip_vs_twos"), "{message}");
    assert!(journal.ours().is_empty());
}

#[test]
fn without_ipvs_every_operation_says_so() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    fake.services = None;
    let results = fake.execute(&[new_service("rr"), new_destination(1)], &mut journal);
    assert!(results[0].as_ref().unwrap_err().is_no_ipvs());
    assert_eq!(reasons(&results), ["NoIPVS", "Withheld"]);
    assert!(journal.ours().is_empty());
}

#[test]
fn a_table_that_somebody_changed_ends_as_asked() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    fake.execute(&[new_service("rr"), new_destination(1)], &mut journal);
    // As seen by a caller that knows of nothing.
    let results = fake.execute(&[new_service("wlc"), new_destination(2)], &mut journal);
    assert!(all_changed(&results), "{results:?}");
    let table = fake.services.as_mut().unwrap();
    let state = table.get_mut(&web()).unwrap();
    assert_eq!(state.service.scheduler, "wlc");
    assert_eq!(state.destinations[&destination(0).key].weight, 2);
    // As seen by a caller that thinks everything is there.
    state.destinations.clear();
    assert!(all_changed(&fake.execute(&[set_destination(3)], &mut journal)));
    let del =
        Op::Ipvs(Operation::DelDestination { service: web(), destination: destination(0).key });
    assert!(all_changed(&fake.execute(&[del.clone(), del], &mut journal)));
    fake.services.as_mut().unwrap().clear();
    let del = Op::Ipvs(Operation::DelService(web()));
    assert!(all_changed(&fake.execute(&[del], &mut journal)));
    assert!(journal.ours().is_empty());
}

#[test]
fn a_vip_stays_off_lo_while_the_node_would_answer_arp_for_it() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    fake.read_only.insert(ARP_IGNORE.into());
    let vip = held("lo", "192.168.0.10/32");
    let elsewhere = held("eth0", "192.168.0.11/32");
    let ops = [
        set_sysctl(ARP_IGNORE, "1"),
        Op::AddAddress(vip.clone()),
        Op::AddAddress(elsewhere.clone()),
    ];
    let results = fake.execute(&ops, &mut journal);
    assert_eq!(reasons(&results), ["SysctlRefused", "Withheld", "ok"]);
    assert!(!fake.addresses.contains(&vip));
    assert_eq!(journal.ours(), &[Made::Address(elsewhere)].into());
}

#[test]
fn arp_stays_silenced_while_a_vip_is_left_on_lo() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    let vip = held("lo", "192.168.0.10/32");
    let ops = [set_sysctl(ARP_IGNORE, "1"), Op::AddAddress(vip.clone())];
    assert!(all_changed(&fake.execute(&ops, &mut journal)));
    fake.net_admin = false;
    let results = fake.execute(&[Op::DelAddress(vip), restore(ARP_IGNORE)], &mut journal);
    assert_eq!(reasons(&results), ["NoNetAdmin", "Withheld"]);
    assert_eq!(fake.sysctls[ARP_IGNORE], "1");
    assert_eq!(journal.ours().len(), 2);
}

#[test]
fn the_primary_address_takes_no_other_along() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    fake.addresses.clear();
    let vip = held("eth0", "192.168.0.10/24");
    fake.execute(&[Op::AddAddress(vip.clone())], &mut journal);
    let foreign = held("eth0", "192.168.0.1/24");
    fake.addresses.push(foreign.clone());
    let results = fake.execute(&[Op::DelAddress(vip)], &mut journal);
    assert!(all_changed(&results), "{results:?}");
    assert_eq!(fake.addresses, [foreign]);
    assert_eq!(fake.sysctls, node().sysctls);
    assert!(journal.ours().is_empty());
}

#[test]
fn a_sysctl_that_an_admin_has_taken_over_stays() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    fake.execute(&[set_sysctl(ARP_IGNORE, "1")], &mut journal);
    fake.sysctls.insert(ARP_IGNORE.into(), "2".into());
    let results = fake.execute(&[restore(ARP_IGNORE)], &mut journal);
    assert_eq!(results[0].as_ref().unwrap(), &Done::TakenOver { value: "2".into() });
    assert_eq!(fake.sysctls[ARP_IGNORE], "2");
    assert!(journal.ours().is_empty());
}

#[test]
fn a_sysctl_that_stood_already_is_not_ours() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    fake.sysctls.insert(IP_FORWARD.into(), "1".into());
    assert!(all_changed(&fake.execute(&[set_sysctl(IP_FORWARD, "1")], &mut journal)));
    assert!(journal.ours().is_empty());
}

#[test]
fn a_second_change_keeps_the_first_value() {
    let (dir, mut journal) = journal();
    let mut fake = node();
    fake.execute(&[set_sysctl(ARP_IGNORE, "1")], &mut journal);
    fake.execute(&[set_sysctl(ARP_IGNORE, "2")], &mut journal);
    drop(journal);
    let mut journal = reopen(&dir);
    assert!(all_changed(&fake.execute(&[restore(ARP_IGNORE)], &mut journal)));
    assert_eq!(fake.sysctls[ARP_IGNORE], "0");
}

#[test]
fn the_audit_asks_for_all_that_is_wanted_or_ours() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    fake.execute(&[set_sysctl(ARP_IGNORE, "1"), new_service("rr")], &mut journal);
    let mut wanted = NodeState::default();
    wanted.sysctls.insert(IP_FORWARD.into(), "1".into());
    let observed = fake.observe(&Scope::audit(&wanted, journal.ours())).unwrap();
    assert_eq!(observed.sysctls[ARP_IGNORE], "1");
    assert_eq!(observed.sysctls[IP_FORWARD], "0");
    assert!(observed.services.unwrap().contains_key(&web()));
}

#[test]
fn a_kernel_that_lies_is_seen_by_reading_back() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    fake.lying = true;
    let ops = [new_service("rr"), Op::AddAddress(held("eth0", "192.168.0.10/24"))];
    assert!(all_changed(&fake.execute(&ops, &mut journal)));
    let observed = fake.observe(&Scope::touched(&ops, &NodeState::default())).unwrap();
    assert_eq!(observed.services, Some([].into()));
    assert_eq!(observed.addresses.len(), 1);
}

fn mark(number: u32) -> Fixture {
    let packets = Packets {
        destination: "192.168.0.10/32".parse().unwrap(),
        protocol: lvs_ipvs::Protocol::Tcp,
        first_port: 80,
        last_port: 80,
    };
    Fixture::Mark { packets, mark: number.try_into().unwrap() }
}

fn tunnel() -> Fixture {
    Fixture::Tunnel { device: TunnelDevice::Ipip, local: [192, 168, 0, 1].into() }
}

#[test]
fn fixtures_are_journaled_before_and_changed_in_one_call() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    assert!(all_changed(&fake.execute(&[Op::AddFixture(mark(1))], &mut journal)));
    assert_eq!(journal.ours(), &[Made::Fixture(mark(1))].into());
    let ops = [Op::DelFixture(mark(1)), Op::AddFixture(mark(2))];
    assert!(all_changed(&fake.execute(&ops, &mut journal)));
    assert_eq!(fake.fixture_calls[1], [(false, mark(1)), (true, mark(2))]);
    assert_eq!(journal.ours(), &[Made::Fixture(mark(2))].into());
    journal.break_for_test();
    let results = fake.execute(&[Op::AddFixture(tunnel())], &mut journal);
    assert_eq!(reasons(&results), ["JournalFailed"]);
    assert_eq!(fake.fixtures, [mark(2)].into());
}

#[test]
fn a_foreign_fixture_is_refused_and_a_nameless_one_serves() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    let gue = Fixture::Gue { family: lvs_ipvs::Family::V4, port: 6080 };
    fake.fixtures = [tunnel(), gue].into();
    let before = fake.fixtures.clone();
    let ops = [Op::AddFixture(tunnel()), Op::AddFixture(gue), Op::DelFixture(tunnel())];
    let results = fake.execute(&ops, &mut journal);
    assert_eq!(reasons(&results), ["ForeignFixture", "foreign", "ForeignFixture"]);
    let message = results[0].as_ref().unwrap_err().to_string();
    assert!(message.contains("add ipip tunnel at 192.168.0.1"), "{message}");
    assert!(message.ends_with("remove it (ip -d link show dev lvsic0a80001)"), "{message}");
    assert_eq!(fake.fixtures, before);
    assert!(journal.ours().is_empty());
}

#[test]
fn a_missing_module_is_named_and_nothing_stays_in_the_journal() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    fake.lacking = [FixtureKind::Gue, FixtureKind::Nftables].into();
    let gue = Fixture::Gue { family: lvs_ipvs::Family::V4, port: 6080 };
    let results = fake.execute(&[gue, mark(1), tunnel()].map(Op::AddFixture), &mut journal);
    assert_eq!(reasons(&results), ["ModuleMissing", "NoNftables", "ok"]);
    let message = results[0].as_ref().unwrap_err().to_string();
    assert!(message.contains("GUE at UDP port 6080") && message.contains("fou"), "{message}");
    assert_eq!(journal.ours(), &[Made::Fixture(tunnel())].into());
}

#[test]
fn few_of_nftables_are_read_back_alone_others_by_their_sorts_and_a_node_without_any_is_not_asked() {
    let (_dir, mut journal) = journal();
    let mut fake = node();
    fake.lying = true;
    let ops = [Op::AddFixture(mark(1))];
    assert!(all_changed(&fake.execute(&ops, &mut journal)));
    let scope = Scope::touched(&ops, &NodeState::default());
    assert_eq!((scope.fixtures.len(), &scope.elements), (0, &[mark(1)].into()));
    let many: Vec<Op> = (1..=64).map(|number| Op::AddFixture(mark(number))).collect();
    let all =
        Scope::touched(&[&many[..], &[Op::AddFixture(tunnel())]].concat(), &NodeState::default());
    assert_eq!(all.fixtures, [FixtureKind::Tunnel, FixtureKind::Nftables].into());
    assert!(all.elements.is_empty());
    assert!(fake.observe(&scope).unwrap().fixtures.is_empty());
    let nothing = Scope::audit(&NodeState::default(), &[].into());
    assert!(nothing.fixtures.is_empty());
    let ours = [Made::Fixture(tunnel())].into();
    let wanted = NodeState { fixtures: [mark(1)].into(), ..NodeState::default() };
    let all = Scope::audit(&wanted, &ours).fixtures;
    assert_eq!(all, [FixtureKind::Tunnel, FixtureKind::Nftables].into());
}
