//! What connection tracking costs a director under DR, and what it saves that we keep it away from what goes to a VIP.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lvs_agent::kernel::{Direction, Nftables};
use lvs_agent::state::{Fixture, Packets};
use lvs_ipvs::Protocol;

use super::connections::{Filling, slab};
use crate::net::Node;

/// How often all are measured, in turns; the fastest of each is told, as others share the machine.
const ROUNDS: u32 = 8;
/// What nearly every firewall does with each packet, and so what loads connection tracking.
const FIREWALL: &str = "nft add table inet firewall '{ chain input { type filter hook input priority 0; \
    ct state invalid counter; }; }'";
/// Throws away what has just arrived: what is left is sending and receiving.
const FLOOR: &str = "nft add table ip floor '{ chain first { type filter hook prerouting priority -400; \
    ip daddr 192.168.0.10 drop; }; }'";

/// How a director stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Nothing but IPVS.
    Bare,
    /// With our table: nothing of the service is tracked, first packets are counted.
    Ours,
    /// With a firewall that looks at states.
    Firewall,
    /// With both.
    Both,
}

impl Stand {
    /// All of them.
    pub const ALL: [Stand; 4] = [Stand::Bare, Stand::Ours, Stand::Firewall, Stand::Both];

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Stand::Bare => "bare",
            Stand::Ours => "ours",
            Stand::Firewall => "firewall",
            Stand::Both => "both",
        }
    }
}

/// What one costs.
#[derive(Clone, Copy, Debug)]
pub struct Tracked {
    /// For a packet of a known connection, from its arrival on.
    pub packet: Duration,
    /// For a new connection's two packets, from their arrival on.
    pub opening: Duration,
    /// The kernel's memory for each connection, in bytes.
    pub bytes: u64,
    /// What netfilter tracks.
    pub tracked: u64,
}

/// Measures all stands, with so many connections in the first of [`ROUNDS`] rounds and as many more in each after it.
///
/// # Errors
/// Without nftables, or when the kernel has another number of connections.
pub fn tracking(connections: u32) -> anyhow::Result<Vec<(Stand, Tracked)>> {
    let mut directors = Vec::new();
    for stand in Stand::ALL {
        let mut filling = Filling::beside(stand.name())?;
        filling.program()?;
        prepare(&filling.director, stand)?;
        let empty = slab()?;
        let opening = filling.fill(connections)?;
        let bytes = slab()?.saturating_sub(empty) / u64::from(connections);
        let count = || fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count");
        let tracked = filling.director.run(count)?;
        let tracked = tracked.trim().parse().context("a count")?;
        directors.push((
            stand,
            filling,
            Tracked { packet: Duration::MAX, opening, bytes, tracked },
        ));
    }
    let thrown_away = Filling::beside("floor")?;
    thrown_away.director.sh(FLOOR)?;
    let mut floor = Duration::MAX;
    for round in 2..=ROUNDS + 1 {
        floor = floor.min(thrown_away.lookup()?);
        for (_, filling, best) in &mut directors {
            best.packet = best.packet.min(filling.lookup()?);
            best.opening = best.opening.min(filling.fill(connections * round)?);
        }
    }
    let above = directors.into_iter().map(|(stand, _, mut best)| {
        best.packet = best.packet.saturating_sub(floor);
        best.opening = best.opening.saturating_sub(2 * floor);
        (stand, best)
    });
    Ok(above.collect())
}

fn prepare(director: &Node, stand: Stand) -> anyhow::Result<()> {
    if matches!(stand, Stand::Firewall | Stand::Both) {
        director.sh(FIREWALL)?;
    }
    if matches!(stand, Stand::Ours | Stand::Both) {
        let packets = Packets {
            destination: "192.168.0.10/32".parse()?,
            protocol: Protocol::Tcp,
            first_port: 80,
            last_port: 80,
        };
        let fixtures = [Fixture::Untracked { packets }, Fixture::Arrivals { packets }];
        let changes = fixtures.map(|fixture| (Direction::Add, fixture));
        let made = director.run(|| Nftables::new().change(&changes));
        ensure!(made.iter().all(Result::is_ok), "our table: {made:?}");
    }
    Ok(())
}
