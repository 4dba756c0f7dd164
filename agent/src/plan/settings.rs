//! A DirectorGroup's timeouts and IPVS sysctls.
//!
//! They hold for the whole node: each from the oldest of the node's groups that sets it ([`lvs_resolve::node_settings`] is
//! the same rule, by which the operator tells of conflicts), or else the default.

use crate::state::Facts;
use lvs_crds::{DirectorGroup, Sysctls};
use std::collections::{BTreeMap, BTreeSet};

/// Whether netfilter tracks balanced connections.
pub const CONNTRACK: &str = "net/ipv4/vs/conntrack";
/// What a new connection from an address and port in use before meets.
pub const CONN_REUSE_MODE: &str = "net/ipv4/vs/conn_reuse_mode";
/// Whether a connection ends with its next packet when its destination is gone.
pub const EXPIRE_NODEST_CONN: &str = "net/ipv4/vs/expire_nodest_conn";
const EXPIRE_QUIESCENT_TEMPLATE: &str = "net/ipv4/vs/expire_quiescent_template";
/// The folder of IPVS's sysctls, which is there once IPVS is.
pub const FOLDER: &str = "net/ipv4/vs/";
/// IPVS's timeouts are no files: [`crate::kernel::Linux`] reads and writes them over netlink, as if they were.
pub const TIMEOUT_TCP: &str = "ipvs/timeout-tcp";
/// See [`TIMEOUT_TCP`].
pub const TIMEOUT_TCP_FIN: &str = "ipvs/timeout-tcp-fin";
/// See [`TIMEOUT_TCP`].
pub const TIMEOUT_UDP: &str = "ipvs/timeout-udp";

/// From this kernel on, a connection is scheduled anew without waiting a second for the old one (commit f0a5e4d7a594 of
/// Linux 5.9).
const NO_DELAY: (u32, u32) = (5, 9);

/// Whether, on this kernel, conn_reuse_mode 1 with conntrack delays a connection that reuses an address and port.
pub(super) fn is_delayed_by_reuse(facts: &Facts) -> bool {
    facts.kernel_version.is_some_and(|version| version < NO_DELAY)
}

/// Whether it is a setting of IPVS, and no other sysctl.
pub fn is_setting(path: &str) -> bool {
    path.starts_with(FOLDER) || is_timeout(path)
}

/// Whether it is one of the timeouts.
pub fn is_timeout(path: &str) -> bool {
    matches!(path, TIMEOUT_TCP | TIMEOUT_TCP_FIN | TIMEOUT_UDP)
}

/// Whether two values of a sysctl are the same choice: the kernel itself turns 1 of a defence into 2 when memory gets
/// short, and back (`update_defense_level` in net/netfilter/ipvs/ip_vs_ctl.c).
pub fn is_same_choice(path: &str, one: &str, other: &str) -> bool {
    let defence =
        matches!(path.strip_prefix(FOLDER), Some("drop_entry" | "drop_packet" | "secure_tcp"));
    one.split_whitespace().eq(other.split_whitespace())
        || (defence && matches!((one.trim(), other.trim()), ("1", "2") | ("2", "1")))
}

/// The field of a DirectorGroup that a setting is from.
pub fn field(path: &str) -> Option<&'static str> {
    let name = match path {
        TIMEOUT_TCP => return Some("spec.timeouts.tcp"),
        TIMEOUT_TCP_FIN => return Some("spec.timeouts.tcpFin"),
        TIMEOUT_UDP => return Some("spec.timeouts.udp"),
        _ => path.strip_prefix(FOLDER)?,
    };
    Some(match name {
        "conntrack" => "spec.sysctls.conntrack",
        "conn_reuse_mode" => "spec.sysctls.connReuseMode",
        "expire_nodest_conn" => "spec.sysctls.expireNodestConn",
        "expire_quiescent_template" => "spec.sysctls.expireQuiescentTemplate",
        "sloppy_tcp" => "spec.sysctls.sloppyTcp",
        "sloppy_sctp" => "spec.sysctls.sloppySctp",
        "schedule_icmp" => "spec.sysctls.scheduleIcmp",
        "nat_icmp_send" => "spec.sysctls.natIcmpSend",
        "pmtu_disc" => "spec.sysctls.pmtuDisc",
        "drop_entry" => "spec.sysctls.dropEntry",
        "drop_packet" => "spec.sysctls.dropPacket",
        "secure_tcp" => "spec.sysctls.secureTcp",
        "run_estimation" => "spec.sysctls.runEstimation",
        _ => return None,
    })
}

