//! Who has an address: ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861) as whole Ethernet frames.
//!
//! A gratuitous ARP is a request, as RFC 5227 wants it and keepalived sends it; hosts update their caches by either form.

use crate::checksum::Sum;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A MAC address.
pub type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ETHER_ARP: [u8; 2] = [0x08, 0x06];
const ETHER_IPV6: [u8; 2] = [0x86, 0xdd];
/// Ethernet's address and type fields.
const ETHERNET: usize = 14;
/// Hardware type Ethernet, protocol IPv4, and the lengths of both's addresses.
const ARP_ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const ROUTER: u8 = 0x80;
const OVERRIDE: u8 = 0x20;

/// What a frame tells of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The address that it is about.
    pub address: IpAddr,
    /// Whoever has it; of a [`Kind::Probe`], whoever wants it.
    pub mac: Mac,
    /// In which way.
    pub kind: Kind,
}

/// What kind of frame it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Gratuitous ARP of either form, or an unsolicited neighbour advertisement.
    Announcement,
    /// An answer to somebody.
    Reply,
    /// Its owner asks for another address.
    Request,
    /// Somebody asks whether the address is free.
    Probe,
}

impl Sighting {
    /// Whether the sender uses the address.
    pub fn claims(&self) -> bool {
        self.kind != Kind::Probe
    }
}

/// Tells everybody on the link that the address is at this MAC.
pub fn announcement(address: IpAddr, mac: Mac, router: bool) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp(mac, address, address),
        IpAddr::V6(address) => {
            let flags = if router { ROUTER | OVERRIDE } else { OVERRIDE };
            let mut body = vec![ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
            body.extend(address.octets());
            body.extend([TARGET_LINK_LAYER, 1]);
            body.extend(mac);
            icmpv6(mac, address, ALL_NODES, body)
        }
    }
}

/// Asks whether somebody has the address, without a word about our own: RFC 5227, 2.1.1 and RFC 4862, 5.4.2.
pub fn probe(address: IpAddr, mac: Mac) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp(mac, Ipv4Addr::UNSPECIFIED, address),
        IpAddr::V6(address) => {
            let mut body = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
            body.extend(address.octets());
            icmpv6(mac, Ipv6Addr::UNSPECIFIED, solicited(address), body)
        }
    }
}

/// Asks who has the address, as a host does that is to send to it; the two are of one family.
pub fn request(address: IpAddr, source: IpAddr, mac: Mac) -> Option<Vec<u8>> {
    match (address, source) {
        (IpAddr::V4(address), IpAddr::V4(source)) => Some(arp(mac, source, address)),
        (IpAddr::V6(address), IpAddr::V6(source)) => {
            let mut body = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
            body.extend(address.octets());
            body.extend([SOURCE_LINK_LAYER, 1]);
            body.extend(mac);
            Some(icmpv6(mac, source, solicited(address), body))
        }
        _ => None,
    }
}

