use super::*;
use serde_json::json;

fn group(name: &str, created: Option<&str>, spec: Value) -> DirectorGroup {
    serde_json::from_value(json!({
        "apiVersion": "kube-lvs.io/v1alpha1", "kind": "DirectorGroup",
        "metadata": {"name": name, "creationTimestamp": created}, "spec": spec,
    }))
    .unwrap()
}

const OLD: Option<&str> = Some("2026-01-01T00:00:00Z");
const YOUNG: Option<&str> = Some("2026-02-01T00:00:00Z");

#[test]
fn each_field_is_the_oldest_groups_that_sets_it() {
    let old = group("z", OLD, json!({"timeouts": {"tcp": 7200}}));
    let young = group(
        "a",
        YOUNG,
        json!({"timeouts": {"tcp": 60, "udp": 30}, "sysctls": {"sloppyTcp": true}}),
    );
    let settings = node_settings([&young, &old]);
    assert_eq!(settings, node_settings([&old, &young]), "whatever the order");
    assert_eq!(settings.timeouts, Timeouts { tcp: Some(7200), udp: Some(30), tcp_fin: None });
    assert_eq!(settings.sysctls, Sysctls { sloppy_tcp: Some(true), ..Sysctls::default() });
    assert_eq!(node_settings([]), NodeSettings::default());
}

#[test]
fn of_one_age_the_first_by_name_counts() {
    for created in [OLD, None] {
        let a = group("a", created, json!({"sysctls": {"dropEntry": 1}}));
        let b = group("b", created, json!({"sysctls": {"dropEntry": 2}}));
        assert_eq!(node_settings([&b, &a]).sysctls.drop_entry, Some(1));
    }
}

#[test]
fn who_does_not_get_its_way_is_told_where_what_and_by_whom() {
    let old = group("z", OLD, json!({"sysctls": {"sloppyTcp": false, "conntrack": true}}));
    let young = group("a", YOUNG, json!({"sysctls": {"sloppyTcp": true}}));
    let verdict = conflicted(&young, [("n1", vec![&old])]);
    assert_eq!((verdict.status, verdict.reason.as_str()), (true, "SettingsConflict"));
    for part in ["spec.sysctls.sloppyTcp", "node n1", "DirectorGroup z", "true", "false"] {
        assert!(verdict.message.contains(part), "{part}: {}", verdict.message);
    }
    assert!(!conflicted(&old, [("n1", vec![&young])]).status, "the older one gets its way");
    assert!(!conflicted(&young, [("n1", vec![])]).status, "alone");
    let same = group("a", YOUNG, json!({"sysctls": {"sloppyTcp": false, "conntrack": true}}));
    assert!(!conflicted(&same, [("n1", vec![&old])]).status, "of one mind");
}