/// What `group` brings to a node that is a director of `groups`, the oldest first: what it sets and no older one does. The
/// oldest brings the defaults of what none sets.
pub(super) fn of(
    group: &DirectorGroup,
    groups: &[&DirectorGroup],
    facts: &Facts,
) -> BTreeMap<String, String> {
    let is_same = |other: &DirectorGroup| other.metadata.name == group.metadata.name;
    let mut mine = set_by(group);
    let older = groups.iter().take_while(|other| !is_same(other));
    let theirs: BTreeSet<String> = older.flat_map(|older| set_by(older).into_keys()).collect();
    mine.retain(|path, _| !theirs.contains(path));
    if groups.first().is_none_or(|oldest| is_same(oldest)) {
        let all: BTreeMap<String, String> =
            groups.iter().rev().flat_map(|group| set_by(group)).collect();
        let defaults = defaults(all.get(CONNTRACK).is_some_and(|value| value == "1"), facts);
        mine.extend(defaults.filter(|(path, _)| !all.contains_key(path)));
    }
    mine
}

fn defaults(conntrack: bool, facts: &Facts) -> impl Iterator<Item = (String, String)> {
    let reuse = (conntrack && is_delayed_by_reuse(facts)).then_some((CONN_REUSE_MODE, "0"));
    [(EXPIRE_NODEST_CONN, "1"), (EXPIRE_QUIESCENT_TEMPLATE, "1")]
        .into_iter()
        .chain(reuse)
        .map(|(path, value)| (path.to_owned(), value.to_owned()))
}

/// What one group sets.
fn set_by(group: &DirectorGroup) -> BTreeMap<String, String> {
    let none = Sysctls::default();
    let sysctls = group.spec.sysctls.as_ref().unwrap_or(&none);
    let switch = |value: Option<bool>| value.map(i32::from);
    let named = [
        ("conntrack", switch(sysctls.conntrack)),
        ("conn_reuse_mode", sysctls.conn_reuse_mode),
        ("expire_nodest_conn", switch(sysctls.expire_nodest_conn)),
        ("expire_quiescent_template", switch(sysctls.expire_quiescent_template)),
        ("sloppy_tcp", switch(sysctls.sloppy_tcp)),
        ("sloppy_sctp", switch(sysctls.sloppy_sctp)),
        ("schedule_icmp", switch(sysctls.schedule_icmp)),
        ("nat_icmp_send", switch(sysctls.nat_icmp_send)),
        ("pmtu_disc", switch(sysctls.pmtu_disc)),
        ("drop_entry", sysctls.drop_entry),
        ("drop_packet", sysctls.drop_packet),
        ("secure_tcp", sysctls.secure_tcp),
        ("run_estimation", switch(sysctls.run_estimation)),
    ];
    let named = named.into_iter().map(|(name, value)| (format!("{FOLDER}{name}"), value));
    let timeouts = group.spec.timeouts.clone().unwrap_or_default();
    let timeouts = [
        (TIMEOUT_TCP, timeouts.tcp),
        (TIMEOUT_TCP_FIN, timeouts.tcp_fin),
        (TIMEOUT_UDP, timeouts.udp),
    ];
    // 0 would leave a timeout as it is (`ip_vs_set_timeout`), and never read back.
    let timeouts = timeouts
        .into_iter()
        .map(|(path, value)| (path.to_owned(), value.filter(|seconds| *seconds > 0)));
    named.chain(timeouts).filter_map(|(path, value)| Some((path, value?.to_string()))).collect()
}
