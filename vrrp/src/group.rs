//! One director in a group of several: its part in each virtual router, and which addresses it holds for how long.
//!
//! An address is on at most one director for longer than its lifetime and a second, and only on one whose driver runs:
//! while a peer is known to live, what is held has a lifetime that the kernel ends, unless it is renewed from here.
//! With no peer alive it stays for ever, so that the last one's crash takes nothing down.

mod address;
mod announce;
mod configure;
mod deaf;
mod election;
mod leave;
mod peers;
mod renumber;
mod report;
mod timers;

pub use report::{Change, Conflict, Counters, Heard, Report, RouterReport, Stranger};

use crate::neighbor::Mac;
use crate::packet::{Advertisement, MAX_INTERVAL, Vrid};
use address::Claim;
use announce::Batch;
use election::Entry;
use ipnet::IpNet;
use leave::Leaving;
use peers::PeerState;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;
use timers::{Timer, Timers};

/// The priority of an advertisement from one that has just let go of addresses because it heard of a better one. Hosts may
/// have asked for them meanwhile, and send here; or the better one does not know of this one: after a partition, or a
/// restart. It announces again when it hears this. Nobody else heeds it: the better one says itself how good it is.
const LAST_WORD: u8 = 1;

/// An address on an interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Held {
    /// The interface's name.
    pub interface: String,
    /// The address with the prefix length that it is to have there.
    pub address: IpNet,
}

/// What was found of an address of ours when a member begins: it has been away meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It stands, to stay for ever.
    Stays,
    /// It stands with a lifetime.
    Ends,
    /// It stood with a lifetime, and was taken away a moment ago.
    Ended,
}

/// Another member of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where its packets come from, and ours go to.
    pub address: IpAddr,
    /// The MAC addresses of its interfaces, as far as known; that of `address` is learned.
    pub macs: BTreeSet<Mac>,
}

/// One virtual router's part in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterConfig {
    /// What it is called by all members whatever its id is, which may change. No two have one name.
    pub name: String,
    /// 2 to 254, as things are (1 is said by one that has let go): lower where this member cannot serve all of the router's addresses.
    pub priority: u8,
    /// What its Active member holds. One that is in two virtual routers belongs to that of the lower id.
    pub addresses: BTreeSet<Held>,
    /// Why this member takes no part in it at all, such as an interface that is down. `None`: it does.
    pub down: Option<String>,
}

/// What a group is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Our own address, of the peers' family; in IPv6 a link-local one.
    pub own: IpAddr,
    /// Our own name.
    pub name: String,
    /// All other members by name.
    pub peers: BTreeMap<String, Peer>,
    /// Between two advertisements; rounded down to 10 ms, 10 ms to 40.95 s.
    pub interval: Duration,
    /// How long to wait before taking over from a member of lower priority; `None`: for ever.
    pub preempt: Option<Duration>,
    /// Priorities below this are those of members that are ill: one that is not relieves them at once. 0: none is.
    pub ill_below: u8,
    /// How long an address stays that is not renewed, and how long a silent peer counts as alive. At least 1 s.
    pub lifetime: Duration,
    /// The virtual router id under which members tell each other that they are there. No virtual router has it.
    pub presence: Vrid,
    /// The virtual routers.
    pub routers: BTreeMap<Vrid, RouterConfig>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The configuration is now this. An address that is in none of its routers any more is let go at once.
    Configure(Config),
    /// An IP packet of protocol 112 came in.
    Packet {
        /// Its source.
        from: IpAddr,
        /// Its destination.
        to: IpAddr,
        /// Its TTL or hop limit.
        ttl: u8,
        /// What follows the IP header.
        bytes: &'a [u8],
    },
    /// Somebody on the link uses the address ([`crate::neighbor::Sighting::claims`]); never one of our own interfaces.
    Neighbor {
        /// The address.
        address: IpAddr,
        /// Who uses it.
        mac: Mac,
    },
    /// The interface by which advertisements come has just come up: it may be that nothing gets through yet. After the
    /// configuration that says so.
    LinkUp,
    /// Anything came in by that interface from somebody else on the link. Told while [`Group::is_deaf`].
    Frame,
    /// [`Group::deadline`] has come. Packets that wait in the socket come first, so that no silence is seen where is none.
    Tick,
    /// Hands everything over. With no peer that takes it, addresses stay where they are, for ever.
    Stop,
    /// Hands everything over, and lets go of what nobody takes: this member leaves the group.
    Leave,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// To each peer, or to the multicast group; TTL or hop limit 255.
    Send(Advertisement),
    /// Adds the addresses, or renews them.
    Hold {
        /// Which.
        addresses: Vec<Held>,
        /// After which time the kernel takes them away by itself; `None`: never.
        lifetime: Option<Duration>,
    },
    /// Takes the addresses away, where they are there.
    Release(Vec<Held>),
    /// Gratuitous ARP or an unsolicited neighbour advertisement of each.
    Announce(Vec<Held>),
    /// An ARP probe or a neighbour solicitation for each, from no address. Answers come as [`Event::Neighbor`].
    Probe(Vec<Held>),
    /// Has somebody on the link of advertisements say something, anybody: whoever comes to mind is asked for its MAC address.
    Ask,
    /// Nothing more comes: the end of [`Event::Stop`] and [`Event::Leave`].
    Stopped,
}

