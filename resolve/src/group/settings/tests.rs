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
    let from_a_file = group("a", None, json!({"sysctls": {"dropEntry": 1}}));
    let created = group("b", YOUNG, json!({"sysctls": {"dropEntry": 2}}));
    assert_eq!(node_settings([&from_a_file, &created]).sysctls.drop_entry, Some(2));
}

#[test]
fn who_does_not_get_its_way_is_told_where_what_and_by_whom() {
    let old = group("z", OLD, json!({"sysctls": {"sloppyTcp": false, "conntrack": true}}));
    let young = group("a", YOUNG, json!({"sysctls": {"sloppyTcp": true}}));
    let verdict = conflicted(&young, [("n1", vec![&old])]);
    assert_eq!((verdict.is_true(), verdict.reason.as_str()), (true, "SettingsConflict"));
    for part in ["spec.sysctls.sloppyTcp", "node n1", "DirectorGroup z", "true", "false"] {
        assert!(verdict.message.contains(part), "{part}: {}", verdict.message);
    }
    assert!(!conflicted(&old, [("n1", vec![&young])]).is_true(), "the older one gets its way");
    assert!(!conflicted(&young, [("n1", vec![])]).is_true(), "alone");
    let same = group("a", YOUNG, json!({"sysctls": {"sloppyTcp": false, "conntrack": true}}));
    assert!(!conflicted(&same, [("n1", vec![&old])]).is_true(), "of one mind");
}

/// With these directors by its status.
fn directed(name: &str, created: Option<&str>, sync: Value, directors: &[&str]) -> DirectorGroup {
    let mut group = group(name, created, json!({"connectionSync": sync}));
    let members: Vec<Value> = directors.iter().map(|node| json!({"node": node})).collect();
    group.status = serde_json::from_value(json!({"members": members, "syncID": 5})).unwrap();
    group
}

#[test]
fn a_node_syncs_as_its_oldest_group_says() {
    let both = ["n1", "n2"];
    let told = |old: Value, young: Value| {
        let old = directed("z", OLD, old, &both);
        let young = directed("a", YOUNG, young, &both);
        let of = |group, other| conflicted(group, both.map(|node| (node, vec![other])));
        let verdict = of(&old, &young);
        assert!(!verdict.is_true(), "the older one gets its way: {}", verdict.message);
        let verdict = of(&young, &old);
        assert_eq!(verdict.reason == "SettingsConflict", verdict.is_true(), "{}", verdict.message);
        verdict.is_true().then_some(verdict.message)
    };
    for (old, young, field, counts) in [
        (json!({}), json!({"port": 9000}), "port: 9000", "has 8848"),
        (json!({"ttl": 2}), json!({"ttl": 3}), "ttl: 3", "has 2"),
        (
            json!({"interface": "eth1"}),
            json!({"interface": "eth2"}),
            "interface: \"eth2\"",
            "has \"eth1\"",
        ),
        (json!({}), json!({"interface": "eth2"}), "interface: \"eth2\"", "chooses one"),
        (json!({}), json!({"syncID": 6}), "syncID: 6", "has 5"),
        (json!({}), json!({"enabled": false}), "enabled: false", "has true"),
    ] {
        let message = told(old, young).unwrap();
        for part in [&format!("spec.connectionSync.{field}"), counts, "node n1", "DirectorGroup z"]
        {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    for (old, young) in [
        (json!({}), json!({})),
        (json!({}), json!({"port": 8848, "ttl": 1, "enabled": true})),
        (json!({"port": 9000}), json!({})),
        (json!({"enabled": false}), json!({"port": 9000})),
        (json!({"interface": "eth1", "maxLength": 600}), json!({"maxLength": 600})),
    ] {
        assert_eq!(told(old.clone(), young.clone()), None, "{old} {young}");
    }
}

#[test]
fn directors_that_sync_with_another_groups_do_not_with_ours() {
    let old = directed("z", OLD, json!({}), &["n1", "n9"]);
    let young = directed("a", YOUNG, json!({}), &["n1", "n2", "n3"]);
    let nodes = || [("n1", vec![&old]), ("n2", vec![]), ("n3", vec![])];
    let verdict = conflicted(&young, nodes());
    assert_eq!((verdict.is_true(), verdict.reason.as_str()), (true, "SettingsConflict"));
    for part in ["directors n1 tell n2, n3 of no", "DirectorGroup z", "enabled: false"] {
        assert!(verdict.message.contains(part), "{part}: {}", verdict.message);
    }
    let off = directed("a", YOUNG, json!({"enabled": false}), &["n1", "n2", "n3"]);
    assert!(conflicted(&off, nodes()).message.contains("enabled: false"), "it is not off there");
    let alone = directed("z", OLD, json!({}), &["n1"]);
    assert!(
        !conflicted(&young, [("n1", vec![&alone]), ("n2", vec![])]).is_true(),
        "alone, it does not sync"
    );
}

#[test]
fn a_group_of_one_director_has_no_say_on_sync_and_no_conflict_about_it() {
    let old = directed("z", OLD, json!({}), &["n1", "n9"]);
    let young = directed("a", YOUNG, json!({"port": 9000}), &["n1"]);
    assert!(!conflicted(&young, [("n1", vec![&old])]).is_true());
}

#[test]
fn directors_that_sync_with_those_of_two_other_groups_do_not_with_each_other() {
    let first = directed("y", OLD, json!({}), &["n1", "n8"]);
    let second = directed("z", OLD, json!({}), &["n2", "n9"]);
    let young = directed("a", YOUNG, json!({}), &["n1", "n2"]);
    let verdict = conflicted(&young, [("n1", vec![&first]), ("n2", vec![&second])]);
    assert_eq!((verdict.is_true(), verdict.reason.as_str()), (true, "SettingsConflict"));
    assert!(verdict.message.contains("directors n1 tell n2 of no"), "{}", verdict.message);
}
