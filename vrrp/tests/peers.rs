//! One director and the others: who is there, who counts, and what is told of them.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

mod scene;

use lvs_vrrp::{Action, Event, Peer, State};
use scene::{PRESENCE, Scene, config, mac, ms, own, s, vrid};

/// The priorities of the advertisements of presence since the last look.
fn presence(scene: &mut Scene) -> Vec<u8> {
    let done = std::mem::take(&mut scene.done).into_iter();
    let sent = done.filter_map(|(_, action)| match action {
        Action::Send(sent) if sent.vrid == vrid(PRESENCE) => Some(sent.priority),
        _ => None,
    });
    sent.collect()
}

#[test]
fn our_own_multicast_is_nobodys() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.until(s(5));
    scene.hear(2, 1, 255);
    scene.hear(2, 77, 100);
    let report = scene.group.report();
    assert_eq!((report.counters.forged, report.counters.received), (0, 0));
    assert!(report.strangers.is_empty() && report.live.is_empty());
    assert_eq!(scene.state(1), State::Active);
}

#[test]
fn each_packet_of_a_peer_is_counted_once() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.hear(1, 1, 254);
    scene.hear(1, PRESENCE, 255);
    assert_eq!(scene.group.report().counters.unknown, 0, "presence is no virtual router");
    scene.hear(1, 99, 254);
    let counters = &scene.group.report().counters;
    assert_eq!((counters.received, counters.unknown, counters.forged), (3, 1, 0));
}

#[test]
fn who_carries_a_router_is_told_until_it_is_us() {
    let mut scene = Scene::new(config(), Vec::new());
    let carrier = |scene: &Scene| scene.group.report().routers[&vrid(1)].carrier;
    assert_eq!(carrier(&scene), None);
    scene.hear(3, 1, 255);
    assert_eq!(carrier(&scene), Some(own(3)));
    scene.hear(1, 1, 255);
    assert_eq!(carrier(&scene), Some(own(1)));
    scene.wait(s(1));
    assert_eq!((scene.state(1), carrier(&scene)), (State::Active, None));
}

#[test]
fn whoever_is_heard_anew_hears_at_once_that_we_are_there() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.until(ms(500));
    presence(&mut scene);
    scene.hear(3, 2, 254);
    assert_eq!(presence(&mut scene), [255]);
    let since = scene.now;
    scene.hear(3, 2, 254);
    assert_eq!(presence(&mut scene), [0; 0]);
    scene.hear_for(s(2), 3, 2, 254);
    scene.hear(1, 1, 250);
    assert_eq!(scene.group.report().live["node3"], since);
    // One that the configuration tells of.
    presence(&mut scene);
    let mut changed = config();
    let peer = Peer { address: own(4), macs: [mac(4)].into() };
    changed.peers.insert("node4".to_owned(), peer);
    scene.tell(Event::Configure(changed));
    assert_eq!(presence(&mut scene), [255]);
}

#[test]
fn who_gets_anothers_address_is_not_alive_because_that_one_was() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.until(s(5));
    scene.hear(3, PRESENCE, 255);
    scene.take();
    let mut changed = config();
    let peer = changed.peers.remove("node3").unwrap();
    changed.peers.insert("node4".to_owned(), peer);
    scene.tell(Event::Configure(changed));
    assert!(scene.group.report().live.is_empty());
    assert!(scene.short().contains(&"hold 1 2 3".to_owned()));
}

#[test]
fn a_stall_makes_nobody_else_dead() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.hear_for(s(5), 3, 2, 254);
    scene.now += s(60);
    scene.tell(Event::Tick);
    scene.take();
    scene.wait(ms(300));
    let held: Vec<_> = scene.short().into_iter().filter(|it| it.starts_with("hold")).collect();
    assert_eq!(held, ["hold 3s 1 2", "hold 3s 3"], "it may have taken over meanwhile");
}

#[test]
fn what_is_learned_of_a_member_is_forgotten_for_what_is_learned_later() {
    let learned = |last: u8, asked: u8| {
        let mut scene = Scene::new(config(), Vec::new());
        for number in 20..=last {
            scene.tell(Event::Neighbor { address: own(3), mac: mac(number) });
        }
        scene.neighbor(1, mac(asked));
        scene.until(ms(500));
        // A member's answer blocks nothing.
        scene.holds(1)
    };
    assert!(learned(23, 20) && learned(23, 23));
    assert!(learned(24, 24) && !learned(24, 20), "whoever forges must not fill our memory");
}

/// How often VIPs were announced since the last look.
fn announcements(scene: &mut Scene) -> usize {
    scene.short().iter().filter(|it| it.starts_with("announce")).count()
}

/// Who comes may have hosts behind it that believe somebody else, and who goes may have left some to us.
#[test]
fn what_is_carried_is_announced_once_a_second_after_a_peer_comes_and_when_one_is_missed() {
    let mut scene = Scene::active();
    scene.hear_for(s(1), 3, 2, 254);
    scene.take();
    scene.hear_for(s(10), 3, 2, 254);
    assert_eq!(announcements(&mut scene), 0, "nothing has happened");
    scene.hear(1, PRESENCE, 255);
    scene.hear_for(ms(990), 3, 2, 254);
    assert_eq!(announcements(&mut scene), 0, "an election may be under way");
    scene.hear_for(ms(20), 3, 2, 254);
    assert_eq!(scene.short().iter().filter(|it| *it == "announce 1 2").count(), 1);
    scene.hear_for(ms(1980), 3, 2, 254);
    assert_eq!(announcements(&mut scene), 0, "its lifetime is not over");
    scene.hear_for(ms(20), 3, 2, 254);
    assert_eq!(scene.short().iter().filter(|it| *it == "announce 1 2").count(), 1);
    scene.hear_for(s(10), 3, 2, 254);
    assert_eq!(announcements(&mut scene), 0, "once is enough");
}

#[test]
fn what_was_just_taken_over_is_not_announced_more_often_because_a_peer_comes() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.until(ms(300));
    scene.hear(3, PRESENCE, 255);
    scene.until(s(2));
    // Of both virtual routers: at once, and after 0.1, 0.5 and 1 s.
    assert_eq!(announcements(&mut scene), 8);
}
