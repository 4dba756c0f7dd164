//! Interfaces of a director come, go and change.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvs_tests::eventually;
use lvs_tests::wire::{Capture, Packet};

use super::net::{Net, PATIENCE, vips};

/// For how long pods come and go, and how often.
const CHURN: Duration = Duration::from_secs(32);
const POD: Duration = Duration::from_secs(3);

/// Gratuitous ARP about VIPs.
fn announcements(capture: &Capture) -> usize {
    let vips: Vec<IpAddr> = vips().map(|vip| vip.parse().expect("an address")).collect();
    let is = |packet: &Packet| {
        matches!(packet, Packet::Arp { sender, target, .. }
            if sender == target && vips.contains(&IpAddr::V4(*sender)))
    };
    capture.frames().iter().filter(|frame| is(&frame.packet)).count()
}

pub(crate) fn pods_come_and_go_and_nobody_announces_anything(net: &mut Net) {
    // Announcements of whatever was before.
    sleep(Duration::from_secs(6));
    let capture = Capture::start(&net.client);
    let node = &net.nodes[0];
    let (reported, told) = (
        || net.lvs_node(0).status.unwrap_or_default().macs,
        || net.director_group("default").status.unwrap_or_default().members,
    );
    let before = (reported(), told());
    let start = Instant::now();
    for pod in 0.. {
        if start.elapsed() >= CHURN {
            break;
        }
        node.ip(&format!("link add veth{pod} type veth peer name pod{pod}\nlink set veth{pod} up"));
        if pod > 0 {
            node.ip(&format!("link del veth{}", pod - 1));
        }
        sleep(POD);
    }
    let announced = announcements(&capture);
    println!("{announced} gratuitous ARP in {:?} of pods coming and going", start.elapsed());
    assert_eq!(announced, 0);
    assert_eq!((reported(), told()), before, "no pod is in the list of MAC addresses");
}

pub(crate) fn another_mac_address_of_a_director_is_known_to_the_others(net: &mut Net) {
    let node = net.nodes[0].clone();
    let capture = Capture::start(&net.client);
    let (old, new) = (node.mac("eth1").to_owned(), "02:aa:00:00:00:01".to_owned());
    for (mac, other) in [(&new, &old), (&old, &new)] {
        node.ip(&format!("link set eth1 address {mac}"));
        let members = || {
            let status = net.director_group("default").status.unwrap_or_default();
            let of = status.members.into_iter().find(|member| member.node == node.name());
            of.map(|member| member.macs).unwrap_or_default()
        };
        let is_known = |macs: &Vec<String>| macs.contains(mac) && !macs.contains(other);
        eventually("the group's status has it", PATIENCE, members, is_known);
        assert!(announcements(&capture) > 0 || net.vips_of(0).is_empty());
    }
}
