//! One virtual router's machine: whatever two of them went through, one is Active an interval after they hear each other.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

use lvs_vrrp::router::{Outcome, Router, Settings};
use lvs_vrrp::{Advertisement, State, Vrid};
use proptest::prelude::*;
use std::net::IpAddr;
use std::time::Duration;

fn own(number: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, 1 + number as u8])
}

fn settings(number: usize, priority: u8, interval: u16) -> Settings {
    let preempt = Some(Duration::ZERO);
    Settings { own: own(number), priority, interval, preempt, ill_below: 0 }
}

/// Runs them for so long; `heard`: whether they hear each other.
fn run(routers: &mut [Router], now: &mut Duration, pause: Duration, heard: bool) {
    let end = *now + pause;
    while let Some(next) = routers.iter().filter_map(Router::deadline).min().filter(|at| *at <= end)
    {
        *now = next.max(*now);
        let due = routers.iter().position(|router| router.deadline() == Some(next)).unwrap();
        routers[due].tick(*now);
        if routers[due].state() != State::Active || !heard {
            continue;
        }
        let mut say = vec![due];
        while let Some(from) = say.pop() {
            let Settings { own, priority, interval, .. } = *routers[from].settings();
            let vrid = Vrid::new(1).unwrap();
            let sent = Advertisement { vrid, priority, interval, addresses: vec![own] };
            for (other, router) in routers.iter_mut().enumerate() {
                if other != from && router.hear(own, &sent, *now) == Outcome::Contended {
                    say.push(other);
                }
            }
        }
    }
    *now = end;
}

proptest! {
    #[test]
    fn one_is_active_an_interval_after_a_partition_heals(
        priorities in prop::collection::vec(1..=254_u8, 2..6),
        interval in 1..=100_u16,
        apart in 0..20_000_u64,
    ) {
        let mut now = Duration::from_secs(1);
        let start = |(number, priority): (usize, &u8)| Router::start(settings(number, *priority, interval), now);
        let mut routers: Vec<_> = priorities.iter().enumerate().map(start).collect();
        // Long enough for each to be Active by itself, and then a while.
        let each = Duration::from_millis(10 * u64::from(interval));
        run(&mut routers, &mut now, 5 * each + Duration::from_millis(apart), false);
        prop_assert!(routers.iter().all(|router| router.state() == State::Active));
        run(&mut routers, &mut now, each, true);
        let active = routers.iter().enumerate().filter(|(_, router)| router.state() == State::Active);
        let active: Vec<_> = active.map(|(number, _)| number).collect();
        let best = (0..priorities.len()).max_by_key(|number| (priorities[*number], *number));
        prop_assert_eq!(active, Vec::from_iter(best));
    }

    #[test]
    fn the_lower_the_priority_the_later(low in 1..=253_u8, more in 1..=100_u8, interval in 1..=4095_u16) {
        let high = low.saturating_add(more).min(254);
        let [low, high] = [low, high].map(|priority| Router::start(settings(0, priority, interval), Duration::ZERO));
        prop_assert!(low.deadline() > high.deadline());
        prop_assert!(low.skew() < Duration::from_millis(10 * u64::from(interval)));
    }
}
