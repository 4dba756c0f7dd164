//! The message that makes a set.

use super::message::Attributes;
use super::ruleset::{Key, Value, named};
use lvs_ipvs::Family;

/// A set of address, protocol and port, each from .. to; or of plain keys.
pub(super) fn set(name: &str, key: Key, value: Value, id: u32) -> Attributes {
    // nft's own numbers for types (enum datatypes in its datatype.h), for it to show keys as what they are.
    let plain = |kind, length| named(name).number(3, 0).number(4, kind).number(5, length);
    let (address, length) = match key {
        Key::Packets(Family::V4) | Key::AllPorts(Family::V4) | Key::Network(Family::V4) => (7, 4),
        Key::Packets(Family::V6) | Key::AllPorts(Family::V6) | Key::Network(Family::V6) => (8, 16),
        Key::Mac => return plain(9, 6).number(10, id),
        // In the machine's order, as registers hold it: else nft shows it backwards (`NFTNL_UDATA_SET_KEYBYTEORDER`).
        Key::Interface => return plain(41, 16).number(10, id).bytes(13, &key_in_host_order()),
    };
    let (protocol, port, mark) = (12, 13, 19);
    let key_type = (address << 12) | (protocol << 6) | port;
    // NFT_SET_INTERVAL | NFT_SET_CONCAT, NFT_SET_MAP
    let flags = 0x4 | 0x80 | if value == Value::Nothing { 0 } else { 0x8 };
    // NFTA_SET_DESC_CONCAT: a list of NFTA_SET_FIELD_LEN. A field's room in the key is a multiple of four.
    let fields = [length, 1, 2].into_iter().fold(Attributes::new(), |fields, length| {
        fields.nest(1, &Attributes::new().number(1, length))
    });
    let description = Attributes::new().nest(2, &fields);
    let set = named(name).number(3, flags).number(4, key_type).number(5, length + 8);
    let set = match value {
        Value::Nothing => set,
        Value::Mark => set.number(6, mark).number(7, 4).bytes(13, &host_order()),
        Value::Size => set.number(6, port).number(7, 2),
    };
    set.nest(9, &description).number(10, id)
}

/// For nft to show marks as numbers of this machine (libnftnl's `NFTNL_UDATA_SET_DATABYTEORDER`; 1 is the host's order).
fn host_order() -> Vec<u8> {
    [&[1, 4][..], &1_u32.to_ne_bytes()].concat()
}

/// The same of a set's keys.
fn key_in_host_order() -> Vec<u8> {
    [&[0, 4][..], &1_u32.to_ne_bytes()].concat()
}
