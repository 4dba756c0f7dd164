//! `IPVS_SVC_ATTR_*`.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, ErrorContext, NLA_F_NESTED, Nla, NlaBuffer, Parseable,
    parse_u16, parse_u16_be, parse_u32,
};

use super::StatsAttr;
use super::field::{
    address, address_bytes, address_of, family, fill, fill_text, missing, nested, other, text,
};
use super::stats::read_stats;
use crate::constants::*;
use crate::model::{Family, Netmask, Protocol, Service, ServiceEntry, ServiceFlags, ServiceKey};

/// An attribute of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceAttr {
    /// Address family.
    Family(u16),
    /// Protocol number.
    Protocol(u16),
    /// Address; IPv4 uses the first four bytes.
    Address([u8; 16]),
    /// Port; big-endian on the wire.
    Port(u16),
    /// Firewall mark.
    Mark(u32),
    /// Scheduler name.
    Scheduler(String),
    /// Flags, and which of them are meant.
    Flags {
        /// Values.
        flags: u32,
        /// Which bits of `flags` count.
        mask: u32,
    },
    /// Persistence timeout in seconds.
    Timeout(u32),
    /// IPv4: the netmask's bytes in network order; IPv6: the prefix length in the host's.
    Netmask([u8; 4]),
    /// Counters of mixed width.
    Stats(Vec<StatsAttr>),
    /// Persistence engine.
    PersistenceEngine(String),
    /// Counters of 64 bits.
    Stats64(Vec<StatsAttr>),
    /// An unknown attribute.
    Other(DefaultNla),
}

impl Nla for ServiceAttr {
    fn value_len(&self) -> usize {
        match self {
            Self::Family(_) | Self::Protocol(_) | Self::Port(_) => 2,
            Self::Mark(_) | Self::Timeout(_) | Self::Netmask(_) => 4,
            Self::Flags { .. } => 8,
            Self::Address(_) => 16,
            Self::Scheduler(name) | Self::PersistenceEngine(name) => name.len() + 1,
            Self::Stats(attrs) | Self::Stats64(attrs) => attrs.as_slice().buffer_len(),
            Self::Other(nla) => nla.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Family(_) => SVC_ATTR_AF,
            Self::Protocol(_) => SVC_ATTR_PROTOCOL,
            Self::Address(_) => SVC_ATTR_ADDR,
            Self::Port(_) => SVC_ATTR_PORT,
            Self::Mark(_) => SVC_ATTR_FWMARK,
            Self::Scheduler(_) => SVC_ATTR_SCHED_NAME,
            Self::Flags { .. } => SVC_ATTR_FLAGS,
            Self::Timeout(_) => SVC_ATTR_TIMEOUT,
            Self::Netmask(_) => SVC_ATTR_NETMASK,
            Self::Stats(_) => SVC_ATTR_STATS | NLA_F_NESTED,
            Self::PersistenceEngine(_) => SVC_ATTR_PE_NAME,
            Self::Stats64(_) => SVC_ATTR_STATS64 | NLA_F_NESTED,
            Self::Other(nla) => nla.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Family(value) | Self::Protocol(value) => fill(buffer, &value.to_ne_bytes()),
            Self::Port(port) => fill(buffer, &port.to_be_bytes()),
            Self::Mark(value) | Self::Timeout(value) => fill(buffer, &value.to_ne_bytes()),
            Self::Netmask(bytes) => fill(buffer, bytes),
            Self::Address(bytes) => fill(buffer, bytes),
            Self::Flags { flags, mask } => {
                let (first, second) = buffer.split_at_mut(buffer.len().min(4));
                fill(first, &flags.to_ne_bytes());
                fill(second, &mask.to_ne_bytes());
            }
            Self::Scheduler(name) | Self::PersistenceEngine(name) => fill_text(buffer, name),
            Self::Stats(attrs) | Self::Stats64(attrs) => attrs.as_slice().emit(buffer),
            Self::Other(nla) => nla.emit_value(buffer),
        }
    }
}

impl<'a> Parseable<NlaBuffer<&'a [u8]>> for ServiceAttr {
    fn parse(nla: &NlaBuffer<&'a [u8]>) -> Result<Self, DecodeError> {
        let value = nla.value();
        Ok(match nla.kind() {
            SVC_ATTR_AF => Self::Family(parse_u16(value).context("service AF")?),
            SVC_ATTR_PROTOCOL => Self::Protocol(parse_u16(value).context("service PROTOCOL")?),
            SVC_ATTR_ADDR => Self::Address(address(value).context("service ADDR")?),
            SVC_ATTR_PORT => Self::Port(parse_u16_be(value).context("service PORT")?),
            SVC_ATTR_FWMARK => Self::Mark(parse_u32(value).context("service FWMARK")?),
            SVC_ATTR_SCHED_NAME => Self::Scheduler(text(value)),
            SVC_ATTR_FLAGS => {
                let (flags, mask) = value.split_at(value.len().min(4));
                Self::Flags {
                    flags: parse_u32(flags).context("service FLAGS")?,
                    mask: parse_u32(mask).context("service FLAGS mask")?,
                }
            }
            SVC_ATTR_TIMEOUT => Self::Timeout(parse_u32(value).context("service TIMEOUT")?),
            SVC_ATTR_NETMASK => {
                Self::Netmask(parse_u32(value).map(u32::to_ne_bytes).context("service NETMASK")?)
            }
            SVC_ATTR_STATS => {
                Self::Stats(nested(value, StatsAttr::parse).context("service STATS")?)
            }
            SVC_ATTR_PE_NAME => Self::PersistenceEngine(text(value)),
            SVC_ATTR_STATS64 => {
                Self::Stats64(nested(value, StatsAttr::parse).context("service STATS64")?)
            }
            _ => Self::Other(other(nla)),
        })
    }
}

