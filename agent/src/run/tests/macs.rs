//! MAC addresses in the report.

use super::*;
use crate::state::{Interface, Mac};

#[test]
fn those_of_interfaces_with_addresses_are_reported_first_and_each_once() {
    let dir = TempDir::new().unwrap();
    let mut facts = node("d", &[("eth0", "192.168.0.1/24"), ("vlan7", "10.7.0.1/24")], None);
    let mut add = |name: &str, index: u32, mac: [u8; 6], address: Option<&str>| {
        let addresses = address.into_iter().map(|it| it.parse().unwrap()).collect();
        let new = Interface { index, mac: Some(Mac(mac)), addresses, ..Interface::default() };
        facts.interfaces.insert(name.to_owned(), new);
    };
    for pod in 0..20 {
        add(&format!("veth{pod}"), 10 + u32::from(pod), [2, 9, 0, 0, 0, pod], Some("fe80::1/64"));
    }
    add("bond0", 40, [2, 1, 0, 0, 0, 1], Some("2001:db8::1/64"));
    // A VLAN has its parent's.
    facts.interfaces.get_mut("vlan7").unwrap().mac = facts.interfaces["eth0"].mac;
    let macs = engine(Fake::new(facts), &dir).status().macs;
    assert_eq!(macs[..3], ["02:00:00:00:00:02", "02:01:00:00:00:01", "02:09:00:00:00:00"]);
    assert_eq!(macs.len(), 16);
}
