//! How long clients notice that a director died: ours beside keepalived, in virtual time, so exact and the same each time.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::net::Daemon;
use crate::scenario::{Directors, virtual_service};
use crate::traffic::{Probe, Server, longest_silence};

const VIP: &str = "192.168.0.10";
const WEB: &str = "192.168.0.10:80";
/// Between two attempts of the client.
const EVERY: Duration = Duration::from_millis(5);
/// After a crash, until the director is made whole again.
const OUTAGE: Duration = Duration::from_millis(500);
/// Until everybody knows of everybody again, and no address is left that should not be.
const RECOVERY: Duration = Duration::from_secs(5);

/// Who is to take over.
#[derive(Clone, Copy, Debug)]
pub enum Rival {
    /// Our agents, with this in the DirectorGroup besides `preempt: false`.
    Ours(&'static str),
    /// keepalived with this `advert_int`, in seconds.
    Keepalived(&'static str),
}

/// How the director dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// All its cables are pulled.
    Cables,
    /// SIGKILL of the agent, or of keepalived's processes.
    Killed,
}

/// From the crash to the first good answer, of each trial, the shortest first.
#[derive(Clone, Debug)]
pub struct Outages(pub Vec<Duration>);

impl Outages {
    /// That of `of_thousand` out of 1,000 trials: 500 is the median.
    pub fn quantile(&self, of_thousand: usize) -> Duration {
        let index = (self.0.len() * of_thousand).div_ceil(1000).clamp(1, self.0.len()) - 1;
        self.0[index]
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        self.quantile(1000)
    }
}

/// What became of the requests of a client while agents ended and handed over.
#[derive(Clone, Copy, Debug)]
pub struct HandOvers {
    /// How often.
    pub count: usize,
    /// New connections of the client.
    pub requests: usize,
    /// Those of them that nobody answered.
    pub lost: usize,
}

/// Two directors, one of which carries a VIP and the real servers' gateway.
#[derive(Debug)]
pub struct Pair {
    net: Directors,
    /// keepalived on each director.
    daemons: Vec<Option<Daemon>>,
    advert: Option<&'static str>,
    outage: Duration,
}

impl Pair {
    /// Builds it; a guest has room for one.
    ///
    /// # Errors
    /// When the rival's programs do not start.
    pub fn start(rival: Rival) -> anyhow::Result<Pair> {
        let advert = match rival {
            Rival::Ours(_) => None,
            Rival::Keepalived(advert) => Some(advert),
        };
        let seconds: f64 = advert.map_or(Ok(0.0), str::parse)?;
        let outage = OUTAGE + Duration::from_secs_f64(4.0 * seconds);
        let mut net = match rival {
            Rival::Ours(_) => Directors::nat(2, 2),
            Rival::Keepalived(_) => Directors::machines(2, 2),
        };
        net.listen(Server::tcp, "0.0.0.0:8080");
        if let Rival::Ours(group) = rival {
            let spec = format!(
                "addresses: [{VIP}], forwarding: NAT, scheduler: rr, \
                 ports: [{{port: 80, targetPort: 8080}}]"
            );
            let mut objects = net.real_servers(false, "weight: 1");
            objects.push(virtual_service("web", &spec));
            net.apply(&format!("failover: {{preempt: false, {group}}}"), &objects);
        }
        let mut pair = Pair { net, daemons: vec![None, None], advert, outage };
        if advert.is_some() {
            for director in 0..2 {
                let node = &pair.net.nodes[director];
                node.sh(&format!(
                    "sysctl -q -w net.ipv4.ip_forward=1 && ipvsadm -A -t {WEB} -s rr && \
                     ipvsadm -a -t {WEB} -r 10.0.0.101:8080 -m && ipvsadm -a -t {WEB} -r 10.0.0.102:8080 -m"
                ))?;
                pair.run_keepalived(director)?;
            }
        }
        pair.net.holder(VIP);
        std::thread::sleep(RECOVERY + pair.outage);
        Ok(pair)
    }

