//! DirectorGroups, right and wrong.

mod failover;
mod members;

pub(super) use failover::ROWS as FAILOVER;
pub(super) use members::ROWS as MEMBERS;

use super::{Row, accept, reject};

pub(super) const BASE: &str = r#"{
  "apiVersion": "kube-lvs.io/v1alpha1", "kind": "DirectorGroup",
  "metadata": {"name": "default"},
  "spec": {"nodeSelector": {"matchLabels": {"kube-lvs.io/director": ""}}}
}"#;

const CIDR: &str = "spec.networks[0].cidr";
const INTERFACE: &str = "spec.networks[0].interface";
const NO_INTERFACE: &str = "not the name of a network interface";
const GATEWAY: &str = "spec.natGateways[0].address";
const TOO_LONG: &str = "at most 2147483, which is 24 days";
const REAL_SERVERS: &str = "spec.realServerCIDRs[0]";

pub(super) const ROWS: &[Row] = &[
    accept("nothing but a selector", &[]),
    accept("every node", &[("spec", "{}")]),
    reject("no spec", &[("spec", "")], "spec", "Required value"),
    reject(
        "nodes by an operator without values",
        &[("spec.nodeSelector", r#"{"matchExpressions": [{"key": "a", "operator": "In"}]}"#)],
        "spec.nodeSelector.matchExpressions[0]",
        "In or NotIn needs at least one",
    ),
    accept(
        "namespaces by name",
        &[("spec.allowedNamespaces", r#"{"matchLabels": {"kubernetes.io/metadata.name": "web"}}"#)],
    ),
    reject(
        "namespaces by a label's value with a space",
        &[("spec.allowedNamespaces", r#"{"matchLabels": {"team": "the web"}}"#)],
        "spec.allowedNamespaces.matchLabels",
        "not a label's value",
    ),
    // Networks.
    accept("a network", &[("spec.networks", r#"[{"cidr": "192.168.0.0/24"}]"#)]),
    accept(
        "networks on interfaces",
        &[(
            "spec.networks",
            r#"[{"cidr": "192.168.0.0/24", "interface": "eth0"}, {"cidr": "2001:db8::/64", "interface": "bond0.100"}]"#,
        )],
    ),
    accept("a network of one address", &[("spec.networks", r#"[{"cidr": "192.168.0.10/32"}]"#)]),
    reject(
        "a network without a cidr",
        &[("spec.networks", r#"[{"interface": "eth0"}]"#)],
        CIDR,
        "Required value",
    ),
    reject(
        "an address as network",
        &[("spec.networks", r#"[{"cidr": "192.168.0.0"}]"#)],
        CIDR,
        "not a network",
    ),
    reject(
        "a prefix too long",
        &[("spec.networks", r#"[{"cidr": "192.168.0.0/33"}]"#)],
        CIDR,
        "not a network",
    ),
    reject(
        "a prefix with a zero",
        &[("spec.networks", r#"[{"cidr": "192.168.0.0/024"}]"#)],
        CIDR,
        "not a network",
    ),
    reject(
        "a network by netmask",
        &[("spec.networks", r#"[{"cidr": "192.168.0.0/255.255.255.0"}]"#)],
        CIDR,
        "not a network",
    ),
    reject(
        "a network by one of its addresses",
        &[("spec.networks", r#"[{"cidr": "192.168.0.10/24"}]"#)],
        CIDR,
        "bits are set beyond the prefix length",
    ),
    reject(
        "an IPv6 network by one of its addresses",
        &[("spec.networks", r#"[{"cidr": "2001:db8::10/64"}]"#)],
        CIDR,
        "bits are set beyond the prefix length",
    ),
    reject(
        "the whole internet",
        &[("spec.networks", r#"[{"cidr": "0.0.0.0/0"}]"#)],
        CIDR,
        "prefix length 0",
    ),
    reject(
        "one network twice",
        &[(
            "spec.networks",
            r#"[{"cidr": "2001:db8::/64"}, {"cidr": "2001:DB8::/64", "interface": "eth1"}]"#,
        )],
        "spec.networks",
        "two entries for one network",
    ),
    reject(
        "an interface name of 16 characters",
        &[("spec.networks", r#"[{"cidr": "192.168.0.0/24", "interface": "e123456789012345"}]"#)],
        INTERFACE,
        NO_INTERFACE,
    ),
    accept(
        "an interface name of 15 characters",
        &[("spec.networks", r#"[{"cidr": "192.168.0.0/24", "interface": "e12345678901234"}]"#)],
    ),
    reject(
        "an empty interface",
        &[("spec.networks", r#"[{"cidr": "192.168.0.0/24", "interface": ""}]"#)],
        INTERFACE,
        NO_INTERFACE,
    ),
    reject(
        "an interface with a space",
        &[("spec.networks", r#"[{"cidr": "192.168.0.0/24", "interface": "eth 0"}]"#)],
        INTERFACE,
        NO_INTERFACE,
    ),
    reject(
        "an alias as interface",
        &[("spec.networks", r#"[{"cidr": "192.168.0.0/24", "interface": "eth0:1"}]"#)],
        INTERFACE,
        NO_INTERFACE,
    ),
    reject(
        "an interface that is a path",
        &[("spec.networks", r#"[{"cidr": "192.168.0.0/24", "interface": "../all"}]"#)],
        INTERFACE,
        NO_INTERFACE,
    ),
    reject(
        "an interface of two dots",
        &[("spec.networks", r#"[{"cidr": "192.168.0.0/24", "interface": ".."}]"#)],
        INTERFACE,
        NO_INTERFACE,
    ),
    // NAT gateways.
    accept(
        "a gateway",
        &[("spec.natGateways", r#"[{"address": "10.0.0.234/24", "interface": "eth0"}]"#)],
    ),
    accept(
        "a gateway on a point-to-point link",
        &[("spec.natGateways", r#"[{"address": "10.0.0.0/31"}]"#)],
    ),
    accept(
        "a gateway of a host prefix",
        &[("spec.natGateways", r#"[{"address": "10.0.0.234/32"}]"#)],
    ),
    accept("an IPv6 gateway", &[("spec.natGateways", r#"[{"address": "fd00::234/64"}]"#)]),
    reject(
        "a gateway without a prefix",
        &[("spec.natGateways", r#"[{"address": "10.0.0.234"}]"#)],
        GATEWAY,
        "write address and prefix length",
    ),
    reject(
        "a gateway that is its network",
        &[("spec.natGateways", r#"[{"address": "10.0.0.0/24"}]"#)],
        GATEWAY,
        "the network's own address",
    ),
    reject(
        "a loopback gateway",
        &[("spec.natGateways", r#"[{"address": "127.0.0.1/8"}]"#)],
        GATEWAY,
        "cannot be a gateway",
    ),
    reject(
        "a gateway to everything",
        &[("spec.natGateways", r#"[{"address": "10.0.0.234/0"}]"#)],
        GATEWAY,
        "prefix length 0",
    ),
    reject(
        "one gateway twice",
        &[("spec.natGateways", r#"[{"address": "10.0.0.234/24"}, {"address": "10.0.0.234/16"}]"#)],
        "spec.natGateways",
        "two entries for one address",
    ),
    reject(
        "a gateway's interface with a slash",
        &[("spec.natGateways", r#"[{"address": "10.0.0.234/24", "interface": "a/b"}]"#)],
        "spec.natGateways[0].interface",
        NO_INTERFACE,
    ),
    // Real servers.
    accept(
        "networks of real servers",
        &[("spec.realServerCIDRs", r#"["10.0.0.0/24", "fd00::/64", "0.0.0.0/0"]"#)],
    ),
    reject(
        "a word for real servers",
        &[("spec.realServerCIDRs", r#"["any"]"#)],
        REAL_SERVERS,
        "not a network",
    ),
    reject(
        "real servers by one of their addresses",
        &[("spec.realServerCIDRs", r#"["10.0.0.101/24"]"#)],
        REAL_SERVERS,
        "bits are set beyond the prefix length",
    ),
    reject(
        "an unknown field",
        &[("spec.realServerCidrs", r#"["10.0.0.0/24"]"#)],
        "spec.realServerCidrs",
        "unknown field",
    ),
];

/// Timeouts and sysctls.
pub(super) const SETTINGS: &[Row] = &[
    accept("no timeout, spelled out", &[("spec.timeouts", "{}")]),
    accept("timeouts", &[("spec.timeouts", r#"{"tcp": 7200, "tcpFin": 60, "udp": 30}"#)]),
    accept(
        "the longest timeouts",
        &[("spec.timeouts", r#"{"tcp": 2147483, "tcpFin": 2147483, "udp": 2147483}"#)],
    ),
    reject(
        "timeout 0",
        &[("spec.timeouts.tcp", "0")],
        "spec.timeouts.tcp",
        "should be greater than or equal to 1",
    ),
    reject(
        "a TCP timeout too long",
        &[("spec.timeouts.tcp", "2147484")],
        "spec.timeouts.tcp",
        TOO_LONG,
    ),
    reject(
        "a FIN timeout too long",
        &[("spec.timeouts.tcpFin", "2147484")],
        "spec.timeouts.tcpFin",
        TOO_LONG,
    ),
    reject(
        "a UDP timeout too long",
        &[("spec.timeouts.udp", "2147484")],
        "spec.timeouts.udp",
        TOO_LONG,
    ),
    reject(
        "a timeout with a unit",
        &[("spec.timeouts.tcp", r#""2h""#)],
        "spec.timeouts.tcp",
        "must be of type integer",
    ),
    accept("no sysctl, spelled out", &[("spec.sysctls", "{}")]),
    accept(
        "sysctls",
        &[(
            "spec.sysctls",
            r#"{"conntrack": true, "connReuseMode": 2, "sloppyTcp": false, "dropEntry": 3}"#,
        )],
    ),
    reject(
        "a sysctl switched on by a number",
        &[("spec.sysctls.conntrack", "1")],
        "spec.sysctls.conntrack",
        "must be of type boolean",
    ),
    reject(
        "a reuse mode that is none",
        &[("spec.sysctls.connReuseMode", "3")],
        "spec.sysctls.connReuseMode",
        "should be less than or equal to 2",
    ),
    reject(
        "a defence that is none",
        &[("spec.sysctls.dropEntry", "4")],
        "spec.sysctls.dropEntry",
        "should be less than or equal to 3",
    ),
    reject(
        "a sysctl of the kernel's spelling",
        &[("spec.sysctls.sloppy_tcp", "true")],
        "spec.sysctls.sloppy_tcp",
        "unknown field",
    ),
];
