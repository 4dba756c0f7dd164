//! VIPs, right and wrong.

use super::super::{Row, accept, reject};

const ADDRESSES: &str = "spec.addresses";
const FIRST: &str = "spec.addresses[0]";
const NO_ADDRESS: &str = "no VIP; give at least one, such as 192.168.0.10";
const NO_IP: &str = "not an IP address";
const NO_VIP: &str = "cannot be a VIP";
const SIXTEEN: &str = concat!(
    r#"["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.9", "#,
    r#""10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14", "10.0.0.15", "10.0.0.16"]"#,
);
const SEVENTEEN: &str = concat!(
    r#"["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.9", "#,
    r#""10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14", "10.0.0.15", "10.0.0.16", "10.0.0.17"]"#,
);

pub(in crate::cases) const ROWS: &[Row] = &[
    accept("an IPv6 VIP", &[("spec.addresses", r#"["2001:db8::10"]"#)]),
    accept("an IPv6 VIP in capitals", &[("spec.addresses", r#"["2001:DB8::10"]"#)]),
    accept("one VIP of each family", &[("spec.addresses", r#"["192.168.0.10", "2001:db8::10"]"#)]),
    accept("a private IPv6 VIP", &[("spec.addresses", r#"["fd00::10"]"#)]),
    reject("no VIP", &[("spec.addresses", "[]")], ADDRESSES, NO_ADDRESS),
    reject("addresses left out", &[("spec.addresses", "")], ADDRESSES, NO_ADDRESS),
    reject("addresses null", &[("spec.addresses", "null")], ADDRESSES, NO_ADDRESS),
    reject(
        "no VIP but a mark",
        &[("spec.addresses", "[]"), ("spec.firewallMark", "{}")],
        ADDRESSES,
        NO_ADDRESS,
    ),
    reject(
        "no VIP and no destination",
        &[("spec.addresses", ""), ("spec.firewallMark.destinations", "[]")],
        ADDRESSES,
        NO_ADDRESS,
    ),
    reject(
        "one address, no list",
        &[("spec.addresses", r#""192.168.0.10""#)],
        "spec.addresses",
        "must be of type array",
    ),
    reject("a VIP that is a word", &[("spec.addresses", r#"["web"]"#)], FIRST, NO_IP),
    reject("an empty VIP", &[("spec.addresses", r#"[""]"#)], FIRST, NO_IP),
    reject("a VIP out of range", &[("spec.addresses", r#"["192.168.0.256"]"#)], FIRST, NO_IP),
    reject("a VIP with a prefix", &[("spec.addresses", r#"["192.168.0.10/24"]"#)], FIRST, NO_IP),
    reject("a VIP with a port", &[("spec.addresses", r#"["192.168.0.10:80"]"#)], FIRST, NO_IP),
    reject("a VIP with a zero", &[("spec.addresses", r#"["192.168.0.010"]"#)], FIRST, NO_IP),
    reject("a VIP with a zone", &[("spec.addresses", r#"["2001:db8::1%eth0"]"#)], FIRST, NO_IP),
    reject("a mapped VIP", &[("spec.addresses", r#"["::ffff:192.168.0.10"]"#)], FIRST, NO_IP),
    reject("a number as VIP", &[("spec.addresses", "[10]")], FIRST, "must be of type string"),
    reject("the unspecified address", &[("spec.addresses", r#"["0.0.0.0"]"#)], FIRST, NO_VIP),
    reject("the unspecified IPv6 address", &[("spec.addresses", r#"["::"]"#)], FIRST, NO_VIP),
    reject("a loopback VIP", &[("spec.addresses", r#"["127.0.0.1"]"#)], FIRST, NO_VIP),
    reject("a loopback IPv6 VIP", &[("spec.addresses", r#"["::1"]"#)], FIRST, NO_VIP),
    reject("a link-local VIP", &[("spec.addresses", r#"["169.254.0.10"]"#)], FIRST, NO_VIP),
    reject("a link-local IPv6 VIP", &[("spec.addresses", r#"["fe80::10"]"#)], FIRST, NO_VIP),
    reject("a multicast VIP", &[("spec.addresses", r#"["224.0.0.81"]"#)], FIRST, NO_VIP),
    reject("a multicast IPv6 VIP", &[("spec.addresses", r#"["ff02::1"]"#)], FIRST, NO_VIP),
    reject("the broadcast address", &[("spec.addresses", r#"["255.255.255.255"]"#)], FIRST, NO_VIP),
    reject(
        "the second VIP is wrong",
        &[("spec.addresses", r#"["192.168.0.10", "::1"]"#)],
        "spec.addresses[1]",
        NO_VIP,
    ),
    reject(
        "one VIP twice",
        &[("spec.addresses", r#"["192.168.0.10", "192.168.0.10"]"#)],
        ADDRESSES,
        "two of one family",
    ),
    reject(
        "one IPv6 VIP written in two ways",
        &[("spec.addresses", r#"["2001:db8::10", "2001:db8:0::10"]"#)],
        ADDRESSES,
        "two of one family",
    ),
    reject(
        "three VIPs",
        &[("spec.addresses", r#"["192.168.0.10", "192.168.0.11", "2001:db8::10"]"#)],
        ADDRESSES,
        "or set firewallMark to make one service of several VIPs",
    ),
    accept(
        "three VIPs under one mark",
        &[
            ("spec.addresses", r#"["192.168.0.10", "192.168.0.11", "2001:db8::10"]"#),
            ("spec.firewallMark", "{}"),
        ],
    ),
    accept(
        "sixteen VIPs under one mark",
        &[("spec.addresses", SIXTEEN), ("spec.firewallMark", "{}")],
    ),
    reject(
        "seventeen VIPs",
        &[("spec.addresses", SEVENTEEN), ("spec.firewallMark", "{}")],
        ADDRESSES,
        "must have at most 16 items",
    ),
    reject(
        "one VIP twice under one mark",
        &[
            ("spec.addresses", r#"["2001:db8::10", "192.168.0.10", "2001:db8:0::10"]"#),
            ("spec.firewallMark", "{}"),
        ],
        ADDRESSES,
        "one VIP twice",
    ),
];
