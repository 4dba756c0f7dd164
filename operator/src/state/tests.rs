//! Which change marks what, and that what is so already is not written.

mod concern;
mod health;
mod takeover;

use super::*;
use crate::api::Write;
use jiff::Timestamp;
use lvs_crds::DirectorGroupSpec;
use serde_json::{Value, json};

fn ts() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A State and an API server that takes every write.
#[derive(Default)]
struct World {
    state: State,
    version: u64,
    now: Duration,
    /// By how much the nodes' clocks are ahead.
    clock: Duration,
    log: Vec<String>,
}

impl World {
    /// A director d1 in group `default`; VirtualServices s0, s1, .. of namespace `ns`, each at an address of its own
    /// with a real server of its own.
    fn of(services: usize) -> Self {
        let mut world = Self::default();
        world.node("d1", "10.0.0.1");
        world.group("default");
        for number in 0..services {
            world.service(&format!("s{number}"), &format!("192.0.2.{number}"), json!({}));
            world.server(&format!("r{number}"), &format!("s{number}"), &format!("10.1.0.{number}"));
        }
        world.settle();
        world
    }

    fn meta(&mut self, name: &str, namespaced: bool) -> Value {
        self.version += 1;
        let mut meta = json!({"name": name, "uid": name, "resourceVersion": self.version.to_string(),
            "generation": 1});
        if namespaced {
            meta["namespace"] = json!("ns");
        }
        meta
    }

    fn seen<K: serde::de::DeserializeOwned>(
        &mut self,
        object: Value,
        change: fn(Delta<K>) -> Change,
    ) {
        let object = serde_json::from_value(object).expect("an object");
        let delta = Delta::Seen { object: Box::new(object), listed: false };
        self.state.change(change(delta), self.now);
    }

    fn node(&mut self, name: &str, address: &str) {
        let node = json!({"metadata": {"name": name, "labels": {"director": "yes"}},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]}});
        self.seen::<Node>(node, Change::Node);
    }

    fn group(&mut self, name: &str) {
        let meta = self.meta(name, false);
        let spec = DirectorGroupSpec::default();
        let group = json!({"apiVersion": "kube-lvs.io/v1alpha1", "kind": "DirectorGroup", "metadata": meta, "spec": spec});
        self.seen::<DirectorGroup>(group, Change::DirectorGroup);
    }

    fn service(&mut self, name: &str, address: &str, extra: Value) {
        let meta = self.meta(name, true);
        let mut spec = json!({"addresses": [address], "ports": [{"port": 80}],
            "realServers": {"selector": {"matchLabels": {"app": name}}}});
        for (key, value) in extra.as_object().expect("a map") {
            spec[key] = value.clone();
        }
        let service = json!({"apiVersion": "kube-lvs.io/v1alpha1", "kind": "VirtualService", "metadata": meta, "spec": spec});
        self.seen::<VirtualService>(service, Change::VirtualService);
    }

    fn server(&mut self, name: &str, app: &str, address: &str) {
        let mut meta = self.meta(name, true);
        meta["labels"] = json!({"app": app});
        let server = json!({"apiVersion": "kube-lvs.io/v1alpha1", "kind": "RealServer", "metadata": meta,
            "spec": {"address": address}});
        self.seen::<RealServer>(server, Change::RealServer);
    }

    fn report(&mut self, node: &str, extra: Value) {
        let meta = self.meta(node, false);
        let mut status = json!({"directorOf": [{"group": "default", "role": "Active"}]});
        for (key, value) in extra.as_object().expect("a map") {
            status[key] = value.clone();
        }
        let report = json!({"apiVersion": "kube-lvs.io/v1alpha1", "kind": "LVSNode", "metadata": meta,
            "spec": {}, "status": status});
        self.seen::<LVSNode>(report, Change::LvsNode);
    }

    fn read_back(&mut self) {
        let version = self.version.to_string();
        self.report("d1", json!({"programmed": {"resourceVersion": version}}));
    }

    fn gone(&mut self, change: fn(Delta<VirtualService>) -> Change, name: &str) {
        let delta = Delta::Gone { key: Key::new("ns", name), uid: None };
        self.state.change(change(delta), self.now);
    }

    /// What is marked now.
    fn marked(&mut self) -> Vec<String> {
        let mut marked = Vec::new();
        while let Some(target) = self.state.queue.next(self.now) {
            marked.push(format!("{} {target}", target.kind()));
            self.state.queue.done(&target);
        }
        marked
    }

    /// Works everything off, and returns what was written.
    fn settle(&mut self) -> Vec<String> {
        for _ in 0..2_000 {
            let Some(target) = self.state.queue.next(self.now) else {
                return std::mem::take(&mut self.log);
            };
            let decision = self.state.decide(&target, ts());
            let wrote = !decision.writes.is_empty();
            for write in decision.writes {
                let written = self.write(write);
                self.state.written(written, self.now);
            }
            self.state.queue.done(&target);
            if wrote && matches!(target, Target::VirtualService(_)) {
                self.state.queue.mark(target);
            }
        }
        panic!("it does not settle: {:?}", self.log.last());
    }

    fn write(&mut self, write: Write) -> Written {
        self.version += 1;
        let version = Some(self.version.to_string());
        let mut log = |what: &str, name: String| self.log.push(format!("{what} {name}"));
        match write {
            Write::CreateSlice(mut slice) => {
                log("create", slice.name_any());
                slice.metadata.uid = Some(format!("uid{}", self.version));
                slice.metadata.resource_version = version;
                Written::Slice(slice)
            }
            Write::ApplySlice(mut slice) => {
                log("apply", slice.name_any());
                assert!(
                    slice.metadata.resource_version.is_some(),
                    "an apply without a resourceVersion"
                );
                slice.metadata.resource_version = version;
                Written::Slice(slice)
            }
            Write::DeleteSlice(doomed) => {
                log("delete", doomed.key.name.clone());
                assert!(doomed.version.is_some() && doomed.uid.is_some());
                Written::SliceGone(doomed)
            }
            Write::VirtualServiceStatus(mut object) => {
                log("status", object.name_any());
                object.metadata.resource_version = version;
                Written::VirtualService(object)
            }
            Write::RealServerStatus(mut object) => {
                log("status", object.name_any());
                object.metadata.resource_version = version;
                Written::RealServer(object)
            }
            Write::DirectorGroupStatus(mut object) => {
                log("status", object.name_any());
                object.metadata.resource_version = version;
                Written::DirectorGroup(object)
            }
            Write::DeleteLvsNode(doomed) => {
                log("delete", doomed.key.name);
                Written::Other
            }
            Write::DefaultGroup(_) | Write::Event(_) => Written::Other,
        }
    }
}

