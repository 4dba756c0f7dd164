//! What is told of groups that cannot work, while others serve.

use std::process::Command;
use std::time::Duration;

use lvs_tests::eventually;
use lvs_tests::net::Node;
use lvs_tests::scenario::director_group;

use super::net::{Net, PATIENCE, vips};

pub(crate) fn intervals_out_of_range_are_refused(net: &Net) {
    for (interval, parts) in [
        ("0", ["spec.failover.advertisementIntervalMilliseconds", "10 to 40950"]),
        ("41000", ["spec.failover.advertisementIntervalMilliseconds", "10 to 40950"]),
    ] {
        let spec = format!("failover: {{advertisementIntervalMilliseconds: {interval}}}");
        let told = net.cluster.refused(&director_group("refused", &spec));
        println!("{interval}: {told}");
        for part in parts {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}

pub(crate) fn a_group_of_no_node_says_so(net: &mut Net) {
    let vip = vips().next().expect("a VIP");
    let met = net.under_load(&vip, |net| {
        let nobody = "nodeSelector: {matchLabels: {role: nobody}}";
        net.cluster.apply(&director_group("nobody", nobody));
        net.cluster.apply(&net.service("lost", "192.168.0.30", "directorGroup: nobody"));
        net.group_says(
            "nobody",
            "Ready",
            "False",
            "NoDirector",
            "spec.nodeSelector matches no node",
        );
        net.service_says("lost", "Programmed", "False", "NoDirector", "DirectorGroup nobody");
        net.forget("lost");
        net.cluster.delete("lvsdg/nobody");
    });
    met.nothing_lost("a group of no node");
}

pub(crate) fn a_gateway_outside_every_subnet_is_told(net: &mut Net) {
    let vip = vips().next().expect("a VIP");
    let before: Vec<_> = vips().map(|vip| net.holders(&vip)).collect();
    let met = net.under_load(&vip, |net| {
        net.group("natGateways: [{address: 203.0.113.254/24}], failover: {preemptDelaySeconds: 2}");
        let told = net.group_says("default", "Degraded", "True", "DirectorOut", "203.0.113.254");
        println!("the group: {told}");
        assert!(told.contains("natGateways"), "{told}");
        std::thread::sleep(Duration::from_secs(3));
    });
    met.nothing_lost("a gateway outside every subnet");
    let after: Vec<_> = vips().map(|vip| net.holders(&vip)).collect();
    assert_eq!(before, after, "nothing has moved");
    net.group("failover: {preemptDelaySeconds: 2}");
    net.all_is_well();
}

pub(crate) fn groups_do_not_share_a_vip(net: &mut Net) {
    let vip = vips().next().expect("a VIP");
    let met = net.under_load(&vip.clone(), |net| {
        net.cluster.apply(&director_group("second", "failover: {preemptDelaySeconds: 2}"));
        net.cluster.apply(&net.service("clash", &vip, "directorGroup: second"));
        let told = net.service_says("clash", "Accepted", "False", "AddressConflict", "web10");
        println!("the VirtualService: {told}");
        net.forget("clash");
    });
    met.nothing_lost("a VIP of another group");
    net.cluster.delete("lvsdg/second");
    net.all_is_well();
}

pub(crate) fn groups_do_not_share_ids(net: &mut Net) {
    let vip = vips().next().expect("a VIP");
    let met = net.under_load(&vip, |net| {
        net.group("failover: {preemptDelaySeconds: 2, virtualRouterIDs: {first: 100, last: 106}}");
        let ids = || {
            let status = net.director_group("default").status.unwrap_or_default();
            let mut ids: Vec<i32> = status.virtual_routers.iter().map(|it| it.id).collect();
            ids.extend(status.presence_id);
            ids.sort_unstable();
            ids
        };
        eventually("ids within the range", PATIENCE, ids, |ids| ids.iter().copied().eq(100..107));
        std::thread::sleep(Duration::from_secs(2));
    });
    met.nothing_lost("all virtual router ids changed");
    let met = net.under_load(&vip, |net| {
        let second =
            "failover: {preemptDelaySeconds: 2, virtualRouterIDs: {first: 100, last: 106}}";
        net.cluster.apply(&director_group("second", second));
        net.cluster.apply(&net.service("two", "192.168.0.31", "directorGroup: second"));
        let told = net.group_says(
            "second",
            "Degraded",
            "True",
            "TooFewVirtualRouterIDs",
            "there are 0 free",
        );
        println!("the group: {told}");
        let told = net.service_says("two", "Available", "False", "NoActiveDirector", "second");
        println!("its VirtualService: {told}");
    });
    met.nothing_lost("a second group with the same ids");
    let met = net.under_load(&vip, |net| {
        let second =
            "failover: {preemptDelaySeconds: 2, virtualRouterIDs: {first: 110, last: 112}}";
        net.cluster.apply(&director_group("second", second));
        let told = net.group_says(
            "second",
            "Degraded",
            "True",
            "TooFewVirtualRouterIDs",
            "there are 3 free",
        );
        println!("the group: {told}");
        net.service_says("two", "Available", "True", "Available", "");
        net.client.get("192.168.0.31:80").unwrap_or_else(|e| panic!("{e:#}"));
        net.roles_are_true();
    });
    met.nothing_lost("a second group with too few ids");
    net.forget("two");
    net.cluster.delete("lvsdg/second");
    eventually("nobody has it", PATIENCE, || net.holders("192.168.0.31"), Vec::is_empty);
    net.group("failover: {preemptDelaySeconds: 2}");
    net.all_is_well();
}

pub(crate) fn a_strangers_id_is_told_and_avoided(net: &mut Net) {
    let vip = vips().next().expect("a VIP");
    let id = net.router(&vip);
    let stranger = Node::new("stranger").on(&net.inside, "eth0", "10.0.0.77/24");
    let met = net.under_load(&vip.clone(), |net| {
        let text = format!(
            "global_defs {{\n vrrp_version 3\n}}\nvrrp_instance one {{\n interface eth0\n state BACKUP\n \
             virtual_router_id {id}\n priority 255\n advert_int 0.1\n virtual_ipaddress {{\n 10.0.0.200/24\n }}\n}}\n"
        );
        let file = "/tmp/keepalived-stranger.conf";
        std::fs::write(file, text).expect("a configuration file");
        let mut command = Command::new("keepalived");
        command.args(["-n", "-l", "-D", "-P", "-f", file, "-p", "/tmp/stranger.pid"]);
        let _keepalived = stranger.spawn(command.args(["-r", "/tmp/stranger-vrrp.pid"]));
        let heard = || {
            let status = net.lvs_node(0).status.unwrap_or_default();
            status.strangers.iter().map(|it| (it.id, it.address.clone())).collect::<Vec<_>>()
        };
        let wanted = (id, "10.0.0.77".to_owned());
        eventually("lvs1 reports the stranger", PATIENCE, heard, |it| it.contains(&wanted));
        eventually("another id", PATIENCE, || net.router(&vip), |now| *now != id);
        std::thread::sleep(Duration::from_secs(5));
    });
    met.nothing_lost("a stranger with one of our ids");
    net.all_is_well();
    assert_ne!(net.router(&vip), id);
}
