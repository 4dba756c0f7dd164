use super::*;
use proptest::prelude::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs until `end`, each check taking `takes`; `works` says how each goes.
fn run(
    machine: &mut Machine<u32>,
    end: Duration,
    takes: Duration,
    works: impl Fn(u32, Duration) -> bool,
) -> Vec<(Duration, Turned<u32>)> {
    let (mut running, mut turned): (BTreeSet<(Duration, u32)>, Vec<_>) = Default::default();
    loop {
        let ends = running.first().map(|(at, _)| *at);
        let Some(now) = [ends, machine.deadline()].into_iter().flatten().min() else { break };
        if now > end {
            break;
        }
        if ends == Some(now) {
            let (_, target) = running.pop_first().expect("one that runs");
            let met = if works(target, now) { Ok("200".to_owned()) } else { Err("503".to_owned()) };
            turned.extend(machine.end(&target, met, now).map(|it| (now, it)));
            continue;
        }
        while let Some(target) = machine.begin(now) {
            assert!(running.iter().all(|(_, it)| *it != target), "{target} runs twice");
            running.insert((now + takes, target));
        }
    }
    turned
}

#[test]
fn a_death_is_seen_within_a_second_by_default_and_a_return_after_rise() {
    for seed in 0..200 {
        let mut machine = Machine::new(seed);
        machine.set(1, Timing::default(), None, Duration::ZERO);
        let (dies, lives) = (ms(5_000 + seed * 7), ms(9_000));
        // Each check ends by its timeout of 200 ms.
        let turned =
            run(&mut machine, ms(12_000), ms(200), |_, now| now < dies + ms(200) || now > lives);
        let turned: Vec<_> = turned.iter().map(|(at, it)| (*at, it.up, it.count)).collect();
        let [(down, false, 3), (up, true, 2)] = turned[..] else { panic!("{seed}: {turned:?}") };
        assert!(down - dies <= ms(1_000), "{seed}: {:?}", down - dies);
        assert!(up - lives <= ms(800), "{seed}: {:?}", up - lives);
    }
}

#[test]
fn one_failure_of_three_is_none_and_what_is_known_outlives_a_restart() {
    let mut machine = Machine::new(1);
    machine.set(1, Timing::default(), None, Duration::ZERO);
    let every_third = |_, now: Duration| !(now.as_millis() / 250).is_multiple_of(3);
    assert_eq!(run(&mut machine, ms(60_000), ms(1), every_third), []);
    machine.set(2, Timing::default(), Some(false), ms(60_000));
    assert_eq!((machine.is_up(&1), machine.is_up(&2)), (Some(true), Some(false)));
    machine.set(3, Timing { initial_up: false, ..Timing::default() }, None, ms(60_000));
    machine.set(3, Timing::default(), Some(true), ms(60_000));
    assert_eq!(machine.is_up(&3), Some(false), "a change of settings forgets nothing");
    machine.remove(&3);
    assert_eq!((machine.is_up(&3), machine.len()), (None, 2));
}

#[test]
fn who_flaps_has_to_pass_for_longer_each_time_and_falls_as_quickly() {
    let mut machine = Machine::new(1);
    let timing = Timing { fall: 1, rise: 2, jitter_percent: 0, ..Timing::default() };
    machine.set(1, timing, None, Duration::ZERO);
    // Fails once whenever it is up.
    let mut counts = Vec::new();
    let mut now = Duration::ZERO;
    while counts.len() < 13 {
        now = machine.deadline().expect("due");
        let target = machine.begin(now).expect("it is due");
        let up = machine.is_up(&1) == Some(true);
        let met = if up { Err(String::new()) } else { Ok(String::new()) };
        counts.extend(machine.end(&target, met, now).map(|it| (it.up, it.count)));
    }
    let rises: Vec<u32> = counts.iter().filter(|(up, _)| *up).map(|(_, count)| *count).collect();
    assert_eq!(rises, [2, 4, 8, 16, 16, 16]);
    assert!(counts.iter().all(|(up, count)| *up || *count == 1));
    // Forgotten after some quiet minutes.
    let state = &machine.targets[&1];
    assert_eq!((state.up, state.needed(now)), (false, 16));
    assert_eq!(state.needed(now + 2 * HALF_LIFE), 4);
    assert_eq!(state.needed(now + 6 * HALF_LIFE), 2);
}

#[test]
fn ten_thousand_targets_are_spread_over_their_interval() {
    let mut machine = Machine::new(3);
    let timing = Timing { interval: ms(1_000), ..Timing::default() };
    for target in 0..10_000 {
        machine.set(target, timing, None, Duration::ZERO);
    }
    for second in 0..5_u64 {
        let mut slots = [0_u32; 20];
        for (slot, count) in (0_u64..).zip(&mut slots) {
            let now = ms(second * 1_000 + slot * 50 + 49);
            while let Some(target) = machine.begin(now) {
                assert_eq!(machine.end(&target, Ok(String::new()), now), None);
                *count += 1;
            }
        }
        assert!(slots.iter().all(|count| (350..650).contains(count)), "{second}: {slots:?}");
    }
}

proptest! {
    #[test]
    fn nothing_overlaps_gets_lost_or_turns_without_enough_results(
        seed: u64,
        rise in 1_u32..5,
        fall in 1_u32..5,
        jitter_percent in 0_u32..=50,
        takes in 0_u64..900,
        pattern in proptest::collection::vec(any::<bool>(), 1..40),
    ) {
        let mut machine = Machine::new(seed);
        let timing = Timing { interval: ms(300), rise, fall, jitter_percent, initial_up: true };
        for target in 0..5 {
            machine.set(target, timing, None, Duration::ZERO);
        }
        let works = |target: u32, now: Duration| {
            let at = usize::try_from(now.as_millis() / 700).expect("small") + target as usize;
            pattern[at % pattern.len()]
        };
        for (_, turned) in run(&mut machine, ms(60_000), ms(takes), works) {
            let least = if turned.up { rise } else { fall };
            prop_assert!(turned.count >= least && turned.count <= least * MOST_PATIENCE);
            prop_assert_eq!(turned.up, turned.reason == "200");
        }
        // Whoever is not running is due.
        let running = machine.targets.values().filter(|state| state.running).count();
        prop_assert_eq!(machine.due.len() + running, 5);
    }
}
