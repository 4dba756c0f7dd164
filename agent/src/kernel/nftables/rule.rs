//! The expressions that our rules are made of.
//!
//! Numbers are those of include/uapi/linux/netfilter/nf_tables.h.

mod arriving;

use super::message::Attributes;
use lvs_ipvs::Family;

/// The first 32-bit register (`NFT_REG32_00`); the key of a lookup begins there.
const KEY: u32 = 8;
/// What a lookup finds goes here, behind the longest key: an IPv6 address, a protocol and a port.
const VALUE: u32 = KEY + 6;
/// Beside the value.
const ADDRESS_TYPE: u32 = VALUE + 1;

/// `NFPROTO_IPV4`, `NFPROTO_IPV6`
const fn nfproto(family: Family) -> u8 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

/// `enum nft_meta_keys`
mod meta {
    pub(super) const MARK: u32 = 3;
    pub(super) const IIF: u32 = 4;
    pub(super) const IIFNAME: u32 = 6;
    pub(super) const IIFTYPE: u32 = 8;
    pub(super) const NFPROTO: u32 = 15;
    pub(super) const L4PROTO: u32 = 16;
}

/// `enum nft_payload_bases`
const LINK_HEADER: u32 = 0;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

/// `enum nft_cmp_ops`
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;

/// `NFT_CMP_LTE`
const AT_MOST: u32 = 3;

/// `enum nft_ct_keys`
mod ct {
    pub(super) const STATE: u32 = 0;
    pub(super) const DIRECTION: u32 = 1;
}

/// `NF_CT_STATE_INVALID_BIT`
const INVALID: u32 = 1;
/// `NF_DROP`
const DROP: u32 = 0;
/// `NF_ACCEPT`
const ACCEPT: u32 = 1;

/// The loopback device: the first of each network namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;

/// Which side of a packet or connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Source,
    Destination,
}

/// Which of a connection's tuples (`enum ip_conntrack_dir`).
#[derive(Clone, Copy, Debug)]
pub(super) enum Tuple {
    Original,
    Reply,
}

/// A rule's expressions, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Expressions(Attributes);

impl Expressions {
    /// For packets of this family.
    pub(super) fn of(family: Family) -> Self {
        Self::default().only(family)
    }

    /// Only packets of this family.
    pub(super) fn only(self, family: Family) -> Self {
        self.load_meta(meta::NFPROTO, VALUE).compare(VALUE, EQUAL, &[nfproto(family)])
    }

    pub(super) fn done(self) -> Attributes {
        self.0
    }

    fn push(self, name: &str, data: &Attributes) -> Self {
        // NFTA_LIST_ELEM: NFTA_EXPR_NAME, NFTA_EXPR_DATA
        Self(self.0.nest(1, &Attributes::new().text(1, name).nest(2, data)))
    }

    fn load_meta(self, key: u32, register: u32) -> Self {
        self.push("meta", &Attributes::new().number(1, register).number(2, key))
    }

    fn compare(self, register: u32, operation: u32, value: &[u8]) -> Self {
        let data = Attributes::new().bytes(1, value);
        self.push("cmp", &Attributes::new().number(1, register).number(2, operation).nest(3, &data))
    }

    fn load_payload(self, base: u32, offset: u32, length: u32, register: u32) -> Self {
        let data = Attributes::new().number(1, register).number(2, base);
        self.push("payload", &data.number(3, offset).number(4, length))
    }

    fn load_tuple(self, key: u32, tuple: Tuple, register: u32) -> Self {
        let direction = match tuple {
            Tuple::Original => 0,
            Tuple::Reply => 1,
        };
        let data = Attributes::new().number(1, register).number(2, key);
        self.push("ct", &data.bytes(3, &[direction]))
    }

    /// Not what the node sends to itself.
    pub(super) fn not_from_loopback(self) -> Self {
        self.load_meta(meta::IIF, VALUE).compare(VALUE, NOT_EQUAL, &LOOPBACK.to_ne_bytes())
    }

    /// Only what came in a frame from one of these addresses.
    pub(super) fn sent_from(self, set: &str) -> Self {
        // ARPHRD_ETHER; behind the destination's six bytes stands the source.
        self.load_meta(meta::IIFTYPE, KEY)
            .compare(KEY, EQUAL, &1_u16.to_ne_bytes())
            .load_payload(LINK_HEADER, 6, 6, KEY)
            .within(set)
    }

    /// Only what came by one of these interfaces.
    pub(super) fn received_by(self, set: &str) -> Self {
        self.load_meta(meta::IIFNAME, KEY).within(set)
    }

    /// Only packets that carry a mark.
    pub(super) fn marked(self) -> Self {
        self.load_meta(meta::MARK, VALUE).compare(VALUE, NOT_EQUAL, &[0; 4])
    }

    /// Only TCP packets with the flag SYN.
    pub(super) fn syn(self) -> Self {
        let flags = self.load_meta(meta::L4PROTO, VALUE).compare(VALUE, EQUAL, &[6]).load_payload(
            TRANSPORT_HEADER,
            13,
            1,
            VALUE,
        );
        flags.any_bit(&[0x02])
    }

    /// Only if the value has one of these bits.
    fn any_bit(self, mask: &[u8]) -> Self {
        let length = u32::try_from(mask.len()).unwrap_or_default();
        let none = vec![0; mask.len()];
        let data = |bytes| Attributes::new().bytes(1, bytes);
        let bitwise = Attributes::new().number(1, VALUE).number(2, VALUE).number(3, length);
        self.push("bitwise", &bitwise.nest(4, &data(mask)).nest(5, &data(&none)))
            .compare(VALUE, NOT_EQUAL, &none)
    }

