//! Frames of a TCP client (RFC 9293) over Ethernet, and what comes back: segments, and ICMP errors about them.
//!
//! The checksum of what comes is not looked at: of a packet from this very machine (a real server in a container or a
//! virtual machine) the sender leaves it to a device that there is none of, and a packet socket sees it unfinished
//! (`TP_STATUS_CSUMNOTREADY`, packet(7)). Addresses, ports and a number of 32 bits that only an answer has tell enough.

use lvs_vrrp::Mac;
use lvs_vrrp::checksum::Sum;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Of RFC 9293, 3.1.
pub mod flags {
    /// No more data.
    pub const FIN: u8 = 0x01;
    /// The first segment of a direction.
    pub const SYN: u8 = 0x02;
    /// The connection is no more.
    pub const RST: u8 = 0x04;
    /// The acknowledgement counts.
    pub const ACK: u8 = 0x10;
}

const ETHERNET: usize = 14;
const ETHER_IPV4: [u8; 2] = [0x08, 0x00];
const ETHER_IPV6: [u8; 2] = [0x86, 0xdd];
const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// As the kernel's own packets.
const TTL: u8 = 64;
/// Room for what a server says before it is asked anything.
const WINDOW: u16 = 8192;

/// Whom a frame is from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The MAC addresses of this node and of whoever has the VIP.
    pub macs: (Mac, Mac),
    /// This node's.
    pub source: SocketAddr,
    /// The VIP's.
    pub destination: SocketAddr,
}

/// A TCP segment without data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// See [`flags`].
    pub flags: u8,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// A segment.
    Segment {
        /// From whom.
        source: SocketAddr,
        /// To whom.
        destination: SocketAddr,
        /// What.
        segment: Segment,
        /// How many bytes of data it has.
        data: u32,
    },
    /// Somebody says by ICMP that what was sent does not arrive.
    Error {
        /// Who says so.
        by: IpAddr,
        /// Whose packet it was.
        source: SocketAddr,
        /// Where it was to go.
        destination: SocketAddr,
        /// The sequence number of what was sent.
        sequence: u32,
        /// ICMP's type and code.
        kind: (u8, u8),
    },
}

/// The frame of a segment; `None` where the two ends are of different families.
pub fn frame(ends: &Ends, segment: Segment) -> Option<Vec<u8>> {
    let (from, to) = ends.macs;
    let mut tcp = Vec::with_capacity(24);
    tcp.extend(ends.source.port().to_be_bytes());
    tcp.extend(ends.destination.port().to_be_bytes());
    tcp.extend(segment.sequence.to_be_bytes());
    tcp.extend(segment.acknowledgement.to_be_bytes());
    let (words, size) = if segment.flags & flags::SYN != 0 { (6_u8, 24_u16) } else { (5, 20) };
    tcp.extend([words << 4, segment.flags]);
    tcp.extend(WINDOW.to_be_bytes());
    let before = tcp.len();
    tcp.extend([0, 0, 0, 0]);
    if words == 6 {
        // The least that any path of IPv6 carries, so that no answer is too large: RFC 8200, 5.
        tcp.extend([2, 4]);
        tcp.extend(1220_u16.to_be_bytes());
    }
    let (source, destination) = (ends.source.ip(), ends.destination.ip());
    let sum = Sum::pseudo_header(source, destination, TCP, tcp.len()).with(&tcp).finish();
    tcp.splice(before..before + 2, sum.to_be_bytes());
    let mut frame = Vec::with_capacity(ETHERNET + 40 + tcp.len());
    frame.extend(to);
    frame.extend(from);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend(ETHER_IPV4);
            let mut header = vec![0x45, 0];
            header.extend((20 + size).to_be_bytes());
            // No identification: it is never in pieces (RFC 6864, 4.1).
            header.extend([0, 0, 0x40, 0, TTL, TCP]);
            let before = header.len();
            header.extend([0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
            let sum = Sum::new().with(&header).finish();
            header.splice(before..before + 2, sum.to_be_bytes());
            frame.extend(header);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            frame.extend(ETHER_IPV6);
            frame.extend([0x60, 0, 0, 0]);
            frame.extend(size.to_be_bytes());
            frame.extend([TCP, TTL]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        _ => return None,
    }
    frame.extend(tcp);
    Some(frame)
}

/// What a frame without VLAN tag brings, if it is about TCP.
pub fn parse(frame: &[u8]) -> Option<Back> {
    let (ethernet, packet) = frame.split_first_chunk::<ETHERNET>()?;
    let [.., high, low] = *ethernet;
    let ip = match [high, low] {
        ETHER_IPV4 => ipv4(packet)?,
        ETHER_IPV6 => ipv6(packet)?,
        _ => return None,
    };
    match ip.protocol {
        TCP => tcp(&ip),
        ICMP | ICMPV6 => error(&ip),
        _ => None,
    }
}

struct Ip<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    /// How long it says it is.
    length: usize,
    payload: &'a [u8],
}

fn ipv4(packet: &[u8]) -> Option<Ip<'_>> {
    let (header, _) = packet.split_first_chunk::<20>()?;
    let [first, _, l0, l1, _, _, f0, f1, _, protocol, _, _, rest @ ..] = *header;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = rest;
    let size = usize::from(first & 0x0f) * 4;
    // Of a fragment but the first one there are no ports.
    let offset = u16::from_be_bytes([f0, f1]) & 0x1fff;
    if first >> 4 != 4 || size < 20 || offset != 0 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(size)?;
    let payload = packet.get(size..)?;
    let payload = payload.get(..length).unwrap_or(payload);
    let source = Ipv4Addr::new(s0, s1, s2, s3).into();
    let destination = Ipv4Addr::new(d0, d1, d2, d3).into();
    Some(Ip { source, destination, protocol, length, payload })
}

