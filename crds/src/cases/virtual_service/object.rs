//! A VirtualService's other fields and its metadata, right and wrong.

use super::super::{Row, accept, reject};

pub(in crate::cases) const ROWS: &[Row] = &[
    accept("nothing but what is required", &[]),
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
