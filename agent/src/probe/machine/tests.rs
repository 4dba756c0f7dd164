//! The prober on a link in memory: whoever has a VIP, and the servers behind, in a few words.

use super::*;
use crate::probe::segment::{Segment, flags};
use proptest::prelude::*;

const OWN: Mac = [2, 0, 0, 0, 0, 2];
const LVS1: Mac = [2, 0, 0, 0, 0, 1];

fn way() -> Way {
    Way { interface: 2, mac: OWN, source: "192.168.0.2".parse().unwrap() }
}

fn vip(number: u8) -> IpAddr {
    IpAddr::from([192, 168, 1, number])
}

fn owner(name: usize) -> Owner {
    Owner::VirtualService { namespace: "default".to_owned(), name: format!("web{name:04}") }
}

/// One VirtualService a question.
fn asks(question: Question, version: u64) -> Asks {
    Asks {
        group: "default".to_owned(),
        version,
        questions: BTreeMap::from([(question, way())]),
        directors: BTreeMap::from([(LVS1, "lvs1".to_owned())]),
        ..Asks::default()
    }
}

/// What becomes of a SYN.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Served,
    Silent,
    Refused,
}

struct World {
    machine: Machine,
    now: Duration,
    /// Whether somebody answers for VIPs.
    arp: bool,
    fate: Box<dyn FnMut(Question) -> Fate>,
    packets: usize,
    syns: BTreeMap<Question, Vec<Duration>>,
    reports: Vec<(Duration, Report)>,
}

impl World {
    fn new(services: usize, vips: u8) -> Self {
        let mut machine = Machine::new(61_000..61_008, 7);
        for number in 0..services {
            let place = u8::try_from(number % usize::from(vips)).unwrap();
            let port = 80 + u16::try_from(number / usize::from(vips)).unwrap();
            let question = Question { address: vip(place), port };
            machine.ask(owner(number), asks(question, 1), Duration::ZERO);
        }
        machine.told(1);
        Self {
            machine,
            now: Duration::from_secs(100),
            arp: true,
            fate: Box::new(|_| Fate::Served),
            packets: 0,
            syns: BTreeMap::new(),
            reports: Vec::new(),
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let mut out = Vec::new();
            self.machine.tick(self.now, &mut out);
            while let Some((interface, frame)) = out.pop() {
                assert_eq!(interface, 2);
                self.packets += 1;
                self.answer(&frame, &mut out);
            }
            // As the thread does.
            let due =
                self.reports.last().is_none_or(|(at, _)| self.now >= *at + Duration::from_secs(1));
            if due && let Some(report) = self.machine.report() {
                self.reports.push((self.now, report));
            }
            let next = self.machine.deadline().unwrap_or(end);
            if next >= end {
                self.now = end;
                return;
            }
            self.now = next.max(self.now + Duration::from_millis(1));
        }
    }

    fn answer(&mut self, bytes: &[u8], out: &mut Vec<(u32, Vec<u8>)>) {
        if bytes[12..14] == [8, 6] {
            let target = IpAddr::from(<[u8; 4]>::try_from(&bytes[38..42]).unwrap());
            if self.arp {
                let announced = neighbor::announcement(target, LVS1, false);
                self.machine.hear(2, &announced, self.now, out);
            }
            return;
        }
        let Some(Back::Segment { source, destination, segment, .. }) = parse(bytes) else {
            panic!()
        };
        let question = Question { address: destination.ip(), port: destination.port() };
        let (source, destination) = (destination, source);
        let ends = Ends { macs: (LVS1, OWN), source, destination };
        let acknowledgement = segment.sequence.wrapping_add(1);
        let answer = if segment.flags & flags::SYN != 0 {
            self.syns.entry(question).or_default().push(self.now);
            match (self.fate)(question) {
                Fate::Served => {
                    Segment { flags: flags::SYN | flags::ACK, sequence: 9, acknowledgement }
                }
                Fate::Refused => {
                    Segment { flags: flags::RST | flags::ACK, sequence: 0, acknowledgement }
                }
                Fate::Silent => return,
            }
        } else if segment.flags & flags::FIN != 0 {
            Segment { flags: flags::FIN | flags::ACK, sequence: 10, acknowledgement }
        } else {
            return;
        };
        self.machine.hear(2, &frame(&ends, answer).unwrap(), self.now, out);
    }

