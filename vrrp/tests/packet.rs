//! Advertisements as bytes: what keepalived sends is understood, what is damaged is told apart.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

use lvs_vrrp::packet::{MULTICAST_V4, MULTICAST_V6, advertised};
use lvs_vrrp::{Advertisement, DecodeError, Vrid};
use proptest::prelude::*;
use std::net::IpAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn vrid(id: u8) -> Vrid {
    Vrid::new(id).unwrap()
}

fn sample() -> Advertisement {
    Advertisement {
        vrid: vrid(7),
        priority: 254,
        interval: 9,
        addresses: vec![ip("192.0.2.10"), ip("192.0.2.11")],
    }
}

/// 192.0.2.1 to 224.0.0.18, by hand from RFC 9568, 5.1; the checksum with a pseudo header as RFC 5798 was read, and
/// without as RFC 9568 has it.
const WITH_PSEUDO_HEADER: [u8; 16] =
    [0x31, 7, 254, 2, 0, 9, 0xaa, 0x41, 192, 0, 2, 10, 192, 0, 2, 11];
const WITHOUT: [u8; 16] = [0x31, 7, 254, 2, 0, 9, 0x4c, 0xd6, 192, 0, 2, 10, 192, 0, 2, 11];

#[test]
fn bytes_are_those_of_the_rfc() {
    assert_eq!(sample().encode(ip("192.0.2.1"), MULTICAST_V4), WITH_PSEUDO_HEADER);
}

#[test]
fn both_checksums_of_ipv4_are_taken() {
    for bytes in [WITH_PSEUDO_HEADER, WITHOUT] {
        let decoded = Advertisement::decode(&bytes, ip("192.0.2.1"), MULTICAST_V4, 255);
        assert_eq!(decoded, Ok(sample()));
    }
}

#[test]
fn ipv6_has_a_pseudo_header_and_nothing_else() {
    let sent = Advertisement { addresses: vec![ip("fe80::10"), ip("2001:db8::10")], ..sample() };
    let bytes = sent.encode(ip("fe80::1"), MULTICAST_V6);
    assert_eq!(bytes.len(), 8 + 32);
    assert_eq!(Advertisement::decode(&bytes, ip("fe80::1"), MULTICAST_V6, 255), Ok(sent));
    let elsewhere = Advertisement::decode(&bytes, ip("fe80::2"), MULTICAST_V6, 255);
    assert_eq!(elsewhere, Err(DecodeError::Checksum));
}

#[test]
fn what_is_reserved_is_ignored() {
    let mut bytes = WITHOUT;
    bytes[4] |= 0xf0;
    // RFC 1624: the sum's complement goes down by what the word goes up.
    (bytes[6], bytes[7]) = (0x5c, 0xd5);
    let decoded = Advertisement::decode(&bytes, ip("192.0.2.1"), MULTICAST_V4, 255);
    assert_eq!(decoded, Ok(sample()));
}

#[test]
fn each_fault_is_told_apart() {
    let (from, to) = (ip("192.0.2.1"), MULTICAST_V4);
    let good = sample().encode(from, to);
    let with = |index: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[index] = value;
        Advertisement::decode(&bytes, from, to, 255).unwrap_err()
    };
    assert_eq!(Advertisement::decode(&good, from, to, 254), Err(DecodeError::Ttl(254)));
    assert_eq!(Advertisement::decode(&good, from, MULTICAST_V6, 255), Err(DecodeError::Families));
    assert_eq!(Advertisement::decode(&good[..7], from, to, 255), Err(DecodeError::Short(7)));
    assert_eq!(with(0, 0x21), DecodeError::Version(2));
    assert_eq!(with(0, 0x32), DecodeError::Type(2));
    assert_eq!(with(1, 0), DecodeError::Vrid);
    assert_eq!(with(3, 0), DecodeError::NoAddress);
    assert_eq!(with(3, 3), DecodeError::Length { length: 16, count: 3 });
    assert_eq!(with(2, 253), DecodeError::Checksum);
    let mut never = sample().encode(from, to);
    never[5] = 0;
    let sum = u16::from_be_bytes([never[6], never[7]]) + 9;
    never[6..8].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(Advertisement::decode(&never, from, to, 255), Err(DecodeError::Interval));
    let reasons: std::collections::BTreeSet<_> = DecodeError::REASONS.into();
    assert_eq!(reasons.len(), DecodeError::REASONS.len());
}

#[test]
fn what_is_advertised_is_a_fixed_subset() {
    let own = ip("192.0.2.1");
    let many: Vec<IpAddr> =
        (0..1000_u32).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes())).collect();
    let one = advertised(own, many.iter().copied());
    assert_eq!(one, many[..255]);
    assert_eq!(one, advertised(own, many.iter().rev().copied()));
    assert_eq!(advertised(own, [ip("2001:db8::1")].into_iter()), [own]);
    let link = ip("fe80::1");
    let both = [ip("2001:db8::1"), ip("192.0.2.9")];
    assert_eq!(advertised(link, both.into_iter()), [link, ip("2001:db8::1")]);
    let virtual_link = [ip("2001:db8::1"), ip("fe80::aa")];
    assert_eq!(advertised(link, virtual_link.into_iter()), [ip("fe80::aa"), ip("2001:db8::1")]);
}

fn address(v6: bool) -> BoxedStrategy<IpAddr> {
    match v6 {
        false => any::<[u8; 4]>().prop_map(IpAddr::from).boxed(),
        true => any::<[u8; 16]>().prop_map(IpAddr::from).boxed(),
    }
}

fn advertisement(v6: bool) -> impl Strategy<Value = Advertisement> {
    let addresses = prop::collection::vec(address(v6), 1..=255);
    (1..=255_u8, any::<u8>(), 1..=4095_u16, addresses).prop_map(
        |(id, priority, interval, addresses)| Advertisement {
            vrid: vrid(id),
            priority,
            interval,
            addresses,
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        (sent, from, to) in any::<bool>().prop_flat_map(|v6| (advertisement(v6), address(v6), address(v6)))
    ) {
        let bytes = sent.encode(from, to);
        prop_assert_eq!(Advertisement::decode(&bytes, from, to, 255), Ok(sent));
    }

    /// The sum of this pseudo header cannot be made up by one byte, so the other checksum of IPv4 never hides a fault.
    #[test]
    fn each_flipped_byte_is_found(sent in advertisement(false), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let (from, to) = (ip("10.0.0.1"), ip("10.0.0.2"));
        let mut bytes = sent.encode(from, to);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(Advertisement::decode(&bytes, from, to, 255).is_err());
    }

    #[test]
    fn each_flipped_byte_is_found_in_ipv6(sent in advertisement(true), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = sent.encode(ip("fe80::1"), MULTICAST_V6);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(Advertisement::decode(&bytes, ip("fe80::1"), MULTICAST_V6, 255).is_err());
    }
}
