//! How long IPVS remembers connections.

use super::{Rule, blame_if};
use crate::{DirectorGroupSpec, Timeouts};

/// The kernel multiplies by HZ, at most 1000, in an int (ip_vs_set_timeout, net/netfilter/ipvs/ip_vs_ctl.c). Not the
/// schema's `maximum`: the API server would print it as 2.147483e+06.
const MAX_TIMEOUT: i32 = i32::MAX / 1000;
const TIMEOUT: &str = "self <= 2147483";
const TIMEOUT_MESSAGE: &str = "more than the kernel takes; at most 2147483, which is 24 days";

pub(super) const RULES: &[Rule<DirectorGroupSpec>] = &[
    Rule {
        at: "timeouts.tcp",
        blames: "",
        cel: TIMEOUT,
        message: TIMEOUT_MESSAGE,
        broken: |spec| blame_if(too_long(spec, |t| t.tcp), "timeouts.tcp"),
    },
    Rule {
        at: "timeouts.tcpFin",
        blames: "",
        cel: TIMEOUT,
        message: TIMEOUT_MESSAGE,
        broken: |spec| blame_if(too_long(spec, |t| t.tcp_fin), "timeouts.tcpFin"),
    },
    Rule {
        at: "timeouts.udp",
        blames: "",
        cel: TIMEOUT,
        message: TIMEOUT_MESSAGE,
        broken: |spec| blame_if(too_long(spec, |t| t.udp), "timeouts.udp"),
    },
];

fn too_long(spec: &DirectorGroupSpec, timeout: impl Fn(&Timeouts) -> Option<i32>) -> bool {
    spec.timeouts.as_ref().and_then(timeout).is_some_and(|seconds| seconds > MAX_TIMEOUT)
}