#[test]
fn what_is_so_already_is_not_written() {
    let mut world = World::of(3);
    world.read_back();
    world.settle();
    world.state.mark_all();
    assert_eq!(world.settle(), Vec::<String>::new());
    // A heartbeat is no news to anybody.
    let version = world.version.to_string();
    world.report(
        "d1",
        json!({"programmed": {"resourceVersion": version}, "reportTime": "2026-01-01T00:01:00Z"}),
    );
    // The version that it names is newer than any slice: nobody waits for it.
    assert_eq!(world.marked(), Vec::<String>::new());
}

#[test]
fn one_real_servers_change_writes_one_slice_and_the_statuses_around_it() {
    let mut world = World::of(50);
    world.read_back();
    world.settle();
    world.server("r7", "s7", "10.1.9.9");
    assert_eq!(world.marked(), ["VirtualService ns/s7", "RealServer ns/r7"]);
    world.server("r7", "s7", "10.1.9.8");
    assert_eq!(world.settle(), ["apply s7-0", "status s7", "status r7"]);
    world.read_back();
    assert_eq!(world.marked(), ["VirtualService ns/s7"], "only it waits for the report");
}

#[test]
fn a_report_concerns_those_that_wait_for_it_and_those_that_it_names() {
    let mut world = World::of(20);
    assert_eq!(world.marked(), Vec::<String>::new());
    world.read_back();
    assert_eq!(
        world.marked().len(),
        22,
        "all wait for the first report, and the group counts them"
    );
    world.state.mark_all();
    world.settle();
    let failing = |name: &str| json!({"namespace": "ns", "virtualService": name, "role": "Director", "reason": "Busy", "message": "m"});
    let programmed = json!({"resourceVersion": world.version.to_string()});
    world.report(
        "d1",
        json!({"programmed": programmed, "failures": [failing("s3")], "failureCount": 1}),
    );
    assert_eq!(world.marked(), ["VirtualService ns/s3"]);
    world.state.mark_all();
    world.settle();
    world.report(
        "d1",
        json!({"programmed": programmed, "failures": [failing("s4")], "failureCount": 1}),
    );
    assert_eq!(world.marked(), ["VirtualService ns/s3", "VirtualService ns/s4"]);
    // What holds for the whole node concerns all of its services.
    world.report("d1", json!({"programmed": programmed, "failureCount": 101}));
    assert_eq!(world.marked().len(), 21);
    world.report("d1", json!({"programmed": {"resourceVersion": "1"}, "failureCount": 101}));
    assert_eq!(world.marked().len(), 20, "a kernel that was not read back as far as before");
    world.report("d2", json!({"programmed": programmed, "directorOf": []}));
    // A new one is no director of anything, and may be asked to ask.
    assert_eq!(world.marked(), ["DirectorGroup default", "LVSNode d2"]);
    world.settle();
    world.report("d2", json!({"programmed": {"resourceVersion": "1"}, "directorOf": []}));
    assert_eq!(world.marked(), Vec::<String>::new());
}