fn ipv6(packet: &[u8]) -> Option<Ip<'_>> {
    let (header, rest) = packet.split_first_chunk::<8>()?;
    let (source, rest) = rest.split_first_chunk::<16>()?;
    let (destination, payload) = rest.split_first_chunk::<16>()?;
    let [first, _, _, _, l0, l1, protocol, _] = *header;
    if first >> 4 != 6 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let payload = payload.get(..length).unwrap_or(payload);
    let (source, destination) = (Ipv6Addr::from(*source), Ipv6Addr::from(*destination));
    Some(Ip { source: source.into(), destination: destination.into(), protocol, length, payload })
}

fn tcp(ip: &Ip<'_>) -> Option<Back> {
    let (header, _) = ip.payload.split_first_chunk::<20>()?;
    let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, ..] = *header;
    let size = usize::from(offset >> 4) * 4;
    if size < 20 {
        return None;
    }
    Some(Back::Segment {
        source: SocketAddr::new(ip.source, u16::from_be_bytes([s0, s1])),
        destination: SocketAddr::new(ip.destination, u16::from_be_bytes([d0, d1])),
        segment: Segment {
            flags,
            sequence: u32::from_be_bytes([q0, q1, q2, q3]),
            acknowledgement: u32::from_be_bytes([a0, a1, a2, a3]),
        },
        data: u32::try_from(ip.length.checked_sub(size)?).ok()?,
    })
}

/// Destination unreachable: RFC 792 and RFC 4443, 3.1; with at least ports and sequence number of what it is about.
fn error(ip: &Ip<'_>) -> Option<Back> {
    let (header, about) = ip.payload.split_first_chunk::<8>()?;
    let [kind, code, ..] = *header;
    let inner = match (ip.protocol, kind) {
        (ICMP, 3) => ipv4(about)?,
        (ICMPV6, 1) => ipv6(about)?,
        _ => return None,
    };
    let (ports, _) = inner.payload.split_first_chunk::<8>()?;
    let [s0, s1, d0, d1, q0, q1, q2, q3] = *ports;
    (inner.protocol == TCP).then(|| Back::Error {
        by: ip.source,
        source: SocketAddr::new(inner.source, u16::from_be_bytes([s0, s1])),
        destination: SocketAddr::new(inner.destination, u16::from_be_bytes([d0, d1])),
        sequence: u32::from_be_bytes([q0, q1, q2, q3]),
        kind: (kind, code),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ends(six: bool) -> Ends {
        let (source, destination) = match six {
            false => ("192.168.0.2:61000", "192.168.0.10:80"),
            true => ("[2001:db8::2]:61000", "[2001:db8::10]:80"),
        };
        let [source, destination] = [source, destination].map(|it| it.parse().unwrap());
        Ends { macs: ([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]), source, destination }
    }

    #[test]
    fn a_frame_reads_back_as_what_it_was_made_of_and_its_checksums_are_right() {
        for six in [false, true] {
            for flags in [flags::SYN, flags::FIN | flags::ACK, flags::RST] {
                let segment = Segment { flags, sequence: 0xfffe_fdfc, acknowledgement: 7 };
                let ends = ends(six);
                let frame = frame(&ends, segment).unwrap();
                let back = parse(&frame).unwrap();
                let Ends { source, destination, .. } = ends;
                assert_eq!(back, Back::Segment { source, destination, segment, data: 0 });
                let header = if six { 40 } else { 20 };
                let tcp = &frame[ETHERNET + header..];
                let sum = Sum::pseudo_header(source.ip(), destination.ip(), TCP, tcp.len());
                assert_eq!(sum.with(tcp).finish(), 0);
                assert!(six || Sum::new().with(&frame[ETHERNET..ETHERNET + 20]).finish() == 0);
                assert_eq!(frame[..6], [2, 0, 0, 0, 0, 1], "to whoever has the VIP");
            }
        }
    }

    #[test]
    fn an_icmp_error_names_the_packet_that_it_is_about() {
        let ends = ends(false);
        let syn = Segment { flags: flags::SYN, sequence: 99, acknowledgement: 0 };
        let sent = frame(&ends, syn).unwrap();
        let mut error = vec![0; 12];
        error.extend(ETHER_IPV4);
        error.extend([0x45, 0, 0, 56, 0, 0, 0, 0, 64, ICMP, 0, 0, 192, 168, 0, 1, 192, 168, 0, 2]);
        error.extend([3, 13, 0, 0, 0, 0, 0, 0]);
        error.extend(&sent[ETHERNET..ETHERNET + 28]);
        let by = "192.168.0.1".parse().unwrap();
        let (source, destination, kind) = (ends.source, ends.destination, (3, 13));
        let expected = Back::Error { by, source, destination, sequence: 99, kind };
        assert_eq!(parse(&error), Some(expected));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_damage_to_a_frame_makes_the_decoder_panic(
            six in any::<bool>(), length in 0..100_usize, at in 0..100_usize, value in any::<u8>(),
        ) {
            let segment = Segment { flags: flags::SYN, sequence: 1, acknowledgement: 0 };
            let mut bytes = frame(&ends(six), segment).unwrap();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.truncate(length);
            let _ = parse(&bytes);
        }
    }
}
