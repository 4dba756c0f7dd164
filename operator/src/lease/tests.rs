//! The lease's machine against a server that is slow, forgetful and honest, with candidates that freeze.

use super::machine::{Action, Draft, Machine, Record, Settings};
use proptest::prelude::*;
use std::time::Duration;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn settings(identity: &str) -> Settings {
    Settings {
        identity: identity.to_owned(),
        lease_duration: s(15),
        renew_deadline: s(10),
        retry_period: s(2),
    }
}

/// The API server: one lease, optimistic concurrency.
#[derive(Default)]
struct Server {
    record: Option<Record>,
    writes: u64,
}

impl Server {
    fn write(&mut self, draft: &Draft) -> Option<Record> {
        if self.record.as_ref().map(|r| &r.version) != draft.version.as_ref() {
            return None;
        }
        self.writes += 1;
        let record = Record {
            holder: draft.holder.clone(),
            duration: if draft.holder.is_empty() { s(1) } else { s(15) },
            transitions: draft.transitions,
            acquired: draft.acquired.clone().or(Some(self.writes.to_string())),
            renewed: Some(self.writes.to_string()),
            version: self.writes.to_string(),
        };
        self.record = Some(record.clone());
        Some(record)
    }

    /// Lets a candidate act until it waits.
    fn serve(&mut self, machine: &mut Machine, now: Duration) {
        loop {
            match machine.poll(now) {
                Action::Wait(_) => return,
                Action::Read => machine.read(now, self.record.clone()),
                Action::Write(draft) => match self.write(&draft) {
                    Some(record) => machine.written(now, record),
                    None => machine.failed(now),
                },
            }
        }
    }
}

#[test]
fn the_first_creates_it_and_the_second_waits_until_it_has_not_changed_for_its_duration() {
    let mut server = Server::default();
    let (mut a, mut b) = (Machine::new(settings("a")), Machine::new(settings("b")));
    server.serve(&mut a, s(0));
    assert!(a.holds(s(0)));
    for now in (0..100).map(s) {
        server.serve(&mut a, now);
        server.serve(&mut b, now);
        assert!(a.holds(now) && !b.holds(now), "{now:?}");
    }
    // a dies at 99.
    let taken = (100..200).map(s).find(|now| {
        server.serve(&mut b, *now);
        b.holds(*now)
    });
    let taken = taken.expect("b takes over");
    assert!(taken >= s(99 + 13) && taken <= s(99 + 15 + 4), "{taken:?}");
    let record = server.record.clone().expect("a lease");
    assert_eq!((record.holder.as_str(), record.transitions), ("b", 1));
    // What a wakes with is stale.
    assert!(!a.holds(taken));
    server.serve(&mut a, taken);
    assert!(!a.holds(taken));
    assert_eq!(server.record.as_ref().map(|r| r.holder.as_str()), Some("b"));
}

#[test]
fn a_released_lease_is_taken_at_the_next_look() {
    let mut server = Server::default();
    let (mut a, mut b) = (Machine::new(settings("a")), Machine::new(settings("b")));
    server.serve(&mut a, s(0));
    server.serve(&mut b, s(0));
    let draft = a.release().expect("it is held");
    assert!(!a.holds(s(0)), "from the release on it does not act");
    assert!(server.write(&draft).is_some());
    server.serve(&mut b, s(2));
    assert!(b.holds(s(2)));
    assert_eq!(b.release().map(|d| d.transitions), Some(1));
}

#[test]
fn what_is_not_held_is_not_released() {
    let mut server = Server::default();
    let (mut a, mut b) = (Machine::new(settings("a")), Machine::new(settings("b")));
    assert_eq!(a.release(), None);
    server.serve(&mut a, s(0));
    server.serve(&mut b, s(1));
    assert_eq!(b.release(), None);
}

#[test]
fn a_renewal_whose_outcome_is_unknown_extends_nothing() {
    let mut server = Server::default();
    let mut a = Machine::new(settings("a"));
    server.serve(&mut a, s(0));
    let mut now = s(2);
    while now < s(10) {
        if let Action::Write(draft) = a.poll(now) {
            server.write(&draft);
        }
        a.failed(now);
        assert!(a.holds(now));
        now += s(2);
    }
    assert!(!a.holds(s(10)));
    // It may have it still, and finds that out by writing.
    server.serve(&mut a, s(12));
    assert!(a.holds(s(12)));
    assert_eq!(server.record.as_ref().map(|r| r.transitions), Some(0));
}

