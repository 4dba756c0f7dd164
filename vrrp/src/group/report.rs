//! What a group tells of itself.

use crate::neighbor::Mac;
use crate::packet::Vrid;
use crate::router::{Cause, State};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// How things stand. Times are those that the driver gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The virtual routers of the configuration.
    pub routers: BTreeMap<Vrid, RouterReport>,
    /// The peers that are heard, by name, with the time since when.
    pub live: BTreeMap<String, Duration>,
    /// Virtual router ids under which others than peers advertise. Forgotten a minute after the last advertisement.
    pub strangers: BTreeMap<Vrid, Stranger>,
    /// Addresses of ours for which somebody else answers. Forgotten when nobody answered two probes.
    pub conflicts: BTreeMap<IpAddr, Conflict>,
    /// How often a wake-up came so late that everything was let go, and when it last did.
    pub stalls: u64,
    /// See `stalls`.
    pub last_stall: Option<Duration>,
    /// Packets and what became of them.
    pub counters: Counters,
    /// Another number whenever the state, number of transitions or reason of a virtual router, the address of a stranger or
    /// the MAC address of a conflict may be another: who looks after each packet need not compare them all.
    pub generation: u64,
}

impl Report {
    pub(super) fn end_conflict(&mut self, address: IpAddr) {
        if self.conflicts.remove(&address).is_some() {
            self.generation += 1;
        }
    }
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterReport {
    /// Where it is.
    pub state: State,
    /// Since when.
    pub since: Duration,
    /// How often it changed.
    pub transitions: u64,
    /// Our priority.
    pub priority: u8,
    /// Who carries it, as heard; `None` while we do, or nobody is heard.
    pub carrier: Option<IpAddr>,
    /// Why it takes no part.
    pub down: Option<String>,
    /// What happened to it here last; `None`: it was never carried here.
    pub change: Option<Change>,
    /// How many changes there were.
    pub changes: u64,
}

/// Why a virtual router is carried here from now on, or no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is carried here from now on.
    TookOver {
        /// Why.
        cause: Cause,
        /// Who was heard to carry it before; `None`: nobody, since this member began to listen.
        from: Option<Heard>,
    },
    /// Another member carries it, which comes before this one.
    GaveUp {
        /// Who.
        to: Heard,
    },
    /// This member stops or leaves, and asks the others to take it over.
    Leaving,
    /// It was handed over.
    HandedOver {
        /// Who carries it; `None`: nobody took it.
        to: Option<Heard>,
    },
    /// This member takes no part in it any more, for this reason.
    Down(String),
    /// This member did not run for so long that others may have taken over.
    Stalled(Duration),
}

/// An advertisement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The name of the member that it was from.
    pub member: String,
    /// Its priority.
    pub priority: u8,
    /// How long ago.
    pub ago: Duration,
}

/// Somebody's virtual router who is not of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Where the advertisement came from.
    pub address: IpAddr,
    /// When the last one came.
    pub heard: Duration,
}

/// Somebody who answers for an address of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Whoever that is.
    pub mac: Mac,
    /// The name of the member whose machine that is, if it is one's.
    pub peer: Option<String>,
    /// That member says that it carries the address, or did until a moment ago: members settle it by themselves.
    pub ours: bool,
    /// When it was first seen.
    pub since: Duration,
    /// When it was last seen.
    pub last: Duration,
}

/// Packets received, each counted once, and advertisements sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Advertisements of peers that were taken, those of presence too.
    pub received: u64,
    /// Advertisements handed to the driver, those of presence too.
    pub sent: u64,
    /// Packets from no peer.
    pub forged: u64,
    /// Advertisements of peers for virtual routers that are not in our configuration.
    pub unknown: u64,
    /// Packets of peers that are no advertisement, by [`DecodeError::reason`](crate::DecodeError::reason).
    pub malformed: BTreeMap<&'static str, u64>,
}
