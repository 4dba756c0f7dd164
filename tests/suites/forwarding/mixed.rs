//! The examples with real servers elsewhere, as they stand, and one service with every way of forwarding.

use std::fs;
use std::path::Path;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::traffic::shares;

use super::world::{World, answers, socket};

fn example(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(file);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn one_service_reaches_its_servers_by_nat_direct_routing_and_a_tunnel() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut world = World::new();
        let client = world.client.clone();
        let nodes = [
            world.director.clone(),
            world.near.clone(),
            world.inside[0].clone(),
            world.far[0].clone(),
            world.far[1].clone(),
        ];
        nodes[2].ip("route add default via 10.0.0.1");
        world.start(&nodes.each_ref());
        let examples =
            ["mixed-forwarding.yaml", "tun-ipip.yaml", "tun-gue.yaml", "tun-mixed-family.yaml"];
        let names = examples.map(|file| file.trim_end_matches(".yaml"));
        world.apply(&examples.map(example).join("---\n"), &names);
        assert_eq!(
            answers(&client, "192.168.0.26:80", 9),
            shares([("near", 3), ("inside1", 3), ("far1", 3)])
        );
        let halves = shares([("far1", 4), ("far2", 4)]);
        for vip in ["192.168.0.44", "192.168.0.45", "2001:db8::46"] {
            assert_eq!(answers(&client, &socket(vip, 80), 8), halves, "{vip}");
        }
        world.clean_up();
        Ok(())
    });
}
