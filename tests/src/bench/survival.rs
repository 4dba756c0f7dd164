//! Which established connections outlive the director that carried them.

use std::time::Duration;

use nix::sys::resource::{Resource, setrlimit};

use crate::scenario::{Directors, virtual_service};
use crate::traffic::{Client, Server};

/// The VIPs.
const VIPS: [&str; 2] = ["192.168.0.10", "2001:db8::10"];
/// How old connections are when the director dies.
const AGE: Duration = Duration::from_secs(4);
/// From then on, until they are asked.
const TAKEN_OVER: Duration = Duration::from_secs(1);
/// A connection that does not answer for so long is lost.
const PATIENCE: Duration = Duration::from_secs(8);
/// Enough for 10,000 connections through each VIP, and the servers' poll.
const DESCRIPTORS: u64 = 1 << 17;

/// How directors send to real servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Mode {
    NAT,
    DR,
    TUN,
}

/// What became of the connections through one VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survivors {
    /// Whether it is the IPv6 VIP.
    pub six: bool,
    /// Connections of each of the following two.
    pub of: usize,
    /// Those that had asked something answer.
    pub talkers: usize,
    /// Those on which nothing was said since the handshake answer.
    pub silent: usize,
}

/// Opens `flows` connections through an IPv4 and an IPv6 VIP of two directors, half of them silent; pulls the cables of the
/// one that carries the VIPs when they are 4 s old; and asks each a second later. A guest has room for one such run.
///
/// # Errors
/// When a connection cannot be opened.
///
/// # Panics
/// When not one director carries a VIP.
pub fn survivors(mode: Mode, flows: usize) -> anyhow::Result<[Survivors; 2]> {
    // Each connection has two ends, and both are this process's.
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS)?;
    let mut net = match mode {
        Mode::NAT => Directors::nat(2, 2),
        Mode::DR | Mode::TUN => Directors::flat(2, 2),
    };
    let mut objects = Vec::new();
    for (six, vip) in [(false, VIPS[0]), (true, VIPS[1])] {
        let ports = match mode {
            Mode::NAT => "ports: [{port: 80, targetPort: 8080}]",
            Mode::DR | Mode::TUN => "ports: [{port: 80}]",
        };
        let name = if six { "web6" } else { "web4" };
        let spec = format!("addresses: ['{vip}'], forwarding: {mode:?}, scheduler: rr, {ports}");
        objects.push(virtual_service(name, &spec));
        let servers = net.real_servers(six, "weight: 1").into_iter();
        objects.extend(servers.map(|it| it.replace("app: web", &format!("app: {name}"))));
    }
    net.listen(Server::tcp, if mode == Mode::NAT { "[::]:8080" } else { "[::]:80" });
    net.apply("failover: {preempt: false}", &objects);
    let carrier = net.holder(VIPS[0]);
    // Both at one director, so that one death is everybody's.
    net.agents[1 - carrier].stop();
    std::thread::sleep(AGE);
    net.agents[1 - carrier].run();
    std::thread::sleep(AGE);
    for vip in VIPS {
        anyhow::ensure!(net.holder(vip) == carrier, "{vip} is at {:?}", net.holders(vip));
    }
    let client = Client::new(&net.client).patience(PATIENCE);
    let of = flows / 2;
    let mut opened = Vec::new();
    for vip in VIPS {
        let web = if vip.contains(':') { format!("[{vip}]:80") } else { format!("{vip}:80") };
        let talkers = client.hold_many(&web, of)?;
        let silent: Vec<_> = (0..of).map(|_| client.hold(&web)).collect::<anyhow::Result<_>>()?;
        opened.push((vip.contains(':'), talkers, silent));
    }
    std::thread::sleep(AGE);
    net.unplug(carrier);
    std::thread::sleep(TAKEN_OVER);
    let survivors = opened.into_iter().map(|(six, mut talkers, silent)| Survivors {
        six,
        of,
        talkers: talkers.alive(),
        silent: silent.into_iter().filter_map(|mut held| held.ask().ok()).count(),
    });
    let survivors: Vec<_> = survivors.collect();
    Ok([survivors[0], survivors[1]])
}
