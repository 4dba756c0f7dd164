//! Real agents on a real kernel over minutes of virtual time, under faults by chance. The rules alone are walked through
//! many more of them in `vrrp/tests/histories.rs`.
//!
//! Each history begins with agents that have just been started, all at once, so that it is the same alone as after others.
//! One again: `KUBE_LVS_SEED=7 cargo test -p lvs-tests --test suites histories::`; more than usual: `KUBE_LVS_HISTORIES=1000`, from
//! another seed on: `KUBE_LVS_FIRST=1000`.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::scenario::{Directors, Standalone, virtual_service};
use lvs_tests::traffic::Server;

/// In the suite, in two guests side by side.
const HISTORIES: u64 = 40;
const DIRECTORS: usize = 3;
const VIPS: [&str; 6] = [
    "192.168.0.10",
    "192.168.0.11",
    "192.168.0.12",
    "192.168.0.13",
    "192.168.0.14",
    "192.168.0.15",
];
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// For as long two directors may have one address: its lifetime and a second.
const DOUBLE: Duration = Duration::from_secs(4);
/// Within which a healthy director has each address: a take-over, and a look. With one that comes back: its agent's start.
const NOBODY: Duration = Duration::from_millis(1500);
/// After the last fault, until all is as in the beginning: back from everywhere, preemption, lifetimes.
const HEALED: Duration = Duration::from_secs(12);
/// From an agent's start until others have heard it.
const START: Duration = Duration::from_millis(1500);
/// How long a director whose cable is plugged in again waits for others to be heard, where it has company on the link.
const DEAF: Duration = Duration::from_millis(2500);
/// From the start of all agents until each VIP is at home.
const BEGUN: Duration = Duration::from_secs(6);
/// Within which each real server answers. One each would do, did a client not choose a port again by chance whose entry of a
/// history before still stands (FIN_WAIT, 120 s): that connection goes where the other one went.
const REQUESTS: usize = 6;

#[test]
fn each_vip_is_at_one_director_whatever_happens_even_seeds() {
    histories(0);
}

#[test]
fn each_vip_is_at_one_director_whatever_happens_odd_seeds() {
    histories(1);
}

fn histories(first: u64) {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (seed, count) = (variable("KUBE_LVS_SEED"), variable("KUBE_LVS_HISTORIES"));
    let from = variable("KUBE_LVS_FIRST").unwrap_or(0);
    let first = first ^ (from & 1);
    let guest = Guest::kernel().virtual_time().limit(Duration::from_secs(3600)).memory("2G");
    in_guest(guest, move || -> anyhow::Result<()> {
        let mut all = All::new();
        let end = from + count.unwrap_or(HISTORIES);
        let seeds = (from + first..end).step_by(2);
        let seeds: Vec<u64> = match seed {
            Some(seed) if seed % 2 == (from + first) % 2 => vec![seed],
            Some(_) => Vec::new(),
            None => seeds.collect(),
        };
        for seed in seeds {
            all.history(seed).with_context(|| format!("KUBE_LVS_SEED={seed}"))?;
        }
        Ok(())
    });
}

/// What a director is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    Killed,
    Frozen,
    Unplugged,
}

struct All {
    net: Directors,
    vips: Vec<IpAddr>,
    health: [Health; DIRECTORS],
    /// Went down when nobody else was well, or was and could not have been heard yet: what it has stays, so that the service
    /// does.
    last: [bool; DIRECTORS],
    /// Since when each is what it is.
    changed: [Instant; DIRECTORS],
    /// Since when somebody is well.
    well: Instant,
    /// Of each VIP, since when several have it, and since when nobody who is well.
    several: [Option<Instant>; VIPS.len()],
    nobody: [Option<Instant>; VIPS.len()],
    /// How many of the VIPs there are at the moment.
    count: usize,
    said: Vec<String>,
}

impl All {
    fn new() -> All {
        let net = Directors::by_hand(
            DIRECTORS,
            2,
            &VIPS.map(|vip| format!("{vip}/32")).each_ref().map(|it| &**it),
        );
        let vips = VIPS.iter().filter_map(|vip| vip.parse().ok()).collect();
        let (several, nobody) = ([None; VIPS.len()], [None; VIPS.len()]);
        let health = [Health::Well; DIRECTORS];
        let (well, said) = (Instant::now(), Vec::new());
        let last = [false; DIRECTORS];
        let changed = [well; DIRECTORS];
        let mut all =
            All { net, vips, health, last, changed, well, several, nobody, count: 0, said };
        all.net.listen(Server::tcp, "0.0.0.0:80");
        all.program(VIPS.len());
        for vip in VIPS {
            all.net.holder(vip);
        }
        all
    }

    fn program(&mut self, count: usize) {
        self.count = count;
        let mut objects = self.net.real_servers(false, "weight: 1");
        for (number, vip) in VIPS.iter().enumerate().take(count) {
            let spec = format!("addresses: [{vip}], forwarding: DR, scheduler: rr");
            objects.push(
                virtual_service(&format!("web{number}"), &spec)
                    .replace(&format!("app: web{number}"), "app: web"),
            );
        }
        self.net.apply("failover: {preemptDelaySeconds: 2}", &objects);
    }

    fn history(&mut self, seed: u64) -> anyhow::Result<()> {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        self.said.clear();
        let done = self.begin().and_then(|()| self.faults(&mut chance)).and_then(|()| self.heal());
        done.with_context(|| self.said.join("\n"))
    }

