//! The node's own addresses in the report.

use super::*;
use crate::state::Interface;

fn reported(on: &[(&str, &[&str])]) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    let mut facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    for (index, (name, addresses)) in (10..).zip(on) {
        let interface = facts.interfaces.entry((*name).to_owned()).or_insert_with(|| Interface {
            index,
            dummy: name.starts_with("kube") || *name == "nodelocaldns",
            ..Interface::default()
        });
        interface.addresses = addresses.iter().map(|it| it.parse().unwrap()).collect();
    }
    engine(Fake::new(facts), &dir).status().addresses
}

#[test]
fn vips_of_real_servers_and_of_other_load_balancers_are_no_addresses_of_the_node() {
    let found = reported(&[
        ("lo", &["127.0.0.1/8", "192.168.0.10/32", "::1/128", "2001:db8::10/128"]),
        ("eth0", &["192.168.0.1/24", "192.168.0.77/32", "2001:db8::1/64"]),
        ("kube-ipvs0", &["10.96.0.1/32", "192.168.0.11/32"]),
        ("kube-dummy-if", &["192.168.0.12/32"]),
        ("nodelocaldns", &["169.254.20.10/32", "10.96.0.10/32"]),
    ]);
    assert_eq!(found, ["192.168.0.1", "192.168.0.77", "2001:db8::1"]);
}

#[test]
fn a_nodes_only_address_is_its_own_wherever_it_stands() {
    let found = reported(&[
        ("lo", &["127.0.0.1/8", "10.0.0.5/32", "2001:db8::5/128"]),
        ("eth0", &["169.254.0.1/30", "fe80::1/64"]),
    ]);
    assert_eq!(found, ["10.0.0.5", "2001:db8::5"]);
    // A network on lo or a dummy is the node's.
    assert_eq!(reported(&[("kube9", &["10.9.0.1/24"])]), ["192.168.0.1", "10.9.0.1"]);
}