#[test]
fn belief_counts_from_when_the_renewal_began() {
    let mut server = Server::default();
    let mut a = Machine::new(settings("a"));
    let Action::Read = a.poll(s(0)) else { panic!("it looks first") };
    a.read(s(1), None);
    let Action::Write(draft) = a.poll(s(1)) else { panic!("it creates it") };
    let record = server.write(&draft).expect("there is none");
    a.written(s(9), record);
    assert_eq!(a.held_until(), Some(s(11)));
}

/// What becomes of one request: how long it takes there and back in tenths of a second, and whether it arrives, and
/// whether its answer does.
type Fate = (u64, u64, bool, bool);

/// A candidate with its own clock, its requests' fates and the times at which it is frozen.
#[derive(Debug)]
struct Candidate {
    machine: Machine,
    clock: Duration,
    fates: Vec<Fate>,
    frozen: Vec<(u64, u64)>,
    request: Option<Request>,
}

#[derive(Debug)]
struct Request {
    action: Action,
    arrives: u64,
    returns: u64,
    lost: bool,
    answer: Option<Option<Record>>,
    answer_lost: bool,
}

impl Candidate {
    fn now(&self, tick: u64) -> Duration {
        self.clock + Duration::from_millis(tick * 100)
    }

    fn believes(&self, tick: u64) -> bool {
        self.machine.holds(self.now(tick))
    }

    fn step(&mut self, tick: u64, server: &mut Server) {
        // What is on its way arrives, whatever has become of its sender.
        if let Some(request) = &mut self.request
            && request.answer.is_none()
            && tick >= request.arrives
        {
            request.answer = Some(match &request.action {
                _ if request.lost => None,
                Action::Read => server.record.clone(),
                Action::Write(draft) => server.write(draft),
                Action::Wait(_) => None,
            });
        }
        if self.frozen.iter().any(|(from, to)| (*from..*to).contains(&tick)) {
            return;
        }
        let now = self.now(tick);
        if let Some(request) = self.request.take_if(|request| tick >= request.returns) {
            match (request.action, request.answer.flatten()) {
                _ if request.lost || request.answer_lost => self.machine.failed(now),
                (Action::Read, record) => self.machine.read(now, record),
                (_, Some(record)) => self.machine.written(now, record),
                (_, None) => self.machine.failed(now),
            }
        }
        if self.request.is_none() {
            let action = self.machine.poll(now);
            if !matches!(action, Action::Wait(_)) {
                let (there, back, lost, answer_lost) =
                    self.fates.pop().unwrap_or((0, 0, false, false));
                self.request = Some(Request {
                    action,
                    arrives: tick + there,
                    returns: tick + there + back,
                    lost,
                    answer: None,
                    answer_lost,
                });
            }
        }
    }
}

fn candidate(name: &'static str) -> impl Strategy<Value = Candidate> {
    let fate = (0u64..200, 0u64..200, prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let quick = (0u64..3, 0u64..3, Just(false), Just(false));
    let fates = prop::collection::vec(prop_oneof![1 => fate, 2 => quick], 0..200);
    let frozen = prop::collection::vec((0u64..3000, 1u64..400), 0..4);
    (0u64..1_000_000, fates, frozen).prop_map(move |(clock, fates, frozen)| Candidate {
        machine: Machine::new(settings(name)),
        clock: Duration::from_millis(clock),
        fates,
        frozen: frozen.into_iter().map(|(from, length)| (from, from + length)).collect(),
        request: None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn never_do_two_believe_to_hold_it(
        mut candidates in (candidate("a"), candidate("b"), candidate("c")).prop_map(|(a, b, c)| [a, b, c]),
    ) {
        let mut server = Server::default();
        for tick in 0..3000 {
            for candidate in &mut candidates {
                candidate.step(tick, &mut server);
            }
            let holders = candidates.iter().filter(|c| c.believes(tick)).count();
            prop_assert!(holders <= 1, "{holders} at {tick}");
        }
        // With nobody frozen and an honest network again, somebody gets it and keeps it.
        for candidate in &mut candidates {
            candidate.fates.clear();
        }
        let end = 3400 + 400 + 500;
        for tick in 3000..end {
            candidates.iter_mut().for_each(|c| c.step(tick, &mut server));
        }
        prop_assert_eq!(candidates.iter().filter(|c| c.believes(end)).count(), 1);
    }
}
