//! Advertisements of VRRPv3 (RFC 9568, section 5) as bytes: what follows the IP header of protocol 112.

use crate::checksum::Sum;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU8;

/// The IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;
/// The TTL or hop limit of every advertisement: one that passed a router has less.
pub const TTL: u8 = 255;
/// Where advertisements go in multicast mode, IPv4.
pub const MULTICAST_V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 0, 18));
/// Where advertisements go in multicast mode, IPv6.
pub const MULTICAST_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12));
/// The longest interval that the field holds, in centiseconds.
pub const MAX_INTERVAL: u16 = 4095;
/// How many addresses the 8-bit count can tell of.
pub const MAX_ADDRESSES: usize = 255;

const HEADER: usize = 8;
const VERSION: u8 = 3;
const ADVERTISEMENT: u8 = 1;

/// A virtual router's id, 1 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// `None` for 0.
    pub const fn new(id: u8) -> Option<Self> {
        match NonZeroU8::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// As a number.
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What an Active router says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// The virtual router.
    pub vrid: Vrid,
    /// 1 to 254 in an election; 255: the router owns the addresses; 0: it gives the virtual router up.
    pub priority: u8,
    /// Between two advertisements, in centiseconds, 1 to 4095.
    pub interval: u16,
    /// The virtual addresses. Only those of the packet's own address family, and of these the first 255, are sent.
    pub addresses: Vec<IpAddr>,
}

/// Why bytes are no advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum DecodeError {
    /// It passed a router, or somebody else than a VRRP router made it.
    #[error("TTL {0} instead of 255")]
    Ttl(u8),
    /// Source and destination are of two address families.
    #[error("source and destination are of different address families")]
    Families,
    /// Shorter than a header.
    #[error("{0} bytes are too few for a header")]
    Short(usize),
    /// Such as VRRPv2.
    #[error("version {0} instead of 3")]
    Version(u8),
    /// There is only one type.
    #[error("type {0} instead of 1")]
    Type(u8),
    /// Ids begin with 1.
    #[error("virtual router id 0")]
    Vrid,
    /// There is at least one address.
    #[error("no address")]
    NoAddress,
    /// Nobody advertises all the time.
    #[error("interval 0")]
    Interval,
    /// The count of addresses does not go with the length.
    #[error("{length} bytes with {count} addresses")]
    Length {
        /// Of the packet.
        length: usize,
        /// As it says itself.
        count: u8,
    },
    /// Damaged on its way.
    #[error("wrong checksum")]
    Checksum,
}

impl DecodeError {
    /// Every [`DecodeError::reason`].
    pub const REASONS: [&'static str; 10] = [
        "ttl",
        "families",
        "short",
        "version",
        "type",
        "vrid",
        "no_address",
        "interval",
        "length",
        "checksum",
    ];

    /// One word for counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Ttl(_) => "ttl",
            Self::Families => "families",
            Self::Short(_) => "short",
            Self::Version(_) => "version",
            Self::Type(_) => "type",
            Self::Vrid => "vrid",
            Self::NoAddress => "no_address",
            Self::Interval => "interval",
            Self::Length { .. } => "length",
            Self::Checksum => "checksum",
        }
    }
}

impl Advertisement {
    /// The payload of an IP packet from `source` to `destination`.
    ///
    /// The checksum has a pseudo header in IPv4 too: RFC 5798 was read so, and keepalived up to 2.2.7 accepts nothing
    /// else. RFC 9568, 5.2.8 has one in IPv6 only; [`Advertisement::decode`] takes both.
    pub fn encode(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let own = |address: &&IpAddr| address.is_ipv4() == source.is_ipv4();
        let mut bytes = Vec::with_capacity(HEADER + 4 * self.addresses.len());
        bytes.extend([VERSION << 4 | ADVERTISEMENT, self.vrid.get(), self.priority, 0]);
        bytes.extend(self.interval.clamp(1, MAX_INTERVAL).to_be_bytes());
        bytes.extend([0, 0]);
        let mut count = 0_u8;
        for address in self.addresses.iter().filter(own).take(MAX_ADDRESSES) {
            count = count.saturating_add(1);
            put(&mut bytes, *address);
        }
        if count == 0 {
            count = 1;
            put(&mut bytes, source);
        }
        let sum = Sum::pseudo_header(source, destination, PROTOCOL, bytes.len());
        // The header's eight bytes are there.
        bytes[3] = count;
        let sum = sum.with(&bytes).finish().to_be_bytes();
        bytes[6..8].copy_from_slice(&sum);
        bytes
    }

    /// The payload of an IP packet that came from `source` to `destination` with that TTL or hop limit.
    ///
    /// # Errors
    /// [`DecodeError`]; nothing else can be wrong with it.
    pub fn decode(
        bytes: &[u8],
        source: IpAddr,
        destination: IpAddr,
        ttl: u8,
    ) -> Result<Self, DecodeError> {
        if ttl != TTL {
            return Err(DecodeError::Ttl(ttl));
        }
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(DecodeError::Families);
        }
        let Some((header, addresses)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(DecodeError::Short(bytes.len()));
        };
        let [kind, vrid, priority, count, high, low, _, _] = *header;
        if kind >> 4 != VERSION {
            return Err(DecodeError::Version(kind >> 4));
        }
        if kind & 0xf != ADVERTISEMENT {
            return Err(DecodeError::Type(kind & 0xf));
        }
        let vrid = Vrid::new(vrid).ok_or(DecodeError::Vrid)?;
        if count == 0 {
            return Err(DecodeError::NoAddress);
        }
        let size = if source.is_ipv4() { 4 } else { 16 };
        if addresses.len() != usize::from(count) * size {
            return Err(DecodeError::Length { length: bytes.len(), count });
        }
        let whole = Sum::pseudo_header(source, destination, PROTOCOL, bytes.len()).with(bytes);
        let right = whole.finish() == 0 || source.is_ipv4() && Sum::new().with(bytes).finish() == 0;
        if !right {
            return Err(DecodeError::Checksum);
        }
        // The upper four bits are reserved, and ignored.
        let interval = u16::from_be_bytes([high, low]) & 0xfff;
        if interval == 0 {
            return Err(DecodeError::Interval);
        }
        let addresses = addresses.chunks_exact(size).filter_map(get).collect();
        Ok(Self { vrid, priority, interval, addresses })
    }
}

/// Which of a router's addresses are told of in advertisements from `own`: those of its family, a fixed subset of at
/// most 255; a link-local address first in IPv6 (RFC 9568, 5.2.9), `own` if there is none among them; never none.
pub fn advertised(own: IpAddr, addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut all: Vec<_> = addresses.filter(|address| address.is_ipv4() == own.is_ipv4()).collect();
    all.sort_unstable();
    all.dedup();
    let link_local =
        |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    match all.iter().position(link_local) {
        Some(first) => all[..=first].rotate_right(1),
        None if own.is_ipv6() || all.is_empty() => all.insert(0, own),
        None => {}
    }
    all.truncate(MAX_ADDRESSES);
    all
}

fn put(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => bytes.extend(address.octets()),
        IpAddr::V6(address) => bytes.extend(address.octets()),
    }
}

fn get(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}
