//! `IPVS_DEST_ATTR_*`.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, ErrorContext, NLA_F_NESTED, Nla, NlaBuffer, Parseable,
    parse_u8, parse_u16, parse_u16_be, parse_u32,
};

use super::StatsAttr;
use super::field::{address, address_bytes, address_of, family, fill, missing, nested, other};
use super::stats::read_stats;
use crate::constants::*;
use crate::model::{
    Destination, DestinationEntry, DestinationKey, Family, Forwarding, Tunnel, TunnelFlags,
    TunnelType,
};

/// An attribute of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationAttr {
    /// Address; IPv4 uses the first four bytes.
    Address([u8; 16]),
    /// Port; big-endian on the wire.
    Port(u16),
    /// Forwarding method.
    Forwarding(u32),
    /// Weight.
    Weight(u32),
    /// Upper threshold.
    UpperThreshold(u32),
    /// Lower threshold.
    LowerThreshold(u32),
    /// Active connections.
    ActiveConnections(u32),
    /// Inactive connections.
    InactiveConnections(u32),
    /// Persistent connections.
    PersistentConnections(u32),
    /// Counters of mixed width.
    Stats(Vec<StatsAttr>),
    /// Address family; the service's where absent.
    Family(u16),
    /// Counters of 64 bits.
    Stats64(Vec<StatsAttr>),
    /// Encapsulation.
    TunnelType(u8),
    /// UDP port of the encapsulation; big-endian on the wire.
    TunnelPort(u16),
    /// Checksums of the encapsulation.
    TunnelFlags(u16),
    /// An unknown attribute.
    Other(DefaultNla),
}

impl Nla for DestinationAttr {
    fn value_len(&self) -> usize {
        match self {
            Self::TunnelType(_) => 1,
            Self::Port(_) | Self::Family(_) | Self::TunnelPort(_) | Self::TunnelFlags(_) => 2,
            Self::Forwarding(_)
            | Self::Weight(_)
            | Self::UpperThreshold(_)
            | Self::LowerThreshold(_)
            | Self::ActiveConnections(_)
            | Self::InactiveConnections(_)
            | Self::PersistentConnections(_) => 4,
            Self::Address(_) => 16,
            Self::Stats(attrs) | Self::Stats64(attrs) => attrs.as_slice().buffer_len(),
            Self::Other(nla) => nla.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Address(_) => DEST_ATTR_ADDR,
            Self::Port(_) => DEST_ATTR_PORT,
            Self::Forwarding(_) => DEST_ATTR_FWD_METHOD,
            Self::Weight(_) => DEST_ATTR_WEIGHT,
            Self::UpperThreshold(_) => DEST_ATTR_U_THRESH,
            Self::LowerThreshold(_) => DEST_ATTR_L_THRESH,
            Self::ActiveConnections(_) => DEST_ATTR_ACTIVE_CONNS,
            Self::InactiveConnections(_) => DEST_ATTR_INACT_CONNS,
            Self::PersistentConnections(_) => DEST_ATTR_PERSIST_CONNS,
            Self::Stats(_) => DEST_ATTR_STATS | NLA_F_NESTED,
            Self::Family(_) => DEST_ATTR_ADDR_FAMILY,
            Self::Stats64(_) => DEST_ATTR_STATS64 | NLA_F_NESTED,
            Self::TunnelType(_) => DEST_ATTR_TUN_TYPE,
            Self::TunnelPort(_) => DEST_ATTR_TUN_PORT,
            Self::TunnelFlags(_) => DEST_ATTR_TUN_FLAGS,
            Self::Other(nla) => nla.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Address(bytes) => fill(buffer, bytes),
            Self::Port(port) | Self::TunnelPort(port) => fill(buffer, &port.to_be_bytes()),
            Self::Forwarding(value)
            | Self::Weight(value)
            | Self::UpperThreshold(value)
            | Self::LowerThreshold(value)
            | Self::ActiveConnections(value)
            | Self::InactiveConnections(value)
            | Self::PersistentConnections(value) => fill(buffer, &value.to_ne_bytes()),
            Self::Family(value) | Self::TunnelFlags(value) => fill(buffer, &value.to_ne_bytes()),
            Self::TunnelType(value) => fill(buffer, &[*value]),
            Self::Stats(attrs) | Self::Stats64(attrs) => attrs.as_slice().emit(buffer),
            Self::Other(nla) => nla.emit_value(buffer),
        }
    }
}

