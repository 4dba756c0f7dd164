//! One director that gives addresses to another, or gets them from it.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

mod scene;

use lvs_vrrp::{Event, State};
use scene::{DOWN, Scene, config, mac, ms, own, s, vip, vrid};
use std::net::IpAddr;

#[test]
fn a_stop_hands_over_before_it_lets_go() {
    let mut scene = Scene::active();
    scene.tell(Event::Stop);
    assert_eq!(scene.short(), ["send 1 0"]);
    scene.wait(ms(90));
    // It may have been lost.
    assert_eq!(scene.short().last().unwrap(), "send 1 0");
    scene.hear(3, 1, 250);
    // Of two heirs that were quick the other one gives up: what counts is one that says it twice.
    scene.hear(1, 1, 249);
    scene.hear(3, 1, 250);
    scene.wait(ms(60));
    assert!(scene.holds(1));
    scene.take();
    scene.hear(3, 1, 250);
    scene.wait(ms(50));
    assert_eq!(scene.short(), [""; 0]);
    // Half a millisecond more for each of the two.
    scene.wait(ms(1));
    assert_eq!(scene.short(), ["release 1 2", "send 1 1", "stopped"]);
}

#[test]
fn a_stop_lets_go_in_the_end_if_a_peer_lives_and_takes_nothing() {
    let mut scene = Scene::active();
    scene.tell(Event::Stop);
    scene.until(scene.now + ms(359));
    assert!(scene.holds(1));
    scene.wait(ms(1));
    assert_eq!(scene.short()[5..], ["release 1 2", "send 1 1", "stopped"]);
}

#[test]
fn a_better_one_is_given_way_to_at_once_and_a_worse_one_is_contradicted() {
    let mut scene = Scene::active();
    scene.hear(3, 1, 250);
    assert_eq!(scene.short(), ["send 1 254", "announce 1 2"]);
    // Of two with one priority the higher address wins.
    scene.hear(1, 1, 254);
    assert_eq!(scene.state(1), State::Active);
    scene.take();
    scene.hear(3, 1, 254);
    assert_eq!(scene.state(1), State::Backup);
    // Should the better one never have heard of us, it hears now that hosts may send here.
    assert_eq!(scene.short(), ["send 1 254"]);
    // Hosts have to hear of it first.
    scene.neighbor(1, mac(3));
    scene.wait(ms(50));
    assert_eq!(scene.short(), [""; 0]);
    scene.wait(ms(1));
    assert_eq!(scene.short(), ["release 1 2", "send 1 1"]);
}

#[test]
fn a_short_interval_makes_a_hand_over_short() {
    let mut quick = config();
    quick.interval = ms(30);
    let mut scene = Scene::active();
    scene.tell(Event::Configure(quick));
    scene.take();
    scene.hear(3, 1, 255);
    scene.wait(ms(30));
    assert!(scene.holds(1));
    scene.wait(ms(1));
    assert!(!scene.holds(1));
}

#[test]
fn who_is_told_to_stop_while_he_hands_over_stops_after_that() {
    let mut scene = Scene::active();
    scene.hear(3, 1, 255);
    scene.tell(Event::Stop);
    scene.wait(ms(50));
    assert!(scene.holds(1));
    scene.take();
    scene.wait(ms(1));
    assert_eq!(scene.short(), ["release 1 2", "send 1 1", "stopped"]);
    // An interface that goes down meanwhile keeps nobody.
    let mut scene = Scene::active();
    scene.hear(3, 1, 255);
    let mut down = config();
    down.routers.get_mut(&vrid(1)).unwrap().down = Some("eth0 is down".to_owned());
    scene.tell(Event::Configure(down));
    scene.wait(ms(51));
    assert!(!scene.holds(1));
    assert_eq!(scene.state(1), State::Initialize);
}

#[test]
fn many_addresses_take_the_next_one_longer() {
    for (count, time) in [(100, 100), (2000, 550)] {
        let mut many = config();
        let held = |number: u16| lvs_vrrp::Held {
            interface: "eth0".to_owned(),
            address: IpAddr::from([10, 1, (number >> 8) as u8, number as u8]).into(),
        };
        many.routers.get_mut(&vrid(1)).unwrap().addresses = (0..count).map(held).collect();
        let mut scene = Scene::new(many, Vec::new());
        scene.until(DOWN);
        scene.hear(3, 1, 255);
        let hold = |scene: &Scene| scene.group.held().len() >= usize::from(count);
        scene.hear_for(ms(time - 1), 3, 1, 255);
        assert!(hold(&scene));
        scene.hear_for(ms(1), 3, 1, 255);
        assert!(!hold(&scene), "{count}: {}", scene.group.held().len());
    }
}

/// Who has let go is not ill, and whoever he gave way to says himself how good he is.
#[test]
fn a_last_word_makes_nobody_preempt() {
    for preempt in [None, Some(s(15))] {
        let mut patient = config();
        patient.preempt = preempt;
        patient.ill_below = 126;
        let mut scene = Scene::new(patient, Vec::new());
        scene.hear_for(s(1), 3, 1, 250);
        scene.hear(1, 1, 1);
        scene.hear_for(s(5), 3, 1, 250);
        assert_eq!(scene.state(1), State::Backup, "{preempt:?}");
        assert_eq!(scene.group.report().routers[&vrid(1)].carrier, Some(own(3)));
    }
}

#[test]
fn what_goes_and_is_another_routers_now_that_is_ours_is_announced_again() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.until(s(5));
    scene.hear(3, 1, 255);
    assert_eq!((scene.state(1), scene.state(2)), (State::Backup, State::Active));
    scene.take();
    let mut changed = config();
    changed.routers.get_mut(&vrid(1)).unwrap().addresses = [vip(2)].into();
    changed.routers.get_mut(&vrid(2)).unwrap().addresses = [vip(1), vip(3)].into();
    scene.tell(Event::Configure(changed));
    assert!(scene.short().contains(&"announce 1".to_owned()));
    scene.hear_for(s(1), 3, 1, 255);
    assert!(scene.holds(1) && !scene.holds(2));
}

#[test]
fn what_goes_is_taken_back_from_a_better_one_that_goes() {
    let mut scene = Scene::active();
    scene.hear(3, 1, 255);
    scene.hear(3, 1, 0);
    scene.wait(ms(20));
    assert_eq!(scene.state(1), State::Active);
    scene.wait(ms(60));
    assert!(scene.holds(1) && scene.holds(2));
    assert!(!scene.short().iter().any(|done| done.starts_with("release")));
}

#[test]
fn hosts_are_told_again_when_a_predecessor_is_gone_for_sure() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.until(DOWN);
    scene.take();
    scene.wait(ms(20));
    // Announced 20 ms ago: enough for a contender.
    scene.hear(1, 1, 250);
    assert!(!scene.short().contains(&"announce 1 2".to_owned()));
    // But he held it until now, and may have answered for it.
    scene.hear(1, 1, 1);
    assert_eq!(scene.short(), ["send 1 254", "announce 1 2"]);
}
