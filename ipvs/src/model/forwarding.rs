//! How packets reach a destination.

use std::fmt;
use std::ops::BitOr;

use crate::constants::{
    FWD_BYPASS, FWD_DROUTE, FWD_LOCALNODE, FWD_MASQ, FWD_TUNNEL, TUNNEL_FLAG_CSUM,
    TUNNEL_FLAG_REMCSUM, TUNNEL_TYPE_GRE, TUNNEL_TYPE_GUE, TUNNEL_TYPE_IPIP,
};

/// Forwarding method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forwarding {
    /// NAT: destination address and port are rewritten, replies come back through the director.
    Masquerade,
    /// The director itself serves. Not needed for that: a destination with an address of the director's
    /// own is served locally under any method, and reads back with the method that was set.
    LocalNode,
    /// Encapsulated, see [`Tunnel`]; the real server replies to the client itself.
    Tunnel,
    /// Direct routing: only the link-layer destination changes; the real server replies to the client.
    DirectRoute,
    /// Sent on as if there were no service (transparent caches).
    Bypass,
    /// A value that this crate does not know; read only.
    Other(u32),
}

impl Forwarding {
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Masquerade => FWD_MASQ,
            Self::LocalNode => FWD_LOCALNODE,
            Self::Tunnel => FWD_TUNNEL,
            Self::DirectRoute => FWD_DROUTE,
            Self::Bypass => FWD_BYPASS,
            Self::Other(number) => number,
        }
    }

    pub(crate) fn from_number(number: u32) -> Self {
        match number {
            FWD_MASQ => Self::Masquerade,
            FWD_LOCALNODE => Self::LocalNode,
            FWD_TUNNEL => Self::Tunnel,
            FWD_DROUTE => Self::DirectRoute,
            FWD_BYPASS => Self::Bypass,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Masquerade => f.write_str("Masq"),
            Self::LocalNode => f.write_str("Local"),
            Self::Tunnel => f.write_str("Tunnel"),
            Self::DirectRoute => f.write_str("Route"),
            Self::Bypass => f.write_str("Bypass"),
            Self::Other(number) => write!(f, "forwarding {number}"),
        }
    }
}

/// Encapsulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TunnelType {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP encapsulation; needs a port. Linux 5.2.
    Gue,
    /// GRE. Linux 5.3.
    Gre,
    /// A value that this crate does not know; read only.
    Other(u8),
}

impl TunnelType {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Ipip => TUNNEL_TYPE_IPIP,
            Self::Gue => TUNNEL_TYPE_GUE,
            Self::Gre => TUNNEL_TYPE_GRE,
            Self::Other(number) => number,
        }
    }

    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            TUNNEL_TYPE_IPIP => Self::Ipip,
            TUNNEL_TYPE_GUE => Self::Gue,
            TUNNEL_TYPE_GRE => Self::Gre,
            other => Self::Other(other),
        }
    }
}

/// Checksums of the encapsulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TunnelFlags(u16);

impl TunnelFlags {
    /// No checksum.
    pub const NONE: Self = Self(0);
    /// UDP or GRE checksum.
    pub const CHECKSUM: Self = Self(TUNNEL_FLAG_CSUM);
    /// GUE remote checksum.
    pub const REMOTE_CHECKSUM: Self = Self(TUNNEL_FLAG_REMCSUM);

    /// The bits as the kernel numbers them.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// From the kernel's bits, all of them kept.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for TunnelFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Tunnel of a destination; means something with [`Forwarding::Tunnel`] only. Default: IP in IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tunnel {
    /// Encapsulation.
    pub kind: TunnelType,
    /// UDP port of the encapsulation: must not be 0 with GUE, means nothing otherwise.
    pub port: u16,
    /// Checksums.
    pub flags: TunnelFlags,
}
