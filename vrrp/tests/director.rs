//! One director by scripts: what happens, and what it does then.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

mod scene;

use lvs_vrrp::{Action, Event, State};
use scene::{DOWN, Scene, config, mac, ms, own, s, vip, vrid};
use std::time::Duration;

/// Carries virtual router 1, took it over from node1, which is gone; node3 lives and carries 2.
fn active() -> Scene {
    let mut scene = Scene::new(config(), Vec::new());
    scene.hear(1, 1, 250);
    scene.hear_for(s(5), 3, 2, 254);
    assert_eq!(scene.state(1), State::Active);
    assert_eq!(scene.state(2), State::Backup);
    scene.take();
    scene
}

#[test]
fn silence_leads_to_a_take_over_by_the_active_down_interval() {
    let mut scene = Scene::new(config(), Vec::new());
    assert_eq!(scene.short(), ["probe 1 2", "probe 3"]);
    scene.until(DOWN - Duration::from_nanos(1));
    assert_eq!(scene.short(), [""; 0]);
    scene.until(DOWN);
    assert_eq!(scene.short(), ["send 1 254", "hold 1 2", "announce 1 2"]);
    assert_eq!(scene.group.report().routers[&vrid(1)].transitions, 2);
}

#[test]
fn a_peer_that_falls_silent_is_taken_over_from_without_a_probe() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.hear(1, 2, 254);
    scene.take();
    scene.hear_for(s(1), 1, 1, 255);
    scene.take();
    scene.wait(DOWN);
    let done = scene.short();
    let wanted = ["send 1 254", "hold 3s 1 2", "announce 1 2"];
    assert!(done.windows(3).any(|window| window == wanted), "{done:?}");
}

#[test]
fn announcements_go_on_beyond_a_predecessors_lifetime() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.until(s(12));
    let told = scene
        .done
        .iter()
        .filter(|(_, action)| matches!(action, Action::Announce(list) if list.contains(&vip(1))));
    let told: Vec<_> = told.map(|(at, _)| *at - DOWN).collect();
    assert_eq!(told, [ms(0), ms(100), ms(500), s(1), s(2), s(3), s(4), s(5)]);
}

#[test]
fn lifetimes_are_for_ever_only_with_nobody_else_there() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.until(s(7));
    scene.take();
    scene.hear(3, scene::PRESENCE, 255);
    assert_eq!(scene.short(), ["hold 3s 1 2 3"]);
    scene.wait(s(3));
    let held: Vec<_> = scene.short().into_iter().filter(|done| done.starts_with("hold")).collect();
    assert_eq!(held, ["hold 3s 1 2 3", "hold 3s 1 2 3", "hold 1 2 3"]);
    // The last word of one that stops.
    scene.hear(3, scene::PRESENCE, 255);
    scene.take();
    scene.hear(3, scene::PRESENCE, 0);
    assert_eq!(scene.short(), ["hold 1 2 3"]);
}

#[test]
fn a_stalled_director_lets_everything_go_and_says_so() {
    let mut scene = active();
    scene.now = scene.group.deadline() + ms(271);
    scene.tell(Event::Tick);
    let done = scene.short();
    assert_eq!(done.first().map(String::as_str), Some("release 1 2"), "{done:?}");
    assert!(done.contains(&"send 1 0".to_owned()), "{done:?}");
    assert_eq!(scene.state(1), State::Backup);
    assert_eq!(scene.group.report().stalls, 1);
    // A little less is no stall.
    let mut scene = active();
    scene.now = scene.group.deadline() + ms(269);
    scene.tell(Event::Tick);
    assert_eq!(scene.state(1), State::Active);
}

#[test]
fn a_stall_takes_nothing_away_from_the_last_one() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.until(s(5));
    scene.now += s(60);
    scene.tell(Event::Tick);
    assert!(scene.holds(1) && scene.holds(3));
    assert_eq!(scene.group.report().stalls, 0);
}

#[test]
fn what_is_found_with_a_lifetime_goes_first_and_the_rest_when_a_peer_is_heard() {
    let found = vec![(vip(1), true), (vip(2), false), (vip(3), false), (vip(9), false)];
    let mut scene = Scene::new(config(), found);
    let done = scene.short();
    assert_eq!(done[..2], ["release 1", "release 9"]);
    assert!(scene.holds(2) && scene.holds(3));
    scene.hear(3, 2, 254);
    assert_eq!(scene.short(), ["hold 3s 2 3", "release 3", "send 2 1"]);
    scene.wait(DOWN);
    assert!(scene.holds(1) && scene.holds(2));
}

#[test]
fn the_last_one_that_stops_leaves_everything_but_one_that_leaves_takes_it_along() {
    for (event, stays) in [(Event::Stop, true), (Event::Leave, false)] {
        let mut scene = Scene::new(config(), Vec::new());
        scene.until(s(5));
        scene.take();
        scene.tell(event);
        scene.wait(s(1));
        let done = scene.short();
        assert_eq!(done.last().unwrap(), "stopped");
        assert_eq!(!done.iter().any(|done| done.starts_with("release")), stays, "{done:?}");
    }
}

