//! VirtualServices, right and wrong.

use super::{Row, accept, reject};

pub(super) const BASE: &str = r#"{
  "apiVersion": "kube-lvs.io/v1alpha1", "kind": "VirtualService",
  "metadata": {"name": "web", "namespace": "default"},
  "spec": {
    "addresses": ["192.168.0.10"],
    "ports": [{"port": 80}],
    "realServers": {"selector": {"matchLabels": {"app": "web"}}}
  }
}"#;

const NO_VIP: &str = "cannot be a VIP";
const NO_IP: &str = "not an IP address";
const NO_NETMASK: &str = "not a netmask";
const NO_PORT_NAME: &str = "not a port name";
const NO_TRANSLATION: &str =
    "DR cannot translate ports; leave targetPort out, or set forwarding: NAT";
const FIRST: &str = "spec.addresses[0]";
const NETMASK: &str = "spec.persistence.ipv4Netmask";

pub(super) const ROWS: &[Row] = &[
    accept("nothing but what is required", &[]),
    // Addresses.
    accept("an IPv6 VIP", &[("spec.addresses", r#"["2001:db8::10"]"#)]),
    accept("an IPv6 VIP in capitals", &[("spec.addresses", r#"["2001:DB8::10"]"#)]),
    accept("one VIP of each family", &[("spec.addresses", r#"["192.168.0.10", "2001:db8::10"]"#)]),
    accept("a private IPv6 VIP", &[("spec.addresses", r#"["fd00::10"]"#)]),
    reject("no VIP", &[("spec.addresses", "[]")], "spec.addresses", "should have at least 1 items"),
    reject("addresses left out", &[("spec.addresses", "")], "spec.addresses", "Required value"),
    reject("addresses null", &[("spec.addresses", "null")], "spec.addresses", "Required value"),
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
        "spec.addresses",
        "two of one family",
    ),
    reject(
        "one IPv6 VIP written in two ways",
        &[("spec.addresses", r#"["2001:db8::10", "2001:db8:0::10"]"#)],
        "spec.addresses",
        "two of one family",
    ),
    reject(
        "three VIPs",
        &[("spec.addresses", r#"["192.168.0.10", "192.168.0.11", "2001:db8::10"]"#)],
        "spec.addresses",
        "must have at most 2 items",
    ),
    // Ports.
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
        "port 0",
        &[("spec.ports[0].port", "0")],
        "spec.ports[0].port",
        "should be greater than or equal to 1",
    ),
    reject(
        "a negative port",
        &[("spec.ports[0].port", "-1")],
        "spec.ports[0].port",
        "should be greater than or equal to 1",
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
    // Forwarding.
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
        NO_TRANSLATION,
    ),
    reject(
        "a port translated by DR, spelled out",
        &[("spec.forwarding", r#""DR""#), ("spec.ports[0].targetPort", "8080")],
        "spec.ports",
        NO_TRANSLATION,
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
    // Schedulers.
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
    // Persistence.
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
    reject("a netmask of no bits", &[(NETMASK, r#""0.0.0.0""#)], NETMASK, NO_NETMASK),
    reject("a prefix length as netmask", &[(NETMASK, r#""24""#)], NETMASK, NO_NETMASK),
    reject("an IPv6 netmask", &[(NETMASK, r#""ffff:ffff::""#)], NETMASK, NO_NETMASK),
    reject("a netmask with a tail", &[(NETMASK, r#""255.255.255.0 ""#)], NETMASK, NO_NETMASK),
    reject(
        "a netmask without an IPv4 VIP",
        &[("spec.addresses", r#"["2001:db8::10"]"#), (NETMASK, r#""255.255.255.0""#)],
        NETMASK,
        "it groups IPv4 clients, but addresses has no IPv4 address",
    ),
    // The rest.
    accept("another group", &[("spec.directorGroup", r#""edge.example""#)]),
    reject(
        "a group in capitals",
        &[("spec.directorGroup", r#""Edge""#)],
        "spec.directorGroup",
        "not the name of an object",
    ),
    reject(
        "an empty group",
        &[("spec.directorGroup", r#""""#)],
        "spec.directorGroup",
        "not the name of an object",
    ),
    reject("no real servers", &[("spec.realServers", "")], "spec.realServers", "Required value"),
    reject(
        "real servers without a selector",
        &[("spec.realServers", "{}")],
        "spec.realServers.selector",
        "Required value",
    ),
    reject("no spec", &[("spec", "")], "spec", "Required value"),
    reject("a word as spec", &[("spec", r#""web""#)], "spec", "must be of type object"),
    reject(
        "an unknown field",
        &[("spec.schedular", r#""wrr""#)],
        "spec.schedular",
        "unknown field",
    ),
    reject(
        "an unknown field of a port",
        &[("spec.ports[0].nodePort", "30080")],
        "spec.ports[0].nodePort",
        "unknown field",
    ),
    reject(
        "an unknown field of the metadata",
        &[("metadata.label", "{}")],
        "metadata.label",
        "unknown field",
    ),
    accept("a name with dots", &[("metadata.name", r#""web.example.com""#)]),
    reject(
        "a name in capitals",
        &[("metadata.name", r#""Web""#)],
        "metadata.name",
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'",
    ),
    reject(
        "a name of 241 characters",
        &[(
            "metadata.name",
            concat!(
                r#""n123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"#,
                r#"n123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"#,
                r#"n1234567890123456789012345678901234567890""#,
            ),
        )],
        "metadata.name",
        "may not be more than 240 bytes",
    ),
    accept(
        "labels of its own",
        &[("metadata.labels", r#"{"app.kubernetes.io/name": "web", "tier": ""}"#)],
    ),
    reject(
        "a label's value with a space",
        &[("metadata.labels", r#"{"app": "the web"}"#)],
        "metadata.labels",
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'",
    ),
];
