//! Why a virtual router is carried here, or no more: what a director can say of it.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

mod scene;

use lvs_vrrp::{Cause, Change, Event, Heard};
use scene::*;
use std::time::Duration;

fn change(scene: &Scene, id: u8) -> (Option<Change>, u64) {
    let report = scene.group.report().routers.get(&vrid(id)).unwrap();
    (report.change.clone(), report.changes)
}

fn heard(member: u8, priority: u8, ago: Duration) -> Heard {
    Heard { member: format!("node{member}"), priority, ago }
}

#[test]
fn who_takes_over_from_silence_says_whose_and_how_long_it_was() {
    let mut scene = Scene::new(config(), Vec::new());
    assert_eq!(change(&scene, 1), (None, 0));
    scene.wait(DOWN);
    let nobody = Change::TookOver { cause: Cause::Silence, from: None };
    assert_eq!(change(&scene, 1), (Some(nobody), 1));
    let mut scene = Scene::active();
    let before = change(&scene, 2);
    assert_eq!(before, (None, 0), "it was never carried here");
    // Since its last one 90 ms have passed; the rest of three intervals and the skew of priority 250 follow.
    scene.wait(s(1));
    let (Some(Change::TookOver { cause: Cause::Silence, from: Some(from) }), 1) = change(&scene, 2)
    else {
        panic!("{:?}", change(&scene, 2));
    };
    let skew = ms(90) * 6 / 256;
    assert_eq!(from, heard(3, 254, ms(270) + skew));
    // What was heard before this one carried it is no reason later.
    scene.now += s(100);
    scene.hear(1, 2, 1);
    scene.tell(Event::Tick);
    scene.wait(s(1));
    let (told, _) = change(&scene, 2);
    assert!(matches!(told, Some(Change::TookOver { from: None, .. })), "{told:?}");
}

#[test]
fn who_takes_over_from_one_that_gives_up_or_comes_later_says_so() {
    let mut scene = Scene::active();
    scene.hear(3, 2, 0);
    scene.wait(ms(50));
    let from = heard(3, 0, ms(90) * 6 / 256);
    let yielded = Change::TookOver { cause: Cause::Yielded, from: Some(from) };
    assert_eq!(change(&scene, 2), (Some(yielded), 1));
    let mut scene = Scene::new(config(), Vec::new());
    scene.hear_for(s(11), 3, 1, 250);
    let (told, _) = change(&scene, 1);
    let Some(Change::TookOver { cause: Cause::Preempted, from: Some(from) }) = told else {
        panic!("{told:?}");
    };
    assert_eq!((from.member.as_str(), from.priority), ("node3", 250));
}

#[test]
fn who_gives_up_says_to_whom_or_why() {
    let mut scene = Scene::active();
    scene.hear(1, 1, 255);
    let gave_up = Change::GaveUp { to: heard(1, 255, Duration::ZERO) };
    assert_eq!(change(&scene, 1), (Some(gave_up), 2));
    let mut scene = Scene::active();
    let mut down = config();
    down.routers.get_mut(&vrid(1)).expect("a router").down = Some("no cable".to_owned());
    scene.tell(Event::Configure(down));
    assert_eq!(change(&scene, 1), (Some(Change::Down("no cable".to_owned())), 2));
    let mut scene = Scene::active();
    scene.hear(3, 2, 254);
    let due = scene.group.deadline();
    scene.now = due + s(2);
    scene.tell(Event::Tick);
    assert_eq!(change(&scene, 1), (Some(Change::Stalled(s(2))), 2));
}

#[test]
fn who_stops_says_to_whom_it_has_handed_over() {
    let mut scene = Scene::active();
    scene.tell(Event::Stop);
    assert_eq!(change(&scene, 1), (Some(Change::Leaving), 2));
    scene.hear(3, 1, 250);
    scene.wait(ms(90));
    scene.hear(3, 1, 250);
    let to = Some(heard(3, 250, Duration::ZERO));
    assert_eq!(change(&scene, 1), (Some(Change::HandedOver { to }), 3));
    let mut scene = Scene::active();
    scene.tell(Event::Stop);
    scene.wait(ms(400));
    assert_eq!(change(&scene, 1), (Some(Change::HandedOver { to: None }), 3));
}
