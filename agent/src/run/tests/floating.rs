//! What is told to whoever carries floating addresses, and what the engine makes of the answer.

use super::*;
use crate::failover::{Report, RouterReport, Wants};
use lvs_crds::{Member, VirtualRouter};
use lvs_resolve::spread;
use std::sync::Mutex;

/// Remembers what it is told, and reports what the test says.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<(Vec<Wants>, Report)>>);

impl Carrier for Recorder {
    fn want(&mut self, wants: Wants) {
        self.0.lock().unwrap().0.push(wants);
    }
    fn report(&self) -> Report {
        self.0.lock().unwrap().1.clone()
    }
}

impl Recorder {
    fn told(&self) -> Vec<Wants> {
        self.0.lock().unwrap().0.clone()
    }

    /// What was told last, as `(virtual router, addresses, ill)` of those with addresses or ill.
    fn last(&self) -> Vec<(u8, Vec<String>, bool)> {
        let wants = self.told().pop().unwrap_or_default();
        let routers = wants.groups.into_values().flat_map(|want| want.routers);
        routers
            .map(|(id, it)| {
                let addresses = it.addresses.iter().map(|held| held.address.to_string()).collect();
                (id, addresses, it.ill.is_some())
            })
            .filter(|(_, addresses, ill): &(_, Vec<String>, bool)| !addresses.is_empty() || *ill)
            .collect()
    }

    fn reports(&self, report: Report) {
        self.0.lock().unwrap().1 = report;
    }
}

fn several(members: &[&str]) -> DirectorGroup {
    let mut group = group("d");
    let status = group.status.as_mut().unwrap();
    let member = |node: &&str| Member {
        node: (*node).to_owned(),
        addresses: Vec::new(),
        macs: Vec::new(),
        mtu: None,
    };
    status.members = members.iter().map(member).collect();
    status.virtual_routers = (1..)
        .zip(spread::wanted(members))
        .map(|(id, (home, number))| VirtualRouter { id, home: home.to_owned(), number })
        .collect();
    status.presence_id = Some(200);
    group
}

fn start(group: DirectorGroup) -> (Engine<Fake>, Recorder, TempDir) {
    let dir = TempDir::new().unwrap();
    let recorder = Recorder::default();
    let mut engine = engine_with(Fake::new(director()), &dir, Box::new(recorder.clone()));
    engine.take(with_group(news(&[web(7, 5)]), group));
    engine.step(T0);
    (engine, recorder, dir)
}

fn address() -> HeldAddress {
    held("eth0", "192.168.0.10/32")
}

#[test]
fn the_service_stands_and_the_vip_is_named_in_the_journal_and_told() {
    let (engine, recorder, _dir) = start(several(&["d", "e"]));
    assert_eq!(weights(&engine), [5, 1]);
    assert!(!engine.kernel.addresses.contains(&address()));
    assert!(engine.journal.ours().contains(&Made::Address(address())));
    let told = recorder.last();
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0].1[..], told[0].2), (&["192.168.0.10/32".to_owned()][..], false));
    assert_eq!(engine.status().failures, []);
}

#[test]
fn who_stands_by_asks_for_no_counters_of_arrivals() {
    let (mut engine, _, _dir) = start(several(&["d", "e"]));
    let asked = |engine: &mut Engine<Fake>, second| {
        let before = engine.kernel.requests().nftables;
        engine.audit(Duration::from_secs(second));
        engine.kernel.requests().nftables - before
    };
    assert_eq!(asked(&mut engine, 2), 0);
    engine.kernel.addresses.push(address());
    assert_eq!(asked(&mut engine, 4), 1, "the VIP has come");
    engine.kernel.addresses.retain(|held| *held != address());
    assert_eq!(asked(&mut engine, 6), 0);
}

#[test]
fn what_does_not_float_is_told_as_what_stays() {
    let (mut engine, recorder, _dir) = start(group("d"));
    let staying = [address()].into();
    assert_eq!(recorder.told(), [Wants { number: 1, staying, ..Wants::default() }]);
    engine.take(news(&[web(8, 6)]));
    engine.step(T0);
    assert_eq!(recorder.told().len(), 1, "a real server's change tells nothing new");
}

#[test]
fn a_real_servers_change_tells_nothing_new() {
    let (mut engine, recorder, _dir) = start(several(&["d", "e"]));
    let told = recorder.told().len();
    engine.take(news(&[web(8, 6)]));
    engine.step(T0);
    assert_eq!(recorder.told().len(), told);
}

