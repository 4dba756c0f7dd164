//! What tools see that know Ready alone.

use lvs_tests::bed::in_guest;
use serde_json::json;

use super::guest;
use super::world::{Operator, World};

#[test]
fn tools_that_know_ready_alone_wait_until_it_is_so() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let world = World::new();
        world.service("web", "10.0.0.10", json!({}));
        world.server("a", "web", json!({"address": "10.0.0.101"}));
        // By kstatus an object is done that has neither Ready nor a generation that differs from the one observed.
        for object in ["lvsvs/web", "lvsrs/a", "lvsdg/default"] {
            let observed = "jsonpath={.status.observedGeneration} {.metadata.generation}";
            assert_eq!(world.plane.kubectl(&["get", object, "-o", observed])?, "-1 1", "{object}");
        }
        let operator = Operator::start(world.plane.operator_command());
        let wait = |object: &str, condition: &str| {
            world.plane.kubectl(&["wait", "--timeout=60s", &format!("--for={condition}"), object])
        };
        wait("lvsdg/default", "condition=Ready")?;
        wait("lvsrs/a", "condition=Ready")?;
        wait("lvsvs/web", "condition=Ready=False")?;
        world.wait_for_placed("web", &["a 10.0.0.101 1"]);
        world.read_back();
        wait("lvsvs/web", "condition=Ready")?;
        // An edit is on its way until it has been read back; what cannot be had says why.
        world.server("a", "web", json!({"address": "10.0.0.101", "weight": 7}));
        world.wait_until("web", "Ready", "False/Pending");
        world.read_back();
        world.wait_until("web", "Ready", "True/Ready");
        world.server("a", "web", json!({"nodeName": "nowhere"}));
        wait("lvsrs/a", "condition=Ready=False")?;
        world.wait_until("web", "Ready", "False/NoRealServers");
        let observed = "jsonpath={.status.observedGeneration} {.metadata.generation}";
        assert_eq!(world.plane.kubectl(&["get", "lvsrs/a", "-o", observed])?, "3 3");
        let events = world.events();
        assert!(!events.iter().any(|it| it.starts_with("Ready VirtualService")), "{events:?}");
        operator.assert_rights_suffice();
        Ok(())
    });
}
