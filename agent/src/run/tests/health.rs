//! Checks of real servers through the whole loop: what a death costs, and what outlives a restart.

use super::*;
use crate::health::{Checker, Known, Target, Verdict};
use crate::kernel::Requests;
use crate::owner::Owner;
use std::sync::Mutex;

/// What was told to check, and what is to be heard of it.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    told: BTreeMap<Owner, BTreeMap<Target, Known>>,
    turned: Vec<(Target, u64, Verdict)>,
}

impl Checker for Scripted {
    fn check(&mut self, owner: Owner, targets: BTreeMap<Target, Known>) {
        self.0.lock().unwrap().told.insert(owner, targets);
    }

    fn turned(&mut self) -> Vec<(Target, u64, Verdict)> {
        std::mem::take(&mut self.0.lock().unwrap().turned)
    }
}

impl Scripted {
    /// All that is asked of an address turns.
    fn turn(&self, address: &str, up: bool) {
        let mut script = self.0.lock().unwrap();
        let all = script.told.values().flatten();
        let mine = all.filter(|(it, _)| it.address.to_string() == address);
        let reason = "connection refused, 3 of 3".to_owned();
        let verdict = Verdict { up, reason, unfit: false };
        let turned = mine.map(|(it, known)| (it.clone(), known.serial, verdict.clone()));
        let turned: Vec<_> = turned.collect();
        script.turned.extend(turned);
    }

    fn told(&self) -> Vec<(String, Option<bool>)> {
        let script = self.0.lock().unwrap();
        let all = script.told.values().flatten();
        all.map(|(it, known)| (it.address.to_string(), known.verdict.as_ref().map(|it| it.up)))
            .collect()
    }
}

