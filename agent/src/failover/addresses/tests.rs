use super::message::{FOREVER, is_finite, landscape, limited};
use super::*;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::address::AddressScope;

fn held(address: &str) -> HeldAddress {
    HeldAddress { interface: "eth0".to_owned(), address: address.parse().unwrap() }
}

fn times(message: &AddressMessage) -> Option<(u32, u32)> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::CacheInfo(times) => Some((times.ifa_preferred, times.ifa_valid)),
        _ => None,
    })
}

#[test]
fn a_lifetime_is_in_whole_seconds_and_never_makes_a_vip_a_source() {
    let limited = |address: &str, lifetime| {
        let message = limited(address::addition(&held(address), 2, &[]), lifetime);
        (times(&message), is_finite(&message))
    };
    let three = Some(Duration::from_millis(3900));
    assert_eq!(limited("10.0.0.10/24", three), (Some((3, 3)), true));
    assert_eq!(limited("10.0.0.10/24", None), (Some((FOREVER, FOREVER)), false));
    assert_eq!(limited("fd00::10/128", three), (Some((0, 3)), true));
    assert_eq!(limited("fd00::10/128", None), (Some((0, FOREVER)), false));
    assert_eq!(limited("fd00::10/64", three), (Some((0, 3)), true));
    // 0 would be refused.
    assert_eq!(limited("10.0.0.10/24", Some(Duration::ZERO)), (Some((1, 1)), true));
}

#[test]
fn the_landscape_is_small_and_gives_each_address_the_scope_that_all_give() {
    let message = |index: u32, address: &str, scope, secondary| {
        let mut message = address::removal(&held(address), index);
        message.header.scope = scope;
        if secondary {
            message.header.flags = AddressHeaderFlags::Secondary;
        }
        message
    };
    let (global, host) = (AddressScope::Universe, AddressScope::Host);
    let mut all = vec![
        message(2, "10.0.0.1/24", global, false),
        message(3, "10.9.0.1/32", host, false),
        message(4, "192.168.0.10/24", host, false),
        message(2, "fd00::1/64", global, false),
    ];
    all.extend((10..200).map(|n| message(2, &format!("10.0.0.{n}/24"), global, true)));
    all.extend((10..200).map(|n| message(3, &format!("10.9.0.{n}/32"), host, false)));
    let few = landscape(all.clone());
    assert_eq!(few.len(), 3, "{few:#?}");
    for index in 2..6 {
        for address in ["10.0.0.250/24", "10.0.0.250/32", "10.9.0.250/32", "192.168.0.250/24"] {
            let scope = |standing: &[AddressMessage]| {
                address::addition(&held(address), index, standing).header.scope
            };
            assert_eq!(scope(&few), scope(&all), "{address} on {index}");
        }
    }
}
