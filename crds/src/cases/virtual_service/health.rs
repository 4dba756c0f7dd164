//! Health checks of services that have no port of their own.

use super::super::{Row, accept, reject};

const CHECK: &str = "spec.healthCheck";
const NO_PORT: &str = "has no port of its own to ask";

pub(in crate::cases) const ROWS: &[Row] = &[
    accept(
        "a mark with a check of a port",
        &[("spec.firewallMark", "{}"), (CHECK, r#"{"tcp": {"port": 80}, "icmp": {}}"#)],
    ),
    accept("a mark with a ping", &[("spec.firewallMark", "{}"), (CHECK, r#"{"icmp": {}}"#)]),
    reject(
        "a mark with a check of no port",
        &[("spec.firewallMark", "{}"), (CHECK, r#"{"tcp": {"port": 80}, "http": {}}"#)],
        CHECK,
        NO_PORT,
    ),
    reject(
        "all ports with a check of none",
        &[
            ("spec.ports", r#"[{"port": 0}]"#),
            ("spec.persistence", "{}"),
            (CHECK, r#"{"tcp": {}}"#),
        ],
        CHECK,
        NO_PORT,
    ),
];
