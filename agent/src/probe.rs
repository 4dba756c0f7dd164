//! Asks VIPs that others carry as a client does, to tell whether clients are served: a TCP connection each, closed as soon
//! as it is open.
//!
//! By frames of its own: what a director sends to a VIP its own IPVS balances (`ip_vs_local_request4`, hook LOCAL_OUT), so
//! that a plain connection says nothing of who carries the VIP. [`machine`] decides what is asked when and what is made of
//! it, without I/O; [`thread`](self) has the sockets.

mod channel;
pub mod client;
mod handle;
mod history;
pub mod machine;
mod neighbors;
mod path;
pub mod segment;
mod sockets;
mod thread;

pub use channel::Figures;
pub use handle::{Counts, Handle};

use crate::owner::Owner;
use lvs_resolve::Question;
use lvs_vrrp::Mac;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The interface and addresses of this node by which a VIP is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// The interface's index.
    pub interface: u32,
    /// Its MAC address.
    pub mac: Mac,
    /// An address of this node there, of the VIP's family.
    pub source: IpAddr,
}

/// What one VirtualService wants asked of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Its DirectorGroup.
    pub group: String,
    /// The newest resourceVersion of its slices.
    pub version: u64,
    /// What to ask, and how.
    pub questions: BTreeMap<Question, Way>,
    /// Which director has which MAC address.
    pub directors: BTreeMap<Mac, String>,
    /// What cannot be asked from here, and why.
    pub barred: BTreeMap<Question, String>,
}

impl Asks {
    /// Whether there is nothing to say of it.
    pub fn is_empty(&self) -> bool {
        self.questions.is_empty() && self.barred.is_empty()
    }
}

/// Whoever asks.
pub trait Prober: Send {
    /// What a VirtualService wants asked from now on; nothing if it is gone.
    fn ask(&mut self, owner: Owner, asks: Asks);
    /// All slices up to this resourceVersion have been told by [`Prober::ask`].
    fn told(&mut self, version: u64);
    /// The VIPs that this node has itself: nobody can ask himself.
    fn held(&mut self, vips: BTreeSet<IpAddr>);
    /// What it met so far, as of its last change.
    fn report(&self) -> Report;
}

/// Asks nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Prober for Nobody {
    fn ask(&mut self, _: Owner, _: Asks) {}
    fn told(&mut self, _: u64) {}
    fn held(&mut self, _: BTreeSet<IpAddr>) {}
    fn report(&self) -> Report {
        Report::default()
    }
}

/// What was met, by DirectorGroup.
pub type Report = BTreeMap<String, lvs_crds::Probes>;
