//! `IPVS_DAEMON_ATTR_*`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{
    DecodeError, DefaultNla, ErrorContext, Nla, NlaBuffer, Parseable, parse_ipv6, parse_u8,
    parse_u16, parse_u32, parse_u32_be,
};

use super::field::{fill, fill_text, missing, other, text};
use crate::constants::*;
use crate::model::{Daemon, DaemonState};

/// An attribute of a sync daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DaemonAttr {
    /// Role.
    State(u32),
    /// Interface.
    Interface(String),
    /// Sync id.
    SyncId(u32),
    /// Largest message in bytes.
    MaxLength(u16),
    /// IPv4 multicast group.
    Group(Ipv4Addr),
    /// IPv6 multicast group.
    Group6(Ipv6Addr),
    /// UDP port; in the host's byte order, unlike the others.
    Port(u16),
    /// Time to live.
    Ttl(u8),
    /// An unknown attribute.
    Other(DefaultNla),
}

impl Nla for DaemonAttr {
    fn value_len(&self) -> usize {
        match self {
            Self::Ttl(_) => 1,
            Self::MaxLength(_) | Self::Port(_) => 2,
            Self::State(_) | Self::SyncId(_) | Self::Group(_) => 4,
            Self::Group6(_) => 16,
            Self::Interface(name) => name.len() + 1,
            Self::Other(nla) => nla.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::State(_) => DAEMON_ATTR_STATE,
            Self::Interface(_) => DAEMON_ATTR_MCAST_IFN,
            Self::SyncId(_) => DAEMON_ATTR_SYNC_ID,
            Self::MaxLength(_) => DAEMON_ATTR_SYNC_MAXLEN,
            Self::Group(_) => DAEMON_ATTR_MCAST_GROUP,
            Self::Group6(_) => DAEMON_ATTR_MCAST_GROUP6,
            Self::Port(_) => DAEMON_ATTR_MCAST_PORT,
            Self::Ttl(_) => DAEMON_ATTR_MCAST_TTL,
            Self::Other(nla) => nla.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::State(value) | Self::SyncId(value) => fill(buffer, &value.to_ne_bytes()),
            Self::Interface(name) => fill_text(buffer, name),
            Self::MaxLength(value) | Self::Port(value) => fill(buffer, &value.to_ne_bytes()),
            Self::Group(group) => fill(buffer, &group.octets()),
            Self::Group6(group) => fill(buffer, &group.octets()),
            Self::Ttl(value) => fill(buffer, &[*value]),
            Self::Other(nla) => nla.emit_value(buffer),
        }
    }
}

impl<'a> Parseable<NlaBuffer<&'a [u8]>> for DaemonAttr {
    fn parse(nla: &NlaBuffer<&'a [u8]>) -> Result<Self, DecodeError> {
        let value = nla.value();
        Ok(match nla.kind() {
            DAEMON_ATTR_STATE => Self::State(parse_u32(value).context("daemon STATE")?),
            DAEMON_ATTR_MCAST_IFN => Self::Interface(text(value)),
            DAEMON_ATTR_SYNC_ID => Self::SyncId(parse_u32(value).context("daemon SYNC_ID")?),
            DAEMON_ATTR_SYNC_MAXLEN => {
                Self::MaxLength(parse_u16(value).context("daemon SYNC_MAXLEN")?)
            }
            DAEMON_ATTR_MCAST_GROUP => Self::Group(
                parse_u32_be(value).map(Ipv4Addr::from_bits).context("daemon MCAST_GROUP")?,
            ),
            DAEMON_ATTR_MCAST_GROUP6 => {
                Self::Group6(parse_ipv6(value).map(Ipv6Addr::from).context("daemon MCAST_GROUP6")?)
            }
            DAEMON_ATTR_MCAST_PORT => Self::Port(parse_u16(value).context("daemon MCAST_PORT")?),
            DAEMON_ATTR_MCAST_TTL => Self::Ttl(parse_u8(value).context("daemon MCAST_TTL")?),
            _ => Self::Other(other(nla)),
        })
    }
}

/// What the kernel needs to start a daemon.
pub(crate) fn daemon_attrs(daemon: &Daemon) -> Vec<DaemonAttr> {
    let mut attrs = vec![
        DaemonAttr::State(daemon.state.number()),
        DaemonAttr::Interface(daemon.interface.clone()),
        DaemonAttr::SyncId(daemon.sync_id),
    ];
    attrs.extend(daemon.max_length.map(DaemonAttr::MaxLength));
    attrs.extend(daemon.group.map(|group| match group {
        IpAddr::V4(group) => DaemonAttr::Group(group),
        IpAddr::V6(group) => DaemonAttr::Group6(group),
    }));
    attrs.extend(daemon.port.map(DaemonAttr::Port));
    attrs.extend(daemon.ttl.map(DaemonAttr::Ttl));
    attrs
}

/// A daemon as the kernel reports it.
pub(crate) fn read_daemon(attrs: &[DaemonAttr]) -> Result<Daemon, DecodeError> {
    let (mut state, mut interface, mut sync_id) = (None, None, None);
    let (mut max_length, mut group, mut port, mut ttl) = (None, None, None, None);
    for attr in attrs {
        match attr {
            DaemonAttr::State(value) => state = Some(*value),
            DaemonAttr::Interface(value) => interface = Some(value.clone()),
            DaemonAttr::SyncId(value) => sync_id = Some(*value),
            DaemonAttr::MaxLength(value) => max_length = Some(*value),
            DaemonAttr::Group(value) => group = Some(IpAddr::V4(*value)),
            DaemonAttr::Group6(value) => group = Some(IpAddr::V6(*value)),
            DaemonAttr::Port(value) => port = Some(*value),
            DaemonAttr::Ttl(value) => ttl = Some(*value),
            DaemonAttr::Other(_) => {}
        }
    }
    let state = state.ok_or_else(|| missing("daemon STATE"))?;
    Ok(Daemon {
        state: DaemonState::from_number(state)
            .ok_or_else(|| DecodeError::from(format!("unknown daemon state {state}")))?,
        interface: interface.ok_or_else(|| missing("daemon MCAST_IFN"))?,
        sync_id: sync_id.ok_or_else(|| missing("daemon SYNC_ID"))?,
        max_length,
        group,
        port,
        ttl,
    })
}
