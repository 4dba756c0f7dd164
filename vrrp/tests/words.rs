//! What a director says when addresses go, so that whoever carries them announces them again: it may have been out of reach
//! until a moment ago, and hosts have not heard of it. Each of these was a history in which a client sent to the wrong one.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

mod scene;

use lvs_vrrp::{Advertisement, Event, Found, Group};
use scene::{DOWN, PRESENCE, Scene, config, mac, ms, own, s, vip, vrid};

fn said(scene: &mut Scene) -> Vec<String> {
    let keeps = |it: &String| !it.starts_with("hold");
    scene.short().into_iter().filter(keeps).collect()
}

#[test]
fn who_gives_up_says_at_once_that_it_had_them_for_it_may_be_cut_off_before_they_are_gone() {
    let mut scene = Scene::active();
    scene.hear(3, 1, 255);
    assert_eq!(said(&mut scene), ["send 1 254"]);
    // Which makes the other one announce again.
    let mut scene = Scene::active();
    scene.hear(3, 1, 250);
    assert_eq!(said(&mut scene), ["send 1 254", "announce 1 2"]);
}

#[test]
fn who_stops_and_has_heard_of_a_successor_once_says_that_they_are_gone() {
    let mut scene = Scene::active();
    scene.tell(Event::Stop);
    scene.wait(ms(300));
    scene.hear(1, 1, 250);
    scene.take();
    scene.wait(ms(60));
    assert_eq!(said(&mut scene), ["release 1 2", "send 1 1", "stopped"]);
}

#[test]
fn what_lingered_is_gone_in_words() {
    let mut scene = Scene::active();
    let mut changed = config();
    changed.routers.get_mut(&vrid(1)).unwrap().addresses = [vip(1)].into();
    changed.routers.get_mut(&vrid(2)).unwrap().addresses = [vip(2), vip(3)].into();
    scene.tell(Event::Configure(changed));
    scene.take();
    scene.hear_for(s(3) + ms(1), 3, 2, 254);
    let said = said(&mut scene).join(", ");
    assert!(said.contains("release 2, send 2 1"), "{said}");
}

#[test]
fn who_begins_says_what_it_has_just_taken_away() {
    let mut scene = Scene::new(config(), vec![(vip(2), true), (vip(9), true)]);
    assert_eq!(said(&mut scene)[..3], ["release 2 9", "probe 1 2", "probe 3"]);
    let mut actions = Vec::new();
    let found = vec![(vip(3), Found::Ended)];
    Group::new(config(), found, s(0), &mut actions);
    let mut scene = Scene::active();
    scene.done = actions.into_iter().map(|action| (s(0), action)).collect();
    // The driver has done it before.
    assert_eq!(said(&mut scene), ["probe 1 2", "probe 3", "send 2 1"]);
}

#[test]
fn who_stops_lets_go_in_words_of_what_it_found() {
    let mut scene = Scene::new(config(), vec![(vip(1), false)]);
    scene.hear(3, PRESENCE, 255);
    scene.take();
    scene.tell(Event::Stop);
    assert_eq!(said(&mut scene), ["release 1", "send 1 1", "stopped"]);
}

/// Its configuration is another: an address that it had is in another router of ours than of its own.
#[test]
fn what_somebody_lets_go_of_is_announced_by_whoever_carries_it_in_whichever_router() {
    for priority in [0, 1] {
        for id in [2, 77] {
            let mut scene = Scene::active();
            let addresses = vec![vip(1).address.addr()];
            let heard = Advertisement { vrid: vrid(id), priority, interval: 9, addresses };
            let bytes = heard.encode(own(3), own(2));
            scene.tell(Event::Packet { from: own(3), to: own(2), ttl: 255, bytes: &bytes });
            assert_eq!(said(&mut scene), ["announce 1 2"], "priority {priority} of {id}");
        }
    }
    // What is carried here by nobody's words but ours stays as it is.
    let mut scene = Scene::active();
    scene.hear(3, 2, 1);
    assert_eq!(said(&mut scene), [""; 0]);
}

/// We were told of its going before it was itself.
#[test]
fn the_last_words_of_one_that_is_no_member_any_more_count() {
    let mut without = config();
    without.peers.remove("node3");
    let last_word = |scene: &mut Scene, priority| {
        let addresses = vec![vip(1).address.addr()];
        let heard = Advertisement { vrid: vrid(77), priority, interval: 9, addresses };
        let bytes = heard.encode(own(3), own(2));
        scene.tell(Event::Packet { from: own(3), to: own(2), ttl: 255, bytes: &bytes });
    };
    for priority in [0, 1] {
        let mut scene = Scene::active();
        scene.tell(Event::Configure(without.clone()));
        scene.take();
        last_word(&mut scene, priority);
        assert_eq!(said(&mut scene), ["announce 1 2"]);
        assert!(scene.group.report().strangers.is_empty(), "it is none");
        last_word(&mut scene, 254);
        assert_eq!(said(&mut scene), [""; 0], "nothing else of it counts");
    }
    let mut scene = Scene::active();
    scene.tell(Event::Configure(without));
    scene.wait(s(60));
    scene.take();
    last_word(&mut scene, 1);
    assert_eq!(said(&mut scene), [""; 0]);
    assert!(!scene.group.report().strangers.is_empty());
}

/// Until one of two that kept what they had has listened for long enough; with 30 ms the bound of the rules is the same.
#[test]
fn two_that_start_with_all_they_had_for_ever_keep_it_until_one_is_active() {
    let mut scene = Scene::new(config(), vec![(vip(1), false), (vip(3), false)]);
    scene.hear(3, PRESENCE, 255);
    scene.wait(DOWN);
    assert!(scene.holds(1) && scene.holds(3));
    scene.hear(3, 2, 254);
    assert!(scene.holds(1) && !scene.holds(3));
    scene.neighbor(1, mac(3));
    assert!(scene.holds(1));
}
