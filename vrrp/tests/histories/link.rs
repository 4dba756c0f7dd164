//! The link between directors, and a client on it that believes what was announced last.

#[path = "act.rs"]
mod act;

use crate::chance::Chance;
use crate::director::{Director, Item, LIFETIME, Rules, Truth, mac, own};
use lvs_vrrp::{Action, Event, Found, Group, Held, Mac, State, Vrid};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// A bug, put in from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    NoAnnouncement,
    NoRenewal,
    NoLifetime,
    PriorityInverted,
    DeafToPriorityZero,
    NoRelease,
    DeafToLinkUp,
}

/// Something that happens at its time.
enum Occurrence {
    Arrive {
        to: usize,
        item: Item,
    },
    /// The director is told of the truth, or of its own link and health.
    Told {
        to: usize,
        truth: Option<Truth>,
    },
    /// The director's switch lets frames pass from now on.
    Forwards,
}

pub struct Link {
    pub now: Duration,
    pub rules: Rules,
    pub chance: Chance,
    pub directors: Vec<Director>,
    pub truth: Truth,
    /// Directors of one part reach each other; the client is in part 0.
    pub parts: Vec<usize>,
    pub slowest: Duration,
    /// Where the client sends to.
    pub cache: BTreeMap<IpAddr, Mac>,
    /// When the last thing happened that is no matter of course.
    pub disturbed: Duration,
    /// The same, of what directors were told.
    pub told: Duration,
    /// When a director last started that found addresses which stand for ever.
    pub kept: Duration,
    /// When parts of the link last met, or left each other.
    doubted: Duration,
    /// The parts before they last met.
    apart: Vec<usize>,
    /// When they had left each other, and when they met.
    parted: Duration,
    met: Duration,
    /// When parts last left each other before anybody had to notice that they had met, so that it is noticed when somebody is
    /// missed.
    pub swapped: Duration,
    /// Who has heard of whose MAC address.
    pub acquainted: BTreeSet<(usize, usize)>,
    pub bug: Option<Bug>,
    pub trace: bool,
    /// What must never happen.
    pub wrong: Option<String>,
    /// What is held, or who is there, is not as it was.
    pub changed: bool,
    queue: BTreeMap<(Duration, u64), Occurrence>,
    sequence: u64,
    handled: u64,
    actions: Vec<Action>,
    /// When kernels next take something away; unknown after each change.
    fade: Option<Duration>,
    /// When the last frame from one to another arrives: frames do not overtake each other.
    arrivals: BTreeMap<(usize, usize), Duration>,
}

/// How late a wake-up may be.
const JITTER: Duration = Duration::from_millis(2);
/// What fits into a socket's buffer.
const INBOX: usize = 500;

impl Link {
    pub fn new(mut chance: Chance, bug: Option<Bug>, trace: bool) -> Self {
        let count = match chance.below(10) {
            0 => 5 + chance.below(4),
            _ => 2 + chance.below(3),
        };
        let seconds = Duration::from_secs;
        let rules = Rules {
            interval: Duration::from_millis(chance.pick(&[30, 90, 90, 90])),
            preempt: chance.pick(&[None, Some(seconds(0)), Some(seconds(2)), Some(seconds(2))]),
            each: if count > 4 { 1 } else { 1 + chance.below(3) },
            macs_known: chance.one_in(2),
            inverted: bug == Some(Bug::PriorityInverted),
        };
        let mut truth = Truth {
            members: (0..count).collect(),
            vips: (0..1 + chance.below(8) as u8).collect(),
            ..Truth::default()
        };
        truth.allocate(&rules);
        let mut link = Self {
            now: Duration::from_secs(1000),
            rules,
            chance,
            directors: Vec::new(),
            truth,
            parts: Vec::new(),
            slowest: Duration::ZERO,
            cache: BTreeMap::new(),
            disturbed: Duration::from_secs(1000),
            told: Duration::from_secs(1000),
            kept: Duration::ZERO,
            doubted: Duration::ZERO,
            apart: Vec::new(),
            parted: Duration::ZERO,
            met: Duration::ZERO,
            swapped: Duration::ZERO,
            acquainted: BTreeSet::new(),
            bug,
            trace,
            wrong: None,
            changed: true,
            queue: BTreeMap::new(),
            sequence: 0,
            handled: 0,
            actions: Vec::new(),
            fade: None,
            arrivals: BTreeMap::new(),
        };
        for number in 0..count {
            link.add_director(number);
        }
        link
    }

