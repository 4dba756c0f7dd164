//! Virtual routers that go from director to director.

use super::*;
use lvs_resolve::services_floating_with;

/// Two directors, d1 and d2, that carry what they are home to; services s0 to s7, and who is home to each.
fn pair() -> (World, BTreeMap<String, BTreeSet<Key>>) {
    let mut world = World::of(8);
    let synced = [
        Change::VirtualService(Delta::Synced),
        Change::RealServer(Delta::Synced),
        Change::DirectorGroup(Delta::Synced),
        Change::Slice(Delta::Synced),
        Change::LvsNode(Delta::Synced),
        Change::Node(Delta::Synced),
        Change::Namespace(Delta::Synced),
    ];
    synced.into_iter().for_each(|change| world.state.change(change, at(0)));
    world.node("d2", "10.0.0.2");
    world.settle();
    let homes = ["d1", "d2"].map(|home| {
        let ids = world.routers(home).into_iter().collect();
        let services = services_floating_with("default", &ids, world.state.snapshot());
        (home.to_owned(), services.into_iter().collect())
    });
    for (name, carries) in [("d1", ["d1"]), ("d2", ["d2"])] {
        world.carries(name, &carries, None);
    }
    world.settle();
    world.state.take_events();
    (world, homes.into())
}

impl World {
    fn routers(&self, home: &str) -> Vec<i32> {
        let group = self.state.snapshot().director_group("default").expect("the group");
        let routers = group.status.iter().flat_map(|status| &status.virtual_routers);
        routers.filter(|router| router.home == home).map(|router| router.id).collect()
    }

    /// A director reports that it carries the virtual routers of these homes.
    fn carries(&mut self, node: &str, homes: &[&str], problem: Option<&str>) {
        let mut routers = Vec::new();
        for home in ["d1", "d2"] {
            let role = if homes.contains(&home) { "Active" } else { "Standby" };
            let of = |id| json!({"group": "default", "id": id, "role": role, "problem": problem});
            routers.extend(self.routers(home).into_iter().map(of));
        }
        self.now += at(1);
        let time = self.now + self.clock;
        let time = ts() + jiff::SignedDuration::try_from(time).expect("a span");
        // Newer than any slice, so that nobody waits.
        self.report(
            node,
            json!({"programmed": {"resourceVersion": "1000000"}, "virtualRouters": routers,
                "reportTime": time.to_string()}),
        );
    }

    fn active(&self, service: &Key) -> String {
        let service = self.state.snapshot().virtual_service(service).expect("the service");
        let display = service.status.as_ref().and_then(|status| status.display.as_ref());
        display.map(|display| display.active.clone()).unwrap_or_default()
    }
}

fn told(world: &mut World) -> Vec<(String, String)> {
    let events = world.state.take_events().into_iter();
    let text = |event: Event| (event.type_.unwrap_or_default(), event.note.unwrap_or_default());
    events.map(text).collect()
}

