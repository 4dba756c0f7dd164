//! A DirectorGroup's settings.

use super::*;
use crate::plan::settings::{field, is_same_choice, is_setting};
use lvs_crds::{Sysctls, Timeouts};
use std::collections::BTreeMap;

const STANDBY: Option<Part> = Some(Part::OneOfSeveral);

fn facts(version: (u32, u32)) -> Facts {
    Facts { kernel_version: Some(version), ..node("d", &[("eth0", "192.168.0.1/24")], None) }
}

fn named(name: &str) -> DirectorGroup {
    let mut group = group("d");
    group.metadata.name = Some(name.to_owned());
    group
}

fn settings(
    group: &DirectorGroup,
    all: &[&DirectorGroup],
    version: (u32, u32),
) -> Vec<(String, String)> {
    plan_group(group, STANDBY, all, &facts(version)).sysctls.into_iter().collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect()
}

const DEFAULTS: [(&str, &str); 2] =
    [("net/ipv4/vs/expire_nodest_conn", "1"), ("net/ipv4/vs/expire_quiescent_template", "1")];

#[test]
fn every_member_has_the_defaults_and_a_stranger_nothing() {
    let group = named("a");
    assert_eq!(settings(&group, &[&group], (6, 12)), pairs(&DEFAULTS));
    let active = plan_group(&group, ACTIVE, &[&group], &facts((6, 12)));
    assert_eq!(active.sysctls.into_iter().collect::<Vec<_>>(), pairs(&DEFAULTS));
    assert_eq!(plan_group(&group, None, &[], &facts((6, 12))), Fragment::default());
}

#[test]
fn each_field_is_its_sysctl_or_timeout_and_names_itself() {
    let mut group = named("a");
    group.spec.timeouts = Some(Timeouts { tcp: Some(7200), tcp_fin: Some(60), udp: Some(30) });
    group.spec.sysctls = Some(Sysctls {
        conntrack: Some(true),
        conn_reuse_mode: Some(2),
        expire_nodest_conn: Some(false),
        expire_quiescent_template: Some(false),
        sloppy_tcp: Some(true),
        sloppy_sctp: Some(true),
        schedule_icmp: Some(true),
        nat_icmp_send: Some(true),
        pmtu_disc: Some(false),
        drop_entry: Some(1),
        drop_packet: Some(2),
        secure_tcp: Some(3),
        run_estimation: Some(false),
    });
    let found = settings(&group, &[&group], (6, 12));
    let expected = pairs(&[
        ("ipvs/timeout-tcp", "7200"),
        ("ipvs/timeout-tcp-fin", "60"),
        ("ipvs/timeout-udp", "30"),
        ("net/ipv4/vs/conn_reuse_mode", "2"),
        ("net/ipv4/vs/conntrack", "1"),
        ("net/ipv4/vs/drop_entry", "1"),
        ("net/ipv4/vs/drop_packet", "2"),
        ("net/ipv4/vs/expire_nodest_conn", "0"),
        ("net/ipv4/vs/expire_quiescent_template", "0"),
        ("net/ipv4/vs/nat_icmp_send", "1"),
        ("net/ipv4/vs/pmtu_disc", "0"),
        ("net/ipv4/vs/run_estimation", "0"),
        ("net/ipv4/vs/schedule_icmp", "1"),
        ("net/ipv4/vs/secure_tcp", "3"),
        ("net/ipv4/vs/sloppy_sctp", "1"),
        ("net/ipv4/vs/sloppy_tcp", "1"),
    ]);
    assert_eq!(found, expected);
    let spec = serde_json::to_value(&group.spec).unwrap();
    for (path, _) in found {
        let field = field(&path).unwrap();
        let pointer = field.replacen("spec", "", 1).replace('.', "/");
        assert!(spec.pointer(&pointer).is_some() && is_setting(&path), "{path}: {field}");
    }
}

#[test]
fn with_conntrack_old_kernels_do_not_reschedule_reused_ports_unless_told_to() {
    let mut group = named("a");
    let mode = |group: &DirectorGroup, version| {
        let all: BTreeMap<_, _> = settings(group, &[group], version).into_iter().collect();
        all.get("net/ipv4/vs/conn_reuse_mode").cloned()
    };
    assert_eq!(mode(&group, (5, 8)), None);
    group.spec.sysctls = Some(Sysctls { conntrack: Some(true), ..Sysctls::default() });
    assert_eq!((mode(&group, (5, 8)).as_deref(), mode(&group, (5, 9))), (Some("0"), None));
    group.spec.sysctls.as_mut().unwrap().conn_reuse_mode = Some(1);
    assert_eq!(mode(&group, (5, 8)).as_deref(), Some("1"));
}

#[test]
fn of_two_groups_the_older_counts_and_a_default_gives_way_to_what_the_younger_sets() {
    let (mut old, mut young) = (named("a"), named("b"));
    old.spec.timeouts = Some(Timeouts { tcp: Some(7200), ..Timeouts::default() });
    young.spec.timeouts = Some(Timeouts { tcp: Some(60), udp: Some(5), ..Timeouts::default() });
    young.spec.sysctls = Some(Sysctls { expire_nodest_conn: Some(false), ..Sysctls::default() });
    let all = [&old, &young];
    let of_old =
        pairs(&[("ipvs/timeout-tcp", "7200"), ("net/ipv4/vs/expire_quiescent_template", "1")]);
    assert_eq!(settings(&old, &all, (6, 12)), of_old);
    let of_young = pairs(&[("ipvs/timeout-udp", "5"), ("net/ipv4/vs/expire_nodest_conn", "0")]);
    assert_eq!(settings(&young, &all, (6, 12)), of_young);
    // The rule by which the operator tells of conflicts.
    let told = lvs_resolve::node_settings(all);
    assert_eq!((told.timeouts.tcp, told.timeouts.udp), (Some(7200), Some(5)));
}

#[test]
fn the_kernel_moves_a_defence_between_1_and_2_and_nothing_else() {
    for (path, one, other, same) in [
        ("net/ipv4/vs/drop_entry", "1", "2", true),
        ("net/ipv4/vs/secure_tcp", "2", "1", true),
        ("net/ipv4/vs/drop_packet", "3", "1", false),
        ("net/ipv4/vs/conn_reuse_mode", "1", "2", false),
        ("ipvs/timeout-tcp", "1", "2", false),
        ("ipvs/timeout-tcp", "900", "900\n", true),
    ] {
        assert_eq!(is_same_choice(path, one, other), same, "{path}");
        assert_eq!(crate::diff::is_sufficient(path, one, other), same, "{path}");
    }
}
