//! What is meant to lose nothing.

use std::time::Duration;

use lvs_tests::eventually;
use lvs_tests::net::Node;
use lvs_tests::table::NodeState;

use super::net::{Net, PATIENCE, vips};

const DIRECTOR: &[(&str, &str)] = &[("kube-lvs.io/director", "true")];

/// The kernel of a node that is nothing any more is as it was before us.
#[track_caller]
fn is_given_back(net: &Net, node: &Node, before: &NodeState) {
    let changes = || NodeState::of(node).changes_since(before);
    eventually("its kernel is given back", PATIENCE, changes, Vec::is_empty);
    let _ = net;
}

pub(crate) fn a_director_leaves_and_comes_back(net: &mut Net) {
    let vip = vips().next().expect("a VIP");
    let first = net.holder(&vip);
    let node = net.nodes[first].clone();
    let met = net.under_load(&vip, |net| {
        net.cluster.plane.label_node(&node, &[]);
        is_given_back(net, &node, &net.before[first]);
    });
    met.nothing_lost("label removed");
    for vip in vips() {
        assert_ne!(net.holder(&vip), first, "{vip}");
    }
    net.roles_are_true();
    net.group_says("default", "Ready", "True", "Ready", "2 directors");
    let met = net.under_load(&vip, |net| {
        net.cluster.plane.label_node(&node, DIRECTOR);
        let holders = || net.holders(&vip);
        eventually("it is at home again", PATIENCE, holders, |holders| *holders == [first]);
    });
    met.nothing_lost("label back");
}

pub(crate) fn an_agent_is_told_to_end(net: &mut Net) {
    let vip = vips().nth(1).expect("a VIP");
    let first = net.holder(&vip);
    let node = net.nodes[first].clone();
    let met = net.under_load(&vip, |net| net.cluster.stop_agent(&node));
    met.nothing_lost("SIGTERM of the agent");
    assert_ne!(net.holder(&vip), first);
    net.roles_are_true();
    let met = net.under_load(&vip, |net| {
        net.cluster.start_agent(&node);
        let holders = || net.holders(&vip);
        eventually("it is at home again", PATIENCE, holders, |holders| *holders == [first]);
    });
    met.nothing_lost("agent started");
}

pub(crate) fn a_service_comes_and_goes(net: &mut Net) {
    const LATE: &str = "192.168.0.16";
    let vip = vips().next().expect("a VIP");
    let met = net.under_load(&vip, |net| {
        net.cluster.apply(&net.service("late", LATE, ""));
        net.cluster.wait_for("lvsvs/late", "Available");
        assert_eq!(net.holder(LATE), net.home(LATE).expect("a home"));
        net.client.get("192.168.0.16:80").unwrap_or_else(|e| panic!("{e:#}"));
        net.forget("late");
        eventually("nobody has it", PATIENCE, || net.holders(LATE), Vec::is_empty);
    });
    met.nothing_lost("a VirtualService added and deleted");
}

pub(crate) fn a_group_shrinks_to_one_and_grows_again(net: &mut Net) {
    let vip = vips().nth(2).expect("a VIP");
    let first = net.holder(&vip);
    let last = (first + 1) % 3;
    let leaving: Vec<usize> = (0..3).filter(|it| *it != last).collect();
    let met = net.under_load(&vip, |net| {
        for &it in &leaving {
            net.cluster.plane.label_node(&net.nodes[it], &[]);
        }
        for &it in &leaving {
            is_given_back(net, &net.nodes[it], &net.before[it]);
        }
    });
    met.nothing_lost("two of three labels removed");
    for vip in vips() {
        assert_eq!(net.holder(&vip), last);
    }
    net.roles_are_true();
    let name = net.nodes[last].name();
    let told = format!("Node {name} is the director.");
    net.group_says("default", "Ready", "True", "Ready", &told);
    let status = net.director_group("default").status.unwrap_or_default();
    assert_eq!((status.virtual_routers.len(), status.presence_id), (0, None), "{status:?}");
    let met = net.under_load(&vip, |net| {
        for &it in &leaving {
            net.cluster.plane.label_node(&net.nodes[it], DIRECTOR);
        }
        let holders = || net.holders(&vip);
        eventually("it is at home again", PATIENCE, holders, |holders| *holders == [first]);
    });
    met.nothing_lost("two labels back");
}

pub(crate) fn a_faster_profile_is_applied(net: &mut Net) {
    let vip = vips().next().expect("a VIP");
    let first = net.holder(&vip);
    let met = net.under_load(&vip, |net| {
        net.group("failover: {profile: Fast, preemptDelaySeconds: 2}");
        std::thread::sleep(Duration::from_secs(5));
    });
    met.nothing_lost("profile Fast applied");
    assert_eq!(net.holders(&vip), [first]);
}
