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
