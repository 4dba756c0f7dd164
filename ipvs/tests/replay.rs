//! The recorded conversations once more: what is sent must be the same bytes, and what came back then
//! must mean the same now.

#![allow(clippy::expect_used)] // Test code, also where no #[test] is near.
// The captures are little-endian.
#![cfg(target_endian = "little")]

mod capture;
mod scenes;

use capture::Replay;
use lvs_ipvs::Client;

fn replay(name: &str) {
    let (_, scene) = scenes::each().into_iter().find(|(each, _)| *each == name).expect("a scene");
    let mut client = Client::connect(Replay::of(name)).expect("the family is found");
    scene(&mut client);
    client.into_transport().finish();
}

#[test]
fn table_replays() {
    replay("table");
}

#[test]
fn refusals_replay() {
    replay("refusals");
}

#[test]
fn daemons_replay() {
    replay("daemons");
}

#[test]
fn settings_replay() {
    replay("settings");
}

#[test]
fn large_listings_replay() {
    replay("large");
}

#[test]
fn every_scene_is_replayed_and_every_capture_used() {
    let mut scenes: Vec<_> =
        scenes::each::<Replay>().into_iter().map(|(name, _)| format!("{name}.hex")).collect();
    scenes.sort();
    assert_eq!(capture::names(), scenes);
    assert_eq!(scenes, ["daemons.hex", "large.hex", "refusals.hex", "settings.hex", "table.hex"]);
}
