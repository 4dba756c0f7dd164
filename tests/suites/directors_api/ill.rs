//! Directors that cannot serve what they should.

use std::time::Duration;

use lvs_crds::DirectorRole;
use lvs_tests::eventually;
use lvs_tests::net::Link;

use super::net::{Net, PATIENCE, PROMISE, roles, vips};

pub(crate) fn a_director_that_cannot_program_a_service_stands_back(net: &mut Net) {
    const LATE: &str = "192.168.0.16";
    let home = net.home(LATE).expect("a home");
    let node = net.nodes[home].clone();
    node.sh("ipvsadm -A -t 192.168.0.16:80 -s rr").expect("a foreign service");
    // Of the same director.
    let vip = net.vips_of(home).pop().expect("a VIP");
    let met = net.under_load(&vip, |net| {
        net.cluster.apply(&net.service("late", LATE, ""));
        net.service_says("late", "Available", "True", "Available", "");
    });
    met.nothing_lost("a foreign service on the home of a new VIP");
    assert_ne!(net.holder(LATE), home);
    net.client.get("192.168.0.16:80").unwrap_or_else(|e| panic!("{e:#}"));
    net.service_says("late", "Programmed", "False", "NotProgrammed", node.name());
    let late = net.virtual_service("late");
    let problem = late.status.iter().flat_map(|it| &it.directors).find(|it| it.node == node.name());
    let problem = problem.and_then(|it| it.problem.clone()).unwrap_or_default();
    println!("directors[].problem: {problem}");
    assert!(problem.contains("ForeignService"), "{late:?}");
    assert_eq!(roles(&late).get(node.name()), Some(&DirectorRole::Standby));
    let told = net.group_says("default", "Degraded", "True", "DirectorOut", node.name());
    println!("the group: {told}");
    net.roles_are_true();

    node.sh("ipvsadm -D -t 192.168.0.16:80").expect("no foreign service any more");
    eventually("it is at home", PATIENCE, || net.holders(LATE), |holders| *holders == [home]);
    net.service_says("late", "Programmed", "True", "Programmed", "");
    net.forget("late");
}

pub(crate) fn a_director_whose_interface_is_down_stands_back(net: &mut Net) {
    for interface in ["eth1", "eth0"] {
        let vip = vips().next().expect("a VIP");
        let home = net.holder(&vip);
        let node = net.nodes[home].clone();
        let met = net.under_load(&vip, |net| {
            node.sh(&format!("ip link set {interface} down")).expect("it goes down");
            let told = format!("interface {interface} is down");
            let told = net.group_says("default", "Degraded", "True", "DirectorOut", &told);
            println!("the group: {told}");
        });
        met.gap_within(PROMISE, &format!("{interface} down"));
        for vip in vips() {
            assert_ne!(net.holder(&vip), home, "{vip}");
        }
        net.roles_are_true();
        node.sh(&format!("ip link set {interface} up")).expect("it comes up");
        net.all_is_well();
    }
}

pub(crate) fn a_director_without_the_interface_of_a_network_stands_back(net: &mut Net) {
    let other = Link::new("other");
    net.client = net.client.clone().on(&other, "eth2", "172.16.0.50/24");
    // One whose home has no such interface.
    let vip = (10..60).map(|host| format!("172.16.0.{host}"));
    let vip = vip.into_iter().find(|vip| net.home(vip) == Some(2)).expect("a VIP of lvs3");
    for index in 0..2 {
        let address = format!("172.16.0.{}/24", index + 1);
        net.nodes[index] = net.nodes[index].clone().on(&other, "eth2", &address);
    }
    let networks = "networks: [{cidr: 192.168.0.0/24, interface: eth1}, {cidr: 172.16.0.0/24, interface: eth2}], \
                    failover: {preemptDelaySeconds: 2}";
    net.group(networks);
    let known = super::net::vips().next().expect("a VIP");
    let met = net.under_load(&known, |net| {
        net.cluster.apply(&net.service("other", &vip, ""));
        net.service_says("other", "Available", "True", "Available", "");
    });
    met.nothing_lost("a VIP of a network that one director is not in");
    assert_ne!(net.holder(&vip), 2);
    let told = net.service_says("other", "Programmed", "False", "NotProgrammed", "node lvs3");
    println!("the VirtualService: {told}");
    assert!(told.contains("eth2"), "{told}");
    let told = net.group_says("default", "Degraded", "True", "DirectorOut", "node lvs3");
    println!("the group: {told}");
    net.roles_are_true();
    net.forget("other");
    std::thread::sleep(Duration::from_secs(1));
    for index in 0..2 {
        net.nodes[index].sh("ip link del eth2").expect("no eth2 any more");
    }
    net.group("failover: {preemptDelaySeconds: 2}");
}
