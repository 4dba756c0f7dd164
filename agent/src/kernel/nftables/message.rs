//! Messages of nfnetlink's subsystem nftables, and the attributes in them.

use super::super::netlink::Protocol;
use netlink_packet_core::{
    DecodeError, NLA_F_NESTED, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable,
};
use netlink_sys::protocols::NETLINK_NETFILTER;

/// `NFNL_SUBSYS_NFTABLES`, in the upper byte of a message's type.
const SUBSYSTEM: u8 = 10;
/// `NFPROTO_UNSPEC`: of every family.
pub(super) const ANY_FAMILY: u8 = 0;
/// `NFPROTO_INET`: IPv4 and IPv6.
pub(super) const INET: u8 = 1;
/// `NFPROTO_IPV4`
pub(super) const IPV4: u8 = 2;
/// `NFPROTO_IPV6`
pub(super) const IPV6: u8 = 10;
/// Length of `struct nfgenmsg`.
const HEADER: usize = 4;

/// What is asked (`enum nf_tables_msg_types`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `NFNL_MSG_BATCH_BEGIN`
    Begin,
    /// `NFNL_MSG_BATCH_END`
    End,
    NewTable,
    GetTable,
    DelTable,
    NewChain,
    GetChain,
    DelChain,
    NewRule,
    GetRule,
    DelRule,
    NewSet,
    GetSet,
    DelSet,
    NewElement,
    GetElement,
    DelElement,
    NewObject,
    GetObject,
    DelObject,
    /// What this module never asks for.
    Other(u16),
}

const KINDS: [(Kind, u16); 20] = [
    (Kind::Begin, 0x10),
    (Kind::End, 0x11),
    (Kind::NewTable, nftables(0)),
    (Kind::GetTable, nftables(1)),
    (Kind::DelTable, nftables(2)),
    (Kind::NewChain, nftables(3)),
    (Kind::GetChain, nftables(4)),
    (Kind::DelChain, nftables(5)),
    (Kind::NewRule, nftables(6)),
    (Kind::GetRule, nftables(7)),
    (Kind::DelRule, nftables(8)),
    (Kind::NewSet, nftables(9)),
    (Kind::GetSet, nftables(10)),
    (Kind::DelSet, nftables(11)),
    (Kind::NewElement, nftables(12)),
    (Kind::GetElement, nftables(13)),
    (Kind::DelElement, nftables(14)),
    (Kind::NewObject, nftables(18)),
    (Kind::GetObject, nftables(19)),
    (Kind::DelObject, nftables(20)),
];

const fn nftables(message: u8) -> u16 {
    u16::from_be_bytes([SUBSYSTEM, message])
}

impl Kind {
    fn number(self) -> u16 {
        if let Self::Other(number) = self {
            return number;
        }
        let known = KINDS.iter().find(|(kind, _)| *kind == self);
        known.map_or(0, |(_, number)| *number)
    }
}

impl From<u16> for Kind {
    fn from(number: u16) -> Self {
        let known = KINDS.iter().find(|(_, it)| *it == number);
        known.map_or(Self::Other(number), |(kind, _)| *kind)
    }
}

/// A message without its netlink header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) family: u8,
    pub(super) attributes: Attributes,
}

impl Protocol for Message {
    const NUMBER: isize = NETLINK_NETFILTER;
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.kind.number()
    }

    fn buffer_len(&self) -> usize {
        HEADER + self.attributes.0.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        // nfgenmsg: family, version 0, and in a batch's begin the subsystem that it is for, in network byte order.
        let header = [self.family, 0, 0, SUBSYSTEM];
        for (room, byte) in buffer.iter_mut().zip(header.iter().chain(&self.attributes.0)) {
            *room = *byte;
        }
    }
}

impl NetlinkDeserializable for Message {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let Some(([family, ..], attributes)) = payload.split_first_chunk::<HEADER>() else {
            return Err(DecodeError::from("shorter than struct nfgenmsg"));
        };
        Ok(Self {
            kind: header.message_type.into(),
            family: *family,
            attributes: Attributes(attributes.to_vec()),
        })
    }
}

/// Netlink attributes, one after the other. Numbers are in network byte order, as all of nftables' are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        // A message holds one rule or one element: some hundred bytes.
        let length = u16::try_from(HEADER + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    pub(super) fn nest(self, kind: u16, inner: &Attributes) -> Self {
        self.bytes(kind | NLA_F_NESTED, &inner.0)
    }

    pub(super) fn view(&self) -> View<'_> {
        View(&self.0)
    }
}

/// Attributes that came from the kernel. What is cut off is left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a>(pub(super) &'a [u8]);

impl<'a> View<'a> {
    pub(super) fn bytes(self, kind: u16) -> Option<&'a [u8]> {
        self.into_iter().find(|(it, _)| *it == kind).map(|(_, value)| value)
    }

    pub(super) fn number(self, kind: u16) -> Option<u32> {
        self.bytes(kind)?.try_into().ok().map(u32::from_be_bytes)
    }

    pub(super) fn long(self, kind: u16) -> Option<u64> {
        self.bytes(kind)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// Up to the NUL.
    pub(super) fn text(self, kind: u16) -> Option<&'a str> {
        let bytes = self.bytes(kind)?.split(|byte| *byte == 0).next()?;
        std::str::from_utf8(bytes).ok()
    }

    pub(super) fn nest(self, kind: u16) -> Option<View<'a>> {
        self.bytes(kind).map(View)
    }
}

impl<'a> Iterator for View<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let ([l0, l1, k0, k1], _) = self.0.split_first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_ne_bytes([*l0, *l1]));
        let kind = u16::from_ne_bytes([*k0, *k1]) & netlink_packet_core::NLA_TYPE_MASK;
        let value = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}
