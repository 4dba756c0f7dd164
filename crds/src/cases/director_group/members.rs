//! Directors by name.

use super::{Row, accept, reject};

const SELECTOR: (&str, &str) = ("spec.nodeSelector", "");
const MEMBERS: &str = "spec.members";
const ADDRESS: &str = "spec.members[0].addresses[0]";

pub(in crate::cases) const ROWS: &[Row] = &[
    accept("one director by name", &[SELECTOR, (MEMBERS, r#"[{"node": "lvs1"}]"#)]),
    accept(
        "directors by name and an empty selector",
        &[
            ("spec.nodeSelector", "{}"),
            (
                MEMBERS,
                r#"[{"node": "lvs1", "addresses": ["10.0.0.1"]}, {"node": "lvs2.example", "addresses": ["10.0.0.2"]}]"#,
            ),
        ],
    ),
    accept(
        "directors with all that can be said of them",
        &[
            SELECTOR,
            (
                MEMBERS,
                r#"[{"node": "lvs1", "addresses": ["10.0.0.1", "2001:db8::1"], "macs": ["02:00:00:00:00:01"]},
                    {"node": "lvs2", "addresses": ["2001:db8::2"], "macs": ["02:00:00:00:00:02", "0A:bC:00:00:00:02"]}]"#,
            ),
        ],
    ),
    accept("no director by name, spelled out", &[(MEMBERS, "[]")]),
    reject(
        "directors by name and by label",
        &[(MEMBERS, r#"[{"node": "lvs1"}]"#)],
        "spec.nodeSelector",
        "members name the directors already",
    ),
    reject(
        "directors by name and by an expression",
        &[
            (MEMBERS, r#"[{"node": "lvs1"}]"#),
            ("spec.nodeSelector", r#"{"matchExpressions": [{"key": "a", "operator": "Exists"}]}"#),
        ],
        "spec.nodeSelector",
        "members name the directors already",
    ),
    reject(
        "a director without a name",
        &[SELECTOR, (MEMBERS, r#"[{"addresses": ["10.0.0.1"]}]"#)],
        "spec.members[0].node",
        "Required value",
    ),
    reject(
        "a director's name that no node can have",
        &[SELECTOR, (MEMBERS, r#"[{"node": "LVS 1"}]"#)],
        "spec.members[0].node",
        "not the name of a node",
    ),
    reject(
        "one director twice",
        &[
            SELECTOR,
            (
                MEMBERS,
                r#"[{"node": "lvs1", "addresses": ["10.0.0.1"]}, {"node": "lvs1", "addresses": ["10.0.0.2"]}]"#,
            ),
        ],
        MEMBERS,
        "one director twice",
    ),
    reject(
        "one of two directors without an address",
        &[
            SELECTOR,
            (MEMBERS, r#"[{"node": "lvs1", "addresses": ["10.0.0.1"]}, {"node": "lvs2"}]"#),
        ],
        MEMBERS,
        "at which the others reach it",
    ),
    reject(
        "a director's address with a prefix length",
        &[SELECTOR, (MEMBERS, r#"[{"node": "lvs1", "addresses": ["10.0.0.1/24"]}]"#)],
        ADDRESS,
        "not an IP address",
    ),
    accept(
        "directors at IPv6 link-local addresses, as VRRP in IPv6 has it",
        &[
            SELECTOR,
            (
                MEMBERS,
                r#"[{"node": "lvs1", "addresses": ["fe80::1"]}, {"node": "lvs2", "addresses": ["fe80::2"]}]"#,
            ),
        ],
    ),
    reject(
        "a director at an IPv4 link-local address",
        &[SELECTOR, (MEMBERS, r#"[{"node": "lvs1", "addresses": ["169.254.0.1"]}]"#)],
        ADDRESS,
        "a link-local one of IPv4",
    ),
    reject(
        "a director at a link-local address with a zone",
        &[SELECTOR, (MEMBERS, r#"[{"node": "lvs1", "addresses": ["fe80::1%eth0"]}]"#)],
        ADDRESS,
        "not an IP address",
    ),
    reject(
        "a link-local address of one of two directors",
        &[
            SELECTOR,
            (
                MEMBERS,
                r#"[{"node": "lvs1", "addresses": ["fe80::1"]}, {"node": "lvs2", "addresses": ["2001:db8::2"]}]"#,
            ),
        ],
        MEMBERS,
        "some directors have a link-local address and some have none",
    ),
    reject(
        "a director at a loopback address",
        &[SELECTOR, (MEMBERS, r#"[{"node": "lvs1", "addresses": ["127.0.0.1"]}]"#)],
        ADDRESS,
        "cannot be a director's",
    ),
    reject(
        "a director at a multicast address",
        &[SELECTOR, (MEMBERS, r#"[{"node": "lvs1", "addresses": ["ff02::12"]}]"#)],
        ADDRESS,
        "cannot be a director's",
    ),
    reject(
        "two directors at one address, spelled differently",
        &[
            SELECTOR,
            (
                MEMBERS,
                r#"[{"node": "lvs1", "addresses": ["2001:db8::1"]}, {"node": "lvs2", "addresses": ["2001:db8:0::1"]}]"#,
            ),
        ],
        MEMBERS,
        "two directors have one address",
    ),
    reject(
        "directors without a common address family",
        &[
            SELECTOR,
            (
                MEMBERS,
                r#"[{"node": "lvs1", "addresses": ["10.0.0.1"]}, {"node": "lvs2", "addresses": ["2001:db8::2"]}]"#,
            ),
        ],
        MEMBERS,
        "no address family that every director has",
    ),
    reject(
        "a MAC address of five bytes",
        &[SELECTOR, (MEMBERS, r#"[{"node": "lvs1", "macs": ["02:00:00:00:01"]}]"#)],
        "spec.members[0].macs[0]",
        "not a MAC address",
    ),
    reject(
        "a MAC address with hyphens",
        &[SELECTOR, (MEMBERS, r#"[{"node": "lvs1", "macs": ["02-00-00-00-00-01"]}]"#)],
        "spec.members[0].macs[0]",
        "not a MAC address",
    ),
];
