//! What is checked of real servers, and what their being down means.

use super::*;
use crate::health::{Target, Verdict, Verdicts};
use lvs_crds::{HealthCheck, OnFailure};
use serde_json::json;

fn check(value: serde_json::Value) -> HealthCheck {
    serde_json::from_value(value).unwrap()
}

fn planned(service_check: serde_json::Value, own: Option<serde_json::Value>) -> Fragment {
    let mut servers = [
        server("192.168.0.101", DR, 4, 80),
        server("192.168.0.102", DR, 2, 80),
        server("192.168.0.103", DR, 1, 443),
    ];
    servers[1].health_check = own.map(check);
    let services = [service(VIP, 80), service(VIP, 443)];
    let mut slice = slice("web", 1, &services, &servers);
    slice.spec.health_check = Some(check(service_check));
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    plan(&[&slice], Some(&group("d")), ACTIVE, &facts)
}

/// `address:port kind` of each target.
fn asked(fragment: &Fragment) -> Vec<String> {
    let text = |target: &Target| {
        let check = serde_json::to_value(&*target.check).unwrap();
        let kinds = ["tcp", "http", "icmp", "udp"];
        let kind = kinds.into_iter().find(|kind| check.get(kind).is_some()).unwrap();
        let port = target.port.map_or("-".to_owned(), |port| port.to_string());
        format!("{}:{port} {kind}", target.address)
    };
    let mut all: Vec<_> = fragment.targets().iter().map(text).collect();
    all.sort();
    all
}

fn verdict(up: bool) -> Verdict {
    Verdict { up, reason: "no answer within 200 ms, 3 of 3".to_owned(), unfit: false }
}

fn down(fragment: &Fragment, address: &str) -> Verdicts {
    let mine = fragment.targets().into_iter().filter(|it| it.address.to_string() == address);
    mine.map(|target| (target, verdict(false))).collect()
}

/// Last number of the address and weight of each destination.
fn weights(fragment: &Fragment, port: u16) -> Vec<(u8, u32)> {
    let destinations = fragment.services[&key(port)].destinations.values();
    let last = |address: std::net::IpAddr| match address {
        std::net::IpAddr::V4(v4) => v4.octets()[3],
        std::net::IpAddr::V6(_) => 0,
    };
    destinations.map(|it| (last(it.key.address), it.weight)).collect()
}

#[test]
fn each_port_is_asked_at_each_real_server_unless_the_check_names_one() {
    let fragment = planned(json!({"tcp": {}}), None);
    assert_eq!(
        asked(&fragment),
        ["192.168.0.101:80 tcp", "192.168.0.102:80 tcp", "192.168.0.103:443 tcp"]
    );
    let own = json!({"http": {"port": 8080}, "icmp": {}});
    let fragment = planned(json!({"tcp": {"port": 22}}), Some(own));
    let expected = [
        "192.168.0.101:22 tcp",
        "192.168.0.102:- icmp",
        "192.168.0.102:8080 http",
        "192.168.0.103:22 tcp",
    ];
    assert_eq!(asked(&fragment), expected);
    assert_eq!(fragment.checked_servers(), 3);
}

#[test]
fn who_is_no_director_checks_nothing() {
    let mut slice = slice("web", 1, &[service(VIP, 80)], &[server("192.168.0.101", DR, 1, 80)]);
    slice.spec.health_check = Some(check(json!({"tcp": {}})));
    let facts = node("r", &[("eth0", "192.168.0.1/24")], None);
    assert_eq!(asked(&plan(&[&slice], Some(&group("d")), None, &facts)), [] as [String; 0]);
    let standby = plan(&[&slice], Some(&group("r")), Some(Part::OneOfSeveral), &facts);
    assert_eq!(asked(&standby), ["192.168.0.101:80 tcp"]);
}

#[test]
fn what_is_down_is_left_out_or_gets_no_weight_and_is_told() {
    let mut fragment = planned(json!({"tcp": {}}), None);
    let verdicts = down(&fragment, "192.168.0.102");
    fragment.heed(&verdicts);
    assert_eq!(weights(&fragment, 80), [(101, 4)]);
    assert_eq!(weights(&fragment, 443), [(103, 1)]);
    let told = &fragment.down["rs-192.168.0.102"];
    assert_eq!(told.ports, ["TCP/80".to_owned()].into());
    assert_eq!(told.reason, "no answer within 200 ms, 3 of 3");

    let mut fragment = planned(json!({"tcp": {}, "onFailure": "Inhibit"}), None);
    let verdicts = down(&fragment, "192.168.0.102");
    fragment.heed(&verdicts);
    assert_eq!(weights(&fragment, 80), [(101, 4), (102, 0)]);
}

#[test]
fn all_kinds_have_to_pass() {
    let mut fragment = planned(json!({"tcp": {}, "icmp": {}}), None);
    let first = fragment.targets().into_iter().find(|it| it.check.icmp.is_some()).unwrap();
    let mut verdicts: Verdicts =
        fragment.targets().into_iter().map(|target| (target, verdict(true))).collect();
    fragment.heed(&verdicts);
    assert_eq!(weights(&fragment, 80), [(101, 4), (102, 2)]);
    verdicts.set(first, verdict(false));
    fragment.heed(&verdicts);
    assert_eq!(weights(&fragment, 80), [(102, 2)]);
}

#[test]
fn until_it_is_checked_a_server_is_what_initial_says() {
    let mut fragment = planned(json!({"tcp": {}, "initial": "Down"}), None);
    fragment.heed(&Verdicts::default());
    assert_eq!(weights(&fragment, 80), []);
    assert_eq!(fragment.down["rs-192.168.0.101"].reason, "not checked yet");
    let mut fragment = planned(json!({"tcp": {}}), None);
    fragment.heed(&Verdicts::default());
    assert_eq!(weights(&fragment, 80), [(101, 4), (102, 2)]);
}

#[test]
fn what_failure_means_makes_no_other_check_of_it() {
    let remove = planned(json!({"tcp": {}}), None);
    let inhibit = planned(json!({"tcp": {}, "onFailure": "Inhibit"}), None);
    assert_eq!(remove.targets(), inhibit.targets(), "asked once for both");
    let kinds = |fragment: &Fragment| fragment.checked.values().next().map(|it| it.on_failure);
    assert_eq!(kinds(&remove), Some(OnFailure::Remove));
    assert_eq!(kinds(&inhibit), Some(OnFailure::Inhibit));
}

#[test]
fn a_death_leaves_the_shares_of_sources_to_the_others_as_they_were() {
    let servers = [server("192.168.0.101", DR, 4, 80), server("192.168.0.102", DR, 1, 80)];
    let mut by_source = service(VIP, 80);
    by_source.scheduler = Scheduler::Sh;
    let mut slice = slice("web", 1, &[by_source], &servers);
    slice.spec.health_check = Some(check(json!({"tcp": {}})));
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let mut fragment = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
    let verdicts = down(&fragment, "192.168.0.102");
    fragment.heed(&verdicts);
    // Not divided by the divisor of those that are left: that would be a request more.
    assert_eq!(weights(&fragment, 80), [(101, 4)]);
}
