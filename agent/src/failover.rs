//! Who of several directors carries which addresses: what the engine wants of it ([`Want`]), and what became of it
//! ([`Report`]). The rules are in the crate `lvs-vrrp`; here is the thread that has the sockets and the addresses.

mod acquaintances;
mod addresses;
mod backlog;
mod carried;
mod channel;
mod chronicle;
mod clock;
mod config;
mod failed;
mod figures;
mod handle;
mod io;
pub(crate) mod link_address;
mod links;
mod log;
pub(crate) mod neighbors;
mod settled;
pub(crate) mod socket;
mod thread;
mod watch;
mod wording;

pub use figures::Figures;
pub use handle::{Counts, Handle};

use crate::state::HeldAddress;
use lvs_crds::Member;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What one DirectorGroup of several directors wants of this one. Equal ones need no telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// This node's name among the members.
    pub own: String,
    /// All directors, this one too.
    pub members: Vec<Member>,
    /// Between two advertisements.
    pub interval: Duration,
    /// How long to wait before VIPs are taken back; `None`: they are not.
    pub preempt: Option<Duration>,
    /// To a multicast group instead of each member's address.
    pub multicast: bool,
    /// The interface of advertisements; `None`: the one that routes to the members.
    pub interface: Option<String>,
    /// The virtual router id of presence.
    pub presence: u8,
    /// The virtual routers by their ids.
    pub routers: BTreeMap<u8, WantedRouter>,
}

/// One virtual router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedRouter {
    /// What all members call it, whatever its id is.
    pub name: String,
    /// The members' names in the order in which they carry it.
    pub order: Vec<String>,
    /// What whoever carries it holds. The journal names it already.
    pub addresses: BTreeSet<HeldAddress>,
    /// What this node cannot do of it, if anything: others then come first.
    pub ill: Option<String>,
}

/// All that is wanted, told as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// How many times something was told: later is greater.
    pub number: u64,
    /// By DirectorGroup. One that was there before and is not any more is handed over to the others.
    pub groups: BTreeMap<String, Want>,
    /// Addresses that stand on this node without floating (any more): they are let go of as they stand, for ever.
    pub staying: BTreeSet<HeldAddress>,
}

/// Whoever carries floating addresses.
pub trait Carrier: Send {
    /// Takes it in; does not wait until it is done.
    fn want(&mut self, wants: Wants);
    /// What became of it so far.
    fn report(&self) -> Report;
    /// Tells the link where these addresses are, which the engine has put on an interface to stay.
    fn announce(&mut self, _addresses: Vec<HeldAddress>) {}
}

/// Carries nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Carrier for Nobody {
    fn want(&mut self, _: Wants) {}
    fn report(&self) -> Report {
        Report::default()
    }
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The number of the [`Wants`] that this was made of.
    pub number: u64,
    /// By DirectorGroup and virtual router id. A group that is not wanted any more stays until it is handed over.
    pub routers: BTreeMap<(String, u8), RouterReport>,
    /// What this node holds now, made by us.
    pub held: BTreeSet<HeldAddress>,
    /// What it is to hold and somebody else has put there: it serves, and does not move.
    pub foreign: BTreeSet<HeldAddress>,
    /// Virtual router ids under which others than members were heard, and from where.
    pub strangers: BTreeMap<u8, String>,
    /// Addresses for which somebody else answers: the MAC address.
    pub conflicts: BTreeMap<HeldAddress, String>,
    /// By DirectorGroup, the other members that are heard.
    pub hears: BTreeMap<String, BTreeSet<String>>,
    /// What is wrong with a whole group, such as an interface that is not there: (reason, message) by group.
    pub problems: BTreeMap<String, (String, String)>,
}

/// One virtual router as this director sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterReport {
    /// Whether this node carries it.
    pub active: bool,
    /// What keeps it from carrying it.
    pub problem: Option<String>,
}
