//! Ports, right and wrong.

use super::super::{Row, accept, reject};

const NO_PORT_NAME: &str = "not a port name";
const KEPT: &str = "0 stands for all ports, each kept as it is";
const COMMON: &str = "two entries of one protocol have a port in common";

/// As many as the schema allows.
const PORTS_64: &str = concat!(
    r#"[{"name": "p1000", "port": 1000, "protocol": "UDP"}, {"name": "p1001", "port": 1001, "protocol": "UDP"}, {"name": "p1002", "port": 1002, "protocol": "UDP"}, {"name": "p1003", "port": 1003, "protocol": "UDP"},"#,
    r#" {"name": "p1004", "port": 1004, "protocol": "UDP"}, {"name": "p1005", "port": 1005, "protocol": "UDP"}, {"name": "p1006", "port": 1006, "protocol": "UDP"}, {"name": "p1007", "port": 1007, "protocol": "UDP"},"#,
    r#" {"name": "p1008", "port": 1008, "protocol": "UDP"}, {"name": "p1009", "port": 1009, "protocol": "UDP"}, {"name": "p1010", "port": 1010, "protocol": "UDP"}, {"name": "p1011", "port": 1011, "protocol": "UDP"},"#,
    r#" {"name": "p1012", "port": 1012, "protocol": "UDP"}, {"name": "p1013", "port": 1013, "protocol": "UDP"}, {"name": "p1014", "port": 1014, "protocol": "UDP"}, {"name": "p1015", "port": 1015, "protocol": "UDP"},"#,
    r#" {"name": "p1016", "port": 1016, "protocol": "UDP"}, {"name": "p1017", "port": 1017, "protocol": "UDP"}, {"name": "p1018", "port": 1018, "protocol": "UDP"}, {"name": "p1019", "port": 1019, "protocol": "UDP"},"#,
    r#" {"name": "p1020", "port": 1020, "protocol": "UDP"}, {"name": "p1021", "port": 1021, "protocol": "UDP"}, {"name": "p1022", "port": 1022, "protocol": "UDP"}, {"name": "p1023", "port": 1023, "protocol": "UDP"},"#,
    r#" {"name": "p1024", "port": 1024, "protocol": "UDP"}, {"name": "p1025", "port": 1025, "protocol": "UDP"}, {"name": "p1026", "port": 1026, "protocol": "UDP"}, {"name": "p1027", "port": 1027, "protocol": "UDP"},"#,
    r#" {"name": "p1028", "port": 1028, "protocol": "UDP"}, {"name": "p1029", "port": 1029, "protocol": "UDP"}, {"name": "p1030", "port": 1030, "protocol": "UDP"}, {"name": "p1031", "port": 1031, "protocol": "UDP"},"#,
    r#" {"name": "p1032", "port": 1032, "protocol": "UDP"}, {"name": "p1033", "port": 1033, "protocol": "UDP"}, {"name": "p1034", "port": 1034, "protocol": "UDP"}, {"name": "p1035", "port": 1035, "protocol": "UDP"},"#,
    r#" {"name": "p1036", "port": 1036, "protocol": "UDP"}, {"name": "p1037", "port": 1037, "protocol": "UDP"}, {"name": "p1038", "port": 1038, "protocol": "UDP"}, {"name": "p1039", "port": 1039, "protocol": "UDP"},"#,
    r#" {"name": "p1040", "port": 1040, "protocol": "UDP"}, {"name": "p1041", "port": 1041, "protocol": "UDP"}, {"name": "p1042", "port": 1042, "protocol": "UDP"}, {"name": "p1043", "port": 1043, "protocol": "UDP"},"#,
    r#" {"name": "p1044", "port": 1044, "protocol": "UDP"}, {"name": "p1045", "port": 1045, "protocol": "UDP"}, {"name": "p1046", "port": 1046, "protocol": "UDP"}, {"name": "p1047", "port": 1047, "protocol": "UDP"},"#,
    r#" {"name": "p1048", "port": 1048, "protocol": "UDP"}, {"name": "p1049", "port": 1049, "protocol": "UDP"}, {"name": "p1050", "port": 1050, "protocol": "UDP"}, {"name": "p1051", "port": 1051, "protocol": "UDP"},"#,
    r#" {"name": "p1052", "port": 1052, "protocol": "UDP"}, {"name": "p1053", "port": 1053, "protocol": "UDP"}, {"name": "p1054", "port": 1054, "protocol": "UDP"}, {"name": "p1055", "port": 1055, "protocol": "UDP"},"#,
    r#" {"name": "p1056", "port": 1056, "protocol": "UDP"}, {"name": "p1057", "port": 1057, "protocol": "UDP"}, {"name": "p1058", "port": 1058, "protocol": "UDP"}, {"name": "p1059", "port": 1059, "protocol": "UDP"},"#,
    r#" {"name": "p1060", "port": 1060, "protocol": "UDP"}, {"name": "p1061", "port": 1061, "protocol": "UDP"}, {"name": "p1062", "port": 1062, "protocol": "UDP"}, {"name": "p1063", "port": 1063, "protocol": "UDP"}]"#,
);