#[test]
fn an_older_state_does_not_undo_our_own_write() {
    let mut world = World::of(1);
    let key = Key::new("ns", "s0-0");
    let slice = (**world.state.snapshot().slice(&key).expect("a slice")).clone();
    let version = |world: &World| {
        world.state.snapshot().slice(&key).and_then(|s| s.metadata.resource_version.clone())
    };
    let current = version(&world);
    let seen = |world: &mut World, version: &str, listed: bool| {
        let mut slice = slice.clone();
        slice.metadata.resource_version = Some(version.to_owned());
        let delta = Delta::Seen { object: Box::new(slice), listed };
        world.state.change(Change::Slice(delta), at(0));
    };
    seen(&mut world, "1", false);
    assert_eq!(version(&world), current, "an event that was under way");
    // As a number it is newer, as a text it is not.
    seen(&mut world, "1000", false);
    seen(&mut world, "999", false);
    assert_eq!(version(&world).as_deref(), Some("1000"));
    seen(&mut world, "2", true);
    assert_eq!(version(&world).as_deref(), Some("2"), "a list has the last word");
}

#[test]
fn a_slice_that_we_deleted_does_not_come_back_by_an_event_that_was_under_way() {
    let mut world = World::of(1);
    let key = Key::new("ns", "s0-0");
    let slice = (**world.state.snapshot().slice(&key).expect("a slice")).clone();
    world.gone(Change::VirtualService, "s0");
    assert_eq!(world.settle(), ["delete s0-0", "status r0"]);
    let mut late = slice.clone();
    late.metadata.resource_version = Some("999".to_owned());
    let delta = Delta::Seen { object: Box::new(late), listed: false };
    world.state.change(Change::Slice(delta), at(0));
    assert!(world.state.snapshot().slice(&key).is_none());
    // Made anew, it has another uid, and the end of the old one is not its end.
    world.service("s0", "192.0.2.0", json!({}));
    assert!(world.settle().contains(&"create s0-0".to_owned()));
    let delta = Delta::Gone { key: key.clone(), uid: slice.metadata.uid };
    world.state.change(Change::Slice(delta), at(0));
    assert!(world.state.snapshot().slice(&key).is_some());
}

#[test]
fn slices_whose_service_vanished_unseen_are_deleted() {
    let mut world = World::of(2);
    let slices: Vec<_> = world.state.snapshot().slices().map(|(_, s)| (**s).clone()).collect();
    // Another replica, which never saw s1.
    let mut other = World { version: world.version, ..World::default() };
    other.node("d1", "10.0.0.1");
    other.group("default");
    for slice in slices {
        let delta = Delta::Seen { object: Box::new(slice), listed: true };
        other.state.change(Change::Slice(delta), at(0));
    }
    other.service("s0", "192.0.2.0", json!({}));
    let written = other.settle();
    assert!(written.contains(&"delete s1-0".to_owned()), "{written:?}");
    assert!(other.state.snapshot().slice(&Key::new("ns", "s0-0")).is_some());
    world.settle();
}

#[test]
fn an_address_that_is_given_up_goes_to_who_waits_for_it_in_one_settling() {
    let mut world = World::of(1);
    world.service("late", "192.0.2.0", json!({}));
    assert_eq!(world.settle(), ["status late"]);
    world.service("s0", "192.0.2.99", json!({}));
    let written = world.settle();
    assert!(written.contains(&"create late-0".to_owned()), "{written:?}");
    world.service("third", "192.0.2.0", json!({}));
    world.settle();
    world.gone(Change::VirtualService, "late");
    let written = world.settle();
    let deleted = written.iter().position(|w| w == "delete late-0");
    assert!(deleted < written.iter().position(|w| w == "create third-0"), "{written:?}");
}

#[test]
fn a_node_address_that_comes_and_goes_is_noticed() {
    let mut world = World::of(2);
    world.report("n9", json!({}));
    world.settle();
    world.node("n9", "192.0.2.1");
    assert!(world.marked().contains(&"VirtualService ns/s1".to_owned()));
    world.report("n9", json!({"addresses": ["192.0.2.0"]}));
    assert!(world.marked().contains(&"VirtualService ns/s0".to_owned()));
}

#[test]
fn an_agent_that_does_not_report_is_silent_and_comes_back() {
    let mut world = World::of(1);
    world.read_back();
    world.settle();
    world.state.look_at_clock(at(90));
    assert_eq!(world.marked(), Vec::<String>::new());
    world.state.look_at_clock(at(91));
    assert_eq!(world.marked(), ["DirectorGroup default", "VirtualService ns/s0", "LVSNode d1"]);
    world.now = at(92);
    world.read_back();
    world.marked();
    world.state.look_at_clock(at(92));
    assert_eq!(world.marked(), ["DirectorGroup default", "VirtualService ns/s0", "LVSNode d1"]);
}

