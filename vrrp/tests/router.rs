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

const HALF: Duration = Duration::from_millis(45);

/// A Backup of this priority that has heard one of each of these, from `start` on every half interval.
fn heard(settings: Settings, priorities: &[u8], interval: u16) -> (Router, Duration) {
    let mut now = Duration::from_secs(1);
    let mut router = Router::start(settings, now);
    for priority in priorities {
        now += HALF;
        let vrid = Vrid::new(1).unwrap();
        let sent = Advertisement { vrid, priority: *priority, interval, addresses: vec![own(9)] };
        router.hear(own(9), &sent, now);
    }
    (router, now)
}

fn waits(settings: Settings, priorities: &[u8], interval: u16) -> Duration {
    let (router, now) = heard(settings, priorities, interval);
    router.deadline().unwrap() - now
}

#[test]
fn a_backup_waits_as_long_as_the_active_ones_interval_asks_for() {
    let each = Duration::from_secs(1);
    let wanted = 3 * each + each * 6 / 256;
    assert_eq!(waits(settings(0, 250, 9), &[254], 100), wanted);
    // One that gives way too.
    let (mut router, mut now) = heard(settings(0, 250, 9), &[], 9);
    now += Duration::from_secs(1);
    assert!(matches!(router.tick(now), Outcome::TookOver(_)));
    let vrid = Vrid::new(1).unwrap();
    let better = Advertisement { vrid, priority: 254, interval: 100, addresses: vec![own(9)] };
    assert_eq!(router.hear(own(9), &better, now), Outcome::GaveUp);
    assert_eq!(router.deadline(), Some(now + wanted));
}

#[test]
fn the_best_takes_over_from_a_worse_one_after_an_interval_and_its_skew() {
    let each = Duration::from_millis(90);
    let skew = |priority: u32| each * (256 - priority) / 256;
    let own = settings(0, 200, 9);
    assert_eq!(waits(own, &[100], 9), each + skew(200));
    assert_eq!(waits(own, &[200], 9), 3 * each + skew(200), "from an equal one it does not");
    assert_eq!(waits(own, &[100, 254], 9), 3 * each + skew(200), "nor once a better one is heard");
    // A priority that has changed meanwhile is compared with what is heard next.
    let (mut router, now) = heard(own, &[100], 9);
    router.configure(settings(0, 90, 9), now);
    assert!(router.deadline().unwrap() > now + 2 * each);
    // What the ill do among themselves is as the rest is.
    let never = |priority| Settings { preempt: None, ill_below: 126, ..settings(0, priority, 9) };
    assert_eq!(waits(never(125), &[100], 9), 3 * each + skew(125));
    assert_eq!(waits(never(126), &[100], 9), each + skew(126));
}

#[test]
fn giving_up_that_is_said_twice_is_followed_as_if_it_were_said_once() {
    let skew = Duration::from_millis(90) * 246 / 256;
    assert_eq!(waits(settings(0, 10, 9), &[254, 0], 9), skew);
    assert_eq!(waits(settings(0, 10, 9), &[254, 0, 0], 9), skew - HALF);
}