#[test]
fn whoever_gives_up_is_followed_at_once_and_hears_of_it_again_when_the_addresses_are_there() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.hear_for(s(1), 1, 1, 255);
    scene.take();
    scene.hear(1, 1, 0);
    scene.wait(ms(1));
    let done: Vec<_> = scene.short().into_iter().filter(|done| done != "hold 3s 3").collect();
    assert_eq!(done, ["send 1 254", "hold 3s 1 2", "announce 1 2", "send 1 254"]);
}

#[test]
fn preemption_waits_and_then_holds_before_it_says_so() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.hear_for(s(9), 1, 1, 250);
    assert_eq!(scene.state(1), State::Backup);
    scene.take();
    scene.hear_for(ms(1080), 1, 1, 250);
    let done: Vec<_> = scene
        .short()
        .into_iter()
        .filter(|done| done.ends_with("1 2") || done.starts_with("send 1"))
        .collect();
    assert_eq!(done[..3], ["hold 3s 1 2", "announce 1 2", "send 1 254"]);
    let mut never = config();
    never.preempt = None;
    let mut scene = Scene::new(never, Vec::new());
    scene.hear_for(s(30), 1, 1, 250);
    assert_eq!(scene.state(1), State::Backup);
    // An ill one is relieved all the same.
    scene.hear_for(ms(200), 1, 1, 125);
    assert_eq!(scene.state(1), State::Active);
}

#[test]
fn another_router_of_the_same_id_begins_with_nothing() {
    let mut scene = active();
    let mut changed = config();
    changed.routers.get_mut(&vrid(1)).unwrap().name = "another".to_owned();
    scene.tell(Event::Configure(changed));
    scene.hear_for(s(10), 3, 1, 255);
    assert!(!scene.holds(1) && !scene.holds(2), "node3 carries it");
}

#[test]
fn an_interface_that_goes_down_takes_its_routers_out() {
    let mut scene = active();
    let mut down = config();
    down.routers.get_mut(&vrid(1)).unwrap().down = Some("eth0 is down".to_owned());
    scene.tell(Event::Configure(down));
    assert_eq!(scene.short(), ["send 1 0", "release 1 2"]);
    assert_eq!(scene.state(1), State::Initialize);
    scene.wait(s(60));
    assert!(!scene.holds(1));
    scene.tell(Event::Configure(config()));
    scene.wait(DOWN);
    assert!(scene.holds(1));
}

#[test]
fn one_that_falls_ill_says_so_at_once_and_holds_on() {
    let mut scene = active();
    let mut ill = config();
    ill.routers.get_mut(&vrid(1)).unwrap().priority = 125;
    scene.tell(Event::Configure(ill));
    assert_eq!(scene.short(), ["send 1 125"]);
    assert!(scene.holds(1));
}

#[test]
fn new_addresses_are_probed_and_old_ones_go_at_once() {
    let mut scene = active();
    let mut changed = config();
    changed.routers.get_mut(&vrid(1)).unwrap().addresses = [vip(2), vip(4)].into();
    scene.tell(Event::Configure(changed.clone()));
    assert_eq!(scene.short(), ["release 1", "probe 4"]);
    scene.wait(ms(200));
    assert!(scene.short().iter().any(|done| done == "hold 3s 4"));
    // To another router, which node3 carries: it stays until node3 announces it.
    changed.routers.get_mut(&vrid(1)).unwrap().addresses = [vip(4)].into();
    changed.routers.get_mut(&vrid(2)).unwrap().addresses = [vip(2), vip(3)].into();
    scene.tell(Event::Configure(changed));
    assert!(scene.holds(2));
    scene.hear(3, 2, 254);
    scene.neighbor(2, mac(3));
    scene.wait(ms(40));
    // Said again, which is no reason to wait longer.
    scene.neighbor(2, mac(3));
    scene.wait(ms(10));
    assert!(scene.holds(2));
    scene.take();
    scene.wait(ms(1));
    assert_eq!(scene.short(), ["release 2", "send 2 1"]);
}

#[test]
fn a_strangers_address_is_not_claimed_while_he_answers() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.wait(ms(1));
    scene.neighbor(1, mac(99));
    scene.until(ms(500));
    assert!(!scene.holds(1) && scene.holds(2));
    let conflict = scene.group.report().conflicts[&vip(1).address.addr()].clone();
    assert_eq!((conflict.mac, conflict.peer), (mac(99), None));
    let mut probes = 0;
    for _ in 0..300 {
        scene.neighbor(1, mac(99));
        scene.wait(ms(100));
        probes += scene.short().iter().filter(|done| *done == "probe 1").count();
    }
    // After 1, 2, 4, 8 and then every 10 s.
    assert_eq!(probes, 5);
    assert!(!scene.holds(1));
    scene.wait(s(11));
    assert!(scene.holds(1));
    assert!(scene.group.report().conflicts.is_empty());
}

