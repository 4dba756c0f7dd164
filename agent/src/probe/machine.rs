//! What is asked when, and what is made of it. No I/O, no clock: `now` is the caller's, frames come in and go out.

mod told;

use super::client::{Client, Met, Step};
use super::history::{History, Trouble};
use super::neighbors::Neighbors;
use super::path::Paths;
use super::segment::{Back, Ends, frame, parse};
use super::{Asks, Report, Way};
use crate::owner::Owner;
use lvs_resolve::Question;
use lvs_vrrp::{Mac, neighbor};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

/// Between two connections to one service.
pub const INTERVAL: Duration = Duration::from_secs(3);
/// What one packet costs: 100 a second.
pub const PACKET: Duration = Duration::from_millis(10);
/// How far ahead of that a burst may be.
const BURST: Duration = Duration::from_millis(100);
/// How many neighbours of a service that has just failed are asked out of turn.
const SIBLINGS: usize = 16;

/// One service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) way: Way,
    pub(super) history: History,
    pub(super) took: Option<Duration>,
    /// It was asked as its slices are now.
    pub(super) asked: bool,
    /// It failed with all else that goes the same way.
    shared: bool,
    users: BTreeSet<Owner>,
    last: Option<Duration>,
    due: Option<Duration>,
}

#[derive(Debug)]
struct Flight {
    client: Client,
    ends: Ends,
    told: bool,
}

/// The prober of one node.
#[derive(Debug)]
pub struct Machine {
    pub(super) owners: BTreeMap<Owner, Asks>,
    pub(super) services: BTreeMap<Question, Service>,
    pub(super) neighbors: Neighbors,
    pub(super) paths: Paths,
    pub(super) held: BTreeSet<IpAddr>,
    pub(super) version: u64,
    pub(super) past: told::Past,
    due: BTreeSet<(Duration, Question)>,
    flights: BTreeMap<Question, Flight>,
    timers: BTreeSet<(Duration, Question)>,
    /// By which something is asked; `None`: to be looked at anew.
    interfaces: Option<BTreeSet<u32>>,
    ports: Range<u16>,
    turn: u16,
    numbers: u64,
    /// Up to when the packets that were sent are paid for.
    paid: Duration,
    changed: bool,
    figures: super::Figures,
}

impl Machine {
    /// With source ports that nobody else uses, and a secret number.
    pub fn new(ports: Range<u16>, seed: u64) -> Self {
        Self {
            owners: BTreeMap::new(),
            services: BTreeMap::new(),
            neighbors: Neighbors::default(),
            paths: Paths::default(),
            held: BTreeSet::new(),
            version: 0,
            past: told::Past::default(),
            due: BTreeSet::new(),
            flights: BTreeMap::new(),
            timers: BTreeSet::new(),
            interfaces: None,
            ports,
            turn: 0,
            numbers: seed,
            paid: Duration::ZERO,
            changed: false,
            figures: super::Figures::default(),
        }
    }

    /// The source ports from now on.
    pub fn set_ports(&mut self, ports: Range<u16>) {
        self.ports = ports;
    }

    /// The interfaces by which something is asked.
    pub fn interfaces(&mut self) -> &BTreeSet<u32> {
        let (held, services) = (&self.held, &self.services);
        self.interfaces.get_or_insert_with(|| {
            let asked = services.iter().filter(|(it, _)| !held.contains(&it.address));
            asked.map(|(_, service)| service.way.interface).collect()
        })
    }

    /// What was counted.
    pub fn figures(&self) -> super::Figures {
        super::Figures { services: self.services.len(), ..self.figures }
    }

    /// Whether [`Machine::report`] has something to say.
    pub fn has_news(&self) -> bool {
        self.changed
    }

    /// What a VirtualService wants asked from now on. A change of its slices lets it be asked at once.
    pub fn ask(&mut self, owner: Owner, asks: Asks, now: Duration) {
        let old = self.owners.get(&owner);
        if old.is_none_or(Asks::is_empty) && asks.is_empty() || old == Some(&asks) {
            return;
        }
        let old = self.owners.remove(&owner).unwrap_or_default();
        for question in old.questions.keys().filter(|it| !asks.questions.contains_key(it)) {
            self.leave(*question, &owner);
        }
        for (question, way) in &asks.questions {
            let service = self.services.entry(*question).or_insert_with(|| Service::new(*way));
            service.users.insert(owner.clone());
            (service.way, service.asked) = (*way, false);
            if service.last.is_some() {
                self.hurry(*question, now);
            } else if !self.held.contains(&question.address) {
                let soon = self.soon();
                self.schedule(*question, Some(soon));
            }
        }
        self.interfaces = None;
        if !asks.is_empty() {
            self.owners.insert(owner, asks);
        }
        self.changed = true;
    }

    /// All slices up to this resourceVersion have been told.
    pub fn told(&mut self, version: u64) {
        self.changed |= self.version != version;
        self.version = version;
    }

