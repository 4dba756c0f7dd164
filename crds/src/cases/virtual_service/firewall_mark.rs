//! Firewall marks, right and wrong.

use super::super::{Row, accept, reject};

const MARK: &str = "spec.firewallMark.mark";
const RULES: &str = "spec.firewallMark.rules";
const DESTINATIONS: &str = "spec.firewallMark.destinations";

pub(in crate::cases) const ROWS: &[Row] = &[
    accept("a mark of our choice", &[("spec.firewallMark", "{}")]),
    accept("a mark", &[(MARK, "80")]),
    accept("the highest mark", &[(MARK, "4294967295")]),
    accept(
        "HTTP and HTTPS as one",
        &[
            ("spec.ports", r#"[{"name": "http", "port": 80}, {"name": "https", "port": 443}]"#),
            ("spec.firewallMark", "{}"),
            ("spec.persistence", "{}"),
        ],
    ),
    accept("a mark by NAT", &[("spec.firewallMark", "{}"), ("spec.forwarding", r#""NAT""#)]),
    accept("a mark that somebody else sets", &[(MARK, "80"), (RULES, r#""External""#)]),
    reject("mark 0", &[(MARK, "0")], MARK, "should be greater than or equal to 1"),
    reject("a negative mark", &[(MARK, "-1")], MARK, "should be greater than or equal to 1"),
    reject("a mark of 33 bits", &[(MARK, "4294967296")], MARK, "at most 4294967295"),
    reject("a mark in hexadecimal", &[(MARK, r#""0x50""#)], MARK, "must be of type integer"),
    reject(
        "a mark alone",
        &[("spec.firewallMark", "80")],
        "spec.firewallMark",
        "must be of type object",
    ),
    reject(
        "an unknown mark that somebody else sets",
        &[(RULES, r#""External""#)],
        MARK,
        "give the mark, such as 80, or leave rules out",
    ),
    reject("rules in lower case", &[(RULES, r#""managed""#)], RULES, "supported values"),
    // Destinations.
    accept("a transparent cache", &[("spec.addresses", ""), (DESTINATIONS, r#"["0.0.0.0/0"]"#)]),
    accept(
        "destinations beside a VIP",
        &[(DESTINATIONS, r#"["198.51.100.0/24", "2001:db8::/32"]"#)],
    ),
    accept("one host as destination", &[(DESTINATIONS, r#"["198.51.100.7/32"]"#)]),
    accept(
        "destinations that somebody else marks",
        &[
            ("spec.addresses", "[]"),
            (DESTINATIONS, r#"["0.0.0.0/0", "::/0"]"#),
            (MARK, "80"),
            (RULES, r#""External""#),
        ],
    ),
    reject(
        "an address as destination",
        &[(DESTINATIONS, r#"["198.51.100.7"]"#)],
        "spec.firewallMark.destinations[0]",
        "not a network",
    ),
    reject(
        "a word as destination",
        &[(DESTINATIONS, r#"["0.0.0.0/0", "any"]"#)],
        "spec.firewallMark.destinations[1]",
        "not a network",
    ),
    reject(
        "a destination by one of its addresses",
        &[(DESTINATIONS, r#"["198.51.100.7/24"]"#)],
        "spec.firewallMark.destinations[0]",
        "bits are set beyond the prefix length",
    ),
    accept(
        "destinations with all but the last port",
        &[
            (DESTINATIONS, r#"["0.0.0.0/0"]"#),
            ("spec.ports", r#"[{"port": 1024, "endPort": 65534}]"#),
        ],
    ),
    reject(
        "destinations with a range to the last port",
        &[
            (DESTINATIONS, r#"["0.0.0.0/0"]"#),
            ("spec.ports", r#"[{"port": 1024, "endPort": 65535}]"#),
        ],
        "spec.ports",
        "end at 65534",
    ),
    reject(
        "an unknown field of a mark",
        &[("spec.firewallMark.mask", "255")],
        "spec.firewallMark.mask",
        "unknown field",
    ),
];
