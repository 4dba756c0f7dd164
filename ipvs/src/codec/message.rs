//! Messages of the family: a command and its attributes.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, ErrorContext, NLA_F_NESTED, Nla, NlaBuffer, Parseable,
    ParseableParametrized, parse_u32,
};
use netlink_packet_generic::{GenlFamily, GenlHeader};

use super::field::{fill, missing, nested, other};
use super::{Command, DaemonAttr, DestinationAttr, ServiceAttr};
use crate::constants::*;
use crate::model::{Info, Timeouts, Version};

/// An attribute of the first level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IpvsAttr {
    /// A service.
    Service(Vec<ServiceAttr>),
    /// A destination.
    Destination(Vec<DestinationAttr>),
    /// A sync daemon.
    Daemon(Vec<DaemonAttr>),
    /// TCP timeout in seconds.
    TimeoutTcp(u32),
    /// TCP timeout after a FIN in seconds.
    TimeoutTcpFin(u32),
    /// UDP timeout in seconds.
    TimeoutUdp(u32),
    /// IPVS version; in [`Command::SetInfo`] only, where it shares its number with `Service`.
    InfoVersion(u32),
    /// Size of the connection table; in [`Command::SetInfo`] only.
    InfoConnectionTableSize(u32),
    /// An unknown attribute.
    Other(DefaultNla),
}

impl Nla for IpvsAttr {
    fn value_len(&self) -> usize {
        match self {
            Self::Service(attrs) => attrs.as_slice().buffer_len(),
            Self::Destination(attrs) => attrs.as_slice().buffer_len(),
            Self::Daemon(attrs) => attrs.as_slice().buffer_len(),
            Self::TimeoutTcp(_)
            | Self::TimeoutTcpFin(_)
            | Self::TimeoutUdp(_)
            | Self::InfoVersion(_)
            | Self::InfoConnectionTableSize(_) => 4,
            Self::Other(nla) => nla.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Service(_) => CMD_ATTR_SERVICE | NLA_F_NESTED,
            Self::Destination(_) => CMD_ATTR_DEST | NLA_F_NESTED,
            Self::Daemon(_) => CMD_ATTR_DAEMON | NLA_F_NESTED,
            Self::TimeoutTcp(_) => CMD_ATTR_TIMEOUT_TCP,
            Self::TimeoutTcpFin(_) => CMD_ATTR_TIMEOUT_TCP_FIN,
            Self::TimeoutUdp(_) => CMD_ATTR_TIMEOUT_UDP,
            Self::InfoVersion(_) => INFO_ATTR_VERSION,
            Self::InfoConnectionTableSize(_) => INFO_ATTR_CONN_TAB_SIZE,
            Self::Other(nla) => nla.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Service(attrs) => attrs.as_slice().emit(buffer),
            Self::Destination(attrs) => attrs.as_slice().emit(buffer),
            Self::Daemon(attrs) => attrs.as_slice().emit(buffer),
            Self::TimeoutTcp(value)
            | Self::TimeoutTcpFin(value)
            | Self::TimeoutUdp(value)
            | Self::InfoVersion(value)
            | Self::InfoConnectionTableSize(value) => fill(buffer, &value.to_ne_bytes()),
            Self::Other(nla) => nla.emit_value(buffer),
        }
    }
}