#[test]
fn a_dead_peers_kernel_neither_delays_nor_counts() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.neighbor(1, mac(1));
    scene.until(DOWN);
    assert!(scene.holds(1));
    scene.wait(s(3));
    scene.neighbor(1, mac(1));
    scene.wait(s(30));
    assert!(scene.group.report().conflicts.is_empty());
}

#[test]
fn a_stranger_who_answers_for_long_for_what_is_held_is_told_of_and_changes_nothing() {
    let mut scene = active();
    for _ in 0..10 {
        scene.neighbor(1, mac(99));
        scene.wait(s(1));
        scene.hear(3, 2, 254);
    }
    assert!(scene.holds(1));
    let conflict = &scene.group.report().conflicts[&vip(1).address.addr()];
    assert_eq!((conflict.mac, conflict.peer.as_deref()), (mac(99), None));
    // Nor is he remembered for ever.
    scene.hear_for(s(32), 3, 2, 254);
    assert!(scene.group.report().conflicts.is_empty());
}

#[test]
fn one_who_turns_out_to_be_a_member_is_asked_again_at_once() {
    let mut scene = Scene::new(config(), Vec::new());
    for _ in 0..300 {
        scene.neighbor(1, mac(99));
        scene.wait(ms(100));
    }
    assert!(!scene.holds(1));
    scene.take();
    scene.wait(ms(100));
    assert!(!scene.short().contains(&"probe 1".to_owned()), "he is asked every 10 s");
    let mut told = config();
    told.peers.get_mut("node3").unwrap().macs.insert(mac(99));
    scene.tell(Event::Configure(told));
    scene.wait(ms(100));
    assert!(scene.short().contains(&"probe 1".to_owned()));
    scene.neighbor(1, mac(99));
    scene.wait(ms(200));
    assert!(scene.holds(1));
}

#[test]
fn of_two_members_that_hold_an_address_the_lower_lets_go() {
    for (other, stays) in [(1, true), (3, false)] {
        let mut scene = active();
        for _ in 0..60 {
            scene.neighbor(1, mac(other));
            scene.hear(1, scene::PRESENCE, 255);
            // By its configuration it is in a virtual router that we do not have.
            scene.hear_of(other, 77, 250, vec![vip(1).address.addr()]);
            scene.hear_for(ms(180), 3, 2, 254);
        }
        assert_eq!(scene.holds(1), stays, "beside node{other}");
        assert!(scene.holds(2));
        let conflict = &scene.group.report().conflicts[&vip(1).address.addr()];
        assert_eq!(conflict.peer, Some(format!("node{other}")));
    }
}

#[test]
fn packets_from_no_peer_are_counted_and_their_routers_remembered_for_a_minute() {
    let mut scene = active();
    let before = scene.group.held().clone();
    scene.hear(9, 1, 255);
    scene.hear(9, 77, 100);
    scene.tell(Event::Packet { from: own(9), to: own(2), ttl: 255, bytes: &[0x21] });
    scene.tell(Event::Packet { from: own(3), to: own(2), ttl: 255, bytes: &[0x21; 20] });
    let report = scene.group.report();
    assert_eq!(report.counters.forged, 3);
    assert_eq!(report.counters.malformed, [("version", 1)].into());
    assert_eq!(report.strangers.keys().copied().collect::<Vec<_>>(), [vrid(1), vrid(77)]);
    assert_eq!(*scene.group.held(), before);
    scene.wait(s(62));
    assert!(scene.group.report().strangers.is_empty());
}

/// Until it was told of the new one, it did not understand him; he may have announced VIP 1, and let go of it since.
#[test]
fn whoever_carries_announces_again_when_there_is_another_director() {
    let mut scene = active();
    scene.hear_for(s(10), 3, 2, 254);
    scene.take();
    let mut changed = config();
    let peer = lvs_vrrp::Peer { address: own(4), macs: [mac(4)].into() };
    changed.peers.insert("node4".to_owned(), peer);
    scene.tell(Event::Configure(changed));
    scene.wait(ms(150));
    let announced = scene.short().into_iter().filter(|it| it.starts_with("announce"));
    assert_eq!(announced.collect::<Vec<_>>(), ["announce 1 2", "announce 1 2"]);
}

/// At that member's an interface came or went, such as that of a pod.
#[test]
fn another_list_of_mac_addresses_of_a_member_moves_and_announces_nothing() {
    let mut scene = active();
    scene.hear_for(s(10), 3, 2, 254);
    scene.take();
    let mut changed = config();
    changed.peers.get_mut("node3").unwrap().macs.insert(mac(33));
    scene.tell(Event::Configure(changed.clone()));
    assert_eq!(scene.done, []);
    // It is known for the member's from now on.
    changed.peers.remove("node1");
    scene.tell(Event::Configure(changed));
    let said = scene.short();
    assert!(said.iter().all(|it| !it.starts_with("announce")), "who goes moves nothing: {said:?}");
}