pub(in crate::cases) const ROWS: &[Row] = &[
    accept(
        "two named ports",
        &[("spec.ports", r#"[{"name": "http", "port": 80}, {"name": "https", "port": 443}]"#)],
    ),
    accept(
        "one port over TCP and UDP",
        &[(
            "spec.ports",
            r#"[{"name": "dns", "port": 53}, {"name": "dns-udp", "port": 53, "protocol": "UDP"}]"#,
        )],
    ),
    accept("an SCTP port", &[("spec.ports[0].protocol", r#""SCTP""#)]),
    accept("the highest port", &[("spec.ports[0].port", "65535")]),
    accept(
        "a port name of 63 characters",
        &[(
            "spec.ports[0].name",
            r#""a23456789012345678901234567890123456789012345678901234567890123""#,
        )],
    ),
    reject("no port", &[("spec.ports", "[]")], "spec.ports", "should have at least 1 items"),
    reject("ports left out", &[("spec.ports", "")], "spec.ports", "Required value"),
    reject(
        "a port without a number",
        &[("spec.ports", "[{}]")],
        "spec.ports[0].port",
        "Required value",
    ),
    reject(
        "a number, no port",
        &[("spec.ports", "[80]")],
        "spec.ports[0]",
        "must be of type object",
    ),
    reject(
        "a negative port",
        &[("spec.ports[0].port", "-1")],
        "spec.ports[0].port",
        "should be greater than or equal to 0",
    ),
    reject(
        "port 65536",
        &[("spec.ports[0].port", "65536")],
        "spec.ports[0].port",
        "should be less than or equal to 65535",
    ),
    reject(
        "a port in quotes",
        &[("spec.ports[0].port", r#""80""#)],
        "spec.ports[0].port",
        "must be of type integer",
    ),
    reject(
        "half a port",
        &[("spec.ports[0].port", "80.5")],
        "spec.ports[0].port",
        "must be of type integer",
    ),
    reject(
        "a protocol in lower case",
        &[("spec.ports[0].protocol", r#""tcp""#)],
        "spec.ports[0].protocol",
        r#"supported values: "TCP", "UDP", "SCTP""#,
    ),
    reject(
        "one port twice",
        &[("spec.ports", r#"[{"name": "a", "port": 80}, {"name": "b", "port": 80}]"#)],
        "spec.ports[1]",
        "Duplicate value",
    ),
    reject(
        "one port twice, its protocol written once",
        &[(
            "spec.ports",
            r#"[{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "TCP"}]"#,
        )],
        "spec.ports[1]",
        "Duplicate value",
    ),
    reject(
        "two ports, one without a name",
        &[("spec.ports", r#"[{"name": "http", "port": 80}, {"port": 443}]"#)],
        "spec.ports",
        "each of several ports needs a name",
    ),
    reject(
        "two ports of one name",
        &[("spec.ports", r#"[{"name": "http", "port": 80}, {"name": "http", "port": 443}]"#)],
        "spec.ports",
        "two ports have one name",
    ),
    reject(
        "an empty port name",
        &[("spec.ports[0].name", r#""""#)],
        "spec.ports[0].name",
        NO_PORT_NAME,
    ),
    reject(
        "a port name in capitals",
        &[("spec.ports[0].name", r#""HTTP""#)],
        "spec.ports[0].name",
        NO_PORT_NAME,
    ),
    reject(
        "a port name with a dash last",
        &[("spec.ports[0].name", r#""http-""#)],
        "spec.ports[0].name",
        NO_PORT_NAME,
    ),
    reject(
        "a port name with a dot",
        &[("spec.ports[0].name", r#""http.1""#)],
        "spec.ports[0].name",
        NO_PORT_NAME,
    ),
    reject(
        "a port name of 64 characters",
        &[(
            "spec.ports[0].name",
            r#""a234567890123456789012345678901234567890123456789012345678901234""#,
        )],
        "spec.ports[0].name",
        NO_PORT_NAME,
    ),
    // All ports.
    accept(
        "all ports with persistence",
        &[("spec.ports[0].port", "0"), ("spec.persistence", "{}")],
    ),
    accept(
        "all ports of two protocols",
        &[
            (
                "spec.ports",
                r#"[{"name": "t", "port": 0}, {"name": "u", "port": 0, "protocol": "UDP"}]"#,
            ),
            ("spec.persistence", "{}"),
        ],
    ),
    accept("all ports under a mark", &[("spec.ports[0].port", "0"), ("spec.firewallMark", "{}")]),
    reject(
        "all ports without persistence",
        &[("spec.ports[0].port", "0")],
        "spec.ports",
        "only with persistence; set persistence: {}, or name the port",
    ),
    reject(
        "all ports to one",
        &[("spec.ports[0]", r#"{"port": 0, "targetPort": 8080}"#), ("spec.persistence", "{}")],
        "spec.ports[0].port",
        KEPT,
    ),
    reject(
        "all ports to one under a mark",
        &[("spec.ports[0]", r#"{"port": 0, "targetPort": 8080}"#), ("spec.firewallMark", "{}")],
        "spec.ports[0].port",
        KEPT,
    ),
    reject(
        "a range from 0",
        &[("spec.ports[0]", r#"{"port": 0, "endPort": 1023}"#), ("spec.persistence", "{}")],
        "spec.ports[0].port",
        KEPT,
    ),
    reject(
        "all ports and one of them",
        &[
            ("spec.ports", r#"[{"name": "all", "port": 0}, {"name": "http", "port": 80}]"#),
            ("spec.persistence", "{}"),
        ],
        "spec.ports",
        COMMON,
    ),
    accept(
        "all ports of one protocol and one of another",
        &[
            (
                "spec.ports",
                r#"[{"name": "a", "port": 0}, {"name": "b", "port": 53, "protocol": "UDP"}]"#,
            ),
            ("spec.persistence", "{}"),
        ],
    ),
    // Ranges.
    accept(
        "a range under a mark",
        &[
            (
                "spec.ports",
                r#"[{"name": "ftp", "port": 21}, {"name": "data", "port": 20000, "endPort": 20999}]"#,
            ),
            ("spec.firewallMark", "{}"),
        ],
    ),
    accept(
        "a range of one port",
        &[("spec.ports[0]", r#"{"port": 80, "endPort": 80}"#), ("spec.firewallMark", "{}")],
    ),
    accept(
        "ranges side by side",
        &[
            (
                "spec.ports",
                r#"[{"name": "b", "port": 90, "endPort": 99}, {"name": "a", "port": 80, "endPort": 89}]"#,
            ),
            ("spec.firewallMark", "{}"),
        ],
    ),
    accept(
        "one range over two protocols",
        &[
            (
                "spec.ports",
                r#"[{"name": "a", "port": 80, "endPort": 89}, {"name": "b", "port": 85, "endPort": 95, "protocol": "UDP"}]"#,
            ),
            ("spec.firewallMark", "{}"),
        ],
    ),
    accept("as many ports as there may be", &[("spec.ports", PORTS_64)]),
    reject(
        "a range without a mark",
        &[("spec.ports[0]", r#"{"port": 20000, "endPort": 20999}"#)],
        "spec.ports",
        "only as a firewall mark; set firewallMark: {}, or leave endPort out",
    ),
    reject(
        "a range that ends before it begins",
        &[("spec.ports[0]", r#"{"port": 81, "endPort": 80}"#), ("spec.firewallMark", "{}")],
        "spec.ports[0].endPort",
        "make it at least port",
    ),
    reject(
        "a range past the last port",
        &[("spec.ports[0]", r#"{"port": 80, "endPort": 65536}"#), ("spec.firewallMark", "{}")],
        "spec.ports[0].endPort",
        "should be less than or equal to 65535",
    ),
    reject(
        "two ranges with one port in common",
        &[
            (
                "spec.ports",
                r#"[{"name": "b", "port": 89, "endPort": 99}, {"name": "a", "port": 80, "endPort": 89}]"#,
            ),
            ("spec.firewallMark", "{}"),
        ],
        "spec.ports",
        COMMON,
    ),
    reject(
        "a port within a range",
        &[
            (
                "spec.ports",
                r#"[{"name": "a", "port": 80, "endPort": 99}, {"name": "b", "port": 85}]"#,
            ),
            ("spec.firewallMark", "{}"),
        ],
        "spec.ports",
        COMMON,
    ),
    reject(
        "a port that is the last of a range",
        &[
            (
                "spec.ports",
                r#"[{"name": "a", "port": 80, "endPort": 99}, {"name": "b", "port": 99}]"#,
            ),
            ("spec.firewallMark", "{}"),
        ],
        "spec.ports",
        COMMON,
    ),
];
