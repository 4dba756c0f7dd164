//! RealServers, right and wrong.

use super::{Row, accept, reject};

pub(super) const BASE: &str = r#"{
  "apiVersion": "kube-lvs.io/v1alpha1", "kind": "RealServer",
  "metadata": {"name": "web-1", "namespace": "default", "labels": {"app": "web"}},
  "spec": {"address": "192.168.0.101"}
}"#;

const ONE_OF: &str = "give exactly one of address and nodeName";
const NOT_THIS: &str = "cannot be a real server's";

pub(super) const ROWS: &[Row] = &[
    accept("nothing but an address", &[]),
    accept("an IPv6 address", &[("spec.address", r#""2001:db8::101""#)]),
    accept("a node", &[("spec.address", ""), ("spec.nodeName", r#""worker-1""#)]),
    accept(
        "a node beside a null",
        &[("spec.address", "null"), ("spec.nodeName", r#""worker-1.example.com""#)],
    ),
    reject("neither address nor node", &[("spec.address", "")], "spec", ONE_OF),
    reject("address and node", &[("spec.nodeName", r#""worker-1""#)], "spec", ONE_OF),
    reject("an empty address", &[("spec.address", r#""""#)], "spec.address", "not an IP address"),
    reject(
        "a name as address",
        &[("spec.address", r#""web-1.example.com""#)],
        "spec.address",
        "not an IP address",
    ),
    reject(
        "an address with a port",
        &[("spec.address", r#""192.168.0.101:80""#)],
        "spec.address",
        "not an IP address",
    ),
    reject("a loopback address", &[("spec.address", r#""127.0.0.1""#)], "spec.address", NOT_THIS),
    reject("a loopback IPv6 address", &[("spec.address", r#""::1""#)], "spec.address", NOT_THIS),
    reject(
        "a link-local address",
        &[("spec.address", r#""169.254.1.1""#)],
        "spec.address",
        NOT_THIS,
    ),
    reject(
        "a link-local IPv6 address",
        &[("spec.address", r#""fe80::1""#)],
        "spec.address",
        NOT_THIS,
    ),
    reject(
        "the unspecified address",
        &[("spec.address", r#""0.0.0.0""#)],
        "spec.address",
        NOT_THIS,
    ),
    reject("a multicast address", &[("spec.address", r#""239.1.1.1""#)], "spec.address", NOT_THIS),
    reject(
        "the broadcast address",
        &[("spec.address", r#""255.255.255.255""#)],
        "spec.address",
        NOT_THIS,
    ),
    reject(
        "a node in capitals",
        &[("spec.address", ""), ("spec.nodeName", r#""Worker""#)],
        "spec.nodeName",
        "not the name of a node",
    ),
    reject(
        "an empty node",
        &[("spec.address", ""), ("spec.nodeName", r#""""#)],
        "spec.nodeName",
        "not the name of a node",
    ),
    // Weight.
    accept("weight 0", &[("spec.weight", "0")]),
    accept("the highest weight", &[("spec.weight", "65535")]),
    accept("null for the weight", &[("spec.weight", "null")]),
    reject(
        "weight -1",
        &[("spec.weight", "-1")],
        "spec.weight",
        "should be greater than or equal to 0",
    ),
    reject(
        "weight 65536",
        &[("spec.weight", "65536")],
        "spec.weight",
        "should be less than or equal to 65535",
    ),
    reject(
        "a weight in quotes",
        &[("spec.weight", r#""5""#)],
        "spec.weight",
        "must be of type integer",
    ),
    reject("half a weight", &[("spec.weight", "0.5")], "spec.weight", "must be of type integer"),
    // Ports.
    accept("a port without a name", &[("spec.ports", r#"[{"port": 8080}]"#)]),
    accept(
        "ports by name and one without",
        &[("spec.ports", r#"[{"name": "http", "port": 8080}, {"port": 8443}]"#)],
    ),
    reject(
        "two ports for one name",
        &[("spec.ports", r#"[{"name": "http", "port": 8080}, {"name": "http", "port": 8081}]"#)],
        "spec.ports",
        "two entries for one port of a VirtualService",
    ),
    reject(
        "two ports without a name",
        &[("spec.ports", r#"[{"port": 8080}, {"port": 8081}]"#)],
        "spec.ports",
        "two entries for one port of a VirtualService",
    ),
    reject(
        "a port's name in capitals",
        &[("spec.ports", r#"[{"name": "HTTP", "port": 8080}]"#)],
        "spec.ports[0].name",
        "not a port name",
    ),
    reject(
        "port 0",
        &[("spec.ports", r#"[{"port": 0}]"#)],
        "spec.ports[0].port",
        "should be greater than or equal to 1",
    ),
    reject(
        "a port without a number",
        &[("spec.ports", r#"[{"name": "http"}]"#)],
        "spec.ports[0].port",
        "Required value",
    ),
    // Thresholds.
    accept("an upper threshold", &[("spec.upperThreshold", "1000")]),
    accept("both thresholds", &[("spec.upperThreshold", "1000"), ("spec.lowerThreshold", "800")]),
    accept("equal thresholds", &[("spec.upperThreshold", "1000"), ("spec.lowerThreshold", "1000")]),
    reject(
        "a lower threshold alone",
        &[("spec.lowerThreshold", "800")],
        "spec.lowerThreshold",
        "set upperThreshold too",
    ),
    reject(
        "thresholds crossed",
        &[("spec.upperThreshold", "800"), ("spec.lowerThreshold", "801")],
        "spec.lowerThreshold",
        "make it at most upperThreshold",
    ),
    reject(
        "threshold 0",
        &[("spec.upperThreshold", "0")],
        "spec.upperThreshold",
        "should be greater than or equal to 1",
    ),
    reject(
        "a threshold past the kernel's",
        &[("spec.upperThreshold", "2147483648")],
        "spec.upperThreshold",
        "should be less than or equal to 2",
    ),
    // The rest.
    accept("forwarding of its own", &[("spec.forwarding", r#""NAT""#)]),
    accept("a tunnel of its own", &[("spec.forwarding", r#""TUN""#)]),
    reject(
        "forwarding in lower case",
        &[("spec.forwarding", r#""dr""#)],
        "spec.forwarding",
        r#"supported values: "NAT", "DR""#,
    ),
    accept("disabled", &[("spec.state", r#""Disabled""#)]),
    reject(
        "disabled in lower case",
        &[("spec.state", r#""disabled""#)],
        "spec.state",
        r#"supported values: "Enabled", "Disabled""#,
    ),
    reject("an unknown field", &[("spec.wieght", "5")], "spec.wieght", "unknown field"),
    reject("no spec", &[("spec", "")], "spec", "Required value"),
    reject("an empty spec", &[("spec", "{}")], "spec", ONE_OF),
];
