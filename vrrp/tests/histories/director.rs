//! A director: its kernel with addresses that end by themselves, its agent that may run or not, and what it was told.

use ipnet::IpNet;
use lvs_vrrp::{Config, Group, Held, Mac, Peer, RouterConfig, Vrid};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

pub const LIFETIME: Duration = Duration::from_secs(3);
const PRESENCE: u8 = 255;

/// What is written in the API.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub version: u64,
    pub members: BTreeSet<usize>,
    pub vips: BTreeSet<u8>,
    /// Virtual router ids by home and number; one that was given once is never given again.
    pub ids: BTreeMap<(usize, usize), u8>,
    /// How often all ids were given anew.
    pub numbered: u8,
}

/// What is the same for a whole history.
#[derive(Clone, Debug)]
pub struct Rules {
    pub interval: Duration,
    pub preempt: Option<Duration>,
    /// Virtual routers of each home, at most.
    pub each: usize,
    pub macs_known: bool,
    pub inverted: bool,
}

#[derive(Debug)]
pub enum Item {
    Packet {
        from: IpAddr,
        to: IpAddr,
        bytes: Vec<u8>,
    },
    Neighbor {
        address: IpAddr,
        mac: Mac,
    },
    /// Of somebody who is no director.
    Frame,
}

pub struct Director {
    pub number: usize,
    pub group: Option<Group>,
    pub frozen: bool,
    pub up: bool,
    /// Its cable was plugged in, and its agent does not know yet.
    pub came_up: bool,
    /// Until then its switch lets nothing pass.
    pub blocked: Duration,
    pub ill: bool,
    /// Stopping since.
    pub stopping: Option<Duration>,
    /// With the time at which the kernel takes each away.
    pub kernel: BTreeMap<Held, Option<Duration>>,
    pub view: Truth,
    pub inbox: Vec<Item>,
    pub wake: Duration,
    /// When its agent was last killed or frozen while it knew of a live peer.
    pub died: Option<Duration>,
}

pub fn own(number: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, 1 + number as u8])
}

pub fn mac(number: usize) -> Mac {
    [2, 0, 0, 0, 0, number as u8]
}

pub fn vip(number: u8) -> Held {
    let address = IpNet::new(IpAddr::from([10, 0, 1, number]), 32);
    Held { interface: "eth0".to_owned(), address: address.expect("32 bits") }
}

fn hash(parts: &[usize]) -> u64 {
    parts.iter().fold(7_u64, |hash, part| {
        let mixed = (hash ^ *part as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    })
}

impl Truth {
    /// Gives ids to the virtual routers that the members need.
    pub fn allocate(&mut self, rules: &Rules) {
        let each = rules.each.min(self.members.len().saturating_sub(1));
        let wanted: BTreeSet<_> =
            self.members.iter().flat_map(|home| (0..each).map(move |n| (*home, n))).collect();
        self.ids.retain(|key, _| wanted.contains(key));
        for key in wanted {
            let id = 1 + 64 * self.numbered + (key.0 * 7 + key.1) as u8;
            self.ids.entry(key).or_insert(id);
        }
    }

    fn order(&self, home: usize, number: usize) -> Vec<usize> {
        let mut heirs: Vec<_> = self.members.iter().copied().filter(|m| *m != home).collect();
        heirs.sort_by_key(|heir| hash(&[home, *heir]));
        let first = number % heirs.len().max(1);
        heirs.rotate_left(first);
        std::iter::once(home).chain(heirs).collect()
    }

    /// The virtual router of a VIP: home and number.
    fn router(&self, vip: u8) -> Option<(usize, usize)> {
        let home = self.members.iter().copied().max_by_key(|m| hash(&[*m, 1000 + vip as usize]))?;
        let numbers = self.ids.keys().filter(|key| key.0 == home).count();
        (numbers > 0).then(|| (home, vip as usize % numbers))
    }

    /// The members in the order in which they carry a VIP.
    pub fn heirs(&self, vip: u8) -> Vec<usize> {
        self.router(vip).map_or_else(Vec::new, |(home, number)| self.order(home, number))
    }
}

impl Director {
    pub fn new(number: usize, view: Truth) -> Self {
        Self {
            number,
            group: None,
            frozen: false,
            up: true,
            came_up: false,
            blocked: Duration::ZERO,
            ill: false,
            stopping: None,
            kernel: BTreeMap::new(),
            view,
            inbox: Vec::new(),
            wake: Duration::MAX,
            died: None,
        }
    }

    /// Whether its agent works, and may hold something.
    pub fn works(&self) -> bool {
        self.group.is_some() && !self.frozen
    }

    pub fn holds(&self, held: &Held) -> bool {
        self.kernel.contains_key(held)
    }

    pub fn config(&self, rules: &Rules) -> Config {
        let view = &self.view;
        let name = |number: &usize| format!("node{number}");
        let peers = view.members.iter().filter(|member| **member != self.number);
        let peers = peers.map(|member| {
            let macs = rules.macs_known.then(|| mac(*member)).into_iter().collect();
            (name(member), Peer { address: own(*member), macs })
        });
        let routers = view.ids.iter().map(|(&(home, number), id)| {
            let order = view.order(home, number);
            let rank = order.iter().position(|member| *member == self.number).unwrap_or(31) as u8;
            let rank = if rules.inverted { 31 - rank } else { rank };
            let priority = if self.ill { 125 - 4 * rank } else { 254 - 4 * rank };
            let addresses =
                view.vips.iter().filter(|vip| view.router(**vip) == Some((home, number)));
            let addresses = addresses.map(|number| vip(*number)).collect();
            let down = (!self.up).then(|| "eth0 is down".to_owned());
            let name = format!("{home}/{number}");
            (Vrid::new(*id).expect("not 0"), RouterConfig { name, priority, addresses, down })
        });
        Config {
            own: own(self.number),
            name: name(&self.number),
            peers: peers.collect(),
            interval: rules.interval,
            preempt: rules.preempt,
            ill_below: 126,
            lifetime: LIFETIME,
            presence: Vrid::new(PRESENCE).expect("not 0"),
            routers: routers.collect(),
        }
    }

    /// When the kernel next takes something away.
    pub fn next_end(&self) -> Option<Duration> {
        self.kernel.values().flatten().min().copied()
    }
}
