//! VRRPv3 (RFC 9568), and what moves addresses between the directors of a group: machines and codecs without I/O.
//!
//! # What is here
//! - [`packet`]: advertisements as bytes.
//! - [`checksum`]: the Internet checksum.
//! - [`neighbor`]: gratuitous ARP, unsolicited neighbour advertisements, probes and what is heard of them, as frames.
//! - [`router`]: one virtual router, as in RFC 9568, section 6.
//! - [`group`]: one director in a group of them, over many virtual routers: who holds which address for how long, and
//!   what is said of it on the link.
//!
//! # What it must not know
//! Kubernetes, netlink, sockets, tokio, clocks. Whoever drives a [`Group`] tells it what came and what time it is, and
//! does what it says.

pub mod checksum;
pub mod group;
pub mod neighbor;
pub mod packet;
pub mod router;

pub use group::{
    Action, Change, Config, Conflict, Counters, Event, Found, Group, Heard, Held, Peer, Report,
    RouterConfig, RouterReport, Stranger,
};
pub use neighbor::Mac;
pub use packet::{Advertisement, DecodeError, Vrid};
pub use router::{Cause, State};
