//! Directors that die.

use std::thread::sleep;
use std::time::{Duration, Instant};

use lvs_tests::eventually;

use super::net::{Net, PATIENCE, PREEMPT_DELAY, PROMISE, vips};

/// The kernel's own hand, its rounding, and some more.
const LIFETIME: Duration = Duration::from_millis(3300);

pub(crate) fn a_director_dies_and_comes_back_while_the_api_server_is_away(net: &mut Net) {
    let vip = vips().next().expect("a VIP");
    let first = net.holder(&vip);
    let theirs = net.vips_of(first);
    net.nodes.iter().for_each(|node| net.cluster.plane.cut(node));
    let met = net.under_load(&vip, |net| {
        let node = net.nodes[first].clone();
        net.cluster.kill_agent(&node);
        sleep(Duration::from_millis(100));
        net.unplug(first);
        sleep(LIFETIME);
    });
    met.gap_within(PROMISE, "agent killed, cables pulled, no API server");
    for vip in vips() {
        let holder = net.holder(&vip);
        assert_ne!(holder, first, "{vip}");
    }
    // It has nobody to ask but its disk.
    net.plug(first);
    let since = Instant::now();
    let met = net.under_load(&vip, |net| {
        let node = net.nodes[first].clone();
        net.cluster.start_agent(&node);
        eventually("it has its VIPs back", PATIENCE, || net.vips_of(first), |it| *it == theirs);
    });
    println!("its VIPs are back {:?} after its start", since.elapsed());
    met.nothing_lost("agent back, no API server");
    assert!(since.elapsed() >= PREEMPT_DELAY, "{:?}", since.elapsed());
    net.nodes.iter().for_each(|node| net.cluster.plane.heal(node));
}

pub(crate) fn a_fast_profile_takes_over_faster(net: &mut Net) {
    let vip = vips().next().expect("a VIP");
    let first = net.holder(&vip);
    let met = net.under_load(&vip, |net| {
        net.unplug(first);
        sleep(LIFETIME);
    });
    met.gap_within(Duration::from_millis(100), "cables pulled, profile Fast");
    net.plug(first);
    net.all_is_well();
}