    /// The VIPs that this node has itself.
    pub fn hold(&mut self, vips: BTreeSet<IpAddr>, now: Duration) {
        let moved: Vec<IpAddr> = self.held.symmetric_difference(&vips).copied().collect();
        self.held = vips;
        self.interfaces = None;
        for vip in moved {
            self.neighbors.forget(vip);
            self.paths.forget(vip);
            for question in self.at(vip) {
                self.end(&question);
                self.schedule(question, None);
                if let Some(service) = self.services.get_mut(&question) {
                    (service.history, service.asked) = (History::default(), false);
                    (service.took, service.last) = (None, None);
                    self.past.begin(service.users.iter().filter_map(|user| self.owners.get(user)));
                }
                if !self.held.contains(&vip) {
                    self.schedule(question, Some(now));
                }
            }
            self.changed = true;
        }
    }

    /// A frame came in on an interface.
    pub fn hear(
        &mut self,
        interface: u32,
        bytes: &[u8],
        now: Duration,
        out: &mut Vec<(u32, Vec<u8>)>,
    ) {
        if let Some(seen) = neighbor::parse(bytes) {
            if seen.claims() && !self.held.contains(&seen.address) {
                let waited = self.neighbors.hear(interface, seen.address, seen.mac, now);
                for question in waited {
                    let soon = self.soon();
                    self.schedule(question, Some(soon));
                }
            }
            return;
        }
        match parse(bytes) {
            Some(Back::Segment { source, destination, segment, data }) => {
                let question = Question { address: source.ip(), port: source.port() };
                let Some(flight) = self.flights.get_mut(&question) else { return };
                if flight.ends.source == destination {
                    let step = flight.client.hear(segment, data, now);
                    self.step(question, step, now, out);
                }
            }
            Some(Back::Error { by, source, destination, sequence, kind }) => {
                let question = Question { address: destination.ip(), port: destination.port() };
                let Some(flight) = self.flights.get(&question) else { return };
                let ours = flight.ends.source == source && flight.client.sequence() == sequence;
                if ours && !flight.told {
                    self.end(&question);
                    self.failed(question, Trouble::Rejected { by, kind }, now);
                }
            }
            None => {}
        }
    }

    /// When [`Machine::tick`] is due; `None`: nothing is to be done.
    pub fn deadline(&self) -> Option<Duration> {
        let timer = self.timers.first().map(|(due, _)| *due);
        let due = self.due.first().map(|(due, _)| (*due).max(self.paid.saturating_sub(BURST)));
        timer.into_iter().chain(due).chain(self.neighbors.deadline()).min()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Duration, out: &mut Vec<(u32, Vec<u8>)>) {
        while let Some((_, question)) = self.timers.first().copied().filter(|(due, _)| *due <= now)
        {
            let Some(flight) = self.flights.get_mut(&question) else {
                self.timers.pop_first();
                continue;
            };
            let step = flight.client.tick(now);
            self.step(question, step, now, out);
        }
        let before = out.len();
        let (missed, lost) = self.neighbors.tick(now, out);
        for question in missed {
            self.failed(question, Trouble::NoNeighbor, now);
        }
        for vip in lost {
            // No connection comes of it while nobody answers.
            let one = self.at(vip).into_iter().find(|it| !self.flights.contains_key(it));
            one.into_iter().for_each(|question| self.schedule(question, Some(Duration::ZERO)));
        }
        self.pay(out.len().saturating_sub(before), now);
        while self.paid <= now + BURST
            && let Some((_, question)) = self.due.first().copied().filter(|(due, _)| *due <= now)
        {
            self.begin(question, now, out);
        }
    }

    /// What was met so far, if that is another than when this was asked last.
    pub fn report(&mut self) -> Option<Report> {
        std::mem::take(&mut self.changed).then(|| told::report(self))
    }

    fn begin(&mut self, question: Question, now: Duration, out: &mut Vec<(u32, Vec<u8>)>) {
        self.schedule(question, None);
        let Some(service) = self.services.get_mut(&question) else { return };
        let before = out.len();
        let way = service.way;
        service.last = Some(now);
        let found = self.neighbors.find(question, &way, now, out);
        if let Some(mac) = found {
            self.turn = self.turn.wrapping_add(1);
            let count = self.ports.len().max(1);
            let offset = u16::try_from(usize::from(self.turn) % count).unwrap_or(0);
            let source = SocketAddr::new(way.source, self.ports.start.saturating_add(offset));
            let destination = SocketAddr::new(question.address, question.port);
            let ends = Ends { macs: (way.mac, mac), source, destination };
            let (client, syn) = Client::open(number(&mut self.numbers), now);
            out.extend(frame(&ends, syn).map(|frame| (way.interface, frame)));
            self.end(&question);
            self.timers.insert((client.deadline(), question));
            self.flights.insert(question, Flight { client, ends, told: false });
            self.figures.connections += 1;
        }
        self.pay(out.len().saturating_sub(before), now);
    }

