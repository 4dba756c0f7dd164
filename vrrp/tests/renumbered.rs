//! One director whose virtual routers get other ids.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

mod scene;

use lvs_vrrp::{Action, Config, Event, State};
use scene::{Scene, config, own, s, vip, vrid};

/// The configuration with other ids for some.
fn with_ids(moves: &[(u8, u8)]) -> Config {
    let mut changed = config();
    let routers = std::mem::take(&mut changed.routers).into_iter();
    let new = |old: u8| moves.iter().find(|(from, _)| *from == old).map_or(old, |(_, to)| *to);
    changed.routers = routers.map(|(id, router)| (vrid(new(id.get())), router)).collect();
    changed
}

/// What is done about addresses, apart from renewals.
fn moved(scene: &mut Scene) -> Vec<String> {
    let mut done = scene.short();
    done.retain(|it| {
        !it.starts_with("send") && !it.starts_with("hold 3s") && !it.starts_with("announce")
    });
    done
}

#[test]
fn who_carries_a_router_carries_it_on_under_its_new_id_and_speaks_under_both_for_a_while() {
    let mut scene = Scene::active();
    scene.tell(Event::Configure(with_ids(&[(1, 11)])));
    assert!(scene.holds(1) && scene.holds(2));
    assert_eq!(scene.state(11), State::Active);
    scene.take();
    scene.hear_for(s(1), 3, 2, 254);
    let sent: Vec<_> = scene.short().into_iter().filter(|it| it.starts_with("send 1")).collect();
    assert_eq!(sent[..4], ["send 1 254", "send 11 254", "send 1 254", "send 11 254"]);
    scene.hear_for(s(9), 3, 2, 254);
    // As every 10 s.
    assert_eq!(moved(&mut scene), ["probe 1 2"]);
    scene.hear_for(s(10), 3, 2, 254);
    let done = scene.short();
    assert!(done.contains(&"send 11 254".to_owned()), "{done:?}");
    assert!(!done.contains(&"send 1 254".to_owned()), "{done:?}");
}

#[test]
fn whoever_knows_the_new_id_hears_the_carrier_under_the_old_one() {
    let mut scene = Scene::active();
    scene.tell(Event::Configure(with_ids(&[(2, 12)])));
    scene.hear_for(s(60), 3, 2, 254);
    assert_eq!(scene.state(12), State::Backup);
    assert!(!scene.holds(3));
    assert_eq!(scene.group.report().counters.unknown, 0);
    // And his death, whichever id it is told under.
    scene.hear(3, 12, 254);
    scene.hear(3, 2, 0);
    scene.wait(scene::ms(10));
    assert_eq!(scene.state(12), State::Active);
}

#[test]
fn an_address_that_somebody_else_has_is_not_claimed_because_its_router_has_another_id() {
    let mut scene = Scene::new(config(), Vec::new());
    scene.wait(scene::ms(1));
    scene.neighbor(1, scene::mac(99));
    scene.until(scene::ms(400));
    assert!(!scene.holds(1) && scene.holds(2));
    scene.tell(Event::Configure(with_ids(&[(1, 11)])));
    scene.until(scene::ms(1000));
    assert!(!scene.holds(1), "he is asked again a second after his answer");
    scene.until(scene::ms(1300));
    assert!(scene.holds(1));
}

#[test]
fn routers_may_change_places() {
    let mut scene = Scene::active();
    scene.tell(Event::Configure(with_ids(&[(1, 2), (2, 1)])));
    assert_eq!((scene.state(2), scene.state(1)), (State::Active, State::Backup));
    scene.hear_for(s(1), 3, 1, 254);
    assert!(scene.holds(1) && scene.holds(2) && !scene.holds(3));
    assert_eq!(moved(&mut scene), [""; 0]);
}

#[test]
fn an_id_that_another_router_has_now_means_that_one() {
    let mut scene = Scene::active();
    let mut changed = with_ids(&[(1, 11)]);
    let mut third = config().routers[&vrid(2)].clone();
    third.name = "third".to_owned();
    third.addresses = [vip(4)].into();
    changed.routers.insert(vrid(1), third);
    scene.tell(Event::Configure(changed));
    scene.take();
    scene.hear_for(s(5), 3, 1, 254);
    assert_eq!((scene.state(11), scene.state(1)), (State::Active, State::Backup));
    assert!(!scene.short().contains(&"send 1 254".to_owned()));
}

#[test]
fn an_id_under_which_other_addresses_are_told_of_is_another_groups() {
    let mut scene = Scene::active();
    scene.tell(Event::Configure(with_ids(&[(2, 12)])));
    let heard = |address| lvs_vrrp::Advertisement {
        vrid: vrid(2),
        priority: 254,
        interval: 9,
        addresses: vec![address],
    };
    for (number, state) in [(3, State::Backup), (9, State::Active)] {
        let bytes = heard(vip(number).address.addr()).encode(own(3), own(2));
        for _ in 0..20 {
            scene.tell(Event::Packet { from: own(3), to: own(2), ttl: 255, bytes: &bytes });
            scene.wait(scene::ms(90));
        }
        assert_eq!(scene.state(12), state, "VIP {number}");
    }
    assert!(!scene.done.iter().any(|(_, it)| matches!(it, Action::Send(it) if it.priority == 0)));
}

#[test]
fn an_id_that_is_that_of_presence_now_is_no_routers() {
    let mut scene = Scene::active();
    let changed = Config { presence: vrid(1), ..with_ids(&[(1, 11)]) };
    scene.tell(Event::Configure(changed));
    assert!(!scene.group.had(vrid(1)));
    scene.take();
    scene.wait(scene::ms(500));
    let done = scene.short();
    assert!(done.contains(&"send 11 254".to_owned()), "{done:?}");
    assert!(!done.contains(&"send 1 254".to_owned()), "{done:?}");
}

#[test]
fn of_many_ids_that_a_router_had_the_last_four_are_known() {
    let mut scene = Scene::active();
    for new in 11..=15 {
        scene.tell(Event::Configure(with_ids(&[(1, new)])));
    }
    let known: Vec<u8> = (1..=15).filter(|id| scene.group.had(vrid(*id))).collect();
    assert_eq!(known, [11, 12, 13, 14]);
}