impl IpvsAttr {
    /// The replies to [`Command::GetInfo`] have attributes of their own under the same numbers.
    fn parse(command: Command, nla: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        let value = nla.value();
        Ok(match (command, nla.kind()) {
            (Command::SetInfo, INFO_ATTR_VERSION) => {
                Self::InfoVersion(parse_u32(value).context("info VERSION")?)
            }
            (Command::SetInfo, INFO_ATTR_CONN_TAB_SIZE) => {
                Self::InfoConnectionTableSize(parse_u32(value).context("info CONN_TAB_SIZE")?)
            }
            (Command::SetInfo, _) => Self::Other(other(nla)),
            (_, CMD_ATTR_SERVICE) => Self::Service(nested(value, ServiceAttr::parse)?),
            (_, CMD_ATTR_DEST) => Self::Destination(nested(value, DestinationAttr::parse)?),
            (_, CMD_ATTR_DAEMON) => Self::Daemon(nested(value, DaemonAttr::parse)?),
            (_, CMD_ATTR_TIMEOUT_TCP) => Self::TimeoutTcp(parse_u32(value).context("TIMEOUT_TCP")?),
            (_, CMD_ATTR_TIMEOUT_TCP_FIN) => {
                Self::TimeoutTcpFin(parse_u32(value).context("TIMEOUT_TCP_FIN")?)
            }
            (_, CMD_ATTR_TIMEOUT_UDP) => Self::TimeoutUdp(parse_u32(value).context("TIMEOUT_UDP")?),
            _ => Self::Other(other(nla)),
        })
    }
}

/// A message of the family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpvsMessage {
    /// What it says.
    pub command: Command,
    /// Of what.
    pub attrs: Vec<IpvsAttr>,
}

impl IpvsMessage {
    /// A command without attributes.
    pub fn bare(command: Command) -> Self {
        Self { command, attrs: Vec::new() }
    }

    pub(crate) fn service(&self) -> Result<&[ServiceAttr], DecodeError> {
        self.attrs
            .iter()
            .find_map(|attr| match attr {
                IpvsAttr::Service(attrs) => Some(attrs.as_slice()),
                _ => None,
            })
            .ok_or_else(|| missing("SERVICE"))
    }

    pub(crate) fn destination(&self) -> Result<&[DestinationAttr], DecodeError> {
        self.attrs
            .iter()
            .find_map(|attr| match attr {
                IpvsAttr::Destination(attrs) => Some(attrs.as_slice()),
                _ => None,
            })
            .ok_or_else(|| missing("DEST"))
    }

    pub(crate) fn daemon(&self) -> Result<&[DaemonAttr], DecodeError> {
        self.attrs
            .iter()
            .find_map(|attr| match attr {
                IpvsAttr::Daemon(attrs) => Some(attrs.as_slice()),
                _ => None,
            })
            .ok_or_else(|| missing("DAEMON"))
    }
}

impl GenlFamily for IpvsMessage {
    fn family_name() -> &'static str {
        GENL_NAME
    }

    fn command(&self) -> u8 {
        self.command.number()
    }

    fn version(&self) -> u8 {
        GENL_VERSION
    }
}

impl Emitable for IpvsMessage {
    fn buffer_len(&self) -> usize {
        self.attrs.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attrs.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for IpvsMessage {
    fn parse_with_param(bytes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        let command = Command::try_from(header.cmd)?;
        let attrs = nested(bytes, |nla| IpvsAttr::parse(command, nla))?;
        Ok(Self { command, attrs })
    }
}

/// The timeouts of a reply; a protocol that the kernel was built without has none.
pub(crate) fn read_timeouts(attrs: &[IpvsAttr]) -> Timeouts {
    let mut timeouts = Timeouts::default();
    for attr in attrs {
        match attr {
            IpvsAttr::TimeoutTcp(seconds) => timeouts.tcp = *seconds,
            IpvsAttr::TimeoutTcpFin(seconds) => timeouts.tcp_fin = *seconds,
            IpvsAttr::TimeoutUdp(seconds) => timeouts.udp = *seconds,
            _ => {}
        }
    }
    timeouts
}

/// The general information of a reply.
pub(crate) fn read_info(attrs: &[IpvsAttr]) -> Result<Info, DecodeError> {
    let (mut version, mut size) = (None, None);
    for attr in attrs {
        match attr {
            IpvsAttr::InfoVersion(value) => version = Some(Version(*value)),
            IpvsAttr::InfoConnectionTableSize(value) => size = Some(*value),
            _ => {}
        }
    }
    Ok(Info {
        version: version.ok_or_else(|| missing("info VERSION"))?,
        connection_table_size: size.ok_or_else(|| missing("info CONN_TAB_SIZE"))?,
    })
}
