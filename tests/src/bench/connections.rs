//! Many connections: what the kernel's entries of them weigh, and what finding one costs.

mod flows;

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lvs_ipvs::Client;

use crate::net::{Link, Node};

pub use flows::Flows;

/// The virtual service.
const SERVICE: &str = "192.168.0.10:80";
/// Packets in one measurement of a lookup.
const LOOKUPS: u32 = 20_000;
/// Measurements of a lookup; the fastest is told, as others share the machine.
const ROUNDS: usize = 5;
/// Connections whose packets are made at once.
const CHUNK: u32 = 10_000;

/// A director whose table of connections is filled by [`Flows`]. Its real servers are beyond an interface that drops
/// everything, so that what is measured is the director.
#[derive(Debug)]
pub struct Filling {
    /// The director; the service is [`Filling::SERVICE`], unless somebody else programs it.
    pub director: Node,
    flows: Flows,
    connections: u32,
}

/// What a number of connections costs.
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    /// Connections, as the kernel counts them.
    pub connections: u64,
    /// Buckets of the kernel's table.
    pub buckets: u32,
    /// The kernel's memory for all of them, without the buckets.
    pub bytes: u64,
    /// For a new connection's two packets, on average since the measurement before.
    pub opening: Duration,
    /// For a packet of a known connection.
    pub packet: Duration,
}

impl Filled {
    /// The average length of a chain.
    pub fn load(&self) -> f64 {
        self.connections as f64 / f64::from(self.buckets)
    }
}

impl Filling {
    /// The virtual service that is connected to.
    pub const SERVICE: &str = SERVICE;
    /// The network of the real servers: all addresses of it swallow what comes.
    pub const REAL_SERVERS: &str = "10.2.0.0/24";

    /// Builds client and director. The director has no IPVS table yet.
    ///
    /// # Errors
    /// Without the right to raw sockets.
    pub fn new() -> anyhow::Result<Filling> {
        Self::beside("")
    }

    /// One of several in one guest, by what follows its names.
    pub(super) fn beside(which: &str) -> anyhow::Result<Filling> {
        let lan = Link::new(&format!("lan{which}"));
        let node = |name: &str| Node::new(&format!("{name}{which}"));
        let client = node("client").on(&lan, "eth0", "192.168.0.50/24");
        let director = node("director").on(&lan, "eth0", "192.168.0.1/24");
        // A dummy link asks for no neighbour, and drops.
        director.ip("link add sink type dummy\nlink set sink up\naddr add 10.2.0.1/24 dev sink");
        let client = client.route("192.168.0.10 via 192.168.0.1");
        let flows = Flows::new(&client, SERVICE)?;
        Ok(Filling { director, flows, connections: 0 })
    }

    /// Gives the director the service with ten real servers, by ipvsadm.
    ///
    /// # Errors
    /// ipvsadm's.
    pub fn program(&self) -> anyhow::Result<()> {
        self.director.ip("addr add 192.168.0.10/32 dev eth0");
        let servers: String = (101..=110)
            .map(|host| format!("\nipvsadm -a -t {SERVICE} -r 10.2.0.{host} -g || exit 1"))
            .collect();
        self.director.sh(&format!("ipvsadm -A -t {SERVICE} -s rr || exit 1{servers}"))?;
        Ok(())
    }

    /// Opens connections until there are so many, and returns the time each of the new ones took.
    ///
    /// # Errors
    /// When the kernel counts another number then.
    pub fn fill(&mut self, connections: u32) -> anyhow::Result<Duration> {
        let (mut next, before) = (self.connections, self.connections);
        let mut took = Duration::ZERO;
        while next < connections {
            let end = connections.min(next + CHUNK);
            took += self.flows.open(next..end)?;
            next = end;
        }
        self.connections = connections;
        let counted = self.counted();
        ensure!(counted == u64::from(connections), "{counted} connections, not {connections}");
        Ok(took / connections.saturating_sub(before).max(1))
    }

    /// Connections of all real servers, as the kernel counts them.
    pub fn counted(&self) -> u64 {
        let services = self.director.services();
        let destinations = services.iter().flat_map(|service| &service.destinations);
        destinations.map(|destination| destination.active + destination.inactive).sum()
    }

    /// Fills the table up to each of these sizes, in ascending order, and measures there.
    ///
    /// # Errors
    /// When the kernel counts another number of connections, or does not tell its memory.
    pub fn measure(&mut self, sizes: &[u32]) -> anyhow::Result<Vec<Filled>> {
        let buckets = self.director.run(|| Client::open()?.info())?.connection_table_size;
        let empty = slab()?;
        let mut measured = Vec::new();
        for &size in sizes {
            let opening = self.fill(size)?;
            let bytes = slab()?.saturating_sub(empty);
            let packet = self.lookup()?;
            measured.push(Filled { connections: self.counted(), buckets, bytes, opening, packet });
        }
        Ok(measured)
    }

    /// The time of a packet of a known connection, all connections in a scattered order.
    pub(super) fn lookup(&self) -> anyhow::Result<Duration> {
        let connections = u64::from(self.connections.max(1));
        // Knuth's multiplicative hashing: each time another part of the table.
        let scattered = |n: u64| u32::try_from(n.wrapping_mul(2_654_435_761) % connections);
        let mut fastest = Duration::MAX;
        for round in 0..ROUNDS as u64 {
            let first = round * u64::from(LOOKUPS);
            let numbers = (first..first + u64::from(LOOKUPS)).map(scattered);
            let took = self.flows.touch(numbers.collect::<Result<Vec<_>, _>>()?)?;
            fastest = fastest.min(took / LOOKUPS);
        }
        Ok(fastest)
    }
}

/// The kernel's slab memory, in bytes: proc_meminfo(5).
pub(super) fn slab() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let kib = text.lines().find_map(|line| line.strip_prefix("Slab:")?.trim().strip_suffix(" kB"));
    Ok(kib.context("no Slab in /proc/meminfo")?.trim().parse::<u64>()? * 1024)
}
