//! The typed model: what a table holds, free of netlink. Identities ([`ServiceKey`],
//! [`DestinationKey`]) stand apart from what can be set ([`Service`], [`Destination`]), and that from
//! what the kernel reports ([`ServiceEntry`], [`DestinationEntry`]).

mod config;
mod daemon;
mod destination;
mod flags;
mod forwarding;
mod info;
mod service;
mod stats;

pub use config::Timeouts;
pub use daemon::{Daemon, DaemonState};
pub use destination::{Destination, DestinationEntry, DestinationKey};
pub use flags::ServiceFlags;
pub use forwarding::{Forwarding, Tunnel, TunnelFlags, TunnelType};
pub use info::{Info, Version};
pub use service::{Family, Netmask, Protocol, Service, ServiceEntry, ServiceKey};
pub use stats::Stats;