    fn step(
        &mut self,
        question: Question,
        step: Step,
        now: Duration,
        out: &mut Vec<(u32, Vec<u8>)>,
    ) {
        let Some(flight) = self.flights.get_mut(&question) else { return };
        let (ends, interface) =
            (flight.ends, self.services.get(&question).map(|it| it.way.interface));
        flight.told |= step.met.is_some();
        let deadline = flight.client.deadline();
        self.timers.retain(|(_, other)| *other != question);
        if step.over {
            self.flights.remove(&question);
        } else {
            self.timers.insert((deadline, question));
        }
        if let Some((segment, interface)) = step.send.zip(interface) {
            out.extend(frame(&ends, segment).map(|frame| (interface, frame)));
            self.pay(1, now);
        }
        match step.met {
            Some(Met::Answered(took)) => self.answered(question, ends.macs.1, took, now),
            Some(Met::Refused) => self.failed(question, Trouble::Refused, now),
            Some(Met::Silence) => {
                self.changed |= self.paths.note(question, ends.macs.1, false);
                self.failed(question, Trouble::Silence, now);
            }
            None => {}
        }
    }

    fn answered(&mut self, question: Question, mac: Mac, took: Duration, now: Duration) {
        self.figures.answered += 1;
        self.changed |= self.paths.note(question, mac, true);
        let Some(service) = self.services.get_mut(&question) else { return };
        self.changed |= service.history.note(Ok(()), service.shared) || !service.asked;
        (service.asked, service.took, service.shared) = (true, Some(took), false);
        let due = service.last.unwrap_or(now) + INTERVAL;
        self.schedule(question, Some(due));
    }

    fn failed(&mut self, question: Question, trouble: Trouble, now: Duration) {
        self.figures.unanswered += 1;
        let Some(service) = self.services.get_mut(&question) else { return };
        let was_well = service.history.trouble().is_none() && !service.history.is_suspect();
        let changed = service.history.note(Err(trouble), false);
        let mac = self.neighbors.known(&service.way, question.address);
        service.shared |= self.paths.is_down(question.address, mac);
        let suspect = service.history.is_suspect();
        // What is only suspected is not told, and not known either.
        self.changed |= changed || (!service.asked && !suspect);
        service.asked |= !suspect;
        let way = service.way;
        let due = if suspect { Duration::ZERO } else { service.last.unwrap_or(now) + INTERVAL };
        if trouble == Trouble::Refused && suspect {
            self.schedule(question, Some(now + super::client::PATIENCE));
        } else {
            self.schedule(question, Some(due));
        }
        if trouble != Trouble::NoNeighbor {
            self.neighbors.doubt(&way, question.address);
        }
        if was_well {
            let siblings: Vec<Question> = self
                .at(question.address)
                .into_iter()
                .filter(|it| *it != question)
                .take(SIBLINGS)
                .collect();
            siblings.into_iter().for_each(|sibling| self.hurry(sibling, now));
        }
    }

    /// At once, and in no order, so that the services of one VIP are spread over each round.
    fn soon(&mut self) -> Duration {
        Duration::from_nanos(u64::from(number(&mut self.numbers) % 1_000_000))
    }

    /// Out of turn, but not sooner after the last time than allowed.
    fn hurry(&mut self, question: Question, now: Duration) {
        let Some(service) = self.services.get(&question) else { return };
        if self.held.contains(&question.address) || self.flights.contains_key(&question) {
            return;
        }
        let next = service.last.map(|last| last + INTERVAL);
        self.schedule(question, Some(next.filter(|next| *next > now).unwrap_or(Duration::ZERO)));
    }

    fn at(&self, vip: IpAddr) -> Vec<Question> {
        let (first, last) =
            (Question { address: vip, port: 0 }, Question { address: vip, port: u16::MAX });
        self.services.range(first..=last).map(|(question, _)| *question).collect()
    }

    fn leave(&mut self, question: Question, owner: &Owner) {
        let Some(service) = self.services.get_mut(&question) else { return };
        service.users.remove(owner);
        if service.users.is_empty() {
            self.schedule(question, None);
            self.services.remove(&question);
            self.end(&question);
            if self.at(question.address).is_empty() {
                self.neighbors.forget(question.address);
                self.paths.forget(question.address);
            }
        }
    }

    fn schedule(&mut self, question: Question, due: Option<Duration>) {
        let Some(service) = self.services.get_mut(&question) else { return };
        if let Some(old) = std::mem::replace(&mut service.due, due) {
            self.due.remove(&(old, question));
        }
        if let Some(due) = due {
            self.due.insert((due, question));
        }
    }

    fn end(&mut self, question: &Question) {
        if let Some(flight) = self.flights.remove(question) {
            self.timers.remove(&(flight.client.deadline(), *question));
        }
    }

    fn pay(&mut self, packets: usize, now: Duration) {
        let packets = u32::try_from(packets).unwrap_or(u32::MAX);
        self.figures.packets += u64::from(packets);
        self.paid = self.paid.max(now) + PACKET * packets;
    }
}

impl Service {
    fn new(way: Way) -> Self {
        let (history, users) = (History::default(), BTreeSet::new());
        Self { way, history, took: None, asked: false, shared: false, users, last: None, due: None }
    }
}

/// Numbers that do not follow from each other for whoever does not know the first (splitmix64).
fn number(state: &mut u64) -> u32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests;