/// The multicast group of whoever has an address: RFC 4291, 2.7.1.
fn solicited(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// What an Ethernet frame without VLAN tag tells of an address, if it tells anything.
pub fn parse(frame: &[u8]) -> Option<Sighting> {
    let (ethernet, payload) = frame.split_first_chunk::<ETHERNET>()?;
    let [_, _, _, _, _, _, s0, s1, s2, s3, s4, s5, t0, t1] = *ethernet;
    match [t0, t1] {
        ETHER_ARP => parse_arp(payload),
        ETHER_IPV6 => parse_icmpv6(payload, [s0, s1, s2, s3, s4, s5]),
        _ => None,
    }
}

fn arp(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend(BROADCAST);
    frame.extend(mac);
    frame.extend(ETHER_ARP);
    frame.extend(ARP_ETHERNET_IPV4);
    frame.extend(REQUEST);
    frame.extend(mac);
    frame.extend(sender.octets());
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame
}

fn parse_arp(packet: &[u8]) -> Option<Sighting> {
    let (kind, packet) = packet.split_first_chunk::<6>()?;
    let (operation, packet) = packet.split_first_chunk::<2>()?;
    let (mac, packet) = packet.split_first_chunk::<6>()?;
    let (sender, packet) = packet.split_first_chunk::<4>()?;
    let (_, packet) = packet.split_first_chunk::<6>()?;
    let (target, _) = packet.split_first_chunk::<4>()?;
    if *kind != ARP_ETHERNET_IPV4 {
        return None;
    }
    let kind = match (*operation, sender == target, Ipv4Addr::from(*sender).is_unspecified()) {
        (REQUEST, _, true) => {
            return Some(Sighting { address: (*target).into(), mac: *mac, kind: Kind::Probe });
        }
        (REQUEST | REPLY, true, false) => Kind::Announcement,
        (REPLY, false, false) => Kind::Reply,
        (REQUEST, false, false) => Kind::Request,
        _ => return None,
    };
    Some(Sighting { address: (*sender).into(), mac: *mac, kind })
}

fn icmpv6(mac: Mac, source: Ipv6Addr, destination: Ipv6Addr, mut body: Vec<u8>) -> Vec<u8> {
    let sum = Sum::pseudo_header(source.into(), destination.into(), ICMPV6, body.len());
    let sum = sum.with(&body).finish().to_be_bytes();
    // Both bodies are longer than ICMPv6's own header.
    body[2..4].copy_from_slice(&sum);
    let length = u16::try_from(body.len()).unwrap_or(0).to_be_bytes();
    let [.., a, b, c, d] = destination.octets();
    let mut frame = Vec::with_capacity(ETHERNET + 40 + body.len());
    frame.extend([0x33, 0x33, a, b, c, d]);
    frame.extend(mac);
    frame.extend(ETHER_IPV6);
    frame.extend([0x60, 0, 0, 0, length[0], length[1], ICMPV6, 255]);
    frame.extend(source.octets());
    frame.extend(destination.octets());
    frame.extend(body);
    frame
}

fn parse_icmpv6(packet: &[u8], from: Mac) -> Option<Sighting> {
    let (header, body) = packet.split_first_chunk::<8>()?;
    let (source, body) = body.split_first_chunk::<16>()?;
    let (destination, body) = body.split_first_chunk::<16>()?;
    let [version, _, _, _, high, low, next, hops] = *header;
    // RFC 4861, 7.1: a hop limit of 255 shows that it comes from this link.
    if version >> 4 != 6 || next != ICMPV6 || hops != 255 {
        return None;
    }
    let body = body.get(..usize::from(u16::from_be_bytes([high, low])))?;
    let (source, destination) = (Ipv6Addr::from(*source), Ipv6Addr::from(*destination));
    let sum = Sum::pseudo_header(source.into(), destination.into(), ICMPV6, body.len());
    if sum.with(body).finish() != 0 {
        return None;
    }
    let (header, rest) = body.split_first_chunk::<8>()?;
    let (target, options) = rest.split_first_chunk::<16>()?;
    let [kind, code, _, _, flags, ..] = *header;
    let target = Ipv6Addr::from(*target);
    if code != 0 || target.is_multicast() {
        return None;
    }
    let (address, option, kind) = match kind {
        ADVERTISEMENT if flags & 0x40 != 0 => (target, TARGET_LINK_LAYER, Kind::Reply),
        // The answer to a probe has no sender to go to, so it goes to everybody: RFC 4861, 7.2.4.
        ADVERTISEMENT => (target, TARGET_LINK_LAYER, Kind::Announcement),
        SOLICITATION if source.is_unspecified() => (target, SOURCE_LINK_LAYER, Kind::Probe),
        SOLICITATION => (source, SOURCE_LINK_LAYER, Kind::Request),
        _ => return None,
    };
    let mac = link_layer(options, option).unwrap_or(from);
    Some(Sighting { address: address.into(), mac, kind })
}

/// RFC 4861, 4.6: type, length in eight bytes, value.
fn link_layer(mut options: &[u8], wanted: u8) -> Option<Mac> {
    loop {
        let length = 8 * usize::from(*options.get(1)?);
        let option = options.get(..length).filter(|option| !option.is_empty())?;
        if let [kind, 1, mac @ ..] = option
            && *kind == wanted
        {
            return mac.try_into().ok();
        }
        options = options.get(length..)?;
    }
}
