//! Values inside attributes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{
    DecodeError, DefaultNla, NLA_F_NESTED, NLA_F_NET_BYTEORDER, NlaBuffer, NlasIterator,
};

use crate::model::Family;

/// Copies a value into an attribute's buffer, which is as long as the value by construction.
pub(super) fn fill(buffer: &mut [u8], value: &[u8]) {
    for (to, from) in buffer.iter_mut().zip(value) {
        *to = *from;
    }
}

/// A C string in an attribute: the text and its NUL.
pub(super) fn fill_text(buffer: &mut [u8], text: &str) {
    fill(buffer, text.as_bytes());
    if let Some(last) = buffer.last_mut() {
        *last = 0;
    }
}

/// Reads a C string. The kernel takes any bytes for an interface name, and a listing must survive it.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

/// Reads a `union nf_inet_addr`: 16 bytes, or the 4 that IPv4 uses.
pub(super) fn address(value: &[u8]) -> Result<[u8; 16], DecodeError> {
    let mut bytes = [0; 16];
    match value.len() {
        4 | 16 => fill(&mut bytes, value),
        other => return Err(DecodeError::invalid_ip_address(other)),
    }
    Ok(bytes)
}

pub(super) fn address_bytes(address: &IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            fill(&mut bytes, &address.octets());
            bytes
        }
        IpAddr::V6(address) => address.octets(),
    }
}

pub(super) fn address_of(family: Family, bytes: [u8; 16]) -> IpAddr {
    match family {
        Family::V4 => {
            let [a, b, c, d, ..] = bytes;
            Ipv4Addr::new(a, b, c, d).into()
        }
        Family::V6 => Ipv6Addr::from(bytes).into(),
    }
}

pub(super) fn family(number: u16) -> Result<Family, DecodeError> {
    Family::from_number(number)
        .ok_or_else(|| DecodeError::from(format!("unknown address family {number}")))
}

/// Reads a sequence of attributes.
pub(super) fn nested<'a, A>(
    bytes: &'a [u8],
    read: impl Fn(&NlaBuffer<&'a [u8]>) -> Result<A, DecodeError>,
) -> Result<Vec<A>, DecodeError> {
    // A collected iterator of results grows from nothing; an attribute takes some 8 to 20 bytes.
    let mut attrs = Vec::with_capacity(bytes.len() / 12);
    for nla in NlasIterator::new(bytes) {
        attrs.push(read(&nla?)?);
    }
    Ok(attrs)
}

/// Keeps an attribute that this crate does not know. The two flags exclude each other
/// (include/uapi/linux/netlink.h), and netlink-packet-core emits only one.
pub(super) fn other(nla: &NlaBuffer<&[u8]>) -> DefaultNla {
    let flag = match (nla.nested_flag(), nla.network_byte_order_flag()) {
        (true, _) => NLA_F_NESTED,
        (false, true) => NLA_F_NET_BYTEORDER,
        (false, false) => 0,
    };
    DefaultNla::new(nla.kind() | flag, nla.value().to_vec())
}

pub(super) fn missing(attribute: &str) -> DecodeError {
    DecodeError::from(format!("attribute {attribute} is missing"))
}
