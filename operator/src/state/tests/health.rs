//! Whom reports of real servers concern, and how often.

use super::*;

fn down(service: &str, server: &str) -> Value {
    json!({"namespace": "ns", "virtualService": service, "realServer": server, "reason": "refused, 3 of 3"})
}

fn tell(world: &mut World, node: &str, down: &[Value]) {
    let version = world.version.to_string();
    let health = json!({"checked": 9, "downCount": down.len(), "down": down});
    world.report(node, json!({"programmed": {"resourceVersion": version}, "health": health}));
}

fn checked(services: usize) -> World {
    let mut world = World::of(services);
    for number in 0..services {
        let check = json!({"healthCheck": {"tcp": {}}});
        world.service(&format!("s{number}"), &format!("192.0.2.{number}"), check);
    }
    world.settle();
    tell(&mut world, "d1", &[]);
    world.settle();
    world
}

#[test]
fn a_death_concerns_its_service_and_its_real_server_alone() {
    let mut world = checked(4);
    world.now = at(60);
    tell(&mut world, "d1", &[down("s2", "r2")]);
    assert_eq!(world.marked(), ["VirtualService ns/s2"]);
    world.state.queue.mark(Target::VirtualService(Key::new("ns", "s2")));
    assert_eq!(world.settle(), ["status s2", "status r2"]);
    tell(&mut world, "d1", &[down("s2", "r2")]);
    assert_eq!(world.marked(), Vec::<String>::new(), "no news");
}

#[test]
fn one_that_flaps_is_looked_at_once_a_second() {
    let mut world = checked(1);
    let mut looked_at = 0;
    for tick in 0..100_u64 {
        world.now = Duration::from_millis(60_000 + tick * 50);
        let flapping = [down("s0", "r0")];
        tell(&mut world, "d1", if tick % 2 == 0 { &flapping } else { &[] });
        let now = world.now;
        while let Some(target) = world.state.queue.next(now) {
            looked_at += usize::from(matches!(target, Target::VirtualService(_)));
            world.state.queue.done(&target);
        }
    }
    assert!((5..=6).contains(&looked_at), "{looked_at} times in five seconds");
}

#[test]
fn directors_that_differ_are_told_after_five_seconds_of_service_and_server() {
    let mut world = checked(2);
    world.node("d2", "10.0.0.2");
    world.settle();
    world.now = at(60);
    tell(&mut world, "d2", &[]);
    world.settle();
    tell(&mut world, "d1", &[down("s1", "r1")]);
    world.settle();
    for (second, told) in [(64, vec![]), (65, vec!["status s1", "status r1"]), (66, vec![])] {
        world.now = at(second);
        world.state.look_at_clock(world.now);
        assert_eq!(world.settle(), told, "{second}");
    }
    // One after the other, as reports come.
    world.now = at(70);
    tell(&mut world, "d2", &[down("s1", "r1")]);
    assert_eq!(world.settle(), ["status s1", "status r1"]);
}