    fn last(&self) -> &lvs_crds::Probes {
        &self.reports.last().unwrap().1["default"]
    }

    /// When so many services were first told to be unanswered.
    fn told(&self, count: i32, since: Duration) -> Option<Duration> {
        let mut reports = self.reports.iter().filter(|(at, _)| *at >= since);
        let told = reports.find(|(_, report)| report["default"].unanswered_count >= count);
        told.map(|(at, _)| *at - since)
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn what_is_answered_is_told_once_and_asked_every_three_seconds_by_three_packets() {
    let mut world = World::new(3, 1);
    world.run(MINUTE);
    let last = world.last().clone();
    assert_eq!((last.services, last.unanswered_count, last.unlisted), (3, 0, 0));
    assert_eq!(last.resource_version.as_deref(), Some("1"));
    assert!(last.unanswered.is_empty() && last.microseconds.is_some());
    let said = world.reports.len();
    world.packets = 0;
    world.run(MINUTE);
    assert_eq!(world.reports.len(), said, "nothing new is nothing to tell");
    // Three connections of three packets each three seconds, and ARP once.
    assert!((198..=204).contains(&world.packets), "{}", world.packets);
    for times in world.syns.values() {
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.clone().all(|gap| gap >= INTERVAL), "{:?}", gaps.collect::<Vec<_>>());
    }
}

#[test]
fn silence_is_told_by_name_and_place_within_ten_seconds_and_an_answer_takes_it_back() {
    let mut world = World::new(3, 1);
    world.run(MINUTE);
    world.fate = Box::new(|question| if question.port == 81 { Fate::Silent } else { Fate::Served });
    let since = world.now;
    world.run(MINUTE);
    let took = world.told(1, since).unwrap();
    assert!(took <= Duration::from_secs(8), "{took:?}");
    let [one] = world.last().unanswered.as_slice() else { panic!("{:?}", world.last()) };
    assert_eq!((one.address.as_str(), one.port.as_deref()), ("192.168.1.0", Some("TCP/81")));
    assert_eq!((one.reason.as_str(), one.message.as_str()), ("NoAnswer", "no answer from lvs1"));
    world.fate = Box::new(|_| Fate::Served);
    world.run(Duration::from_secs(10));
    assert_eq!(world.last().unanswered_count, 0);
}

#[test]
fn all_of_a_vip_is_one_line_and_says_whether_anybody_has_it() {
    let mut world = World::new(4, 1);
    world.run(MINUTE);
    world.fate = Box::new(|_| Fate::Refused);
    world.run(MINUTE);
    let [one] = world.last().unanswered.as_slice() else { panic!("{:?}", world.last()) };
    assert_eq!((one.port.as_deref(), one.reason.as_str()), (None, "Refused"));
    (world.arp, world.fate) = (false, Box::new(|_| Fate::Silent));
    world.run(MINUTE);
    let [one] = world.last().unanswered.as_slice() else { panic!("{:?}", world.last()) };
    assert_eq!(one.reason, "NoNeighbor");
    (world.arp, world.fate) = (true, Box::new(|_| Fate::Served));
    world.run(MINUTE);
    assert_eq!(world.last().unanswered_count, 0);
}

#[test]
fn a_thousand_services_cost_a_hundred_packets_a_second() {
    let mut world = World::new(1000, 50);
    world.run(2 * MINUTE);
    assert_eq!(world.last().resource_version.as_deref(), Some("1"));
    assert_eq!((world.last().services, world.last().unanswered_count), (1000, 0));
    world.packets = 0;
    world.run(MINUTE);
    println!("{} packets a second", world.packets / 60);
    assert!((5000..=6100).contains(&world.packets), "{}", world.packets);
    // And all are unanswered: more packets are no way to find out.
    world.fate = Box::new(|_| Fate::Silent);
    world.packets = 0;
    world.run(MINUTE);
    assert!(world.packets <= 6100, "{}", world.packets);
}

#[test]
fn of_a_thousand_services_whose_director_is_broken_all_are_told_within_ten_seconds() {
    for vips in [1, 50, 250] {
        let mut world = World::new(1000, vips);
        world.run(2 * MINUTE);
        world.fate = Box::new(|_| Fate::Silent);
        let since = world.now;
        world.run(MINUTE);
        let took = world.told(1000, since).unwrap();
        println!("{vips} VIPs: all told after {took:?}");
        assert!(took <= Duration::from_secs(10), "{took:?}");
        let last = world.last();
        assert!(last.unanswered.len() <= 100 && last.unanswered_count == 1000);
        let reports = world.reports.iter().filter(|(at, _)| *at >= since).count();
        world.fate = Box::new(|_| Fate::Served);
        let repaired = world.now;
        world.run(MINUTE);
        let well = world
            .reports
            .iter()
            .find(|(at, report)| *at >= repaired && report["default"].unanswered_count == 0);
        println!("{reports} reports; well after {:?}", well.map(|(at, _)| *at - repaired));
        assert!(well.is_some());
    }
}

#[test]
fn one_vip_of_many_that_is_broken_is_told_for_all_its_services() {
    let mut world = World::new(1000, 5);
    world.run(2 * MINUTE);
    world.fate = Box::new(|question| match question.address == vip(3) {
        true => Fate::Silent,
        false => Fate::Served,
    });
    let since = world.now;
    world.run(MINUTE);
    let took = world.told(200, since).unwrap();
    println!("200 of 1,000: all told after {took:?}");
    let reports = world.reports.iter().filter(|(at, _)| *at >= since);
    for (_, report) in reports {
        assert!(report["default"].unanswered_count <= 200, "no other VIP is blamed");
    }
    assert!(took <= Duration::from_secs(10), "{took:?}");
    assert_eq!(world.last().unanswered_count, 200);
}

#[test]
fn what_this_node_has_itself_is_not_asked_and_its_word_of_it_is_taken_back() {
    let mut world = World::new(4, 2);
    world.run(MINUTE);
    world.machine.hold(BTreeSet::from([vip(0)]), world.now);
    world.syns.clear();
    world.run(MINUTE);
    assert!(world.syns.keys().all(|question| question.address == vip(1)));
    assert_eq!(world.last().services, 2);
    world.machine.hold(BTreeSet::new(), world.now);
    let first = world.machine.report().unwrap();
    assert_eq!(first["default"].resource_version, None, "nothing is known of it any more");
    world.run(MINUTE);
    assert_eq!(world.last().resource_version.as_deref(), Some("1"));
    assert_eq!(world.last().services, 4);
}

#[test]
fn a_change_is_asked_at_once_and_the_version_follows() {
    let mut world = World::new(2, 1);
    world.run(MINUTE);
    let question = Question { address: vip(0), port: 80 };
    world.machine.ask(owner(0), asks(question, 2), world.now);
    world.machine.told(2);
    assert_eq!(world.machine.report().unwrap()["default"].resource_version.as_deref(), Some("1"));
    world.run(Duration::from_millis(3100));
    assert_eq!(world.last().resource_version.as_deref(), Some("2"));
    world.machine.ask(owner(0), Asks::default(), world.now);
    world.machine.ask(owner(1), Asks::default(), world.now);
    world.run(MINUTE);
    assert!(world.machine.deadline().is_none() && world.machine.interfaces().is_empty());
    assert!(world.reports.last().unwrap().1.is_empty());
}

proptest! {
    #[test]
    fn no_frame_makes_it_panic(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..20)) {
        let mut world = World::new(2, 1);
        world.run(Duration::from_secs(5));
        let mut out = Vec::new();
        for mut bytes in frames {
            if bytes.len() > 14 {
                bytes[12] = 8;
                bytes[13] = 0;
            }
            world.machine.hear(2, &bytes, world.now, &mut out);
        }
        world.run(Duration::from_secs(5));
    }
}
