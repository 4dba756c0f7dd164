//! A million packets: none makes a director panic, and none from elsewhere than a peer changes what it does.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

#[path = "histories/chance.rs"]
mod chance;
mod scene;

use chance::Chance;
use lvs_vrrp::{Advertisement, Event};
use scene::{Scene, config, ms, own, s, vip, vrid};
use std::net::IpAddr;
use std::time::Duration;

const PACKETS: usize = 1_000_000;

/// One that is nearly right, most of the time.
fn packet(chance: &mut Chance, from: IpAddr, to: IpAddr) -> Vec<u8> {
    let sent = Advertisement {
        vrid: vrid(chance.pick(&[1, 2, 3, scene::PRESENCE])),
        priority: chance.below(256) as u8,
        interval: 1 + chance.below(4095) as u16,
        addresses: vec![own(9); 1 + chance.below(3)],
    };
    let mut bytes = sent.encode(from, to);
    for _ in 0..chance.below(4) {
        let at = chance.below(bytes.len());
        bytes[at] = chance.below(256) as u8;
    }
    if chance.one_in(8) {
        bytes.truncate(chance.below(bytes.len() + 1));
    }
    bytes
}

#[test]
fn nobody_but_a_peer_changes_anything() {
    let mut chance = Chance::new(1);
    let mut scene = Scene::new(config(), Vec::new());
    scene.until(s(30));
    let (held, deadline) = (scene.group.held().clone(), scene.group.deadline());
    let routers = scene.group.report().routers.clone();
    scene.take();
    for _ in 0..PACKETS / 2 {
        let from = chance.pick(&[own(9), IpAddr::from([1; 16]), own(2)]);
        let bytes = packet(&mut chance, from, own(2));
        scene.tell(Event::Packet { from, to: own(2), ttl: 255, bytes: &bytes });
    }
    assert_eq!(scene.take(), []);
    assert_eq!((scene.group.held(), scene.group.deadline()), (&held, deadline));
    assert_eq!(scene.group.report().routers, routers);
    assert!(scene.group.report().live.is_empty());
}

#[test]
fn no_packet_of_a_peer_makes_it_panic_and_it_recovers_from_all() {
    let mut chance = Chance::new(2);
    let mut scene = Scene::new(config(), Vec::new());
    for _ in 0..PACKETS / 2 {
        let from = chance.pick(&[own(1), own(3)]);
        let bytes = packet(&mut chance, from, own(2));
        let ttl = if chance.one_in(9) { 254 } else { 255 };
        scene.tell(Event::Packet { from, to: own(2), ttl, bytes: &bytes });
        scene.neighbor(chance.pick(&[1, 2, 3, 4]), scene::mac(chance.below(5) as u8));
        let most = chance.pick(&[0, 1, 100]);
        scene.wait(chance.up_to(Duration::from_millis(most)));
        scene.done.clear();
    }
    let known = scene.group.report().counters.malformed.keys().copied();
    let all: std::collections::BTreeSet<_> = lvs_vrrp::DecodeError::REASONS.into();
    assert!(known.clone().all(|reason| all.contains(reason)) && known.count() > 6);
    // The longest interval that it may have heard, three times over, then what is blocked, and a moment.
    scene.wait(s(200) + ms(1));
    assert!([1, 2, 3].iter().all(|number| scene.group.held().contains(&vip(*number))));
}