#[test]
fn a_take_over_concerns_what_moved_and_is_one_event() {
    let (mut world, homes) = pair();
    let (of_d1, of_d2) = (&homes["d1"], &homes["d2"]);
    assert!(!of_d1.is_empty() && !of_d2.is_empty() && of_d1.len() + of_d2.len() == 8);
    assert!(of_d1.iter().all(|service| world.active(service) == "d1"));
    // d2 died: it says nothing more, and its last report that it carries them stands.
    world.carries("d1", &["d1", "d2"], None);
    let services = of_d2.iter().map(|key| format!("VirtualService {key}"));
    let concerned: Vec<String> =
        ["DirectorGroup default".to_owned()].into_iter().chain(services).collect();
    assert_eq!(world.marked(), concerned);
    let events = told(&mut world);
    let [(type_, note)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(type_, "Warning");
    let count = of_d2.len();
    let what = format!("the VIPs of {count} VirtualService");
    assert!(note.starts_with("Node d1 carries what node d2 carried") && note.contains(&what));
    world.state.mark_all();
    let written = world.settle();
    let statuses = written.iter().filter(|write| write.starts_with("status s")).count();
    assert_eq!(statuses, count, "{written:?}");
    assert!(of_d2.iter().all(|service| world.active(service) == "d1"));
    assert_eq!(told(&mut world), [], "services tell nothing of it");
    // Back home.
    world.carries("d2", &["d2"], None);
    world.carries("d1", &["d1"], None);
    world.settle();
    assert!(of_d2.iter().all(|service| world.active(service) == "d2"));
    let events = told(&mut world);
    let [(type_, note)] = events.as_slice() else { panic!("{events:?}") };
    assert!(type_ == "Normal" && note.starts_with("Node d2 carries what node d1"), "{note}");
}

#[test]
fn of_two_that_claim_the_same_the_last_to_begin_counts_whatever_the_dead_ones_clock_says() {
    let (mut world, homes) = pair();
    // d2 dies just after a report, and its clock is ahead.
    world.clock = at(1000);
    world.carries("d2", &["d2"], None);
    world.clock = at(0);
    world.carries("d1", &["d1", "d2"], None);
    world.settle();
    assert!(homes["d2"].iter().all(|service| world.active(service) == "d1"));
    assert_eq!(told(&mut world).len(), 1);
    world.now += at(30);
    world.carries("d1", &["d1", "d2"], None);
    // Nothing is new in that.
    assert_eq!(world.marked(), Vec::<String>::new());
}

#[test]
fn two_that_go_on_claiming_the_same_are_told_once_and_what_they_share_is_marked() {
    let (mut world, homes) = pair();
    let both = |world: &mut World| {
        world.carries("d1", &["d1", "d2"], None);
        world.carries("d2", &["d1", "d2"], None);
    };
    both(&mut world);
    world.settle();
    told(&mut world);
    world.now += at(5);
    both(&mut world);
    let services = homes.values().flatten().collect::<BTreeSet<_>>().into_iter();
    let services = services.map(|key| format!("VirtualService {key}"));
    let concerned: Vec<String> =
        ["DirectorGroup default".to_owned()].into_iter().chain(services).collect();
    assert_eq!(world.marked(), concerned);
    world.state.mark_all();
    let mut events = Vec::new();
    while let Some(target) = world.state.queue.next(world.now) {
        let decision = world.state.decide(&target, ts());
        events.extend(decision.events.into_iter().map(|event| (event.reason, event.note)));
        for write in decision.writes {
            let written = world.write(write);
            world.state.written(written, world.now);
        }
        world.state.queue.done(&target);
    }
    let [(Some(reason), Some(note))] = events.as_slice() else { panic!("{events:?}") };
    assert!(reason == "SplitBrain" && note.contains("on d1 and d2 at once"), "{note}");
    let all = || homes.values().flatten();
    assert!(
        all().all(|service| world.active(service) == "d1,d2" || world.active(service) == "d2,d1")
    );
    // And from then on nothing, however often they say it.
    for _ in 0..3 {
        world.now += at(30);
        both(&mut world);
        assert_eq!(world.marked(), Vec::<String>::new());
    }
    assert_eq!(told(&mut world), []);
    world.carries("d1", &["d1"], None);
    world.carries("d2", &["d2"], None);
    world.settle();
    assert!(homes["d1"].iter().all(|service| world.active(service) == "d1"));
    assert_eq!(told(&mut world), [], "nobody has taken anything over");
}

#[test]
fn between_two_reports_of_a_hand_over_nobody_is_said_to_be_without_a_director() {
    let (mut world, homes) = pair();
    world.carries("d2", &[], None);
    assert_eq!(world.marked(), ["DirectorGroup default"]);
    world.carries("d1", &["d1", "d2"], None);
    assert_eq!(told(&mut world).len(), 1);
    world.settle();
    // It stays with nobody.
    world.carries("d1", &["d1"], Some("no interface eth1"));
    world.now += at(6);
    let written = world.settle();
    assert!(written.contains(&"status default".to_owned()), "{written:?}");
    let service = homes["d2"].first().expect("one");
    let vs = world.state.snapshot().virtual_service(service).expect("the service");
    let available =
        vs.status.as_ref().and_then(|s| s.conditions.iter().find(|c| c.type_ == "Available"));
    let available = available.expect("the condition");
    assert_eq!(available.reason, "NoActiveDirector");
    assert!(available.message.contains("node d1: no interface eth1"), "{}", available.message);
}

#[test]
fn macs_and_strangers_concern_the_group() {
    let mut world = World::of(1);
    world.report("d1", json!({}));
    world.settle();
    world.report("d1", json!({"macs": ["02:00:00:00:00:01"]}));
    assert_eq!(world.settle(), ["status default"]);
    let strangers = json!([{"id": 7, "address": "192.0.2.77"}]);
    world.report("d1", json!({"macs": ["02:00:00:00:00:01"], "strangers": strangers}));
    assert_eq!(world.marked(), ["DirectorGroup default"]);
}

#[test]
fn a_mixed_tunnel_concerns_all_services_of_its_group() {
    let (mut world, _) = pair();
    let survives = |world: &World| {
        let key = Key::new("ns", "s0");
        let vs = world.state.snapshot().virtual_service(&key).expect("the service");
        let conditions = vs.status.iter().flat_map(|status| &status.conditions);
        let mut found = conditions.filter(|c| c.type_ == "SurvivesFailover");
        found.next().map(|c| c.reason.clone()).unwrap_or_default()
    };
    assert_eq!(survives(&world), "ConnectionsSynced");
    world.service("six", "2001:db8::6", json!({"forwarding": "TUN"}));
    world.server("r6", "six", "10.1.0.66");
    world.settle();
    assert_eq!(survives(&world), "MixedFamilies");
    world.server("r6", "six", "2001:db8::66");
    world.settle();
    assert_eq!(survives(&world), "ConnectionsSynced");
}
