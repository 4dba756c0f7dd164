//! One director and somebody else who uses its addresses, or thinks that he carries its virtual router.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

mod scene;

use lvs_vrrp::{Event, State};
use scene::{Scene, config, mac, ms, own, s, vip};

/// Has just taken virtual router 1 over from node1; node3 lives and carries 2.
fn successor() -> Scene {
    let mut scene = Scene::new(config(), Vec::new());
    scene.hear(1, 1, 250);
    scene.hear_for(ms(300), 3, 2, 254);
    assert_eq!((scene.state(1), scene.state(2)), (State::Active, State::Backup));
    scene
}

/// The same much later.
fn active() -> Scene {
    let mut scene = successor();
    scene.hear_for(s(7), 3, 2, 254);
    scene.take();
    scene
}

fn conflicts(scene: &Scene) -> usize {
    scene.group.report().conflicts.len()
}

#[test]
fn a_predecessors_kernel_may_answer_for_its_lifetime_and_a_second() {
    let mut scene = successor();
    let mut told = None;
    for number in 1..=20_u32 {
        scene.neighbor(1, mac(1));
        scene.hear_for(ms(500), 3, 2, 254);
        told = told.or_else(|| (conflicts(&scene) > 0).then_some(ms(500) * number));
    }
    // Its 4 seconds, and as long again for one that takes over.
    assert!(told.is_some_and(|told| told >= ms(8000)), "{told:?}");
}

#[test]
fn an_address_that_somebody_else_announced_is_announced_again_a_second_later() {
    let mut scene = active();
    scene.neighbor(1, mac(99));
    scene.hear_for(ms(990), 3, 2, 254);
    let done = |scene: &mut Scene| {
        let of_one = |it: &String| it == "announce 1" || it == "probe 1";
        scene.short().into_iter().filter(of_one).collect::<Vec<_>>()
    };
    assert_eq!(done(&mut scene), [""; 0], "whoever takes it over says so within a second");
    scene.hear_for(ms(20), 3, 2, 254);
    assert_eq!(done(&mut scene), ["announce 1", "probe 1"]);
}

#[test]
fn who_is_seen_twice_with_a_long_time_between_is_no_conflict() {
    let mut scene = active();
    scene.neighbor(1, mac(99));
    scene.hear_for(s(16), 3, 2, 254);
    scene.neighbor(1, mac(99));
    assert_eq!(conflicts(&scene), 0);
}

#[test]
fn a_dead_members_kernel_takes_nothing_from_the_living() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.until(s(5));
    for _ in 0..60 {
        scene.neighbor(1, mac(3));
        scene.wait(ms(180));
    }
    assert!(scene.holds(1));
}

/// Whoever holds something says so each interval. One that was frozen a moment ago is in the election still, by its address.
#[test]
fn a_frozen_members_kernel_takes_nothing_from_one_that_holds_it_too() {
    for (silent, stays) in [(ms(90), false), (ms(500), true)] {
        let mut scene = active();
        for _ in 0..8 {
            scene.neighbor(1, mac(3));
            scene.hear_of(3, 77, 250, vec![vip(1).address.addr()]);
            scene.hear_for(ms(540), 3, 2, 254);
        }
        scene.wait(silent);
        scene.neighbor(1, mac(3));
        assert_eq!(scene.holds(1), stays, "silent for {silent:?}");
    }
}

/// By configurations that differ it was the other's; when that one is dead its kernel answers for a lifetime.
#[test]
fn what_was_left_to_a_member_is_taken_when_that_one_falls_silent() {
    for lives in [true, false] {
        let mut scene = active();
        let says = |scene: &mut Scene| {
            scene.neighbor(1, mac(3));
            scene.hear_of(3, 77, 250, vec![vip(1).address.addr()]);
        };
        for _ in 0..9 {
            says(&mut scene);
            scene.hear_for(ms(540), 3, 2, 254);
        }
        assert!(!scene.holds(1), "of two members the lower lets go");
        for _ in 0..15 {
            match lives {
                true => says(&mut scene),
                false => scene.neighbor(1, mac(3)),
            }
            scene.wait(ms(100));
        }
        assert_eq!(scene.holds(1), !lives, "lives: {lives}");
    }
}