    /// All agents are new, and nobody remembers what was before. They hear the client ask for a VIP, as in any network.
    fn begin(&mut self) -> anyhow::Result<()> {
        self.net.agents.iter_mut().for_each(Standalone::kill);
        self.net.agents.iter_mut().for_each(Standalone::run);
        std::thread::sleep(BEGUN);
        self.net.client.sh("ip neigh flush dev eth0")?;
        self.net.client.shares(&format!("{}:80", VIPS[0]), 2)?;
        self.changed = [Instant::now(); DIRECTORS];
        self.several = [None; VIPS.len()];
        self.nobody = [None; VIPS.len()];
        Ok(())
    }

    fn faults(&mut self, chance: &mut Chance) -> anyhow::Result<()> {
        for _ in 0..2 + chance.below(4) {
            let director = chance.below(DIRECTORS as u64) as usize;
            match (self.health[director], chance.below(4)) {
                (Health::Well, 0) => {
                    self.net.agents[director].kill();
                    self.is(director, Health::Killed);
                }
                (Health::Well, 1) => {
                    self.net.agents[director].freeze();
                    self.is(director, Health::Frozen);
                }
                (Health::Well, 2) => {
                    self.net.unplug(director);
                    self.is(director, Health::Unplugged);
                }
                (Health::Well, _) => {
                    let count = 1 + chance.below(VIPS.len() as u64) as usize;
                    self.said.push(format!("{count} VIPs"));
                    self.program(count);
                    self.watch(Duration::from_secs(1))?;
                    self.nobody = [None; VIPS.len()];
                }
                _ => self.mend(director),
            }
            let pause = [200, 1000, 5000][chance.below(3) as usize];
            self.watch(Duration::from_millis(1 + chance.below(pause)))?;
        }
        Ok(())
    }

    fn is(&mut self, director: usize, health: Health) {
        self.said.push(format!("lvs{} is {health:?}", director + 1));
        let now = Instant::now();
        self.health[director] = health;
        self.changed[director] = now;
        let heard = (0..DIRECTORS)
            .any(|it| self.health[it] == Health::Well && now > self.changed[it] + START);
        self.last[director] = health != Health::Well && !heard;
    }

    fn mend(&mut self, director: usize) {
        match self.health[director] {
            Health::Well => return,
            Health::Killed => self.net.agents[director].run(),
            Health::Frozen => self.net.agents[director].thaw(),
            Health::Unplugged => self.net.plug(director),
        }
        if !self.health.contains(&Health::Well) {
            let waits = self.health[director] == Health::Unplugged;
            self.well = Instant::now() + if waits { DEAF } else { Duration::ZERO };
        }
        self.is(director, Health::Well);
    }

    /// All well again: each VIP has one director, all of them do their part, and clients are served.
    fn heal(&mut self) -> anyhow::Result<()> {
        (0..DIRECTORS).for_each(|director| self.mend(director));
        if self.count != VIPS.len() {
            self.program(VIPS.len());
            self.nobody = [None; VIPS.len()];
        }
        self.well = Instant::now() + Duration::from_secs(1);
        self.watch(HEALED)?;
        let holders = self.net.holders_of(&self.vips);
        ensure!(holders.iter().all(|holders| holders.len() == 1), "in the end: {holders:?}");
        for vip in VIPS {
            let shares = self.net.client.shares(&format!("{vip}:80"), REQUESTS)?;
            ensure!(shares.len() == 2, "{vip}: {shares:?}\n{}", self.tables());
        }
        Ok(())
    }

    /// What the directors balance by, to tell why a client met whom it met.
    fn tables(&self) -> String {
        let show = "ip neigh; cat /proc/net/ip_vs /proc/net/ip_vs_conn";
        let nodes = self.net.nodes.iter().chain([&self.net.client]);
        nodes.map(|node| format!("{}: {:?}\n", node.name(), node.sh(show))).collect()
    }

    /// Lets time pass, and looks.
    fn watch(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.look()?;
            std::thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    fn look(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let anybody = self.health.contains(&Health::Well);
        for (number, holders) in self.net.holders_of(&self.vips).into_iter().enumerate() {
            let vip = VIPS[number];
            let is_well = |director: &usize| self.health[*director] == Health::Well;
            let lasting = |since: &mut Option<Instant>, wrong: bool| {
                let begun = if wrong { Some(since.unwrap_or(now)) } else { None };
                *since = begun;
                begun.map_or(Duration::ZERO, |begun| now - begun)
            };
            // One that is cut off cannot know that others took over, nor can the last one that went down.
            let reached = holders
                .iter()
                .filter(|&&it| self.health[it] != Health::Unplugged && !self.last[it]);
            let reached: Vec<_> = reached.collect();
            let several = lasting(&mut self.several[number], reached.len() > 1);
            ensure!(several <= DOUBLE, "{vip} was on {holders:?} for {several:?}");
            let wanted = number < self.count && anybody;
            let served = holders.iter().any(is_well);
            let nobody = lasting(&mut self.nobody[number], wanted && !served);
            let nobody = nobody.min(now.saturating_duration_since(self.well));
            ensure!(nobody <= NOBODY, "{vip} was on {holders:?} for {nobody:?}");
        }
        Ok(())
    }
}

/// xorshift64: the same in every build.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }
}
