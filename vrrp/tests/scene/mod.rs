//! One director, told what happens, with its timers run at their time.

#![allow(clippy::unwrap_used, dead_code)] // Test code, and not each test file needs all of it.

use lvs_vrrp::{
    Action, Advertisement, Config, Event, Found, Group, Held, Mac, Peer, RouterConfig, State, Vrid,
};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

pub const PRESENCE: u8 = 200;

/// Active-down interval of priority 254, in a group that advertises every 90 ms.
pub const DOWN: Duration = Duration::from_nanos(270_703_125);

pub fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub fn s(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn vrid(id: u8) -> Vrid {
    Vrid::new(id).unwrap()
}

/// VIP number `n` on eth0.
pub fn vip(number: u8) -> Held {
    Held { interface: "eth0".to_owned(), address: format!("10.0.1.{number}/32").parse().unwrap() }
}

/// The address of member `n`.
pub fn own(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number])
}

pub fn mac(number: u8) -> Mac {
    [2, 0, 0, 0, 0, number]
}

/// Member 2 of 1, 2 and 3, with the virtual routers 1 (VIPs 1 and 2, first in its order) and 2 (VIP 3, second).
pub fn config() -> Config {
    let peer = |number: u8| {
        (format!("node{number}"), Peer { address: own(number), macs: [mac(number)].into() })
    };
    let router = |name: &str, priority, vips: &[u8]| RouterConfig {
        name: name.to_owned(),
        priority,
        addresses: vips.iter().map(|number| vip(*number)).collect(),
        down: None,
    };
    Config {
        own: own(2),
        name: "node2".to_owned(),
        peers: [peer(1), peer(3)].into(),
        interval: ms(90),
        preempt: Some(s(10)),
        ill_below: 126,
        lifetime: s(3),
        presence: vrid(PRESENCE),
        routers: BTreeMap::from([
            (vrid(1), router("first", 254, &[1, 2])),
            (vrid(2), router("second", 250, &[3])),
        ]),
    }
}

pub struct Scene {
    pub group: Group,
    pub now: Duration,
    /// All that was done since [`Scene::take`].
    pub done: Vec<(Duration, Action)>,
}

impl Scene {
    /// `found`: with whether it ends.
    pub fn new(config: Config, found: Vec<(Held, bool)>) -> Self {
        let kind = |ends| if ends { Found::Ends } else { Found::Stays };
        let found = found.into_iter().map(|(held, ends)| (held, kind(ends))).collect();
        let mut actions = Vec::new();
        let group = Group::new(config, found, s(0), &mut actions);
        let done = actions.into_iter().map(|action| (s(0), action)).collect();
        Self { group, now: s(0), done }
    }

    /// Carries virtual router 1, while node3 carries 2.
    pub fn active() -> Self {
        let mut scene = Self::new(config(), Vec::new());
        scene.hear_for(s(5), 3, 2, 254);
        assert_eq!((scene.state(1), scene.state(2)), (State::Active, State::Backup));
        scene.take();
        scene
    }

    pub fn tell(&mut self, event: Event<'_>) {
        let mut actions = Vec::new();
        self.group.handle(event, self.now, &mut actions);
        self.done.extend(actions.into_iter().map(|action| (self.now, action)));
    }

    /// Runs the timers up to this time.
    pub fn until(&mut self, end: Duration) {
        while self.group.deadline() <= end {
            self.now = self.group.deadline().max(self.now);
            self.tell(Event::Tick);
        }
        self.now = end;
    }

    /// For this long.
    pub fn wait(&mut self, pause: Duration) {
        self.until(self.now + pause);
    }

    /// An advertisement from member `n`.
    pub fn hear(&mut self, from: u8, id: u8, priority: u8) {
        self.hear_of(from, id, priority, vec![own(from)]);
    }

    /// One that tells of these addresses.
    pub fn hear_of(&mut self, from: u8, id: u8, priority: u8, addresses: Vec<IpAddr>) {
        let heard = Advertisement { vrid: vrid(id), priority, interval: 9, addresses };
        let bytes = heard.encode(own(from), own(2));
        self.tell(Event::Packet { from: own(from), to: own(2), ttl: 255, bytes: &bytes });
    }

    /// The member advertises every 90 ms for this long.
    pub fn hear_for(&mut self, pause: Duration, from: u8, id: u8, priority: u8) {
        let end = self.now + pause;
        while self.now < end {
            self.hear(from, id, priority);
            self.until((self.now + ms(90)).min(end));
        }
    }

    pub fn neighbor(&mut self, number: u8, mac: Mac) {
        self.tell(Event::Neighbor { address: vip(number).address.addr(), mac });
    }

    pub fn state(&self, id: u8) -> State {
        self.group.report().routers.get(&vrid(id)).unwrap().state
    }

    pub fn holds(&self, number: u8) -> bool {
        self.group.held().contains(&vip(number))
    }

    /// What was done since the last time, without advertisements of presence and repeated announcements' times.
    pub fn take(&mut self) -> Vec<Action> {
        let done = std::mem::take(&mut self.done).into_iter().map(|(_, action)| action);
        done.filter(|action| !matches!(action, Action::Send(sent) if sent.vrid == vrid(PRESENCE)))
            .collect()
    }

    /// The same in short: `send 1 254`, `hold 3s 1 2`, `release 1`, `announce 1 2`, `probe 1`, `ask`, `stopped`.
    pub fn short(&mut self) -> Vec<String> {
        self.take().iter().map(short).collect()
    }
}

fn short(action: &Action) -> String {
    let list = |held: &[Held]| {
        let last =
            |held: &Held| held.address.addr().to_string().rsplit('.').next().unwrap().to_owned();
        held.iter().map(last).collect::<Vec<_>>().join(" ")
    };
    match action {
        Action::Send(sent) => format!("send {} {}", sent.vrid, sent.priority),
        Action::Hold { addresses, lifetime: None } => format!("hold {}", list(addresses)),
        Action::Hold { addresses, lifetime: Some(time) } => {
            format!("hold {time:?} {}", list(addresses))
        }
        Action::Release(held) => format!("release {}", list(held)),
        Action::Announce(held) => format!("announce {}", list(held)),
        Action::Probe(held) => format!("probe {}", list(held)),
        Action::Ask => "ask".to_owned(),
        Action::Stopped => "stopped".to_owned(),
    }
}
