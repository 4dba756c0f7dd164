//! Destinations: the real servers of a virtual service.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{Family, Forwarding, Stats, Tunnel};

/// What identifies a destination within its service. Prints as `10.0.0.1:80`, `[2001:db8::1]:53`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey {
    /// Address of the real server; its family may differ from the service's when it is tunnelled to.
    pub address: IpAddr,
    /// Port of the real server. Only [`Forwarding::Masquerade`] translates it.
    pub port: u16,
}

impl DestinationKey {
    /// `address:port`.
    pub fn new(address: impl Into<IpAddr>, port: u16) -> Self {
        Self { address: address.into(), port }
    }

    /// The family of the address.
    pub fn family(&self) -> Family {
        Family::of(&self.address)
    }
}

impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// A destination as it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Identity.
    pub key: DestinationKey,
    /// Forwarding method.
    pub forwarding: Forwarding,
    /// Weight; 0 takes no new connections. The kernel's limit is 2147483647 (ERANGE above).
    pub weight: u32,
    /// Connections above which no new ones come; 0: no limit.
    pub upper_threshold: u32,
    /// Connections below which they come again; 0: three quarters of the upper threshold.
    /// Above the upper threshold is ERANGE.
    pub lower_threshold: u32,
    /// Encapsulation, with [`Forwarding::Tunnel`]. With another method it is not sent and the kernel keeps
    /// none, so only the default compares equal then.
    pub tunnel: Tunnel,
}

impl Destination {
    /// A destination without thresholds, IP in IP where tunnelled to.
    pub fn new(key: DestinationKey, forwarding: Forwarding, weight: u32) -> Self {
        Self {
            key,
            forwarding,
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel: Tunnel::default(),
        }
    }
}

/// A destination as the kernel reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestinationEntry {
    /// What was set.
    pub destination: Destination,
    /// Connections in an active state (TCP: established).
    pub active_connections: u32,
    /// Other connections that have an entry.
    pub inactive_connections: u32,
    /// Persistence templates and the like that point here.
    pub persistent_connections: u32,
    /// Counters. They survive a delete and re-add while a connection still refers to the destination.
    pub stats: Stats,
}
