//! MAC addresses in the report.

use super::*;
use crate::state::{Interface, Mac, Route};

/// eth0 and a VLAN on it, `bond0`, an interface whose gateway is all that is behind it, one that is down; and pods, whose
/// interfaces have no address, a link-local one, or the pods' gateway.
#[test]
fn those_of_interfaces_by_which_others_are_reached_are_reported_and_no_pods() {
    let dir = TempDir::new().unwrap();
    let mut facts = node("d", &[("eth0", "192.168.0.1/24"), ("vlan7", "10.7.0.1/24")], None);
    let mut add = |name: &str, index: u32, mac: [u8; 6], addresses: &[&str]| {
        let addresses = addresses.iter().map(|it| it.parse().unwrap()).collect();
        let new = Interface { index, mac: Some(Mac(mac)), addresses, ..Interface::default() };
        facts.interfaces.insert(name.to_owned(), new);
    };
    let addresses: [&[&str]; 3] = [&[], &["fe80::1/64"], &["10.1.0.1/32", "fe80::1/64"]];
    for pod in 0..30 {
        let name = format!("veth{pod}");
        add(&name, 10 + u32::from(pod), [2, 9, 0, 0, 0, pod], addresses[usize::from(pod) % 3]);
    }
    add("bond0", 40, [2, 1, 0, 0, 0, 1], &["2001:db8::1/64", "fe80::1/64"]);
    add("wan", 41, [2, 1, 0, 0, 0, 2], &["203.0.113.7/32"]);
    let route = |destination: &str, interface: &str| Route {
        destination: destination.parse().unwrap(),
        interface: interface.to_owned(),
        gateway: None,
        metric: 0,
    };
    facts.routes.push(route("0.0.0.0/0", "wan"));
    facts.routes.push(route("10.1.0.9/32", "veth2"));
    facts.routes.push(route("fe80::/64", "veth1"));
    facts.routes.push(route("ff00::/8", "veth1"));
    // A VLAN has its parent's.
    facts.interfaces.get_mut("vlan7").unwrap().mac = facts.interfaces["eth0"].mac;
    facts.interfaces.get_mut("bond0").unwrap().mtu = 1400;
    facts.interfaces.get_mut("veth7").unwrap().mtu = 1280;
    let status = engine(Fake::new(facts), &dir).status();
    assert_eq!(status.mtu, Some(1400));
    assert_eq!(status.macs, ["02:00:00:00:00:02", "02:01:00:00:00:01", "02:01:00:00:00:02"]);
}