impl<'a> Parseable<NlaBuffer<&'a [u8]>> for DestinationAttr {
    fn parse(nla: &NlaBuffer<&'a [u8]>) -> Result<Self, DecodeError> {
        let value = nla.value();
        let number = |name: &'static str| parse_u32(value).context(name);
        Ok(match nla.kind() {
            DEST_ATTR_ADDR => Self::Address(address(value).context("destination ADDR")?),
            DEST_ATTR_PORT => Self::Port(parse_u16_be(value).context("destination PORT")?),
            DEST_ATTR_FWD_METHOD => Self::Forwarding(number("destination FWD_METHOD")?),
            DEST_ATTR_WEIGHT => Self::Weight(number("destination WEIGHT")?),
            DEST_ATTR_U_THRESH => Self::UpperThreshold(number("destination U_THRESH")?),
            DEST_ATTR_L_THRESH => Self::LowerThreshold(number("destination L_THRESH")?),
            DEST_ATTR_ACTIVE_CONNS => Self::ActiveConnections(number("destination ACTIVE_CONNS")?),
            DEST_ATTR_INACT_CONNS => Self::InactiveConnections(number("destination INACT_CONNS")?),
            DEST_ATTR_PERSIST_CONNS => {
                Self::PersistentConnections(number("destination PERSIST_CONNS")?)
            }
            DEST_ATTR_STATS => {
                Self::Stats(nested(value, StatsAttr::parse).context("destination STATS")?)
            }
            DEST_ATTR_ADDR_FAMILY => {
                Self::Family(parse_u16(value).context("destination ADDR_FAMILY")?)
            }
            DEST_ATTR_STATS64 => {
                Self::Stats64(nested(value, StatsAttr::parse).context("destination STATS64")?)
            }
            DEST_ATTR_TUN_TYPE => {
                Self::TunnelType(parse_u8(value).context("destination TUN_TYPE")?)
            }
            DEST_ATTR_TUN_PORT => {
                Self::TunnelPort(parse_u16_be(value).context("destination TUN_PORT")?)
            }
            DEST_ATTR_TUN_FLAGS => {
                Self::TunnelFlags(parse_u16(value).context("destination TUN_FLAGS")?)
            }
            _ => Self::Other(other(nla)),
        })
    }
}

/// What the kernel needs to find a destination.
pub(crate) fn destination_key_attrs(key: &DestinationKey) -> Vec<DestinationAttr> {
    vec![
        DestinationAttr::Family(key.family().number()),
        DestinationAttr::Address(address_bytes(&key.address)),
        DestinationAttr::Port(key.port),
    ]
}

/// What the kernel needs to make or change a destination. A tunnel that is not asked for is reset by
/// its absence (`ip_vs_genl_parse_dest` starts from zeroes).
pub(crate) fn destination_attrs(destination: &Destination) -> Vec<DestinationAttr> {
    let mut attrs = destination_key_attrs(&destination.key);
    attrs.push(DestinationAttr::Forwarding(destination.forwarding.number()));
    attrs.push(DestinationAttr::Weight(destination.weight));
    attrs.push(DestinationAttr::UpperThreshold(destination.upper_threshold));
    attrs.push(DestinationAttr::LowerThreshold(destination.lower_threshold));
    if destination.forwarding == Forwarding::Tunnel {
        attrs.push(DestinationAttr::TunnelType(destination.tunnel.kind.number()));
        attrs.push(DestinationAttr::TunnelPort(destination.tunnel.port));
        attrs.push(DestinationAttr::TunnelFlags(destination.tunnel.flags.bits()));
    }
    attrs
}

/// A destination as the kernel reports it.
pub(crate) fn read_destination(
    service_family: Family,
    attrs: &[DestinationAttr],
) -> Result<DestinationEntry, DecodeError> {
    let (mut af, mut addr, mut port, mut forwarding, mut weight) = (None, None, None, None, None);
    let (mut upper_threshold, mut lower_threshold) = (0, 0);
    let (mut active, mut inactive, mut persistent) = (0, 0, 0);
    let (mut stats, mut stats64) = (None, None);
    let mut tunnel = Tunnel::default();
    for attr in attrs {
        match attr {
            DestinationAttr::Address(value) => addr = Some(*value),
            DestinationAttr::Port(value) => port = Some(*value),
            DestinationAttr::Forwarding(value) => forwarding = Some(*value),
            DestinationAttr::Weight(value) => weight = Some(*value),
            DestinationAttr::UpperThreshold(value) => upper_threshold = *value,
            DestinationAttr::LowerThreshold(value) => lower_threshold = *value,
            DestinationAttr::ActiveConnections(value) => active = *value,
            DestinationAttr::InactiveConnections(value) => inactive = *value,
            DestinationAttr::PersistentConnections(value) => persistent = *value,
            DestinationAttr::Stats(value) => stats = Some(value.as_slice()),
            DestinationAttr::Family(value) => af = Some(*value),
            DestinationAttr::Stats64(value) => stats64 = Some(value.as_slice()),
            DestinationAttr::TunnelType(value) => tunnel.kind = TunnelType::from_number(*value),
            DestinationAttr::TunnelPort(value) => tunnel.port = *value,
            DestinationAttr::TunnelFlags(value) => tunnel.flags = TunnelFlags::from_bits(*value),
            DestinationAttr::Other(_) => {}
        }
    }
    let family = af.map_or(Ok(service_family), family)?;
    let forwarding =
        Forwarding::from_number(forwarding.ok_or_else(|| missing("destination FWD_METHOD"))?);
    Ok(DestinationEntry {
        destination: Destination {
            key: DestinationKey {
                address: address_of(family, addr.ok_or_else(|| missing("destination ADDR"))?),
                port: port.ok_or_else(|| missing("destination PORT"))?,
            },
            forwarding,
            weight: weight.ok_or_else(|| missing("destination WEIGHT"))?,
            upper_threshold,
            lower_threshold,
            tunnel,
        },
        active_connections: active,
        inactive_connections: inactive,
        persistent_connections: persistent,
        stats: read_stats(stats64, stats),
    })
}