fn checked(version: u64) -> VirtualServiceSlice {
    let mut slice = web(version, 5);
    slice.spec.health_check = serde_json::from_str(r#"{"tcp": {}}"#).unwrap();
    slice
}

fn checking(dir: &TempDir, kernel: Fake) -> (Engine<Fake>, Scripted) {
    let mut engine = engine(kernel, dir);
    let checker = Scripted::default();
    engine.checking.set(Box::new(checker.clone()), dir.path().join("health.json"));
    engine.take(with_group(news(&[checked(1)]), group("d")));
    engine.step(T0);
    (engine, checker)
}

fn started_checking() -> (Engine<Fake>, Scripted, TempDir) {
    let dir = TempDir::new().unwrap();
    let (engine, checker) = checking(&dir, Fake::new(director()));
    (engine, checker, dir)
}

fn changes(requests: Requests) -> u64 {
    requests.ipvs
}

#[test]
fn nobody_waits_for_checks_and_one_death_is_one_change() {
    let (mut engine, checker, _dir) = started_checking();
    assert_eq!(weights(&engine), [5, 1]);
    assert_eq!(
        checker.told(),
        [("192.168.0.101".to_owned(), None), ("192.168.0.102".to_owned(), None)]
    );
    let before = changes(engine.kernel.requests());
    checker.turn("192.168.0.102", false);
    assert!(engine.checked());
    engine.step(T0);
    assert_eq!(weights(&engine), [5]);
    assert_eq!(changes(engine.kernel.requests()) - before, 1);
    let health = engine.status().health.unwrap();
    assert_eq!((health.checked, health.down_count), (2, 1));
    let down = &health.down[0];
    assert_eq!(
        (down.virtual_service.as_str(), down.real_server.as_str()),
        ("web", "rs-192.168.0.102")
    );
    assert_eq!(
        (down.ports.as_slice(), down.reason.as_str()),
        (&["TCP/80".to_owned()][..], "connection refused, 3 of 3")
    );
    checker.turn("192.168.0.102", true);
    assert!(engine.checked());
    engine.step(T0);
    assert_eq!(weights(&engine), [5, 1]);
    assert_eq!(changes(engine.kernel.requests()) - before, 2);
    assert_eq!(engine.status().health.unwrap().down, []);
}

#[test]
fn a_death_is_no_drift_and_no_other_service_is_looked_at() {
    let (mut engine, checker, _dir) = started_checking();
    checker.turn("192.168.0.102", false);
    engine.checked();
    engine.step(T0);
    engine.audit(Duration::from_secs(10));
    assert_eq!(weights(&engine), [5]);
    assert!(engine.status().drift.is_none());
    assert_eq!(reasons(&engine), [] as [String; 0]);
}

#[test]
fn a_restart_does_not_bring_a_dead_server_back() {
    let (mut engine, checker, dir) = started_checking();
    checker.turn("192.168.0.102", false);
    engine.checked();
    engine.step(T0);
    let kernel = std::mem::replace(&mut engine.kernel, Fake::new(director()));
    drop(engine);
    let (engine, checker) = checking(&dir, kernel);
    assert_eq!(weights(&engine), [5]);
    let known = checker.told();
    assert_eq!(known[1], ("192.168.0.102".to_owned(), Some(false)), "checks go on from there");
    assert_eq!(known[0].1, None);
}

#[test]
fn what_nobody_wants_checked_any_more_is_forgotten() {
    let (mut engine, checker, _dir) = started_checking();
    checker.turn("192.168.0.102", false);
    engine.checked();
    engine.step(T0);
    // Under way, while the check is taken away.
    checker.turn("192.168.0.102", false);
    engine.take(news(&[web(2, 5)]));
    engine.step(T0);
    assert_eq!(weights(&engine), [5, 1]);
    assert_eq!(checker.told(), []);
    assert!(engine.status().health.is_none());
    engine.take(news(&[checked(3)]));
    engine.step(T0);
    assert!(!engine.checked(), "it was found before it came again");
    engine.step(T0);
    assert_eq!(weights(&engine), [5, 1], "it begins anew");
}

#[test]
fn a_check_that_cannot_be_made_is_a_warning_that_names_the_field_and_takes_nothing_out() {
    let (mut engine, checker, _dir) = started_checking();
    let (target, known) = {
        let script = checker.0.lock().unwrap();
        let (target, known) = script.told.values().flatten().next().unwrap();
        (target.clone(), known.clone())
    };
    let reason = "healthCheck.http.bodyRegex: unclosed group".to_owned();
    let verdict = Verdict { up: true, reason, unfit: true };
    checker.0.lock().unwrap().turned.push((target, known.serial, verdict));
    assert!(engine.checked());
    engine.step(T0);
    assert_eq!(weights(&engine), [5, 1]);
    let warnings = engine.status().warnings;
    assert_eq!(warnings[0].reason, "InvalidHealthCheck");
    assert!(warnings[0].message.contains("http.bodyRegex"), "{}", warnings[0].message);
}

#[test]
fn an_edit_of_when_it_is_asked_forgets_nothing() {
    let (mut engine, checker, _dir) = started_checking();
    checker.turn("192.168.0.102", false);
    assert!(engine.checked());
    engine.step(T0);
    let before = weights(&engine);
    assert_eq!(before.len(), 1);
    for (version, check) in [
        (2, r#"{"tcp": {}, "fall": 7, "intervalMilliseconds": 1000}"#),
        // Whoever works goes on, although it has not passed since.
        (3, r#"{"tcp": {}, "initial": "Down"}"#),
    ] {
        let mut slice = web(version, 5);
        slice.spec.health_check = serde_json::from_str(check).unwrap();
        engine.take(news(&[slice]));
        engine.step(T0);
        assert_eq!(weights(&engine), before, "{check}");
    }
    // Another question is another matter.
    let mut slice = web(4, 5);
    slice.spec.health_check = serde_json::from_str(r#"{"icmp": {}, "initial": "Down"}"#).unwrap();
    engine.take(news(&[slice]));
    engine.step(T0);
    assert_eq!(weights(&engine), [0_u32; 0]);
}
