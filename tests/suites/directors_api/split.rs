//! Directors that do not hear each other, while the API server hears all of them.

use std::thread::sleep;
use std::time::{Duration, Instant};

use k8s_openapi::api::events::v1::Event;
use lvs_crds::DirectorRole;
use lvs_tests::eventually;

use super::net::{Net, PATIENCE, name_of, roles, vips};

/// A filter somewhere between the directors, as far as they can tell.
const CUT: &str = "nft 'table inet cut { chain in { type filter hook input priority -300; ip protocol 112 drop; }; }'";

pub(crate) fn what_several_carry_at_once_is_told_with_its_cause(net: &mut Net) {
    let names = ["lvs1", "lvs2", "lvs3"];
    let before = told(net, "SplitBrain");
    let since = Instant::now();
    for node in &net.nodes {
        node.sh(CUT).unwrap_or_else(|e| panic!("{e:#}"));
    }
    let message = net.group_says(
        "default",
        "Degraded",
        "True",
        "SplitBrain",
        "on lvs1, lvs2 and lvs3 at once",
    );
    println!("after {:?}: {message}", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    for part in ["lvs1 hears nothing from lvs2 and lvs3", "IP protocol 112"] {
        assert!(message.contains(part), "{message}");
    }
    for vip in vips() {
        assert_eq!(net.holders(&vip), [0, 1, 2], "{vip}");
        let told = net.service_says(&name_of(&vip), "Degraded", "True", "SplitBrain", &vip);
        assert!(told.contains("lvs1, lvs2 and lvs3"), "{told}");
        let service = net.virtual_service(&name_of(&vip));
        assert!(roles(&service).values().all(|role| *role == DirectorRole::Active), "{service:?}");
    }
    println!("{}", net.cluster.kubectl("get lvs").unwrap_or_else(|e| panic!("{e:#}")));
    // It stays told, and is told once: also by an operator that has only begun to listen.
    let events = told(net, "SplitBrain");
    assert_eq!(events - before, 1);
    let taken = told(net, "TookOver");
    sleep(Duration::from_secs(70));
    net.cluster.kill_operator();
    net.cluster.start_operator();
    sleep(Duration::from_secs(70));
    assert_eq!(told(net, "SplitBrain"), events);
    assert_eq!(told(net, "TookOver"), taken, "nobody has taken anything over");
    net.group_says("default", "Degraded", "True", "SplitBrain", "at once");
    let active = net.virtual_service(&name_of(&vips().next().expect("a VIP"))).status;
    let active = active.and_then(|status| status.display).map(|it| it.active).unwrap_or_default();
    assert!(names.iter().all(|name| active.contains(name)), "{active}");

    for node in &net.nodes {
        node.sh("nft delete table inet cut").unwrap_or_else(|e| panic!("{e:#}"));
    }
    net.all_is_well();
}

/// How many events of this reason the API server has.
fn told(net: &Net, reason: &str) -> usize {
    let read = || {
        let events: Vec<Event> = net.cluster.plane.list().expect("events");
        events.iter().filter(|event| event.reason.as_deref() == Some(reason)).count()
    };
    sleep(Duration::from_secs(1));
    eventually("events", PATIENCE, read, |_| true)
}
