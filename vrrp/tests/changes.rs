//! One director whose configuration changes, or that is told to go.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

mod scene;

use lvs_vrrp::{Action, Config, Event, State};
use scene::{PRESENCE, Scene, config, ms, s, vip, vrid};

fn with_vips(first: &[u8], second: &[u8]) -> Config {
    let mut changed = config();
    for (id, numbers) in [(1, first), (2, second)] {
        let addresses = numbers.iter().map(|number| vip(*number)).collect();
        changed.routers.get_mut(&vrid(id)).unwrap().addresses = addresses;
    }
    changed
}

fn told(scene: &mut Scene, kind: &str) -> Vec<String> {
    scene.short().into_iter().filter(|it| it.starts_with(kind)).collect()
}

#[test]
fn a_router_that_is_no_more_is_given_up_in_words() {
    let mut scene = Scene::active();
    let mut changed = config();
    changed.routers.remove(&vrid(1));
    scene.tell(Event::Configure(changed));
    assert_eq!(scene.short(), ["send 1 0", "release 1 2"]);
}

#[test]
fn no_virtual_router_has_the_id_of_presence() {
    let mut changed = config();
    let router = changed.routers.remove(&vrid(1)).unwrap();
    changed.routers.insert(vrid(PRESENCE), router);
    let mut scene = Scene::new(changed, Vec::new());
    scene.until(s(2));
    assert!(!scene.group.report().routers.contains_key(&vrid(PRESENCE)));
    assert!(!scene.holds(1) && scene.holds(3));
}

#[test]
fn a_lifetime_is_a_second_at_least_and_counts_at_once() {
    for (lifetime, held) in [(s(6), "hold 6s 1 2"), (ms(10), "hold 1s 1 2")] {
        let mut scene = Scene::active();
        scene.tell(Event::Configure(Config { lifetime, ..config() }));
        assert!(scene.short().contains(&held.to_owned()), "{lifetime:?}");
    }
}

#[test]
fn what_was_taken_out_is_announced_no_more() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.wait(ms(300));
    scene.take();
    scene.tell(Event::Configure(with_vips(&[1], &[3])));
    scene.wait(s(4));
    let announced = told(&mut scene, "announce 1");
    assert!(announced.len() > 3 && announced.iter().all(|it| it == "announce 1"), "{announced:?}");
}

#[test]
fn an_address_of_the_group_moves_to_a_silent_router_without_a_probe() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.hear(1, 1, 254);
    scene.wait(ms(100));
    scene.tell(Event::Configure(with_vips(&[2], &[1, 3])));
    scene.until(ms(280));
    assert_eq!(scene.state(2), State::Active);
    assert!(scene.holds(1));
}

#[test]
fn an_address_that_moves_to_a_router_of_somebody_else_stays_for_a_lifetime_at_most() {
    let mut scene = Scene::active();
    scene.tell(Event::Configure(with_vips(&[1], &[2, 3])));
    scene.hear_for(ms(2990), 3, 2, 254);
    assert!(scene.holds(2), "nobody has announced it");
    scene.take();
    scene.hear_for(ms(20), 3, 2, 254);
    assert!(!scene.holds(2));
    assert_eq!(told(&mut scene, "release"), ["release 2"]);
}

#[test]
fn what_a_carrier_had_needs_no_probe_after_our_interface_was_down() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.hear(1, 1, 254);
    let mut down = config();
    down.routers.get_mut(&vrid(1)).unwrap().down = Some("eth0 is down".to_owned());
    scene.tell(Event::Configure(down));
    scene.tell(Event::Configure(config()));
    scene.wait(ms(271));
    assert_eq!(scene.state(1), State::Active);
    assert!(scene.holds(1) && scene.holds(2));
}

#[test]
fn whoever_goes_tells_that_it_is_not_there_any_more_and_does_nothing_after_that() {
    for event in [Event::Stop, Event::Leave] {
        let mut scene = Scene::active();
        scene.tell(event);
        scene.wait(s(1));
        let sent = scene.done.iter().rev().find_map(|(_, action)| match action {
            Action::Send(sent) => Some((sent.vrid, sent.priority)),
            _ => None,
        });
        assert_eq!(sent, Some((vrid(PRESENCE), 0)));
        assert!(matches!(scene.done.last(), Some((_, Action::Stopped))));
        scene.done.clear();
        scene.hear(3, 1, 1);
        scene.tell(Event::Configure(with_vips(&[4], &[])));
        scene.tell(Event::Leave);
        scene.wait(s(10));
        assert_eq!(scene.done, []);
    }
}

#[test]
fn what_is_handed_over_is_handed_over_as_it_was() {
    let mut scene = Scene::active();
    scene.tell(Event::Stop);
    scene.tell(Event::Configure(with_vips(&[1], &[3])));
    assert!(scene.holds(1) && scene.holds(2));
}

#[test]
fn one_that_stops_and_is_to_leave_then_takes_everything_along() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.until(s(5));
    scene.tell(Event::Stop);
    scene.tell(Event::Leave);
    scene.wait(s(1));
    assert!(scene.group.held().is_empty());
}

#[test]
fn one_that_leaves_lets_go_of_what_it_found_too() {
    let mut scene = Scene::new(config(), vec![(vip(3), false)]);
    scene.take();
    scene.tell(Event::Leave);
    assert_eq!(scene.short(), ["release 3", "send 2 1", "stopped"]);
}
