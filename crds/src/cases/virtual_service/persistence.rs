//! Persistence, right and wrong.

use super::super::{Row, accept, reject};

const NO_NETMASK: &str = "not a netmask";
const NO_IPV4: &str = "it groups IPv4 clients, but neither addresses nor firewallMark.destinations has anything of IPv4";
const NETMASK: &str = "spec.persistence.ipv4Netmask";
const LENGTH: &str = "spec.persistence.ipv6PrefixLength";
const ENGINE: &str = "spec.persistence.engine";
const DESTINATIONS: &str = "spec.firewallMark.destinations";

pub(in crate::cases) const ROWS: &[Row] = &[
    accept("persistence with its defaults", &[("spec.persistence", "{}")]),
    accept("persistence for a month", &[("spec.persistence.timeoutSeconds", "2678400")]),
    accept("persistence by network", &[(NETMASK, r#""255.255.255.0""#)]),
    accept("persistence by a mask of 25 bits", &[(NETMASK, r#""255.255.255.128""#)]),
    accept("persistence by the widest mask", &[(NETMASK, r#""128.0.0.0""#)]),
    accept("persistence by the narrowest mask", &[(NETMASK, r#""255.255.255.255""#)]),
    accept(
        "persistence by network with a VIP of each family",
        &[("spec.addresses", r#"["2001:db8::10", "192.168.0.10"]"#), (NETMASK, r#""255.255.0.0""#)],
    ),
    reject(
        "persistence for no time",
        &[("spec.persistence.timeoutSeconds", "0")],
        "spec.persistence.timeoutSeconds",
        "should be greater than or equal to 1",
    ),
    reject(
        "persistence for longer than ipvsadm takes",
        &[("spec.persistence.timeoutSeconds", "2678401")],
        "spec.persistence.timeoutSeconds",
        "at most 2678400, which is 31 days",
    ),
    reject(
        "persistence that is a number",
        &[("spec.persistence", "300")],
        "spec.persistence",
        "must be of type object",
    ),
    reject("a netmask with a hole", &[(NETMASK, r#""255.0.255.0""#)], NETMASK, NO_NETMASK),
    reject("a netmask that is none", &[(NETMASK, r#""255.255.255.1""#)], NETMASK, NO_NETMASK),
    reject(
        "a netmask of no bits",
        &[(NETMASK, r#""0.0.0.0""#)],
        NETMASK,
        "it makes all clients one, and all would meet one server",
    ),
    accept(
        "persistence by Call-ID alone",
        &[
            ("spec.ports", r#"[{"port": 5060, "protocol": "UDP"}]"#),
            (ENGINE, r#""sip""#),
            (NETMASK, r#""0.0.0.0""#),
        ],
    ),
    reject("a prefix length as netmask", &[(NETMASK, r#""24""#)], NETMASK, NO_NETMASK),
    reject("an IPv6 netmask", &[(NETMASK, r#""ffff:ffff::""#)], NETMASK, NO_NETMASK),
    reject("a netmask with a tail", &[(NETMASK, r#""255.255.255.0 ""#)], NETMASK, NO_NETMASK),
    reject(
        "a netmask without an IPv4 VIP",
        &[("spec.addresses", r#"["2001:db8::10"]"#), (NETMASK, r#""255.255.255.0""#)],
        NETMASK,
        NO_IPV4,
    ),
    accept(
        "a netmask with an IPv4 destination alone",
        &[
            ("spec.addresses", ""),
            (DESTINATIONS, r#"["::/0", "0.0.0.0/0"]"#),
            (NETMASK, r#""255.0.0.0""#),
        ],
    ),
    reject(
        "a netmask with IPv6 destinations alone",
        &[("spec.addresses", ""), (DESTINATIONS, r#"["::/0"]"#), (NETMASK, r#""255.0.0.0""#)],
        NETMASK,
        NO_IPV4,
    ),
    accept(
        "persistence by IPv6 network",
        &[("spec.addresses", r#"["2001:db8::10"]"#), (LENGTH, "64")],
    ),
    accept(
        "persistence by the widest IPv6 network",
        &[("spec.addresses", r#"["fd00::10"]"#), (LENGTH, "1")],
    ),
    accept(
        "persistence by networks of both families",
        &[
            ("spec.addresses", r#"["192.168.0.10", "2001:db8::10"]"#),
            (NETMASK, r#""255.255.255.0""#),
            (LENGTH, "128"),
        ],
    ),
    accept(
        "a prefix length with an IPv6 destination alone",
        &[("spec.addresses", ""), (DESTINATIONS, r#"["::/0"]"#), (LENGTH, "48")],
    ),
    reject(
        "a prefix length without an IPv6 VIP",
        &[(LENGTH, "64")],
        LENGTH,
        "it groups IPv6 clients, but neither addresses nor firewallMark.destinations has anything of IPv6",
    ),
    reject(
        "a prefix length of no bits",
        &[("spec.addresses", r#"["2001:db8::10"]"#), (LENGTH, "0")],
        LENGTH,
        "should be greater than or equal to 1",
    ),
    reject(
        "a prefix length past the last bit",
        &[("spec.addresses", r#"["2001:db8::10"]"#), (LENGTH, "129")],
        LENGTH,
        "should be less than or equal to 128",
    ),
    accept(
        "persistence by Call-ID",
        &[("spec.ports", r#"[{"port": 5060, "protocol": "UDP"}]"#), (ENGINE, r#""sip""#)],
    ),
    accept(
        "persistence by Call-ID, each datagram for itself, under a mark",
        &[
            ("spec.ports", r#"[{"port": 5060, "protocol": "UDP"}]"#),
            (ENGINE, r#""sip""#),
            ("spec.onePacket", "true"),
            ("spec.firewallMark", "{}"),
        ],
    ),
    reject(
        "persistence by Call-ID over TCP",
        &[("spec.ports[0].port", "5060"), (ENGINE, r#""sip""#)],
        ENGINE,
        "the engine sip reads Call-IDs in UDP only",
    ),
    reject(
        "an engine that nobody knows",
        &[("spec.ports[0].protocol", r#""UDP""#), (ENGINE, r#""cookie""#)],
        ENGINE,
        r#"supported values: "sip""#,
    ),
];
