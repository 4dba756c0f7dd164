use super::*;

fn held(address: &str) -> HeldAddress {
    HeldAddress { interface: "eth0".into(), address: address.parse().unwrap() }
}

fn stands(index: u32, address: &str, scope: AddressScope) -> AddressMessage {
    let mut message = named(&held(address), index);
    message.header.scope = scope;
    message
}

#[test]
fn an_address_is_no_source_of_packets_unless_its_subnet_or_interface_needs_it() {
    let global = AddressScope::Universe;
    let host = AddressScope::Host;
    let elsewhere = stands(3, "222.117.155.123/24", global);
    for (address, standing, expected) in [
        ("192.168.0.10/24", vec![stands(2, "222.117.155.123/24", global)], host),
        ("192.168.0.10/24", vec![stands(2, "192.168.0.1/24", global)], global),
        ("192.168.0.10/24", vec![stands(2, "192.168.0.9/24", host)], host),
        ("192.168.0.10/24", vec![stands(2, "192.168.0.1/16", global)], host),
        ("192.168.0.10/24", vec![elsewhere], global),
        ("192.168.0.10/24", vec![stands(2, "2001:db8::1/64", global)], global),
        ("192.168.0.10/24", vec![], global),
        ("192.168.0.10/32", vec![], host),
        ("192.168.0.10/32", vec![stands(2, "192.168.0.1/24", global)], host),
    ] {
        let message = addition(&held(address), 2, &standing);
        assert_eq!(message.header.scope, expected, "{address} beside {standing:?}");
    }
}

#[test]
fn ipv6_is_there_at_once_is_no_source_and_a_host_prefix_brings_no_route() {
    let whole = addition(&held("2001:db8::10/64"), 2, &[]);
    assert_eq!(whole.header.flags, AddressHeaderFlags::Nodad);
    let extra = |message: &AddressMessage| {
        message.attributes.iter().any(|attribute| match attribute {
            AddressAttribute::Flags(flags) => flags.contains(AddressFlags::Noprefixroute),
            _ => false,
        })
    };
    assert!(!extra(&whole));
    assert!(extra(&addition(&held("2001:db8::10/128"), 2, &[])));
    for address in ["2001:db8::10/64", "2001:db8::10/128"] {
        let message = addition(&held(address), 2, &[]);
        let preferred = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::CacheInfo(times) => Some((times.ifa_preferred, times.ifa_valid)),
            _ => None,
        });
        assert_eq!(preferred, Some((0, FOREVER)), "{address}");
    }
}