#[test]
fn a_vip_whose_service_fails_is_not_told_and_its_router_is_ill_until_it_is_well() {
    let dir = TempDir::new().unwrap();
    let recorder = Recorder::default();
    let mut kernel = Fake::new(director());
    kernel.services = None;
    let mut engine = engine_with(kernel, &dir, Box::new(recorder.clone()));
    engine.take(with_group(news(&[web(7, 5)]), several(&["d", "e"])));
    engine.step(T0);
    let told = recorder.last();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].1.len(), told[0].2), (0, true));
    engine.kernel.services = Some(BTreeMap::new());
    engine.audit(Duration::from_secs(60));
    let told = recorder.last();
    assert_eq!((told[0].1.len(), told[0].2), (1, false));
}

#[test]
fn a_vip_that_is_not_wanted_any_more_is_let_go_of_and_then_taken_away_and_forgotten() {
    let (mut engine, recorder, _dir) = start(several(&["d", "e"]));
    // Whoever carries put it there; the engine has not looked since.
    engine.kernel.addresses.push(address());
    engine.take(gone(&web(7, 5), 8));
    engine.step(T0);
    assert_eq!(recorder.last(), []);
    assert!(!engine.kernel.addresses.contains(&address()));
    assert!(!engine.journal.ours().contains(&Made::Address(address())));
}

#[test]
fn a_vip_is_never_let_go_of_because_its_router_gets_another_id() {
    let (mut engine, recorder, _dir) = start(several(&["d", "e"]));
    let told = recorder.told().len();
    let mut renumbered = several(&["d", "e"]);
    for router in &mut renumbered.status.as_mut().unwrap().virtual_routers {
        router.id += 100;
    }
    let name = |wants: &Wants| {
        let mut routers = wants.groups.values().flat_map(|want| want.routers.values());
        routers.find(|it| it.addresses.contains(&address())).map(|it| it.name.clone())
    };
    let before = name(&recorder.told().pop().unwrap());
    engine.take(with_group(Update::default(), renumbered));
    engine.step(T0);
    assert!(recorder.last()[0].0 > 100);
    for wants in &recorder.told()[told..] {
        assert_eq!(name(wants), before, "{wants:?}");
    }
}

#[test]
fn the_last_director_keeps_what_it_carries_and_gets_the_rest() {
    let (mut engine, recorder, _dir) = start(several(&["d", "e"]));
    engine.take(with_group(Update::default(), group("d")));
    engine.step(T0);
    let last = recorder.told().pop().unwrap();
    assert!(last.groups.is_empty() && last.staying.contains(&address()), "{last:?}");
    assert!(engine.kernel.addresses.contains(&address()));
}

#[test]
fn the_only_director_that_gets_company_takes_nothing_away() {
    let (mut engine, recorder, _dir) = start(group("d"));
    assert!(engine.kernel.addresses.contains(&address()));
    // By which the carrier knows it for ours.
    assert!(recorder.told().pop().unwrap().staying.contains(&address()));
    engine.take(with_group(Update::default(), several(&["d", "e"])));
    engine.step(T0);
    assert!(engine.kernel.addresses.contains(&address()));
    assert_eq!(recorder.last()[0].1, ["192.168.0.10/32"]);
    assert!(recorder.told().pop().unwrap().staying.is_empty());
}

#[test]
fn whoever_leaves_serves_on_until_the_others_carry_everything() {
    let (mut engine, recorder, _dir) = start(several(&["d", "e"]));
    let number = recorder.told().pop().unwrap().number;
    let active = RouterReport { active: true, problem: None };
    let carrying = BTreeMap::from([(("default".to_owned(), 1), active)]);
    recorder.reports(Report { number, routers: carrying.clone(), ..Report::default() });
    assert!(engine.carried());
    engine.take(with_group(Update::default(), several(&["e", "f"])));
    engine.step(T0);
    let told = recorder.told().pop().unwrap();
    assert!(told.groups.is_empty() && told.staying.is_empty());
    assert_eq!(weights(&engine), [5, 1], "clients come until the others have the VIP");
    recorder.reports(Report { number: told.number, routers: carrying, ..Report::default() });
    assert!(engine.carried());
    engine.step(T0);
    assert_eq!(weights(&engine), [5, 1]);
    recorder.reports(Report { number: told.number, ..Report::default() });
    assert!(engine.carried());
    engine.step(T0);
    assert!(engine.kernel.services.as_ref().unwrap().is_empty());
    assert_eq!(*engine.journal.ours(), std::collections::BTreeSet::new());
}

