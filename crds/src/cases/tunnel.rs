//! Tunnels, right and wrong, of a VirtualService and of a RealServer.

use super::{Row, accept, reject};

const PORT: &str = "spec.tunnel.port";
const CHECKSUM: &str = "spec.tunnel.checksum";

pub(super) const ROWS: &[Row] = &[
    accept("the default tunnel", &[("spec.tunnel", "{}")]),
    accept("ipip", &[("spec.tunnel.type", r#""ipip""#)]),
    accept(
        "a tunnel with TUN",
        &[("spec.tunnel.type", r#""gre""#), ("spec.forwarding", r#""TUN""#)],
    ),
    // Whether it is of use is decided by both objects.
    accept(
        "a tunnel with NAT",
        &[("spec.tunnel.type", r#""gre""#), ("spec.forwarding", r#""NAT""#)],
    ),
    accept("gue", &[("spec.tunnel.type", r#""gue""#)]),
    accept(
        "gue with everything",
        &[("spec.tunnel", r#"{"type": "gue", "port": 6080, "checksum": "remcsum"}"#)],
    ),
    accept("gre with a checksum", &[("spec.tunnel", r#"{"type": "gre", "checksum": "csum"}"#)]),
    accept("gre without one", &[("spec.tunnel", r#"{"type": "gre", "checksum": "nocsum"}"#)]),
    reject(
        "a port for gre",
        &[("spec.tunnel", r#"{"type": "gre", "port": 6080}"#)],
        PORT,
        "only GUE has a port",
    ),
    reject("a port for the default tunnel", &[(PORT, "6080")], PORT, "only GUE has a port"),
    reject(
        "tunnel port 0",
        &[("spec.tunnel", r#"{"type": "gue", "port": 0}"#)],
        PORT,
        "should be greater than or equal to 1",
    ),
    reject(
        "a checksum for the default tunnel",
        &[(CHECKSUM, r#""csum""#)],
        CHECKSUM,
        "ipip has no checksum",
    ),
    reject(
        "the remote checksum for ipip",
        &[("spec.tunnel", r#"{"type": "ipip", "checksum": "remcsum"}"#)],
        CHECKSUM,
        "ipip has no checksum",
    ),
    reject(
        "the remote checksum for gre",
        &[("spec.tunnel", r#"{"type": "gre", "checksum": "remcsum"}"#)],
        CHECKSUM,
        "only GUE can leave the inner checksum to the receiver",
    ),
    reject(
        "a tunnel of the kernel's name",
        &[("spec.tunnel.type", r#""IPIP""#)],
        "spec.tunnel.type",
        r#"supported values: "ipip", "gue", "gre""#,
    ),
    reject(
        "a tunnel's name alone",
        &[("spec.tunnel", r#""gue""#)],
        "spec.tunnel",
        "must be of type object",
    ),
];
