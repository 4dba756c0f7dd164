//! Forwarding, right and wrong.

use super::super::{Row, accept, reject};

const NOT_BY_DR: &str = "DR cannot translate ports; leave targetPort out, or set forwarding: NAT";
const NOT_UNDER_A_MARK: &str = "a service by firewallMark cannot translate ports";

pub(in crate::cases) const ROWS: &[Row] = &[
    accept("NAT", &[("spec.forwarding", r#""NAT""#)]),
    accept(
        "a port translated by NAT",
        &[("spec.forwarding", r#""NAT""#), ("spec.ports[0].targetPort", "8080")],
    ),
    accept("the service's own port as targetPort with DR", &[("spec.ports[0].targetPort", "80")]),
    reject(
        "a port translated by DR",
        &[("spec.ports[0].targetPort", "8080")],
        "spec.ports",
        NOT_BY_DR,
    ),
    reject(
        "a port translated by DR, spelled out",
        &[("spec.forwarding", r#""DR""#), ("spec.ports[0].targetPort", "8080")],
        "spec.ports",
        NOT_BY_DR,
    ),
    reject(
        "targetPort 0",
        &[("spec.forwarding", r#""NAT""#), ("spec.ports[0].targetPort", "0")],
        "spec.ports[0].targetPort",
        "should be greater than or equal to 1",
    ),
    reject(
        "a forwarding of ipvsadm's name",
        &[("spec.forwarding", r#""masquerading""#)],
        "spec.forwarding",
        r#"supported values: "NAT", "DR""#,
    ),
    accept("TUN", &[("spec.forwarding", r#""TUN""#)]),
    accept(
        "the service's own port as targetPort with TUN",
        &[("spec.forwarding", r#""TUN""#), ("spec.ports[0].targetPort", "80")],
    ),
    reject(
        "a port translated by TUN",
        &[("spec.forwarding", r#""TUN""#), ("spec.ports[0].targetPort", "8080")],
        "spec.ports",
        "TUN cannot translate ports; leave targetPort out, or set forwarding: NAT",
    ),
    reject(
        "a port translated under a mark",
        &[
            ("spec.forwarding", r#""NAT""#),
            ("spec.ports[0].targetPort", "8080"),
            ("spec.firewallMark", "{}"),
        ],
        "spec.ports",
        NOT_UNDER_A_MARK,
    ),
    reject(
        "a port translated by DR under a mark",
        &[("spec.ports[0].targetPort", "8080"), ("spec.firewallMark", "{}")],
        "spec.ports",
        NOT_UNDER_A_MARK,
    ),
    accept("replies through the director", &[("spec.forwarding", r#""NAT""#), ("spec.nat", "{}")]),
    accept(
        "the client's address masqueraded",
        &[("spec.forwarding", r#""NAT""#), ("spec.nat.masquerade", "true")],
    ),
    accept(
        "masquerading for those real servers that are reached by NAT",
        &[("spec.nat.masquerade", "true")],
    ),
    reject(
        "masquerading as a word",
        &[("spec.nat.masquerade", r#""yes""#)],
        "spec.nat.masquerade",
        "must be of type boolean",
    ),
];