#[test]
fn what_is_carried_is_reported() {
    let (mut engine, recorder, _dir) = start(several(&["d", "e"]));
    assert_eq!(engine.status().director_of[0].role, lvs_crds::DirectorRole::Standby);
    let router = recorder.last()[0].0;
    let mut report = Report { number: 1, ..Report::default() };
    let active = RouterReport { active: true, problem: None };
    report.routers.insert(("default".to_owned(), router), active);
    report.held.insert(address());
    report.strangers.insert(9, "192.168.0.77".to_owned());
    report.conflicts.insert(address(), "02:00:00:00:00:99".to_owned());
    recorder.reports(report);
    assert!(engine.carried() && !engine.carried());
    let status = engine.status();
    assert_eq!(status.director_of[0].role, lvs_crds::DirectorRole::Active);
    assert_eq!(status.virtual_routers[0].id, i32::from(router));
    assert_eq!(status.vips[0].address, "192.168.0.10/32");
    assert_eq!(status.strangers[0].id, 9);
    let warning = &status.warnings[0];
    assert_eq!(warning.reason, "Conflicted");
    assert_eq!(warning.virtual_service.as_deref(), Some("web"));
    assert!(warning.message.contains("02:00:00:00:00:99"), "{}", warning.message);
}

#[test]
fn a_vip_that_somebody_else_has_put_there_serves_and_is_told_of() {
    let (mut engine, recorder, _dir) = start(several(&["d", "e"]));
    let report = Report { number: 1, foreign: [address()].into(), ..Report::default() };
    recorder.reports(report);
    assert!(engine.carried());
    let status = engine.status();
    assert_eq!(status.vips[0].address, "192.168.0.10/32");
    assert_eq!(status.table.unwrap().vips, 1);
    let warning = &status.warnings[0];
    assert_eq!(warning.reason, "ForeignVIP");
    assert_eq!(warning.virtual_service.as_deref(), Some("web"));
    assert!(warning.message.contains("ip address del 192.168.0.10/32 dev eth0"), "{warning:?}");
    assert_eq!(status.failures, []);
}

#[test]
fn whoever_carries_is_told_what_stood_for_good_before_it_floats() {
    let (mut engine, recorder, _dir) = start(group("d"));
    for number in [2, 4] {
        engine.take(with_group(Update::default(), several(&["d", "e"])));
        engine.step(T0);
        let told = recorder.told();
        let [.., before, now] = told.as_slice() else { panic!("{told:?}") };
        assert!(before.staying.contains(&address()), "{before:?}");
        assert!(now.staying.is_empty() && now.number >= number, "{now:?}");
        assert_eq!(recorder.last()[0].1, ["192.168.0.10/32"]);
        engine.take(with_group(Update::default(), group("d")));
        engine.step(T0);
    }
}

#[test]
fn what_stood_for_good_and_cannot_be_carried_here_is_taken_away() {
    let (mut engine, recorder, _dir) = start(group("d"));
    engine.kernel.services = None;
    engine.audit(Duration::from_secs(60));
    assert!(engine.kernel.addresses.contains(&address()), "alone it stays");
    engine.take(with_group(Update::default(), several(&["d", "e"])));
    engine.step(Duration::from_secs(61));
    assert!(!engine.kernel.addresses.contains(&address()), "another director takes it over");
    assert!(recorder.last()[0].2, "for this one is ill");
    engine.kernel.services = Some(BTreeMap::new());
    engine.audit(Duration::from_secs(200));
    assert_eq!(recorder.last()[0].1, ["192.168.0.10/32"]);
}

#[test]
fn what_stood_before_the_agent_is_told_of_and_carried_once_it_is_taken_away() {
    let dir = TempDir::new().unwrap();
    let recorder = Recorder::default();
    let mut kernel = Fake::new(director());
    kernel.addresses.push(address());
    let mut engine = engine_with(kernel, &dir, Box::new(recorder.clone()));
    engine.take(with_group(news(&[web(7, 5)]), several(&["d", "e"])));
    engine.step(T0);
    assert_eq!(recorder.last(), []);
    let status = engine.status();
    assert_eq!(status.warnings[0].reason, "ForeignVIP");
    assert_eq!(status.vips[0].address, "192.168.0.10/32");
    engine.kernel.addresses.clear();
    engine.glance(Duration::from_secs(1));
    assert_eq!(recorder.last()[0].1, ["192.168.0.10/32"]);
    assert_eq!(engine.status().warnings, []);
}
