//! The message that makes a set.

use super::{Key, Value, named};
use crate::kernel::nftables::message::Attributes;
use lvs_ipvs::Family;

/// A set of address, protocol and port, each from .. to; or of plain keys.
pub(super) fn set(name: &str, key: Key, value: Value, id: u32) -> Attributes {
    // NFTA_SET_EXPR: cloned for each element.
    let counter = || Attributes::new().text(1, "counter").nest(2, &Attributes::new());
    // nft's own numbers for types (enum datatypes in its datatype.h), for it to show keys as what they are.
    let plain = |kind, length| named(name).number(3, 0).number(4, kind).number(5, length);
    let (protocol, port, mark) = (12, 13, 19);
    let (address, length) = match key {
        Key::Packets(family) | Key::AllPorts(family) | Key::Network(family) => address(family),
        Key::Port(family) => {
            let (address, length) = address(family);
            let set = plain((address << 12) | (protocol << 6) | port, length + 8).number(10, id);
            return if value == Value::Counter { set.nest(17, &counter()) } else { set };
        }
        Key::Host(family) => {
            let (address, length) = address(family);
            return plain((address << 6) | protocol, length + 4).number(10, id);
        }
        Key::Mac => return plain(9, 6).number(10, id),
        // In the machine's order, as registers hold it: else nft shows it backwards (`NFTNL_UDATA_SET_KEYBYTEORDER`).
        Key::Interface => return plain(41, 16).number(10, id).bytes(13, &key_in_host_order()),
    };
    let key_type = (address << 12) | (protocol << 6) | port;
    // NFT_SET_INTERVAL | NFT_SET_CONCAT, NFT_SET_MAP
    let flags = 0x4 | 0x80 | if matches!(value, Value::Mark | Value::Size) { 0x8 } else { 0 };
    // NFTA_SET_DESC_CONCAT: a list of NFTA_SET_FIELD_LEN. A field's room in the key is a multiple of four.
    let fields = [length, 1, 2].into_iter().fold(Attributes::new(), |fields, length| {
        fields.nest(1, &Attributes::new().number(1, length))
    });
    let description = Attributes::new().nest(2, &fields);
    let set = named(name).number(3, flags).number(4, key_type).number(5, length + 8);
    let set = match value {
        Value::Nothing => set,
        Value::Counter => set.nest(17, &counter()),
        Value::Mark => set.number(6, mark).number(7, 4).bytes(13, &host_order()),
        Value::Size => set.number(6, port).number(7, 2),
    };
    set.nest(9, &description).number(10, id)
}

/// nft's number for the type of an address, and its length.
const fn address(family: Family) -> (u32, u32) {
    match family {
        Family::V4 => (7, 4),
        Family::V6 => (8, 16),
    }
}

/// For nft to show marks as numbers of this machine (libnftnl's `NFTNL_UDATA_SET_DATABYTEORDER`; 1 is the host's order).
fn host_order() -> Vec<u8> {
    [&[1, 4][..], &1_u32.to_ne_bytes()].concat()
}

/// The same of a set's keys.
fn key_in_host_order() -> Vec<u8> {
    [&[0, 4][..], &1_u32.to_ne_bytes()].concat()
}
