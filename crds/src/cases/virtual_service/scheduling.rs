//! Schedulers, their flags, and single packets, right and wrong.

use super::super::{Row, accept, reject};

const ONE_PACKET: (&str, &str) = ("spec.onePacket", "true");
const NOT_UDP: &str = "IPVS balances single packets of UDP only";

pub(in crate::cases) const ROWS: &[Row] = &[
    accept("the scheduler wrr", &[("spec.scheduler", r#""wrr""#)]),
    accept("null for the scheduler", &[("spec.scheduler", "null")]),
    accept("the youngest scheduler", &[("spec.scheduler", r#""twos""#)]),
    accept(
        "flags of sh",
        &[("spec.scheduler", r#""sh""#), ("spec.schedulerFlags", r#"["shFallback", "shPort"]"#)],
    ),
    accept(
        "flags of mh",
        &[("spec.scheduler", r#""mh""#), ("spec.schedulerFlags", r#"["mhPort"]"#)],
    ),
    accept("no flags, spelled out", &[("spec.schedulerFlags", "[]")]),
    reject(
        "a scheduler that nobody knows",
        &[("spec.scheduler", r#""random""#)],
        "spec.scheduler",
        r#"supported values: "rr", "wrr", "lc", "wlc""#,
    ),
    reject(
        "an empty scheduler",
        &[("spec.scheduler", r#""""#)],
        "spec.scheduler",
        "supported values",
    ),
    reject(
        "a scheduler in capitals",
        &[("spec.scheduler", r#""WLC""#)],
        "spec.scheduler",
        "supported values",
    ),
    reject(
        "a flag of sh with the default scheduler",
        &[("spec.schedulerFlags", r#"["shPort"]"#)],
        "spec.schedulerFlags",
        "options of the scheduler sh",
    ),
    reject(
        "a flag of mh with sh",
        &[("spec.scheduler", r#""sh""#), ("spec.schedulerFlags", r#"["shPort", "mhPort"]"#)],
        "spec.schedulerFlags",
        "options of the scheduler mh",
    ),
    reject(
        "one flag twice",
        &[("spec.scheduler", r#""sh""#), ("spec.schedulerFlags", r#"["shPort", "shPort"]"#)],
        "spec.schedulerFlags[1]",
        "Duplicate value",
    ),
    reject(
        "a flag of ipvsadm's spelling",
        &[("spec.scheduler", r#""sh""#), ("spec.schedulerFlags", r#"["sh-port"]"#)],
        "spec.schedulerFlags[0]",
        "supported values",
    ),
    // Single packets.
    accept("single packets of UDP", &[("spec.ports[0].protocol", r#""UDP""#), ONE_PACKET]),
    accept(
        "single packets by TUN",
        &[("spec.ports[0].protocol", r#""UDP""#), ONE_PACKET, ("spec.forwarding", r#""TUN""#)],
    ),
    accept(
        "single packets with persistence",
        &[("spec.ports[0].protocol", r#""UDP""#), ONE_PACKET, ("spec.persistence", "{}")],
    ),
    accept("no single packets, spelled out", &[("spec.onePacket", "false")]),
    accept(
        "no single packets with NAT",
        &[("spec.onePacket", "false"), ("spec.forwarding", r#""NAT""#)],
    ),
    reject("single packets of TCP", &[ONE_PACKET], "spec.onePacket", NOT_UDP),
    reject(
        "single packets of SCTP",
        &[("spec.ports[0].protocol", r#""SCTP""#), ONE_PACKET],
        "spec.onePacket",
        NOT_UDP,
    ),
    reject(
        "single packets of UDP and TCP",
        &[
            (
                "spec.ports",
                r#"[{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "tcp", "port": 53}]"#,
            ),
            ONE_PACKET,
        ],
        "spec.onePacket",
        NOT_UDP,
    ),
    reject(
        "single packets by NAT",
        &[("spec.ports[0].protocol", r#""UDP""#), ONE_PACKET, ("spec.forwarding", r#""NAT""#)],
        "spec.onePacket",
        "replies would leave with the real server's address",
    ),
];