    pub fn say(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>12.6} {}", self.now.as_secs_f64() - 1000.0, text());
        }
    }

    pub fn add_director(&mut self, number: usize) {
        self.directors.push(Director::new(number, self.truth.clone()));
        self.parts.push(0);
        self.start(number);
    }

    /// Starts the agent, with what it knows from disk.
    pub fn start(&mut self, number: usize) {
        let director = &mut self.directors[number];
        if !director.view.members.contains(&number) {
            director.kernel.clear();
            self.fade = None;
            return;
        }
        let config = director.config(&self.rules);
        let kind = |end: &Option<Duration>| if end.is_some() { Found::Ends } else { Found::Stays };
        let found = director.kernel.iter().map(|(held, end)| (held.clone(), kind(end)));
        let found: Vec<_> = found.collect();
        if found.iter().any(|(_, found)| *found == Found::Stays) {
            self.kept = self.now;
        }
        let mut actions = Vec::new();
        director.inbox.clear();
        director.frozen = false;
        director.stopping = None;
        // An agent that starts behind a port that lets nothing pass yet cannot know.
        director.blocked = Duration::ZERO;
        director.group = Some(Group::new(config, found, self.now, &mut actions));
        self.acquainted.retain(|(who, _)| *who != number);
        self.disturbed = self.now;
        self.say(|| format!("node{number} starts"));
        self.meet();
        self.act(number, &mut actions);
        let truth = self.truth.clone();
        let delay = self.chance.up_to(Duration::from_secs(1));
        self.later(delay, Occurrence::Told { to: number, truth: Some(truth) });
    }

    /// Directors learn each other's MAC addresses as soon as they talk.
    pub fn meet(&mut self) {
        if self.rules.macs_known {
            return;
        }
        for from in 0..self.directors.len() {
            self.tell_all(from, |from| Item::Neighbor { address: own(from), mac: mac(from) });
        }
    }

    /// Everybody hears of the truth, each at its own time; one of them much later.
    pub fn publish(&mut self) {
        self.truth.version += 1;
        self.truth.allocate(&self.rules.clone());
        self.say(|| format!("API: {:?}", self.truth));
        let away = self.chance.below(4 * self.directors.len());
        for to in 0..self.directors.len() {
            let most = Duration::from_secs(if to == away { 8 } else { 1 });
            let delay = self.chance.up_to(most);
            let truth = Some(self.truth.clone());
            self.later(delay, Occurrence::Told { to, truth });
        }
    }

    /// The agent notices something about its own machine.
    pub fn notice(&mut self, to: usize) {
        let delay = self.chance.up_to(Duration::from_millis(50));
        self.later(delay, Occurrence::Told { to, truth: None });
    }

    fn later(&mut self, delay: Duration, occurrence: Occurrence) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), occurrence);
    }

    fn deliver(&mut self, from: usize, to: usize, item: Item) {
        let at = self.now + self.chance.up_to(self.slowest) + Duration::from_micros(50);
        let last = self.arrivals.entry((from, to)).or_default();
        *last = at.max(*last);
        let delay = *last - self.now;
        self.later(delay, Occurrence::Arrive { to, item });
    }

    pub fn reach(&self, one: usize, other: usize) -> bool {
        self.forwards(one) && self.forwards(other) && self.parts[one] == self.parts[other]
    }

    /// Whether its frames pass the switch.
    pub fn forwards(&self, number: usize) -> bool {
        let director = &self.directors[number];
        director.up && director.blocked <= self.now
    }

    /// Its cable is plugged in, and it may be that its switch makes sure first that there is no loop.
    pub fn plug(&mut self, number: usize) {
        self.directors[number].came_up = true;
        if self.chance.one_in(2) {
            let blocked = self.chance.up_to(Duration::from_secs(6));
            self.say(|| format!("node{number} gets nothing through for {blocked:?}"));
            self.directors[number].blocked = self.now + blocked;
            self.later(blocked, Occurrence::Forwards);
        }
    }

    fn tell_all(&mut self, from: usize, item: impl Fn(usize) -> Item) {
        for to in 0..self.directors.len() {
            if to != from && self.reach(from, to) {
                self.deliver(from, to, item(from));
            }
        }
    }

    /// The next thing happens, if it does before `end`.
    pub fn step(&mut self, end: Duration) -> bool {
        let first = self.queue.first_key_value().map_or(Duration::MAX, |((at, _), _)| *at);
        let working = |director: &&Director| director.works();
        let wake = self.directors.iter().filter(working).map(|director| director.wake).min();
        let wake = wake.unwrap_or(Duration::MAX);
        let next_fade = || self.directors.iter().filter_map(Director::next_end).min();
        let fade = self.fade.unwrap_or_else(|| next_fade().unwrap_or(Duration::MAX));
        self.fade = Some(fade);
        let next = first.min(wake).min(fade);
        if next > end {
            self.now = end;
            return false;
        }
        self.now = self.now.max(next);
        if fade <= next {
            self.fade = None;
            let doubted = self.doubted;
            for director in &mut self.directors {
                director.kernel.retain(|_, at| at.is_none_or(|at| at > next));
                // It died before others could hear from it that it had something too.
                if director.died.is_some_and(|died| died < doubted + Duration::from_secs(1)) {
                    let kernel = &director.kernel;
                    let has = |address| kernel.keys().any(|held| held.address.addr() == address);
                    let own = mac(director.number);
                    self.cache.retain(|address, at| *at != own || has(*address));
                }
            }
            self.changed = true;
        } else if first <= next {
            if let Some((_, occurrence)) = self.queue.pop_first() {
                self.happen(occurrence);
            }
        } else {
            let due = |director: &Director| director.works() && director.wake <= next;
            if let Some(number) = self.directors.iter().position(due) {
                self.handle(number, Event::Tick);
            }
        }
        true
    }

    fn happen(&mut self, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Arrive { to, item } => {
                let director = &mut self.directors[to];
                if director.group.is_none() || !director.up {
                    return;
                }
                if director.frozen {
                    if director.inbox.len() < INBOX {
                        director.inbox.push(item);
                    }
                    return;
                }
                self.receive(to, &item);
            }
            Occurrence::Forwards => {
                // It asks each second whether anybody is there.
                self.disturbed = self.now + Duration::from_secs(1);
                self.doubt();
                self.meet();
            }
            Occurrence::Told { to, truth } => {
                let director = &mut self.directors[to];
                if director.frozen {
                    self.later(Duration::from_millis(100), Occurrence::Told { to, truth });
                    return;
                }
                if director.group.is_none() {
                    return;
                }
                if let Some(truth) = truth
                    && truth.version > director.view.version
                {
                    director.view = truth;
                    self.told = self.now;
                }
                if !director.works() || director.stopping.is_some() {
                    return;
                }
                self.disturbed = self.now;
                let came_up = std::mem::take(&mut director.came_up) && director.up;
                if director.view.members.contains(&to) {
                    let config = director.config(&self.rules);
                    self.say(|| format!("node{to} is told"));
                    self.handle(to, Event::Configure(config));
                    if came_up && self.bug != Some(Bug::DeafToLinkUp) {
                        self.handle(to, Event::LinkUp);
                    }
                    self.meet();
                } else {
                    director.stopping = Some(self.now);
                    self.say(|| format!("node{to} leaves"));
                    self.handle(to, Event::Leave);
                }
            }
        }
    }

    fn receive(&mut self, to: usize, item: &Item) {
        let deaf = self.directors[to].group.as_ref().is_some_and(Group::is_deaf);
        if deaf && !matches!(item, Item::Packet { .. }) {
            self.handle(to, Event::Frame);
        }
        match item {
            Item::Frame => {}
            Item::Packet { from, to: destination, bytes } => {
                if self.bug == Some(Bug::DeafToPriorityZero) && bytes[2] == 0 {
                    return;
                }
                let (from, to_address) = (*from, *destination);
                self.handle(to, Event::Packet { from, to: to_address, ttl: 255, bytes });
            }
            Item::Neighbor { address, mac } => {
                let of = (0..self.directors.len()).find(|number| own(*number) == *address);
                self.acquainted.extend(of.map(|of| (to, of)));
                self.handle(to, Event::Neighbor { address: *address, mac: *mac });
            }
        }
    }

    /// A frozen agent goes on: what waits in its sockets, then its timers.
    pub fn thaw(&mut self, number: usize) {
        let director = &mut self.directors[number];
        director.frozen = false;
        for item in std::mem::take(&mut director.inbox) {
            self.receive(number, &item);
        }
        self.handle(number, Event::Tick);
    }

    pub fn handle(&mut self, number: usize, event: Event<'_>) {
        let Some(group) = &mut self.directors[number].group else { return };
        let mut actions = std::mem::take(&mut self.actions);
        // Comparing costs as much as all the rest, so not each time.
        self.handled += 1;
        let before = self.handled.is_multiple_of(16).then(|| told(group));
        group.handle(event, self.now, &mut actions);
        if let Some(before) = before {
            let (after, generation) = (told(group), before.0);
            assert!(before == after || generation != after.0, "changed under {generation}");
        }
        self.act(number, &mut actions);
        self.actions = actions;
    }

    /// The link is put together in another way.
    pub fn rearrange(&mut self, parts: Vec<usize>) {
        let before = std::mem::replace(&mut self.parts, parts);
        self.doubt();
        if before.iter().any(|part| *part != 0) {
            (self.apart, self.met) = (before, self.now);
        } else {
            let exchange = self.rules.interval + 3 * self.slowest + Duration::from_millis(20);
            if self.now < self.met + exchange {
                self.swap();
            }
            self.parted = self.now;
        }
        self.meet();
    }

    /// Parts met for so short a time that it may be that nobody has noticed. Of those among whom the client is now each hears
    /// somebody new; or misses somebody after a lifetime; or hears the same others as before, so that nobody can know, and the
    /// client is on its own: it asks again, as whoever gets no answer.
    fn swap(&mut self) {
        let works = |one: &&Director| one.works() && self.forwards(one.number);
        let was = |one: &Director| self.apart.get(one.number).copied().unwrap_or_default();
        let here = |one: &&Director| self.parts[one.number] == 0;
        let working = || self.directors.iter().filter(works);
        let came_from: BTreeSet<_> = working().filter(here).map(was).collect();
        let stayed = |one: &Director| here(&one) || !came_from.contains(&was(one));
        let unknown = came_from.len() == 1 && !came_from.contains(&0) && working().all(stayed);
        // Who was not missed yet is nobody new.
        let missed = LIFETIME + Duration::from_millis(500);
        if came_from.len() == 1 || self.met < self.parted + missed {
            self.swapped = self.now;
        }
        if unknown {
            let (directors, parts) = (&self.directors, &self.parts);
            self.cache.retain(|_, at| {
                directors.iter().any(|one| mac(one.number) == *at && parts[one.number] == 0)
            });
        }
    }

    /// A client whose packets get no answer asks again after some seconds, whoever it last heard of. It is spared that
    /// where somebody announces, but of a director that is gone from its part of the link nobody may know, nor of one that
    /// died in another part than whoever has the address.
    pub fn doubt(&mut self) {
        self.doubted = self.now;
        let directors = &self.directors;
        self.cache.retain(|address, at| {
            let has = |held: &Held| held.address.addr() == *address;
            let there = |one: &&Director| {
                mac(one.number) == *at && one.up && one.works() && one.kernel.keys().any(has)
            };
            directors.iter().any(|one| there(&one))
        });
    }

    /// The client asks for what it does not know.
    pub fn resolve(&mut self, held: &Held, holders: &BTreeSet<usize>) {
        if let Some(holder) = holders.first() {
            self.cache.entry(held.address.addr()).or_insert(mac(*holder));
        }
    }
}

type Told = (u64, Vec<(Vrid, State, u64, bool)>, Vec<(Vrid, IpAddr)>, Vec<(IpAddr, Mac)>);

/// What [`lvs_vrrp::Report::generation`] promises about.
fn told(group: &Group) -> Told {
    let report = group.report();
    let routers = report.routers.iter();
    let routers = routers.map(|(id, it)| (*id, it.state, it.transitions, it.down.is_some()));
    let strangers = report.strangers.iter().map(|(id, it)| (*id, it.address));
    let conflicts = report.conflicts.iter().map(|(address, it)| (*address, it.mac));
    (report.generation, routers.collect(), strangers.collect(), conflicts.collect())
}
