use super::*;
use lvs_vrrp::{Cause, Heard, RouterConfig, RouterReport, Vrid};

const T0: Duration = Duration::from_secs(100);

fn held(host: u8) -> Held {
    Held { interface: "eth0".to_owned(), address: format!("10.0.0.{host}/32").parse().unwrap() }
}

fn id() -> Vrid {
    Vrid::new(7).unwrap()
}

/// One virtual router with two addresses.
struct Group {
    config: Config,
    report: Report,
    held: BTreeSet<Held>,
    chronicle: Chronicle,
    now: Duration,
}

impl Group {
    fn new() -> Self {
        let router = RouterConfig {
            name: "a/0".to_owned(),
            priority: 254,
            addresses: [held(10), held(11)].into(),
            down: None,
        };
        let config = Config {
            own: "10.0.0.1".parse().unwrap(),
            name: "a".to_owned(),
            peers: BTreeMap::new(),
            interval: Duration::from_millis(90),
            preempt: None,
            ill_below: 126,
            lifetime: Duration::from_secs(3),
            presence: Vrid::new(200).unwrap(),
            routers: [(id(), router)].into(),
        };
        let report = RouterReport {
            state: State::Backup,
            since: T0,
            transitions: 0,
            priority: 254,
            carrier: None,
            down: None,
            change: None,
            changes: 0,
        };
        let report = Report { routers: [(id(), report)].into(), ..Report::default() };
        let (held, chronicle) = (BTreeSet::new(), Chronicle::default());
        Self { config, report, held, chronicle, now: T0 }
    }

    fn change(&mut self, state: State, change: Change) -> Vec<Line> {
        let router = self.report.routers.get_mut(&id()).unwrap();
        router.state = state;
        router.change = Some(change);
        router.changes += 1;
        self.report.generation += 1;
        self.told(|chronicle, scene| chronicle.see(scene))
    }

    fn told(&mut self, tell: impl FnOnce(&mut Chronicle, Scene<'_>) -> Vec<Line>) -> Vec<Line> {
        let scene = Scene {
            config: &self.config,
            report: &self.report,
            held: &self.held,
            stands: &|_| true,
            ill: &|_| None,
            now: self.now,
        };
        tell(&mut self.chronicle, scene)
    }

    fn take_over(&mut self) -> Vec<Line> {
        self.held = [held(10), held(11)].into();
        let ago = Duration::from_millis(283);
        let from = Some(Heard { member: "b".to_owned(), priority: 250, ago });
        self.change(State::Active, Change::TookOver { cause: Cause::Silence, from })
    }
}

fn events(lines: &[Line]) -> Vec<(&'static str, usize)> {
    lines.iter().map(|line| (line.event(), line.addresses.len())).collect()
}

#[test]
fn a_take_over_is_told_once_when_its_last_address_is_announced() {
    let mut group = Group::new();
    assert_eq!(group.told(|it, scene| it.see(scene)), []);
    assert_eq!(group.take_over(), []);
    assert!(group.chronicle.waits());
    group.now += Duration::from_millis(4);
    let waits = |held: &Held| *held == self::held(11);
    assert_eq!(group.told(|it, scene| it.done(scene, waits)), []);
    group.now += Duration::from_millis(1);
    let lines = group.told(|it, scene| it.done(scene, |_| false));
    assert_eq!(events(&lines), [("TookOver", 2)]);
    assert_eq!(lines[0].router, Some(("a/0".to_owned(), 7)));
    assert_eq!(lines[0].took, Some(Duration::from_millis(5)));
    assert_eq!(lines[0].since_heard, Some(Duration::from_millis(288)));
    assert_eq!(group.told(|it, scene| it.done(scene, |_| false)), []);
    assert_eq!(group.told(|it, scene| it.compare(scene)), []);
}

#[test]
fn what_is_taken_over_without_an_address_says_how_many_it_lacks() {
    let mut group = Group::new();
    group.take_over();
    group.held.remove(&held(10));
    let lines = group.told(|it, scene| it.done(scene, |_| false));
    assert!(matches!(lines[0].what, What::TookOver { lacking: 1, .. }), "{lines:?}");
}

#[test]
fn what_is_given_up_before_it_was_there_is_told_of_all_the_same() {
    let mut group = Group::new();
    group.take_over();
    let to = Heard { member: "b".to_owned(), priority: 255, ago: Duration::ZERO };
    let lines = group.change(State::Backup, Change::GaveUp { to });
    assert_eq!(events(&lines), [("TookOver", 2), ("GaveUp", 2)]);
    assert_eq!(lines[0].took, None);
}

#[test]
fn a_hand_over_is_told_when_it_begins_and_when_it_ends() {
    let mut group = Group::new();
    group.take_over();
    group.told(|it, scene| it.done(scene, |_| false));
    assert_eq!(events(&group.change(State::Initialize, Change::Leaving)), [("Leaving", 2)]);
    let to = Some(Heard { member: "b".to_owned(), priority: 250, ago: Duration::ZERO });
    let lines = group.change(State::Initialize, Change::HandedOver { to });
    assert_eq!(events(&lines), [("HandedOver", 2)]);
    group.report.routers.clear();
    group.report.generation += 1;
    assert_eq!(group.told(|it, scene| it.see(scene)), [], "nothing of it is here");
}

#[test]
fn addresses_that_come_and_go_while_it_is_carried_are_told() {
    let mut group = Group::new();
    group.take_over();
    group.told(|it, scene| it.done(scene, |_| false));
    group.config.routers.get_mut(&id()).unwrap().addresses = [held(11), held(12)].into();
    group.held = [held(11), held(12)].into();
    let lines = group.told(|it, scene| it.compare(scene));
    assert_eq!(events(&lines), [("AddressesAdded", 1), ("AddressesLetGo", 1)]);
    assert!(lines[0].addresses.contains(&held(12)) && lines[1].addresses.contains(&held(10)));
    group.config.routers.clear();
    group.report.routers.clear();
    group.report.generation += 1;
    assert_eq!(events(&group.told(|it, scene| it.see(scene))), [("Unwanted", 2)]);
}

#[test]
fn who_answers_for_what_else_is_told_once_and_when_it_is_over() {
    let mut group = Group::new();
    let conflict = lvs_vrrp::Conflict { mac: [2; 6], peer: None, ours: false, since: T0, last: T0 };
    group.report.conflicts.insert(held(10).address.addr(), conflict);
    group.report.generation += 1;
    assert_eq!(events(&group.told(|it, scene| it.see(scene))), [("Conflict", 1)]);
    group.report.generation += 1;
    assert_eq!(group.told(|it, scene| it.see(scene)), []);
    group.report.conflicts.clear();
    group.report.generation += 1;
    assert_eq!(events(&group.told(|it, scene| it.see(scene))), [("ConflictOver", 1)]);
}
