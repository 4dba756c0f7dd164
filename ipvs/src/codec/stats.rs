//! `IPVS_STATS_ATTR_*`: counters, nested in services and destinations.

use netlink_packet_core::{DecodeError, DefaultNla, Nla, NlaBuffer, Parseable};

use super::field::{fill, other};
use crate::constants::*;
use crate::model::Stats;

/// Which counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatsField {
    /// `CONNS`.
    Connections,
    /// `INPKTS`.
    InPackets,
    /// `OUTPKTS`.
    OutPackets,
    /// `INBYTES`.
    InBytes,
    /// `OUTBYTES`.
    OutBytes,
    /// `CPS`.
    ConnectionRate,
    /// `INPPS`.
    InPacketRate,
    /// `OUTPPS`.
    OutPacketRate,
    /// `INBPS`.
    InByteRate,
    /// `OUTBPS`.
    OutByteRate,
}

impl StatsField {
    /// All fields, in the kernel's order.
    pub const ALL: [Self; 10] = [
        Self::Connections,
        Self::InPackets,
        Self::OutPackets,
        Self::InBytes,
        Self::OutBytes,
        Self::ConnectionRate,
        Self::InPacketRate,
        Self::OutPacketRate,
        Self::InByteRate,
        Self::OutByteRate,
    ];

    fn kind(self) -> u16 {
        match self {
            Self::Connections => STATS_ATTR_CONNS,
            Self::InPackets => STATS_ATTR_INPKTS,
            Self::OutPackets => STATS_ATTR_OUTPKTS,
            Self::InBytes => STATS_ATTR_INBYTES,
            Self::OutBytes => STATS_ATTR_OUTBYTES,
            Self::ConnectionRate => STATS_ATTR_CPS,
            Self::InPacketRate => STATS_ATTR_INPPS,
            Self::OutPacketRate => STATS_ATTR_OUTPPS,
            Self::InByteRate => STATS_ATTR_INBPS,
            Self::OutByteRate => STATS_ATTR_OUTBPS,
        }
    }

    fn from_kind(kind: u16) -> Option<Self> {
        // ALL is in the kernel's order, which begins at 1.
        let field = *Self::ALL.get(usize::from(kind).checked_sub(1)?)?;
        (field.kind() == kind).then_some(field)
    }
}

/// A counter as wide as the kernel sent it: `STATS` has both widths, `STATS64` 64 bits only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counter {
    /// 32 bits; it wraps.
    Narrow(u32),
    /// 64 bits.
    Wide(u64),
}

impl Counter {
    fn value(self) -> u64 {
        match self {
            Self::Narrow(value) => value.into(),
            Self::Wide(value) => value,
        }
    }
}

/// An attribute of a counter set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatsAttr {
    /// A counter.
    Counter(StatsField, Counter),
    /// Padding, an unknown attribute, or a counter of another width.
    Other(DefaultNla),
}

impl Nla for StatsAttr {
    fn value_len(&self) -> usize {
        match self {
            Self::Counter(_, Counter::Narrow(_)) => 4,
            Self::Counter(_, Counter::Wide(_)) => 8,
            Self::Other(nla) => nla.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Counter(field, _) => field.kind(),
            Self::Other(nla) => nla.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Counter(_, Counter::Narrow(value)) => fill(buffer, &value.to_ne_bytes()),
            Self::Counter(_, Counter::Wide(value)) => fill(buffer, &value.to_ne_bytes()),
            Self::Other(nla) => nla.emit_value(buffer),
        }
    }
}

impl<'a> Parseable<NlaBuffer<&'a [u8]>> for StatsAttr {
    fn parse(nla: &NlaBuffer<&'a [u8]>) -> Result<Self, DecodeError> {
        let value = nla.value();
        let counter = match (<[u8; 4]>::try_from(value), <[u8; 8]>::try_from(value)) {
            (Ok(bytes), _) => Some(Counter::Narrow(u32::from_ne_bytes(bytes))),
            (_, Ok(bytes)) => Some(Counter::Wide(u64::from_ne_bytes(bytes))),
            _ => None,
        };
        Ok(match (StatsField::from_kind(nla.kind()), counter) {
            (Some(field), Some(counter)) => Self::Counter(field, counter),
            _ => Self::Other(other(nla)),
        })
    }
}

/// The counters of a `STATS64`, or of a `STATS` where the kernel is older than 4.1.
pub(super) fn read_stats(wide: Option<&[StatsAttr]>, narrow: Option<&[StatsAttr]>) -> Stats {
    let mut stats = Stats::default();
    for attr in wide.or(narrow).unwrap_or_default() {
        let StatsAttr::Counter(field, counter) = attr else { continue };
        let value = counter.value();
        match field {
            StatsField::Connections => stats.connections = value,
            StatsField::InPackets => stats.in_packets = value,
            StatsField::OutPackets => stats.out_packets = value,
            StatsField::InBytes => stats.in_bytes = value,
            StatsField::OutBytes => stats.out_bytes = value,
            StatsField::ConnectionRate => stats.connection_rate = value,
            StatsField::InPacketRate => stats.in_packet_rate = value,
            StatsField::OutPacketRate => stats.out_packet_rate = value,
            StatsField::InByteRate => stats.in_byte_rate = value,
            StatsField::OutByteRate => stats.out_byte_rate = value,
        }
    }
    stats
}

#[cfg(test)]
mod tests;
