//! How directors take over from each other.

use super::{Row, accept, reject};

const INTERVAL: &str = "spec.failover.advertisementIntervalMilliseconds";
const NO_INTERVAL: &str = "give 10 to 40950 milliseconds, in steps of 10";
const IDS: &str = "spec.failover.virtualRouterIDs";
const THREE: &str = r#"[{"node": "lvs1", "addresses": ["10.0.0.1"]}, {"node": "lvs2", "addresses": ["10.0.0.2"]},
    {"node": "lvs3", "addresses": ["10.0.0.3"]}]"#;
const NO_INTERFACE: &str = "not the name of a network interface";
const NO_GROUP: &str = "not a multicast address";

pub(in crate::cases) const ROWS: &[Row] = &[
    accept("no failover setting, spelled out", &[("spec.failover", "{}")]),
    accept(
        "all failover settings",
        &[(
            "spec.failover",
            r#"{"profile": "Fast", "advertisementIntervalMilliseconds": 1000, "preempt": true,
                "preemptDelaySeconds": 60, "dropUnknownReplies": true, "transport": "Multicast", "interface": "eth1",
                "virtualRouterIDs": {"first": 100, "last": 199}}"#,
        )],
    ),
    accept("the shortest interval", &[(INTERVAL, "10")]),
    accept("the longest interval", &[(INTERVAL, "40950")]),
    reject("an interval of 0", &[(INTERVAL, "0")], INTERVAL, NO_INTERVAL),
    reject("an interval beyond 12 bits", &[(INTERVAL, "40960")], INTERVAL, NO_INTERVAL),
    reject("an interval of 41 s", &[(INTERVAL, "41000")], INTERVAL, NO_INTERVAL),
    reject("an interval between two hundredths", &[(INTERVAL, "95")], INTERVAL, NO_INTERVAL),
    reject(
        "a profile that there is not",
        &[("spec.failover.profile", r#""Slow""#)],
        "spec.failover.profile",
        "Unsupported value",
    ),
    accept("no preemption", &[("spec.failover.preempt", "false")]),
    reject(
        "a delay of a preemption that does not happen",
        &[("spec.failover", r#"{"preempt": false, "preemptDelaySeconds": 5}"#)],
        "spec.failover.preemptDelaySeconds",
        "of no effect with preempt: false",
    ),
    reject(
        "unknown replies by another word",
        &[("spec.failover.dropUnknownReplies", r#""Drop""#)],
        "spec.failover.dropUnknownReplies",
        "must be of type boolean",
    ),
    reject(
        "advertisements on an interface with a space",
        &[("spec.failover.interface", r#""eth 1""#)],
        "spec.failover.interface",
        NO_INTERFACE,
    ),
    accept("three virtual router ids", &[(IDS, r#"{"first": 253, "last": 255}"#)]),
    reject(
        "virtual router ids in the wrong order",
        &[(IDS, r#"{"first": 9, "last": 1}"#)],
        IDS,
        "first is greater than last",
    ),
    reject(
        "two virtual router ids",
        &[(IDS, r#"{"first": 10, "last": 11}"#)],
        IDS,
        "which is 3 for two directors",
    ),
    reject(
        "virtual router id 256",
        &[(IDS, r#"{"first": 1, "last": 256}"#)],
        "spec.failover.virtualRouterIDs.last",
        "should be less than or equal to 255",
    ),
    accept(
        "seven virtual router ids for three directors by name",
        &[
            ("spec.nodeSelector", ""),
            ("spec.members", THREE),
            (IDS, r#"{"first": 10, "last": 16}"#),
        ],
    ),
    reject(
        "six virtual router ids for three directors by name",
        &[
            ("spec.nodeSelector", ""),
            ("spec.members", THREE),
            (IDS, r#"{"first": 10, "last": 15}"#),
        ],
        IDS,
        "too few for so many members",
    ),
    // Connection sync.
    accept("no setting of connection sync, spelled out", &[("spec.connectionSync", "{}")]),
    accept(
        "all settings of connection sync",
        &[(
            "spec.connectionSync",
            r#"{"enabled": true, "interface": "eth1", "syncID": 255, "multicastGroup": "ff05::81", "port": 8849,
                "ttl": 2, "maxLength": 1400}"#,
        )],
    ),
    accept(
        "connection sync off, its settings kept",
        &[("spec.connectionSync", r#"{"enabled": false, "interface": "eth1"}"#)],
    ),
    accept(
        "another multicast group",
        &[("spec.connectionSync.multicastGroup", r#""239.255.0.81""#)],
    ),
    reject(
        "a unicast address as multicast group",
        &[("spec.connectionSync.multicastGroup", r#""10.0.0.81""#)],
        "spec.connectionSync.multicastGroup",
        NO_GROUP,
    ),
    reject(
        "a name as multicast group",
        &[("spec.connectionSync.multicastGroup", r#""all""#)],
        "spec.connectionSync.multicastGroup",
        NO_GROUP,
    ),
    reject(
        "connection sync over an interface with a slash",
        &[("spec.connectionSync.interface", r#""eth/1""#)],
        "spec.connectionSync.interface",
        NO_INTERFACE,
    ),
    reject(
        "sync id 0",
        &[("spec.connectionSync.syncID", "0")],
        "spec.connectionSync.syncID",
        "should be greater than or equal to 1",
    ),
    reject(
        "a sync packet too short",
        &[("spec.connectionSync.maxLength", "500")],
        "spec.connectionSync.maxLength",
        "should be greater than or equal to 576",
    ),
];
