//! Others' rules and marks, and a kernel without rules.

use std::thread::sleep;

use lvs_tests::bed::{Guest, in_guest};

use crate::firewall_marks::{
    AUDIT, SETTLED, farm, mark_of, marks, met, our_table, remove, serve, service,
};
use lvs_tests::scenario::Farm;

/// The reasons and texts of the node's warnings.
fn warnings(farm: &Farm) -> Vec<(String, String)> {
    let status = farm.agent.status();
    let items = status["items"].as_array().expect("items");
    let node = items.iter().find(|item| item["kind"] == "LVSNode").expect("the node");
    let warnings = node["status"]["warnings"].as_array().cloned().unwrap_or_default();
    let text = |warning: &serde_json::Value, field: &str| {
        warning[field].as_str().unwrap_or_default().to_owned()
    };
    warnings.iter().map(|it| (text(it, "reason"), text(it, "message"))).collect()
}

fn told_of(farm: &Farm, reason: &str) -> Option<String> {
    warnings(farm).into_iter().find(|(it, _)| it == reason).map(|(_, message)| message)
}

#[test]
fn others_may_mark_and_are_told_where_they_disturb() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let farm = farm();
        external_rules_are_left_to_the_user(&farm)?;
        a_foreign_mark_is_replaced_and_told(&farm)?;
        a_foreign_rule_that_sets_our_mark_is_told(&farm)
    });
}

fn external_rules_are_left_to_the_user(farm: &Farm) -> anyhow::Result<()> {
    let external = "addresses: [192.168.0.10], firewallMark: {mark: 90, rules: External}";
    serve(farm, "external", external);
    assert_eq!(mark_of(farm, "external"), Some(90));
    assert_eq!(marks(&farm.director), ["90"]);
    let ours = our_table(&farm.director).unwrap_or_default();
    assert!(!ours.contains("meta mark set"), "no rule of ours: {ours}");
    assert!(met(farm, "172.20.1.1", "192.168.0.10:80").is_err(), "nobody marks");
    farm.director.sh(
        "nft add table inet mine '{ chain prerouting { type filter hook prerouting priority 0; \
         ip saddr 172.20.1.0/24 ip daddr 192.168.0.10 tcp dport 80 meta mark set 90; }; }'",
    )?;
    met(farm, "172.20.1.1", "192.168.0.10:80")?;
    assert!(met(farm, "172.20.2.1", "192.168.0.10:80").is_err(), "another network");
    remove(farm, "external");
    assert!(marks(&farm.director).is_empty());
    farm.director.sh("nft delete table inet mine")?;
    Ok(())
}

fn a_foreign_mark_is_replaced_and_told(farm: &Farm) -> anyhow::Result<()> {
    serve(farm, "web", "addresses: [192.168.0.10], firewallMark: {mark: 80}");
    met(farm, "172.20.1.1", "192.168.0.10:80")?;
    sleep(AUDIT);
    assert_eq!(told_of(farm, "ForeignMark"), None, "{:?}", warnings(farm));
    farm.director.sh(
        "nft add table inet mine '{ chain prerouting { type filter hook prerouting priority 0; \
         tcp dport 80 meta mark set 0x4000; }; }'",
    )?;
    met(farm, "172.20.1.1", "192.168.0.10:80")?;
    sleep(AUDIT);
    let told = told_of(farm, "ForeignMark").unwrap_or_else(|| panic!("{:?}", warnings(farm)));
    assert!(told.contains("somebody else"), "{told}");
    let counter = farm.director.sh("nft list counter inet kube-lvs foreign")?;
    assert!(!counter.contains("packets 0 "), "{counter}");
    farm.director.sh("nft delete table inet mine")?;
    Ok(())
}

fn a_foreign_rule_that_sets_our_mark_is_told(farm: &Farm) -> anyhow::Result<()> {
    assert_eq!(told_of(farm, "MarkClash"), None, "{:?}", warnings(farm));
    farm.director
        .sh("nft add table ip mine '{ chain pre { type filter hook prerouting priority 0; \
         ip daddr 10.9.9.9 meta mark set 80; }; }'")?;
    let theirs = farm.director.sh("nft -a list table ip mine")?;
    sleep(AUDIT);
    let told = told_of(farm, "MarkClash").unwrap_or_else(|| panic!("{:?}", warnings(farm)));
    for part in ["firewall mark 80", "table ip mine, chain pre, handle "] {
        assert!(told.contains(part), "{part}: {told}");
    }
    met(farm, "172.20.1.1", "192.168.0.10:80")?;
    assert_eq!(farm.director.sh("nft -a list table ip mine")?, theirs, "never touched");
    farm.director.sh("nft delete table ip mine")?;
    sleep(AUDIT);
    assert_eq!(told_of(farm, "MarkClash"), None, "{:?}", warnings(farm));
    Ok(())
}

#[test]
fn a_kernel_without_nftables_fails_the_marked_service_alone() {
    in_guest(Guest::debian(), || -> anyhow::Result<()> {
        let farm = farm();
        farm.agent.put("plain.yaml", service("plain", "addresses: [192.168.0.11]"));
        let marked = "addresses: [192.168.0.10], firewallMark: {}";
        farm.agent.put("marked.yaml", service("marked", marked));
        sleep(SETTLED);
        farm.agent.wait_for_told("marked", "Programmed", "False", "NoNftables");
        farm.agent.wait_for("plain", "Programmed", "True");
        met(&farm, "172.20.1.1", "192.168.0.11:80")?;
        assert!(!farm.director.addresses().iter().any(|it| it.contains("192.168.0.10/")));
        Ok(())
    });
}
