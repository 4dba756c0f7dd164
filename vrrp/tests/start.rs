//! Two directors that are started one after the other: whoever is first, each VIP is at one of them, and at home in the end.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

mod scene;

use lvs_vrrp::{Action, Config, Event, Group, Held, Peer, RouterConfig};
use scene::{PRESENCE, mac, ms, own, s, vip, vrid};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// On the way from one to the other.
const DELAY: Duration = Duration::from_micros(200);
/// For as long both may have a VIP when one takes it from the other: it announces first, and is heard after that.
const BOTH: Duration = Duration::from_millis(2 * 90 + 20);
const PREEMPT: Duration = Duration::from_secs(5);

/// Of director 1 or 2, each home to the VIP of its number.
fn config(number: u8, preempt: Option<Duration>) -> Config {
    let other = 3 - number;
    let peer = Peer { address: own(other), macs: [mac(other)].into() };
    let router = |home: u8| {
        let addresses = [vip(home)].into();
        let priority = if home == number { 254 } else { 250 };
        (vrid(home), RouterConfig { name: format!("{home}"), priority, addresses, down: None })
    };
    Config {
        own: own(number),
        name: format!("node{number}"),
        peers: [(format!("node{other}"), peer)].into(),
        preempt,
        routers: [router(1), router(2)].into(),
        interval: ms(90),
        ill_below: 126,
        lifetime: s(3),
        presence: vrid(PRESENCE),
    }
}

enum Frame {
    Packet(Vec<u8>),
    Neighbor(IpAddr),
}

/// Both, on one link.
struct Pair {
    now: Duration,
    preempt: Option<Duration>,
    starts: [Duration; 2],
    groups: [Option<Group>; 2],
    /// On their way to somebody.
    frames: BTreeMap<(Duration, u64), (usize, Frame)>,
    sent: u64,
    /// Since when both have a VIP.
    both: BTreeMap<u8, Duration>,
    longest: Duration,
}

impl Pair {
    fn new(starts: [Duration; 2], preempt: Option<Duration>) -> Self {
        let (now, groups, frames) = (Duration::ZERO, [None, None], BTreeMap::new());
        let (both, longest) = (BTreeMap::new(), Duration::ZERO);
        Self { now, preempt, starts, groups, frames, sent: 0, both, longest }
    }

    fn holds(&self, index: usize, held: &Held) -> bool {
        self.groups[index].as_ref().is_some_and(|group| group.held().contains(held))
    }

    fn until(&mut self, end: Duration) {
        loop {
            let deadline = |index: usize| match &self.groups[index] {
                Some(group) => group.deadline(),
                None => self.starts[index],
            };
            let (first, second) = (deadline(0), deadline(1));
            let frame = self.frames.first_key_value().map_or(Duration::MAX, |((at, _), _)| *at);
            let next = first.min(second).min(frame);
            if next > end {
                self.now = end;
                return self.look();
            }
            self.now = next;
            if frame == next {
                let (_, (to, frame)) = self.frames.pop_first().unwrap();
                self.arrive(to, &frame);
            } else {
                self.due(usize::from(first != next));
            }
            self.look();
        }
    }

    fn due(&mut self, index: usize) {
        let mut actions = Vec::new();
        match &mut self.groups[index] {
            Some(group) => group.handle(Event::Tick, self.now, &mut actions),
            none => {
                let config = config(index as u8 + 1, self.preempt);
                *none = Some(Group::new(config, Vec::new(), self.now, &mut actions));
            }
        }
        self.act(index, actions);
    }

    fn arrive(&mut self, to: usize, frame: &Frame) {
        let Some(group) = &mut self.groups[to] else { return };
        let (from, own) = (own(2 - to as u8), own(to as u8 + 1));
        let mut actions = Vec::new();
        let event = match frame {
            Frame::Packet(bytes) => Event::Packet { from, to: own, ttl: 255, bytes },
            Frame::Neighbor(address) => {
                Event::Neighbor { address: *address, mac: mac(2 - to as u8) }
            }
        };
        group.handle(event, self.now, &mut actions);
        self.act(to, actions);
    }

    fn act(&mut self, index: usize, actions: Vec<Action>) {
        let other = 1 - index;
        for action in actions {
            match action {
                Action::Send(sent) => {
                    let bytes = sent.encode(own(index as u8 + 1), own(other as u8 + 1));
                    self.send(other, Frame::Packet(bytes));
                }
                Action::Announce(list) => {
                    list.iter().for_each(|it| self.send(other, Frame::Neighbor(it.address.addr())));
                }
                Action::Probe(list) => {
                    for held in
                        list.iter().filter(|held| self.holds(other, held)).collect::<Vec<_>>()
                    {
                        self.send(index, Frame::Neighbor(held.address.addr()));
                    }
                }
                _ => {}
            }
        }
    }

    fn send(&mut self, to: usize, frame: Frame) {
        self.sent += 1;
        self.frames.insert((self.now + DELAY, self.sent), (to, frame));
    }

    fn look(&mut self) {
        for number in [1, 2] {
            if (0..2).all(|index| self.holds(index, &vip(number))) {
                let since = *self.both.entry(number).or_insert(self.now);
                self.longest = self.longest.max(self.now - since);
            } else {
                self.both.remove(&number);
            }
        }
    }

    /// Who has the VIPs of 1 and 2.
    fn holders(&self) -> [Vec<u8>; 2] {
        [1, 2].map(|number| {
            let holds = |index: &usize| self.holds(*index, &vip(number));
            (0..2).filter(holds).map(|index| index as u8 + 1).collect()
        })
    }
}

/// 0 to 10 s, closer together where they may be in each other's way: within one active-down interval.
fn offsets() -> impl Iterator<Item = Duration> {
    (0..400).chain((400..10_000).step_by(50)).chain([10_000]).map(ms)
}

#[test]
fn whoever_starts_first_each_vip_is_at_home_in_the_end_and_meanwhile_at_one() {
    for offset in offsets() {
        for starts in [[s(0), offset], [offset, s(0)]] {
            let mut pair = Pair::new(starts, Some(PREEMPT));
            // The first one alone, and three intervals.
            pair.until(ms(400).min(offset));
            let later = offset + ms(400);
            pair.until(later);
            assert!(
                pair.holders().iter().all(|who| !who.is_empty()),
                "{starts:?}: {:?}",
                pair.holders()
            );
            // Who came later has heard the first one for that long, the least of that is an interval.
            pair.until(later + PREEMPT + ms(200));
            assert_eq!(pair.holders(), [[1], [2]], "{starts:?}");
            assert!(pair.longest <= BOTH, "{starts:?}: on both for {:?}", pair.longest);
            pair.until(later + 4 * PREEMPT);
            assert_eq!(pair.holders(), [[1], [2]], "{starts:?}");
        }
    }
}

#[test]
fn without_preemption_whoever_has_a_vip_keeps_it() {
    for offset in offsets().filter(|offset| *offset > ms(400)) {
        for (starts, first) in [([s(0), offset], 1), ([offset, s(0)], 2)] {
            let mut pair = Pair::new(starts, None);
            pair.until(offset + s(20));
            assert_eq!(pair.holders(), [[first], [first]], "{starts:?}");
            assert_eq!(pair.longest, Duration::ZERO, "{starts:?}");
        }
    }
}
