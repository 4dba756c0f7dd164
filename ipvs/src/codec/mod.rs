//! Bytes to attributes and back, on netlink-packet-core and netlink-packet-generic; attributes to the
//! typed [`model`](crate::model) and back.
//!
//! Decoding never panics. Attributes that this crate does not know are kept as `Other` and never fail
//! a message; a known one of the wrong size does.

mod command;
mod daemon;
mod destination;
mod field;
mod message;
mod operation;
mod service;
mod stats;

pub use command::Command;
pub use daemon::DaemonAttr;
pub use destination::DestinationAttr;
pub use message::{IpvsAttr, IpvsMessage};
pub use service::ServiceAttr;
pub use stats::{Counter, StatsAttr, StatsField};

pub(crate) use daemon::{daemon_attrs, read_daemon};
pub(crate) use destination::{destination_attrs, destination_key_attrs, read_destination};
pub(crate) use message::{read_info, read_timeouts};
pub(crate) use service::{read_service, service_attrs, service_key_attrs};
