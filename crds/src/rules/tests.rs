//! The twins' readings of addresses and names, where an edge case is easily lost.

use super::names::{is_dns_label, is_dns_subdomain, is_interface, is_label_key, is_label_value};
use super::net::{cidr, ip, is_global_unicast, is_netmask};
use std::net::Ipv4Addr;

#[test]
fn every_contiguous_mask_is_a_netmask_and_nothing_else() {
    for bits in 1..=32 {
        assert!(is_netmask(&Ipv4Addr::from_bits(u32::MAX << (32 - bits)).to_string()), "{bits}");
    }
    assert!(is_netmask("0.0.0.0"));
    for text in ["255.255.255.253", "0.255.255.255", "255.0.255.0", "1.0.0.0", "::"] {
        assert!(!is_netmask(text), "{text}");
    }
}

#[test]
fn a_network_has_no_bits_beyond_its_prefix() {
    for text in ["0.0.0.0/0", "10.0.0.1/32", "10.0.0.0/31", "::/0", "::1/128", "2001:db8::/32"] {
        assert!(cidr(text).unwrap().is_network(), "{text}");
    }
    for text in ["10.0.0.0/0", "10.0.0.1/31", "1::/0", "::1/127", "2001:db8::1/32"] {
        assert!(!cidr(text).unwrap().is_network(), "{text}");
    }
}

#[test]
fn a_cidr_is_an_address_a_slash_and_a_plain_number() {
    for text in
        ["", "/", "10.0.0.0", "10.0.0.0/", "/8", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/33"]
    {
        assert_eq!(cidr(text), None, "{text}");
    }
    for text in ["::/129", "10.0.0.0/8/8", "10.0.0.0/ 8", "::ffff:10.0.0.0/104", "::/256", "10/8"] {
        assert_eq!(cidr(text), None, "{text}");
    }
    assert!(cidr("::/128").is_some() && cidr("10.0.0.0/0").is_some());
}

#[test]
fn addresses_are_unicast_or_not() {
    let unicast = |text: &str| is_global_unicast(ip(text).unwrap());
    for text in ["10.0.0.1", "192.168.0.10", "240.0.0.1", "0.0.0.1", "fd00::1", "::2", "fec0::1"] {
        assert!(unicast(text), "{text}");
    }
    for text in ["0.0.0.0", "127.255.0.1", "169.254.9.9", "224.0.0.1", "255.255.255.255"] {
        assert!(!unicast(text), "{text}");
    }
    for text in ["::", "::1", "fe80::1", "febf::1", "ff02::1"] {
        assert!(!unicast(text), "{text}");
    }
}

#[test]
fn names_have_their_lengths_and_ends() {
    let long = |length| "a".repeat(length);
    assert!(is_dns_label(&long(63)) && !is_dns_label(&long(64)));
    assert!(is_dns_label("0-a") && !is_dns_label("-a") && !is_dns_label("a-") && !is_dns_label(""));
    assert!(is_dns_subdomain(&long(253)) && !is_dns_subdomain(&long(254)));
    assert!(is_dns_subdomain("a.b") && !is_dns_subdomain("a..b") && !is_dns_subdomain(".a"));
    assert!(is_label_value("") && is_label_value("A_b.c-D") && !is_label_value("_a"));
    assert!(is_label_value(&long(63)) && !is_label_value(&long(64)));
    assert!(
        is_label_key("a.b/C_d") && !is_label_key("") && !is_label_key("a/") && !is_label_key("/a")
    );
    assert!(!is_label_key("a/b/c") && !is_label_key("a b"));
}

#[test]
fn an_interface_is_what_the_kernel_takes() {
    for name in ["eth0", "bond0.100", "veth@if3", "a", "...", "e12345678901234"] {
        assert!(is_interface(name), "{name}");
    }
    for name in
        ["", ".", "..", "a/b", "eth0:1", "a b", "a\t", "\u{a0}", "e123456789012345", "br\u{fc}cke"]
    {
        assert!(!is_interface(name), "{name:?}");
    }
}