    /// Only what connection tracking cannot make sense of: `ct state invalid`.
    pub(super) fn invalid(self) -> Self {
        // NFTA_CT_DREG, NFTA_CT_KEY
        let state = Attributes::new().number(1, VALUE).number(2, ct::STATE);
        self.push("ct", &state).any_bit(&INVALID.to_ne_bytes())
    }

    /// Only what goes the way in which its connection began, as far as connection tracking has seen: `ct direction original`.
    pub(super) fn not_a_reply(self) -> Self {
        let direction = Attributes::new().number(1, VALUE).number(2, ct::DIRECTION);
        self.push("ct", &direction).compare(VALUE, EQUAL, &[0])
    }

    /// Counts what comes so far, and drops it.
    pub(super) fn drop(self) -> Self {
        self.push("counter", &Attributes::new()).verdict(DROP)
    }

    /// No other rule of this chain.
    pub(super) fn accept(self) -> Self {
        self.verdict(ACCEPT)
    }

    fn verdict(self, code: u32) -> Self {
        // NFTA_IMMEDIATE_DREG: NFT_REG_VERDICT; NFTA_IMMEDIATE_DATA: NFTA_DATA_VERDICT: NFTA_VERDICT_CODE
        let verdict = Attributes::new().nest(2, &Attributes::new().number(1, code));
        self.push("immediate", &Attributes::new().number(1, 0).nest(2, &verdict))
    }

    /// Connection tracking passes it over.
    pub(super) fn notrack(self) -> Self {
        self.push("notrack", &Attributes::new())
    }

    /// Address, protocol and port of the packet become the key.
    pub(super) fn key(self, family: Family, side: Side) -> Self {
        let (length, offset) = match (family, side) {
            (Family::V4, Side::Source) => (4, 12),
            (Family::V4, Side::Destination) => (4, 16),
            (Family::V6, Side::Source) => (16, 8),
            (Family::V6, Side::Destination) => (16, 24),
        };
        let port = match side {
            Side::Source => 0,
            Side::Destination => 2,
        };
        let next = KEY + length / 4;
        self.load_payload(NETWORK_HEADER, offset, length, KEY)
            .load_meta(meta::L4PROTO, next)
            .load_payload(TRANSPORT_HEADER, port, 2, next + 1)
    }

    /// Address, protocol and port of one of the connection's tuples become the key.
    pub(super) fn tuple_key(self, family: Family, tuple: Tuple, side: Side) -> Self {
        // NFT_CT_SRC_IP .. NFT_CT_DST_IP6, which unlike NFT_CT_SRC know their length in the family inet.
        let (address, length) = match (family, side) {
            (Family::V4, Side::Source) => (19, 4),
            (Family::V4, Side::Destination) => (20, 4),
            (Family::V6, Side::Source) => (21, 16),
            (Family::V6, Side::Destination) => (22, 16),
        };
        // NFT_CT_PROTO_SRC, NFT_CT_PROTO_DST
        let port = match side {
            Side::Source => 11,
            Side::Destination => 12,
        };
        let next = KEY + length / 4;
        self.load_tuple(address, tuple, KEY).load_meta(meta::L4PROTO, next).load_tuple(
            port,
            tuple,
            next + 1,
        )
    }

    /// Only if the key is in the set.
    pub(super) fn within(self, set: &str) -> Self {
        self.push("lookup", &Attributes::new().text(1, set).number(2, KEY))
    }

    /// Only if the key is not in the set.
    pub(super) fn not_within(self, set: &str) -> Self {
        // NFT_LOOKUP_F_INV
        self.push("lookup", &Attributes::new().text(1, set).number(2, KEY).number(5, 1))
    }

    /// Only if the map has the key: then what it maps to is the value.
    pub(super) fn map(self, map: &str) -> Self {
        self.push("lookup", &Attributes::new().text(1, map).number(2, KEY).number(3, VALUE))
    }

    /// Only what is to an address that is none of this node's: as nft says it, `fib daddr type != local`. The kernel looks
    /// in the table `local` (IPv4), or routes as for a packet from this node (IPv6), so that local delivery of what
    /// comes from elsewhere does not count.
    pub(super) fn not_to_this_node(self) -> Self {
        // NFTA_FIB_DREG, _RESULT: NFT_FIB_RESULT_ADDRTYPE, _FLAGS: NFTA_FIB_F_DADDR; RTN_LOCAL
        let fib = Attributes::new().number(1, ADDRESS_TYPE).number(2, 3).number(3, 2);
        self.push("fib", &fib).compare(ADDRESS_TYPE, NOT_EQUAL, &2_u32.to_ne_bytes())
    }

    /// Gives the packet the value as its mark.
    pub(super) fn set_mark(self) -> Self {
        self.push("meta", &Attributes::new().number(2, meta::MARK).number(3, VALUE))
    }

    /// Lowers the TCP option MSS to the value. The kernel never raises it (nft_exthdr_tcp_set_eval).
    pub(super) fn lower_segment_size(self) -> Self {
        // TCPOPT_MSS, its two bytes after type and length; NFT_EXTHDR_OP_TCPOPT; from NFTA_EXTHDR_SREG
        let option = Attributes::new().bytes(2, &[2]).number(3, 2).number(4, 2);
        self.push("exthdr", &option.number(6, 1).number(7, VALUE))
    }

    /// Counts with a counter that has a name.
    pub(super) fn count(self, counter: &str) -> Self {
        self.push(
            "objref",
            &Attributes::new().number(1, super::ruleset::COUNTER_OBJECT).text(2, counter),
        )
    }

    /// Gives the connection the address of the interface that it leaves by.
    pub(super) fn masquerade(self) -> Self {
        self.push("masq", &Attributes::new())
    }
}
