//! Settings of the node by which clients are not served although all of ours stands.

use super::*;
use crate::state::Ipv4Settings;

/// What a director with the address 192.168.0.1/24 on eth0 warns of, with the VIP and a NAT real server beside.
fn warned(own: Ipv4Settings, all: Ipv4Settings, cidr: Option<&str>) -> Vec<String> {
    let mut facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    facts.all_ipv4 = all;
    facts.interfaces.get_mut("eth0").unwrap().ipv4 = own;
    let mut group = group("d");
    group.spec.networks = cidr.iter().map(|cidr| network(cidr, Some("eth0"))).collect();
    let servers = [server("192.168.0.101", NAT, 1, 80)];
    let slice = slice("web", 1, &[service(VIP, 80)], &servers);
    let fragment = plan(&[&slice], Some(&group), ACTIVE, &facts);
    assert_eq!(fragment.problems, [], "none of it is a failure");
    fragment.warnings.into_iter().map(|it| format!("{}: {}", it.reason, it.message)).collect()
}

fn arp(arp_ignore: i32) -> Ipv4Settings {
    Ipv4Settings { arp_ignore, ..Ipv4Settings::default() }
}

#[test]
fn arp_that_is_not_answered_is_told_with_the_setting_that_does_it() {
    let (host, subnet) = (None, Some("192.168.0.0/24"));
    for (own, all, cidr, named) in [
        (0, 0, host, ""),
        (1, 1, host, ""),
        (2, 0, host, ""),
        (3, 0, host, "net.ipv4.conf.eth0.arp_ignore is 3"),
        (3, 0, subnet, ""),
        (0, 3, host, "net.ipv4.conf.all.arp_ignore is 3"),
        (8, 1, host, "net.ipv4.conf.eth0.arp_ignore is 8"),
        (1, 8, subnet, "net.ipv4.conf.all.arp_ignore is 8"),
        (5, 0, host, ""),
    ] {
        let told = warned(arp(own), arp(all), cidr);
        match named {
            "" => assert_eq!(told, Vec::<String>::new(), "{own} {all} {cidr:?}"),
            _ => {
                assert_eq!(told.len(), 1, "{told:?}");
                assert!(told[0].starts_with("ARPIgnored: ") && told[0].contains(named), "{told:?}");
                assert!(told[0].contains("192.168.0.10"), "{told:?}");
            }
        }
    }
}

#[test]
fn forwarding_that_is_off_where_nat_answers_come_in_is_told() {
    let off = Ipv4Settings { forwarding_off: true, ..Ipv4Settings::default() };
    let on = Ipv4Settings::default();
    assert_eq!(warned(on, on, None), Vec::<String>::new());
    assert_eq!(warned(off, off, None), Vec::<String>::new(), "the agent is about to turn it on");
    let told = warned(off, on, None);
    assert!(told[0].starts_with("ForwardingOff: "), "{told:?}");
    assert!(
        told[0].contains("192.168.0.101") && told[0].contains("conf.eth0.forwarding"),
        "{told:?}"
    );
}
