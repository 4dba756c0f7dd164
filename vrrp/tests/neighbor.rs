//! ARP and neighbour discovery as frames.

#![allow(clippy::unwrap_used)] // Test code, also where no #[test] is near.

use lvs_vrrp::neighbor::{Kind, Sighting, announcement, parse, probe};
use proptest::prelude::*;
use std::net::IpAddr;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_gratuitous_arp_is_a_broadcast_request_for_the_own_address() {
    let mut wanted = vec![0xff; 6];
    wanted.extend(MAC);
    wanted.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    wanted.extend(MAC);
    wanted.extend([192, 0, 2, 10, 0, 0, 0, 0, 0, 0, 192, 0, 2, 10]);
    assert_eq!(announcement(ip("192.0.2.10"), MAC, false), wanted);
}

#[test]
fn an_unsolicited_advertisement_overrides_and_goes_to_all_nodes() {
    let frame = announcement(ip("2001:db8::10"), MAC, true);
    assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!((frame.len(), frame[14 + 7], frame[14 + 40], frame[14 + 44]), (86, 255, 136, 0xa0));
    assert_eq!(frame[78..], [2, 1, 2, 0, 0, 0, 0, 7]);
}

#[test]
fn an_ipv6_probe_goes_to_the_solicited_node_group_from_no_address() {
    let frame = probe(ip("2001:db8::12:3456"), MAC);
    assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
    assert_eq!(frame[22..38], [0; 16]);
    assert_eq!(frame.len(), 78);
}

#[test]
fn what_is_sent_is_understood() {
    for address in [ip("192.0.2.10"), ip("2001:db8::10")] {
        let claim = Sighting { address, mac: MAC, kind: Kind::Announcement };
        assert_eq!(parse(&announcement(address, MAC, false)), Some(claim));
        assert!(claim.claims());
        let asked = Sighting { address, mac: MAC, kind: Kind::Probe };
        assert_eq!(parse(&probe(address, MAC)), Some(asked));
        assert!(!asked.claims());
    }
}

#[test]
fn arp_requests_and_replies_tell_of_their_senders() {
    let mut frame = announcement(ip("192.0.2.10"), MAC, false);
    frame[41] = 99;
    assert_eq!(parse(&frame).unwrap().kind, Kind::Request);
    frame[21] = 2;
    assert_eq!(
        parse(&frame),
        Some(Sighting { address: ip("192.0.2.10"), mac: MAC, kind: Kind::Reply })
    );
    // As it comes from a wire, padded.
    frame.resize(60, 0);
    assert_eq!(parse(&frame).unwrap().kind, Kind::Reply);
}

/// An ICMPv6 frame with a right checksum again, by RFC 1071.
fn mended(mut frame: Vec<u8>) -> Vec<u8> {
    frame[56..58].fill(0);
    let length = usize::from(frame[19]);
    let pseudo_header = [&frame[22..54], &[0, frame[19], 0, 58]].concat();
    let words = [&pseudo_header[..], &frame[54..54 + length]].concat();
    let mut sum: u32 = words.chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    frame[56..58].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    frame
}

#[test]
fn neighbour_discovery_from_beyond_the_link_or_damaged_tells_nothing() {
    let good = announcement(ip("2001:db8::10"), MAC, false);
    assert_eq!(mended(good.clone()), good);
    let with = |index: usize, value: u8| {
        let mut frame = good.clone();
        frame[index] = value;
        frame
    };
    assert_eq!(parse(&with(21, 254)), None, "the hop limit");
    assert_eq!(parse(&with(14 + 40 + 23, 0x11)), None, "the checksum");
    assert_eq!(parse(&mended(with(14 + 41, 1))), None, "the code");
    assert_eq!(parse(&mended(with(14 + 48, 0xff))), None, "of a multicast address");
    assert_eq!(parse(&mended(with(14 + 40 + 23, 0x11))).unwrap().address, ip("2001:db8::11"));
}

#[test]
fn neighbour_discovery_is_about_the_mac_address_in_its_option() {
    let mut frame = announcement(ip("2001:db8::10"), MAC, false);
    frame[11] = 99;
    assert_eq!(parse(&frame).unwrap().mac, MAC, "not that of a switch on the way");
    // Without one it is the sender's. Padded, as from a wire.
    frame.truncate(78);
    frame[19] = 24;
    let mut frame = mended(frame);
    frame.resize(90, 2);
    assert_eq!(parse(&frame).unwrap().mac, [2, 0, 0, 0, 0, 99]);
}

proptest! {
    #[test]
    fn no_frame_makes_it_panic(
        address in prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)],
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        asks in any::<bool>(),
    ) {
        let mut frame = if asks { probe(address, MAC) } else { announcement(address, MAC, true) };
        for (at, value) in changes {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        frame.truncate(cut.index(frame.len() + 1));
        let _ = parse(&frame);
    }
}
