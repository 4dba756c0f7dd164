//! Whom warnings, marks and settings concern.

use super::*;

fn warning(name: Option<&str>, message: &str) -> Value {
    let mut warning = json!({"role": "Node", "reason": "LongChains", "message": message});
    if let Some(name) = name {
        warning["namespace"] = json!("ns");
        warning["virtualService"] = json!(name);
    }
    warning
}

#[test]
fn a_warning_concerns_the_service_that_it_names_else_the_group() {
    let mut world = World::of(5);
    world.read_back();
    world.settle();
    let version = world.version.to_string();
    let mut report = |warnings: Value| {
        let programmed = json!({"resourceVersion": version});
        world.report("d1", json!({"programmed": programmed, "warnings": warnings}));
        world.marked()
    };
    assert_eq!(report(json!([warning(Some("s3"), "a")])), ["VirtualService ns/s3"]);
    assert_eq!(report(json!([warning(Some("s3"), "a")])), Vec::<String>::new(), "no news");
    assert_eq!(report(json!([warning(Some("s3"), "b")])), ["VirtualService ns/s3"]);
    assert_eq!(
        report(json!([warning(None, "a")])),
        ["DirectorGroup default", "VirtualService ns/s3"]
    );
    assert_eq!(report(json!([])), ["DirectorGroup default"]);
}

#[test]
fn a_warning_is_written_to_the_group_and_taken_back() {
    let mut world = World::of(1);
    world.read_back();
    world.settle();
    let version = world.version.to_string();
    let programmed = json!({"resourceVersion": version});
    world.report("d1", json!({"programmed": programmed, "warnings": [warning(None, "a")]}));
    assert_eq!(world.settle(), ["status default"]);
    world.report("d1", json!({"programmed": programmed}));
    assert_eq!(world.settle(), ["status default"]);
}

#[test]
fn groups_with_a_common_director_are_looked_at_together() {
    let mut world = World::of(1);
    world.group("second");
    world.settle();
    let meta = world.meta("second", false);
    let members = json!({"members": [{"node": "d1"}]});
    let spec = json!({"nodeSelector": {}, "sysctls": {"dropEntry": 1}});
    let group = json!({"apiVersion": "kube-lvs.io/v1alpha1", "kind": "DirectorGroup", "metadata": meta, "spec": spec,
        "status": members});
    world.seen::<DirectorGroup>(group, Change::DirectorGroup);
    assert_eq!(world.marked(), ["DirectorGroup default", "DirectorGroup second"]);
}

#[test]
fn of_two_slices_with_one_mark_the_younger_services_is_written_anew() {
    let mut world = World::of(2);
    for (name, vip) in [("s0", "192.0.2.0"), ("s1", "192.0.2.1")] {
        world.service(name, vip, json!({"firewallMark": {}}));
        world.settle();
    }
    let mark = |world: &World, name: &str| {
        let slice = world.state.snapshot().slice(&Key::new("ns", name)).cloned().unwrap();
        slice.spec.services[0].firewall_mark.clone().unwrap().mark
    };
    let first = mark(&world, "s0-0");
    assert_ne!(first, mark(&world, "s1-0"));
    // Written by a replica that had not seen the other's slice; the event of the older one's comes last.
    for (name, set) in [("s1-0", first), ("s0-0", first)] {
        let slice = world.state.snapshot().slice(&Key::new("ns", name)).cloned().unwrap();
        let mut slice = VirtualServiceSlice::clone(&slice);
        slice.spec.services[0].firewall_mark.as_mut().unwrap().mark = set;
        world.version += 1;
        slice.metadata.resource_version = Some(world.version.to_string());
        let delta = Delta::Seen { object: Box::new(slice), listed: false };
        world.state.change(Change::Slice(delta), world.now);
    }
    world.settle();
    assert_eq!(mark(&world, "s0-0"), first);
    assert_ne!(mark(&world, "s1-0"), first);
}

#[test]
fn the_older_service_that_comes_last_with_its_mark_moves_the_younger_one() {
    let mut world = World::of(2);
    for (name, vip) in [("s0", "192.0.2.0"), ("s1", "192.0.2.1")] {
        world.service(name, vip, json!({"firewallMark": {}}));
        world.settle();
    }
    let slice = world.state.snapshot().slice(&Key::new("ns", "s0-0")).cloned().unwrap();
    let taken = world.state.snapshot().slice(&Key::new("ns", "s1-0")).cloned().unwrap();
    let mut slice = VirtualServiceSlice::clone(&slice);
    slice.spec.services[0].firewall_mark = taken.spec.services[0].firewall_mark.clone();
    world.version += 1;
    slice.metadata.resource_version = Some(world.version.to_string());
    let delta = Delta::Seen { object: Box::new(slice), listed: false };
    world.state.change(Change::Slice(delta), world.now);
    assert_eq!(world.marked(), ["VirtualService ns/s0", "VirtualService ns/s1"]);
}

#[test]
fn what_passes_through_the_directors_of_two_groups_is_looked_at_when_they_have_one_in_common() {
    let mut world = World::of(1);
    let group = |world: &mut World, members: Value| {
        let meta = world.meta("second", false);
        let spec = json!({"nodeSelector": {"matchLabels": {"director": "no"}}});
        let group = json!({"apiVersion": "kube-lvs.io/v1alpha1", "kind": "DirectorGroup", "metadata": meta, "spec": spec,
            "status": {"members": members}});
        world.seen::<DirectorGroup>(group, Change::DirectorGroup);
    };
    group(&mut world, json!([]));
    for (name, of) in [("all", "default"), ("other", "second"), ("v6", "second")] {
        let networks = if name == "v6" { ["::/0"] } else { ["0.0.0.0/0"] };
        let extra = json!({"addresses": [], "directorGroup": of, "firewallMark": {"destinations": networks}});
        world.service(name, "192.0.2.1", extra);
    }
    world.settle();
    for members in [json!([{"node": "d1"}]), json!([])] {
        group(&mut world, members);
        let marked = world.marked();
        assert!(marked.contains(&"VirtualService ns/all".to_owned()), "{marked:?}");
        assert!(!marked.contains(&"VirtualService ns/s0".to_owned()), "{marked:?}");
    }
}
