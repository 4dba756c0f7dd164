//! Virtual services.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use super::{ServiceFlags, Stats};
use crate::constants::{AF_INET, AF_INET6, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP};

/// Address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address. An IPv4-mapped IPv6 address is IPv6.
    pub fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    pub(crate) fn number(self) -> u16 {
        match self {
            Self::V4 => AF_INET,
            Self::V6 => AF_INET6,
        }
    }

    pub(crate) fn from_number(number: u16) -> Option<Self> {
        match number {
            AF_INET => Some(Self::V4),
            AF_INET6 => Some(Self::V6),
            _ => None,
        }
    }
}

/// Transport protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// Any other number. The kernel does not refuse one over netlink, so a foreign tool may have left
    /// such a service, and reading the table must survive it.
    Other(u16),
}

impl Protocol {
    /// The IANA protocol number.
    pub fn number(self) -> u16 {
        match self {
            Self::Tcp => IPPROTO_TCP,
            Self::Udp => IPPROTO_UDP,
            Self::Sctp => IPPROTO_SCTP,
            Self::Other(number) => number,
        }
    }

    /// The protocol with an IANA number.
    pub fn from_number(number: u16) -> Self {
        match number {
            IPPROTO_TCP => Self::Tcp,
            IPPROTO_UDP => Self::Udp,
            IPPROTO_SCTP => Self::Sctp,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("TCP"),
            Self::Udp => f.write_str("UDP"),
            Self::Sctp => f.write_str("SCTP"),
            Self::Other(number) => write!(f, "protocol {number}"),
        }
    }
}

/// What identifies a virtual service in one network namespace.
///
/// Prints as ipvsadm does: `TCP 192.168.0.10:80`, `UDP [2001:db8::1]:53`, `FWM 7`, `FWM 7 IPv6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// By destination address and port of the packet.
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// Virtual IP address.
        address: IpAddr,
        /// Port; 0 takes all ports, which the kernel accepts only of a persistent service.
        port: u16,
    },
    /// By the packet's firewall mark.
    Mark {
        /// Which packets: the same mark can name one service a family.
        family: Family,
        /// The whole skb mark (the kernel compares without a mask).
        mark: NonZeroU32,
    },
}

impl ServiceKey {
    /// A service by address and port.
    pub fn new(protocol: Protocol, address: impl Into<IpAddr>, port: u16) -> Self {
        Self::Address { protocol, address: address.into(), port }
    }

    /// `TCP address:port`.
    pub fn tcp(address: impl Into<IpAddr>, port: u16) -> Self {
        Self::new(Protocol::Tcp, address, port)
    }

    /// `UDP address:port`.
    pub fn udp(address: impl Into<IpAddr>, port: u16) -> Self {
        Self::new(Protocol::Udp, address, port)
    }

    /// A firewall-mark service.
    pub fn mark(family: Family, mark: NonZeroU32) -> Self {
        Self::Mark { family, mark }
    }

    /// The family of the packets it takes, which is also its destinations' unless they say otherwise.
    pub fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(address),
            Self::Mark { family, .. } => *family,
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, address, port } => {
                write!(f, "{protocol} {}", SocketAddr::new(*address, *port))
            }
            Self::Mark { family: Family::V4, mark } => write!(f, "FWM {mark}"),
            Self::Mark { family: Family::V6, mark } => write!(f, "FWM {mark} IPv6"),
        }
    }
}

/// Granularity of persistence: clients equal under the mask go to the same real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Netmask {
    /// IPv4 netmask. Default `255.255.255.255`: each client for itself.
    V4(Ipv4Addr),
    /// IPv6 prefix length, 1 to 128. Default 128.
    V6(u8),
}

impl Netmask {
    /// The kernel's neutral value for a family: each client address for itself.
    pub fn host(family: Family) -> Self {
        match family {
            Family::V4 => Self::V4(Ipv4Addr::BROADCAST),
            Family::V6 => Self::V6(128),
        }
    }

    /// The family it fits.
    pub fn family(&self) -> Family {
        match self {
            Self::V4(_) => Family::V4,
            Self::V6(_) => Family::V6,
        }
    }
}

impl fmt::Display for Netmask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(mask) => mask.fmt(f),
            Self::V6(length) => write!(f, "/{length}"),
        }
    }
}

/// A virtual service as it is set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// Identity.
    pub key: ServiceKey,
    /// Name of the scheduler, at most 15 bytes: `wlc`, `rr`, ... The kernel loads `ip_vs_<name>`.
    pub scheduler: String,
    /// Flags. Setting a service sets exactly these; those that are the kernel's own are left alone.
    pub flags: ServiceFlags,
    /// Persistence timeout in seconds; means something with [`ServiceFlags::PERSISTENT`] only.
    pub timeout: u32,
    /// Persistence granularity; must be of the key's family.
    pub netmask: Netmask,
    /// Persistence engine, at most 15 bytes (`sip`); none by default.
    pub pe_name: Option<String>,
}

impl Service {
    /// A service without flags and persistence.
    pub fn new(key: ServiceKey, scheduler: impl Into<String>) -> Self {
        Self {
            key,
            scheduler: scheduler.into(),
            flags: ServiceFlags::NONE,
            timeout: 0,
            netmask: Netmask::host(key.family()),
            pe_name: None,
        }
    }

    /// The same service, persistent: a client stays with its real server for `seconds` after its last
    /// connection.
    #[must_use]
    pub fn persistent(mut self, seconds: u32) -> Self {
        self.flags |= ServiceFlags::PERSISTENT;
        self.timeout = seconds;
        self
    }
}

/// A virtual service as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEntry {
    /// What was set, comparable with what was asked for: the kernel's own flags are masked out.
    pub service: Service,
    /// Counters since creation or the last zero.
    pub stats: Stats,
}
