use super::*;
use crate::state::TunnelDevice;
use lvs_ipvs::Protocol;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use std::collections::HashSet;
use std::net::IpAddr;

fn packets(destination: &str, first_port: u16, last_port: u16) -> Packets {
    let destination = destination.parse().unwrap();
    Packets { destination, protocol: Protocol::Tcp, first_port, last_port }
}

/// As the kernel gets it, and would give it back.
fn across(message: RouteNetlinkMessage) -> RouteNetlinkMessage {
    let mut message = NetlinkMessage::from(message);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).unwrap().into_parts().1 {
        NetlinkPayload::InnerMessage(message) => message,
        other => panic!("{other:?}"),
    }
}

fn all_devices() -> [(TunnelDevice, IpAddr); 7] {
    let (v4, v6) = ("10.0.0.101".parse().unwrap(), "2001:db8::101".parse().unwrap());
    [
        (TunnelDevice::Ipip, v4),
        (TunnelDevice::Sit, v4),
        (TunnelDevice::Gre, v4),
        (TunnelDevice::GreChecksum, v4),
        (TunnelDevice::Ip6tnl, v6),
        (TunnelDevice::Ip6gre, v6),
        (TunnelDevice::Ip6greChecksum, v6),
    ]
}

#[test]
fn names_fit_an_interface_and_differ_by_kind_and_address() {
    let mut names = HashSet::new();
    for (device, local) in all_devices() {
        let name = device::name(device, local);
        assert!(name.len() <= 15 && name.starts_with("lvs"), "{name}");
        names.insert(name);
    }
    assert_eq!(names.len(), 5, "with and without checksum is one device");
    let name = device::name(TunnelDevice::Ipip, "10.0.0.101".parse().unwrap());
    assert_eq!(name, "lvsi0a000065", "the same in every release");
    let name = device::name(TunnelDevice::Ip6tnl, "2001:db8::101".parse().unwrap());
    assert_ne!(name, device::name(TunnelDevice::Ip6tnl, "2001:db8::102".parse().unwrap()));
}

#[test]
fn a_device_is_recognised_by_what_made_it() {
    for (device, local) in all_devices() {
        let made = device::creation(device, local).unwrap();
        let RouteNetlinkMessage::NewLink(link) = across(RouteNetlinkMessage::NewLink(made)) else {
            panic!("no link");
        };
        let seen = device::seen(std::slice::from_ref(&link));
        let seen = seen.get(&device::name(device, local)).unwrap();
        assert_eq!(seen.endpoint, Some((device, local)));
        assert!(!seen.ready, "down");
    }
}

#[test]
fn an_address_of_the_wrong_family_makes_no_device() {
    for (device, local) in all_devices() {
        let other: IpAddr = if local.is_ipv4() {
            "2001:db8::1".parse().unwrap()
        } else {
            "10.0.0.1".parse().unwrap()
        };
        assert_eq!(device::creation(device, other), None, "{device:?}");
    }
}

#[test]
fn rules_are_recognised_by_what_made_them_and_by_nothing_less() {
    for destination in ["203.0.113.0/24", "0.0.0.0/0", "2001:db8:1::/48", "::/0"] {
        for (first, last) in [(80, 80), (8000, 8999), (1, 65535), (0, 65535)] {
            let wanted = packets(destination, first, last);
            let family = delivery::family(&wanted);
            let deliver = delivery::deliver(&wanted);
            let rules = [delivery::pass(family), deliver, delivery::end(family)];
            let rules = rules.map(|rule| match across(RouteNetlinkMessage::NewRule(rule)) {
                RouteNetlinkMessage::NewRule(rule) => rule,
                other => panic!("{other:?}"),
            });
            let fixture = Fixture::LocalDelivery { packets: wanted };
            let whole = |rules: &[RuleMessage], routed| {
                let found = delivery::standing(rules, family);
                delivery::fixtures(found, routed).any(|found| found == fixture)
            };
            assert!(whole(&rules, true), "{wanted}");
            let mut standing = delivery::standing(&rules, family).packets;
            standing.retain(|packets| !delivery::of_one_rule(&wanted).contains(packets));
            assert_eq!(standing, [], "nothing is left without the rule, whatever its name");
            assert!(!whole(&rules, false), "without its route");
            for missing in 0..rules.len() {
                let mut rules = rules.to_vec();
                rules.remove(missing);
                assert!(!whole(&rules, true), "without rule {missing}");
            }
        }
    }
}

#[test]
fn ports_that_no_rule_can_hold_are_refused() {
    assert!(delivery::unfit(&packets("203.0.113.0/24", 1024, 65535)).is_some());
    assert!(delivery::unfit(&packets("203.0.113.0/24", 0, 80)).is_some());
    assert!(delivery::unfit(&packets("203.0.113.0/24", 1024, 65534)).is_none());
    assert!(delivery::unfit(&packets("203.0.113.0/24", 0, 65535)).is_none());
}
