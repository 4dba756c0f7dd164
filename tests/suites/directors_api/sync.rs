//! Connection sync that cannot be had, on one director, on all, or for one group of two: it is told, VIPs and services are as
//! they were, and the other directors sync on.

use std::time::Duration;

use lvs_ipvs::{Client, Daemon};
use lvs_tests::eventually;
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::director_group;

use super::net::{Net, PATIENCE, vips};

/// The kernel's.
const PORT: u16 = 8848;

/// Interface and port of each director's daemons, where both run.
fn daemons(net: &Net) -> Vec<Option<String>> {
    let of = |node: &Node| {
        let all = node.run(|| Client::open().and_then(|mut client| client.daemons()));
        let all = all.unwrap_or_else(|e| panic!("{}: {e}", node.name()));
        let told = |it: &Daemon| format!("{} {}", it.interface, it.port.unwrap_or(PORT));
        let told: Vec<String> = all.iter().map(told).collect();
        // While they are replaced there may be one.
        told.windows(2).find(|two| two[0] == two[1]).map(|two| two[0].clone())
    };
    net.nodes.iter().map(of).collect()
}

/// The group warns of these directors and runs daemons as said on each; nothing has moved, clients notice nothing.
#[track_caller]
fn told(
    net: &mut Net,
    what: &str,
    spec: &str,
    reason: &str,
    who: &[&str],
    wanted: [Option<&str>; 3],
) {
    let vip = vips().next().expect("a VIP");
    let before: Vec<_> = vips().map(|vip| net.holders(&vip)).collect();
    let met = net.under_load(&vip, |net| {
        net.group(&format!("{spec}failover: {{preemptDelaySeconds: 2}}"));
        for node in who {
            let part = format!("node {node}: {reason}: ");
            let message = net.group_says("default", "Degraded", "True", "NodeWarning", &part);
            println!("{what}: {message}");
            assert!(message.contains("spec.connectionSync"), "{message}");
        }
        let wanted = wanted.map(|it| it.map(str::to_owned));
        eventually("the daemons that can be had", PATIENCE, || daemons(net), |it| *it == wanted);
        for vip in vips() {
            net.service_says(&super::net::name_of(&vip), "Programmed", "True", "Programmed", "");
        }
        std::thread::sleep(Duration::from_secs(3));
    });
    met.nothing_lost(what);
    let after: Vec<_> = vips().map(|vip| net.holders(&vip)).collect();
    assert_eq!(before, after, "{what}: nothing has moved");
}

pub(crate) fn what_cannot_be_had_is_told(net: &mut Net) {
    const EVERYWHERE: [Option<&str>; 3] = [Some("eth0 8848"); 3];
    let other = Link::new("sync");
    for index in 0..2 {
        let address = format!("172.17.0.{}/24", index + 1);
        net.nodes[index] = net.nodes[index].clone().on(&other, "eth3", &address);
    }
    let everywhere = || EVERYWHERE.map(|it| it.map(str::to_owned));
    eventually("all sync", PATIENCE, || daemons(net), |it| *it == everywhere());

    let spec = "connectionSync: {interface: eth3}, ";
    let two = [Some("eth3 8848"), Some("eth3 8848"), None];
    told(net, "an interface that one director lacks", spec, "NoInterface", &["lvs3"], two);

    let spec = "connectionSync: {interface: lo}, ";
    told(net, "lo", spec, "NoMulticast", &["lvs1", "lvs2", "lvs3"], [None; 3]);

    net.nodes[0].sh("ip link set eth3 multicast off").expect("no multicast");
    let spec = "connectionSync: {interface: eth3}, ";
    let one = [None, Some("eth3 8848"), None];
    told(net, "an interface without multicast", spec, "NoMulticast", &["lvs1"], one);
    for index in 0..2 {
        net.nodes[index].sh("ip link del eth3").expect("no eth3 any more");
    }

    told(net, "all as it was", "", "", &[], EVERYWHERE);
    net.all_is_well();
}

pub(crate) fn the_older_of_two_groups_has_the_say(net: &mut Net) {
    let vip = vips().next().expect("a VIP");
    let before = daemons(net);
    let met = net.under_load(&vip, |net| {
        net.cluster.apply(&director_group("second", "connectionSync: {port: 9000}"));
        let part = "spec.connectionSync.port: 9000";
        let told = net.group_says("second", "Conflicted", "True", "SettingsConflict", part);
        println!("the younger group: {told}");
        assert!(told.contains("DirectorGroup default"), "{told}");
        net.group_says("default", "Conflicted", "False", "AsExpected", "");
        std::thread::sleep(Duration::from_secs(3));
    });
    met.nothing_lost("a second group with another port for connection sync");
    assert_eq!(daemons(net), before);
    net.cluster.apply(&director_group("second", "connectionSync: {port: 8848}"));
    net.group_says("second", "Conflicted", "False", "AsExpected", "");
    net.cluster.delete("lvsdg/second");
    net.all_is_well();
}