/// One director in one group. Times are from any fixed point, and include those in which the machine was suspended.
#[derive(Clone, Debug)]
pub struct Group {
    config: Config,
    /// The configuration's, in centiseconds.
    interval: u16,
    now: Duration,
    peers: BTreeMap<IpAddr, PeerState>,
    /// Who was a peer a moment ago, and until when that counts.
    left: BTreeMap<IpAddr, Duration>,
    routers: BTreeMap<Vrid, Entry>,
    claims: BTreeMap<Held, Claim>,
    by_address: BTreeMap<IpAddr, BTreeSet<Held>>,
    /// What is on the interfaces.
    held: BTreeSet<Held>,
    timers: Timers,
    batches: BTreeMap<u64, Batch>,
    next_batch: u64,
    leaving: Option<Leaving>,
    /// The link has come up, nobody was heard since, and silence is no news until then.
    deaf: Option<Duration>,
    stopped: bool,
    report: Report,
}

impl Group {
    /// A member that begins to listen. `found`: the addresses of ours that are on interfaces already. Those that have a
    /// lifetime are taken away before anything else: another member may hold them by now, and announces them again when it
    /// hears that they are gone here. Those that were to stay for ever do so until a peer is heard to carry them.
    pub fn new(
        config: Config,
        found: Vec<(Held, Found)>,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Self {
        let of = |kind: Found| {
            let of_kind = found.iter().filter(move |(_, found)| *found == kind);
            of_kind.map(|(held, _)| held.clone()).collect::<Vec<_>>()
        };
        let (mut gone, ending) = (of(Found::Ended), of(Found::Ends));
        if !ending.is_empty() {
            gone.extend(ending.iter().cloned());
            actions.push(Action::Release(ending));
        }
        let empty = Config { peers: BTreeMap::new(), routers: BTreeMap::new(), ..config.clone() };
        let mut group = Self {
            interval: centiseconds(config.interval),
            config: empty,
            now,
            peers: BTreeMap::new(),
            left: BTreeMap::new(),
            routers: BTreeMap::new(),
            claims: BTreeMap::new(),
            by_address: BTreeMap::new(),
            held: of(Found::Stays).into_iter().collect(),
            timers: Timers::default(),
            batches: BTreeMap::new(),
            next_batch: 0,
            leaving: None,
            deaf: None,
            stopped: false,
            report: Report::default(),
        };
        group.configure(config, actions);
        let gone = gone.iter().filter_map(|held| Some(group.claims.get(held)?.vrid));
        for vrid in gone.collect::<BTreeSet<_>>() {
            group.say(vrid, LAST_WORD, actions);
        }
        group.tell_presence(actions);
        group
    }

    /// Takes an event, and says what is to be done.
    pub fn handle(&mut self, event: Event<'_>, now: Duration, actions: &mut Vec<Action>) {
        self.now = self.now.max(now);
        if self.stopped {
            return;
        }
        let late =
            |due: &Duration| self.now > *due + 3 * crate::router::centiseconds(self.interval);
        if let Some(due) = self.timers.first().filter(late) {
            self.stall(self.now.saturating_sub(due), actions);
        }
        if !matches!(
            event,
            Event::Packet { .. } | Event::Neighbor { .. } | Event::Frame | Event::Tick
        ) {
            self.report.generation += 1;
        }
        match event {
            _ if self.stopped => {}
            Event::Configure(config) => self.configure(config, actions),
            Event::Packet { from, to, ttl, bytes } => self.packet(from, to, ttl, bytes, actions),
            Event::Neighbor { address, mac } => self.neighbor(address, mac, actions),
            Event::LinkUp => self.link_up(actions),
            Event::Frame => self.frame(),
            Event::Tick => self.tick(actions),
            Event::Stop => self.leave(false, actions),
            Event::Leave => self.leave(true, actions),
        }
    }

    /// When [`Event::Tick`] is due. One that comes more than three intervals late is a stall: peers may have taken over
    /// meanwhile, so everything is let go.
    pub fn deadline(&self) -> Duration {
        self.timers.first().unwrap_or(self.now + Duration::from_secs(1))
    }

    /// How things stand.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The addresses that are held now.
    pub fn held(&self) -> &BTreeSet<Held> {
        &self.held
    }

    fn tick(&mut self, actions: &mut Vec<Action>) {
        let mut addresses = Vec::new();
        while let Some(timer) = self.timers.pop(self.now) {
            match timer {
                Timer::Router(vrid) => self.router_due(vrid, actions),
                Timer::Leave(vrid) => self.leave_due(vrid, actions),
                Timer::Probe(vrid) => self.probe_held(vrid, actions),
                Timer::Announce(batch) => self.announce_again(batch, actions),
                Timer::Address(held) => addresses.push(held),
                Timer::Presence => self.tell_presence(actions),
                Timer::Renew => self.renew(actions),
                Timer::Ask => self.ask(actions),
                Timer::Peers => self.peers_due(actions),
                Timer::Met => self.announce_here(actions),
            }
            if self.stopped {
                return;
            }
        }
        self.addresses_due(addresses, actions);
    }

    fn send(&mut self, advertisement: Advertisement, actions: &mut Vec<Action>) {
        self.report.counters.sent += 1;
        actions.push(Action::Send(advertisement));
    }
}

fn centiseconds(interval: Duration) -> u16 {
    u16::try_from(interval.as_millis() / 10).unwrap_or(MAX_INTERVAL).clamp(1, MAX_INTERVAL)
}
