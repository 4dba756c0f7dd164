//! A director whose link has just come up: a switch may let nothing pass yet, so it knows nothing of the others.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

mod scene;

use lvs_vrrp::{Change, Config, Event, State};
use scene::{DOWN, PRESENCE, Scene, config, ms, s, vrid};
use std::time::Duration;

/// Carried virtual router 1 until its cable was pulled, and has it back after 10 s.
fn back(preempt: Option<Duration>) -> Scene {
    let mut scene = Scene::new(Config { preempt, ..config() }, Vec::new());
    scene.hear_for(s(5), 3, 2, 254);
    let mut down = Config { preempt, ..config() };
    for router in down.routers.values_mut() {
        router.down = Some("interface eth0 is down".to_owned());
    }
    scene.tell(Event::Configure(down));
    scene.wait(s(10));
    scene.tell(Event::Configure(Config { preempt, ..config() }));
    scene.tell(Event::LinkUp);
    scene.take();
    scene
}

fn asked(scene: &mut Scene) -> usize {
    scene.short().iter().filter(|done| *done == "ask").count()
}

#[test]
fn the_delay_of_preemption_counts_from_when_the_others_are_heard() {
    let mut scene = back(Some(s(10)));
    scene.wait(s(4));
    assert!(!scene.holds(1) && scene.state(1) == State::Backup, "the switch lets nothing pass");
    assert_eq!(asked(&mut scene), 4);
    scene.hear_for(ms(9990), 3, 1, 250);
    assert!(!scene.holds(1));
    scene.hear_for(ms(200), 3, 1, 250);
    assert!(scene.holds(1));
}

#[test]
fn who_shall_not_preempt_takes_nothing_that_somebody_has() {
    let mut scene = back(None);
    scene.wait(s(30));
    scene.hear_for(s(60), 3, 1, 250);
    assert!(!scene.holds(1));
    // Heard before they fell silent, the others are dead.
    scene.wait(DOWN);
    assert!(scene.holds(1));
}

#[test]
fn with_somebody_on_the_link_and_no_peer_it_takes_what_nobody_has() {
    let mut scene = back(Some(s(10)));
    scene.wait(s(4));
    scene.tell(Event::Frame);
    for _ in 0..5 {
        scene.wait(ms(290));
        scene.tell(Event::Frame);
    }
    assert!(!scene.holds(1), "a peer may need a second to be heard");
    scene.wait(ms(50) + DOWN);
    assert!(scene.holds(1) && scene.holds(3) || scene.state(2) == State::Backup);
    scene.wait(ms(100));
    assert!(scene.holds(1) && scene.holds(3));
}

#[test]
fn with_nobody_on_the_link_it_waits_as_long_as_a_switch_may_take() {
    let mut scene = back(Some(s(10)));
    scene.wait(ms(34_900));
    assert!(!scene.holds(1));
    assert!(scene.group.is_deaf());
    scene.wait(ms(100) + DOWN);
    assert!(scene.holds(1) && !scene.group.is_deaf());
    assert_eq!(asked(&mut scene), 34);
}

#[test]
fn a_peer_that_is_heard_and_carries_nothing_makes_silence_count() {
    let mut scene = back(Some(s(10)));
    scene.wait(s(4));
    scene.hear(3, PRESENCE, 255);
    scene.wait(DOWN - ms(1));
    assert!(!scene.holds(1));
    scene.wait(ms(1));
    assert!(scene.holds(1));
}

#[test]
fn a_link_that_was_down_unnoticed_takes_from_us_what_we_carried() {
    let mut scene = Scene::active();
    scene.tell(Event::LinkUp);
    let done: Vec<_> = scene.short().into_iter().filter(|it| !it.starts_with("hold")).collect();
    assert_eq!(done, ["release 1 2", "send 1 1", "ask"]);
    let told = scene.group.report().routers[&vrid(1)].change.clone();
    assert_eq!(told, Some(Change::Down("its link was down for a moment".to_owned())));
    scene.hear_for(s(9), 3, 1, 250);
    assert!(!scene.holds(1));
}

#[test]
fn one_without_others_need_not_wait_for_them() {
    let mut alone = config();
    alone.peers.clear();
    let mut scene = Scene::new(alone, Vec::new());
    scene.tell(Event::LinkUp);
    scene.wait(DOWN);
    assert!(scene.holds(1));
}