/// What the kernel needs to find a service.
pub(crate) fn service_key_attrs(key: &ServiceKey) -> Vec<ServiceAttr> {
    let family = ServiceAttr::Family(key.family().number());
    match key {
        ServiceKey::Address { protocol, address, port } => vec![
            family,
            ServiceAttr::Protocol(protocol.number()),
            ServiceAttr::Address(address_bytes(address)),
            ServiceAttr::Port(*port),
        ],
        ServiceKey::Mark { mark, .. } => vec![family, ServiceAttr::Mark(mark.get())],
    }
}

/// What the kernel needs to make or change a service: all of it, or EINVAL.
pub(crate) fn service_attrs(service: &Service) -> Vec<ServiceAttr> {
    let mut attrs = service_key_attrs(&service.key);
    attrs.push(ServiceAttr::Scheduler(service.scheduler.clone()));
    attrs.push(ServiceAttr::Flags { flags: service.flags.bits(), mask: ServiceFlags::ALL.bits() });
    attrs.push(ServiceAttr::Timeout(service.timeout));
    attrs.push(ServiceAttr::Netmask(match service.netmask {
        Netmask::V4(mask) => mask.octets(),
        Netmask::V6(length) => u32::from(length).to_ne_bytes(),
    }));
    if let Some(name) = &service.pe_name {
        attrs.push(ServiceAttr::PersistenceEngine(name.clone()));
    }
    attrs
}

/// A service as the kernel reports it. For a firewall-mark service it sends neither protocol, address
/// nor port (`ip_vs_genl_fill_service` in net/netfilter/ipvs/ip_vs_ctl.c).
pub(crate) fn read_service(attrs: &[ServiceAttr]) -> Result<ServiceEntry, DecodeError> {
    let (mut af, mut protocol, mut addr, mut port, mut mark) = (None, None, None, None, None);
    let (mut scheduler, mut flags, mut timeout, mut netmask) = (None, 0, 0, None);
    let (mut pe_name, mut stats, mut stats64) = (None, None, None);
    for attr in attrs {
        match attr {
            ServiceAttr::Family(value) => af = Some(*value),
            ServiceAttr::Protocol(value) => protocol = Some(*value),
            ServiceAttr::Address(value) => addr = Some(*value),
            ServiceAttr::Port(value) => port = Some(*value),
            ServiceAttr::Mark(value) => mark = NonZeroU32::new(*value),
            ServiceAttr::Scheduler(value) => scheduler = Some(value),
            ServiceAttr::Flags { flags: value, .. } => flags = *value,
            ServiceAttr::Timeout(value) => timeout = *value,
            ServiceAttr::Netmask(value) => netmask = Some(*value),
            ServiceAttr::Stats(value) => stats = Some(value.as_slice()),
            ServiceAttr::PersistenceEngine(value) => pe_name = Some(value.clone()),
            ServiceAttr::Stats64(value) => stats64 = Some(value.as_slice()),
            ServiceAttr::Other(_) => {}
        }
    }
    let family = family(af.ok_or_else(|| missing("service AF"))?)?;
    let key = match mark {
        Some(mark) => ServiceKey::Mark { family, mark },
        None => ServiceKey::Address {
            protocol: Protocol::from_number(protocol.ok_or_else(|| missing("service PROTOCOL"))?),
            address: address_of(family, addr.ok_or_else(|| missing("service ADDR"))?),
            port: port.ok_or_else(|| missing("service PORT"))?,
        },
    };
    let netmask = match (family, netmask) {
        (_, None) => Netmask::host(family),
        (Family::V4, Some(bytes)) => Netmask::V4(Ipv4Addr::from(bytes)),
        (Family::V6, Some(bytes)) => Netmask::V6(
            u8::try_from(u32::from_ne_bytes(bytes))
                .map_err(|_| DecodeError::from("service NETMASK: prefix length above 255"))?,
        ),
    };
    Ok(ServiceEntry {
        service: Service {
            key,
            scheduler: scheduler.cloned().ok_or_else(|| missing("service SCHED_NAME"))?,
            flags: ServiceFlags::from_bits_truncate(flags),
            timeout,
            netmask,
            pe_name: pe_name.filter(|name| !name.is_empty()),
        },
        stats: read_stats(stats64, stats),
    })
}
