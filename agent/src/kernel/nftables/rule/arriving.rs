//! What our rules of `prerouting` and `output` look at, before connection tracking has.

use super::{
    AT_MOST, EQUAL, Expressions, KEY, NETWORK_HEADER, NOT_EQUAL, Side, TRANSPORT_HEADER, VALUE,
    meta,
};
use crate::kernel::nftables::message::Attributes;
use lvs_ipvs::Family;

/// An error of ICMP has eight bytes before the header of the packet that it is about (RFC 792, RFC 4443).
const INNER: u32 = 8;
/// The bits of a TCP header's flags that tell the beginning of a connection: ACK, RST, SYN, FIN.
const BEGINNING: u8 = 0x17;
const SYN: u8 = 0x02;
const TCP: u8 = 6;
const SCTP: u8 = 132;
/// Chunk type INIT (RFC 9260).
const INIT: u8 = 1;

impl Expressions {
    /// Only TCP packets that begin no connection.
    pub(crate) fn in_the_midst_of_tcp(self) -> Self {
        let flags = self.protocol(TCP).load_payload(TRANSPORT_HEADER, 13, 1, VALUE);
        let data = |byte: u8| Attributes::new().bytes(1, &[byte]);
        let bitwise = Attributes::new().number(1, VALUE).number(2, VALUE).number(3, 1);
        flags.push("bitwise", &bitwise.nest(4, &data(BEGINNING)).nest(5, &data(0))).compare(
            VALUE,
            NOT_EQUAL,
            &[SYN],
        )
    }

    /// The same of SCTP: its first chunk tells.
    pub(crate) fn in_the_midst_of_sctp(self) -> Self {
        let chunk = self.protocol(SCTP).load_payload(TRANSPORT_HEADER, 12, 1, VALUE);
        chunk.compare(VALUE, NOT_EQUAL, &[INIT])
    }

    fn protocol(self, number: u8) -> Self {
        self.load_meta(meta::L4PROTO, VALUE).compare(VALUE, EQUAL, &[number])
    }

    /// Only errors of ICMP that say that a packet could not be delivered, or was too big. The inner header must be as short as
    /// it can be, since the kernel's `payload` finds nothing behind options.
    pub(crate) fn undeliverable(self, family: Family) -> Self {
        let of_type =
            |it: Self, number| it.protocol(number).load_payload(TRANSPORT_HEADER, 0, 1, VALUE);
        match family {
            // ICMP, destination unreachable; version 4, five words of header.
            Family::V4 => of_type(self, 1)
                .compare(VALUE, EQUAL, &[3])
                .load_payload(TRANSPORT_HEADER, INNER, 1, VALUE)
                .compare(VALUE, EQUAL, &[0x45]),
            // ICMPv6: destination unreachable, packet too big.
            Family::V6 => of_type(self, 58).compare(VALUE, AT_MOST, &[2]),
        }
    }

    /// Address, protocol and port of the packet that an error is about become the key.
    pub(crate) fn inner_key(self, family: Family, side: Side) -> Self {
        let (length, source, protocol, header) = match family {
            Family::V4 => (4, 12, 9, 20),
            Family::V6 => (16, 8, 6, 40),
        };
        let (address, port) = match side {
            Side::Source => (source, header),
            Side::Destination => (source + length, header + 2),
        };
        let next = KEY + length / 4;
        self.load_payload(TRANSPORT_HEADER, INNER + address, length, KEY)
            .load_payload(TRANSPORT_HEADER, INNER + protocol, 1, next)
            .load_payload(TRANSPORT_HEADER, INNER + port, 2, next + 1)
    }

    /// Address and protocol alone become the key.
    pub(crate) fn host_key(self, family: Family, side: Side) -> Self {
        let (length, offset) = match (family, side) {
            (Family::V4, Side::Source) => (4, 12),
            (Family::V4, Side::Destination) => (4, 16),
            (Family::V6, Side::Source) => (16, 8),
            (Family::V6, Side::Destination) => (16, 24),
        };
        self.load_payload(NETWORK_HEADER, offset, length, KEY)
            .load_meta(meta::L4PROTO, KEY + length / 4)
    }
}