/// Its agent lives, carries other addresses, and says nothing of this one: another balancer has it there, or an admin. Or
/// its agent is dead, and left it there for ever.
#[test]
fn who_else_answers_on_a_members_machine_is_a_stranger_and_gets_nothing() {
    for lives in [true, false] {
        let mut scene = active();
        for _ in 0..40 {
            scene.neighbor(1, mac(3));
            match lives {
                true => {
                    scene.hear_of(3, 2, 254, vec![vip(3).address.addr()]);
                    scene.hear_for(ms(500), 3, 2, 254);
                }
                false => scene.wait(ms(500)),
            }
        }
        assert!(scene.holds(1), "lives: {lives}");
        let conflict = &scene.group.report().conflicts[&vip(1).address.addr()];
        assert_eq!((conflict.peer.as_deref(), conflict.ours), (Some("node3"), false));
        scene.take();
        for _ in 0..60 {
            scene.neighbor(1, mac(3));
            scene.hear_for(ms(500), 3, 2, 254);
        }
        // RFC 5227, 2.4: every 10 s.
        let told = scene.short().iter().filter(|it| *it == "announce 1").count();
        assert!((2..=4).contains(&told), "{told}");
    }
}

/// Advertisements of IPv4 tell of no IPv6 addresses, nor of more than 255.
#[test]
fn a_member_may_have_what_its_advertisements_cannot_tell_of() {
    let mut six = config();
    let held =
        lvs_vrrp::Held { interface: "eth0".to_owned(), address: "fd00::1/128".parse().unwrap() };
    six.routers.get_mut(&scene::vrid(1)).unwrap().addresses.insert(held.clone());
    let mut scene = Scene::new(six, Vec::new());
    scene.hear_for(s(9), 3, 2, 254);
    assert!(scene.group.held().contains(&held));
    for _ in 0..20 {
        scene.tell(Event::Neighbor { address: held.address.addr(), mac: mac(3) });
        scene.hear_for(ms(500), 3, 2, 254);
    }
    assert!(!scene.group.held().contains(&held), "of two members the lower lets go");
    assert!(scene.group.report().conflicts[&held.address.addr()].ours);
}

#[test]
fn what_is_held_is_probed_every_ten_seconds() {
    let mut scene = active();
    scene.hear_for(s(40), 3, 2, 254);
    let probes = scene.short().into_iter().filter(|it| it == "probe 1 2").count();
    assert_eq!(probes, 4);
}

#[test]
fn contenders_are_contradicted_each_time_and_answered_by_announcements_now_and_then() {
    let mut scene = active();
    for _ in 0..3 {
        scene.hear(3, 1, 250);
    }
    let contradiction = "send 1 254";
    assert_eq!(scene.short(), [contradiction, "announce 1 2", contradiction, contradiction]);
    scene.wait(ms(100));
    scene.take();
    scene.hear(3, 1, 250);
    assert_eq!(scene.short()[..2], [contradiction, "announce 1 2"]);
}

/// Carries virtual router 1 but not VIP 1, for which somebody answers.
fn blocked() -> Scene {
    let mut scene = Scene::new(config(), Vec::new());
    for _ in 0..300 {
        scene.neighbor(1, mac(99));
        scene.wait(ms(100));
    }
    assert!(!scene.holds(1) && scene.holds(2));
    scene.take();
    scene.wait(ms(100));
    assert!(!scene.short().contains(&"probe 1".to_owned()), "he is asked every 10 s");
    scene
}

#[test]
fn who_answers_is_asked_again_at_once_when_a_contender_lets_go() {
    let mut scene = blocked();
    scene.hear(3, 1, 250);
    scene.wait(ms(100));
    assert!(scene.short().contains(&"probe 1".to_owned()));
}

#[test]
fn who_answers_is_asked_again_at_once_when_a_member_has_that_mac_address() {
    let mut scene = blocked();
    scene.tell(Event::Neighbor { address: own(3), mac: mac(99) });
    scene.wait(ms(100));
    assert!(scene.short().contains(&"probe 1".to_owned()));
    scene.wait(ms(200));
    assert!(scene.group.held().contains(&vip(1)));
}