    /// Lets the director that carries the VIP die again and again, each time at another moment of its cycle.
    ///
    /// # Errors
    /// When nobody takes over.
    pub fn outages(&mut self, crash: Crash, trials: u32) -> anyhow::Result<Outages> {
        let mut found = Vec::new();
        // Knuth's multiplicative hash: phases that are spread evenly, and the same each time.
        let phases = (1..=trials).map(|trial| trial.wrapping_mul(2_654_435_761) >> 12);
        for phase in phases {
            let first = self.net.holder(VIP);
            let probe = Probe::start(&self.net.client, WEB, EVERY);
            std::thread::sleep(Duration::from_millis(100) + Duration::from_micros(phase.into()));
            let since = Instant::now();
            self.crash(first, crash);
            std::thread::sleep(self.outage);
            let attempts = probe.end();
            let (begin, end) = longest_silence(&attempts, since)
                .with_context(|| format!("nobody took over from {first}"))?;
            // A director that died and forwards on is not missed.
            let missed = end - begin > 3 * EVERY;
            found.push(if missed { end.saturating_duration_since(since) } else { end - begin });
            self.recover(first, crash)?;
            std::thread::sleep(RECOVERY);
        }
        found.sort();
        Ok(Outages(found))
    }

    /// Lets the agent of the director that carries the VIP end and begin again, until the client has asked so often.
    ///
    /// # Errors
    /// When nobody carries the VIP.
    pub fn hand_overs(&mut self, requests: usize) -> anyhow::Result<HandOvers> {
        let probe = Probe::start(&self.net.client, WEB, EVERY);
        let (mut count, begin) = (0, Instant::now());
        while begin.elapsed() < EVERY * u32::try_from(requests)? {
            std::thread::sleep(OUTAGE);
            let first = self.net.holder(VIP);
            self.net.agents[first].stop();
            std::thread::sleep(OUTAGE);
            self.net.agents[first].run();
            std::thread::sleep(RECOVERY);
            count += 1;
        }
        let attempts = probe.end();
        // The last moments' answers are on their way still.
        let asked = &attempts[..attempts.len().saturating_sub(10)];
        let lost = asked.iter().filter(|attempt| attempt.answered.is_none()).count();
        Ok(HandOvers { count, requests: asked.len(), lost })
    }

    fn crash(&mut self, director: usize, crash: Crash) {
        match (crash, self.advert) {
            (Crash::Cables, _) => self.net.unplug(director),
            (Crash::Killed, None) => self.net.agents[director].kill(),
            // The parent last, so that it starts no other one.
            (Crash::Killed, Some(_)) => self.daemons[director] = None,
        }
    }

    fn recover(&mut self, director: usize, crash: Crash) -> anyhow::Result<()> {
        match (crash, self.advert) {
            (Crash::Cables, _) => self.net.plug(director),
            (Crash::Killed, None) => self.net.agents[director].run(),
            (Crash::Killed, Some(_)) => self.run_keepalived(director)?,
        }
        Ok(())
    }

    /// Both addresses in one instance, so that they move together.
    fn run_keepalived(&mut self, director: usize) -> anyhow::Result<()> {
        let node = &self.net.nodes[director];
        let (name, advert) = (node.name(), self.advert.unwrap_or_default());
        let (own, peer) = (director + 1, 2 - director);
        let configuration = format!(
            "global_defs {{\n vrrp_version 3\n}}\nvrrp_instance pair {{\n state BACKUP\n nopreempt\n interface eth1\n \
             virtual_router_id 51\n priority {}\n advert_int {advert}\n unicast_src_ip 10.0.0.{own}\n \
             unicast_peer {{\n 10.0.0.{peer}\n }}\n virtual_ipaddress {{\n {VIP}/32 dev eth0\n {}/16 dev eth1\n }}\n}}\n",
            100 + own,
            Directors::GATEWAY,
        );
        let file = format!("/tmp/keepalived-{name}.conf");
        fs::write(&file, configuration)?;
        let mut command = Command::new("keepalived");
        command.args(["--dont-fork", "--log-console", "--vrrp", "--use-file", &file]);
        command.args(["--pid", &format!("/tmp/keepalived-{name}.pid")]);
        command.args(["--vrrp_pid", &format!("/tmp/keepalived-vrrp-{name}.pid")]);
        self.daemons[director] = Some(node.spawn(&mut command));
        Ok(())
    }
}