#[test]
fn the_report_of_a_node_that_is_gone_goes_when_its_agent_is_silent() {
    let mut world = World::of(1);
    world.report("d1", json!({}));
    world.report("gone", json!({}));
    assert!(!world.settle().contains(&"delete gone".to_owned()), "its agent lives");
    world.state.look_at_clock(at(100));
    let written = world.settle();
    assert!(written.contains(&"delete gone".to_owned()), "{written:?}");
    assert!(!written.contains(&"delete d1".to_owned()), "its node is there");
}

#[test]
fn repairs_are_told_once() {
    let mut world = World::of(1);
    let mut told = |repairs: i64| {
        world.report("d1", json!({"drift": {"repairs": repairs, "last": "the VIP"}}));
        let events = world.state.take_events();
        events.into_iter().filter_map(|e| e.reason.zip(e.note)).collect::<Vec<_>>()
    };
    assert_eq!(told(2), [], "from before we came");
    assert_eq!(told(2), []);
    let events = told(5);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].0, "DriftRepaired");
    assert!(events[0].1.contains("of 3") && events[0].1.contains("the VIP"), "{events:?}");
    assert_eq!(told(1).len(), 1, "the agent has started anew and repaired again");
}

#[test]
fn transitions_are_told_and_standstill_is_not() {
    let mut world = World::of(1);
    let target = Target::VirtualService(Key::new("ns", "s0"));
    let told = |world: &mut World| {
        let mut told = Vec::new();
        loop {
            let decision = world.state.decide(&target, ts());
            told.extend(decision.events.iter().map(|e| {
                format!(
                    "{} {}",
                    e.action.clone().unwrap_or_default(),
                    e.reason.clone().unwrap_or_default()
                )
            }));
            if decision.writes.is_empty() {
                return told;
            }
            for write in decision.writes {
                let written = world.write(write);
                world.state.written(written, at(0));
            }
        }
    };
    assert_eq!(told(&mut world), Vec::<String>::new());
    world.read_back();
    assert_eq!(told(&mut world), ["Programmed Programmed", "Available Available"]);
    world.read_back();
    assert_eq!(told(&mut world), Vec::<String>::new());
}

#[test]
fn a_failed_target_waits_longer_each_time_and_a_mark_ends_the_wait() {
    let mut queue = Queue::default();
    let target = Target::Group("g".to_owned());
    let ms = Duration::from_millis;
    queue.mark(target.clone());
    assert_eq!(queue.next(ms(0)), Some(target.clone()));
    queue.mark(target.clone());
    assert_eq!(queue.next(ms(0)), None, "it is being worked on");
    queue.failed(&target, ms(0));
    assert_eq!(queue.next(ms(99)), None);
    assert_eq!(queue.next(ms(100)), Some(target.clone()));
    queue.failed(&target, ms(100));
    assert_eq!(queue.next(ms(299)), None);
    queue.mark(target.clone());
    assert_eq!(queue.next(ms(299)), Some(target.clone()));
    queue.done(&target);
    assert!(queue.is_empty());
    queue.mark(target.clone());
    queue.next(ms(300));
    queue.failed(&target, ms(300));
    assert_eq!(queue.due(), Some(ms(400)), "after a success it counts from the start");
}

#[test]
fn an_answer_that_comes_after_the_end_of_its_object_does_not_bring_it_back() {
    let mut world = World::of(1);
    let key = Key::new("ns", "s0");
    let object = world.state.snapshot().virtual_service(&key).cloned().unwrap();
    let (slice_key, slice) =
        world.state.snapshot().slices().next().map(|(k, s)| (k.clone(), s.clone())).unwrap();
    let gone = Delta::Gone { key: key.clone(), uid: object.metadata.uid.clone() };
    world.state.change(Change::VirtualService(gone), at(0));
    let gone = Delta::Gone { key: slice_key.clone(), uid: slice.metadata.uid.clone() };
    world.state.change(Change::Slice(gone), at(0));

    let mut late = VirtualService::clone(&object);
    late.metadata.resource_version = Some("999998".to_owned());
    world.state.written(Written::VirtualService(Box::new(late)), at(0));
    assert!(world.state.snapshot().virtual_service(&key).is_none());
    let mut late = VirtualServiceSlice::clone(&slice);
    late.metadata.resource_version = Some("999999".to_owned());
    world.state.written(Written::Slice(Box::new(late)), at(0));
    assert!(world.state.snapshot().slice(&slice_key).is_none());
}
