//! What netfilter has to do with a service besides masquerading: counters, and what is not tracked.

use super::*;
use crate::state::{Fixture, Packets};
use lvs_crds::{MarkRules, SliceMarkPorts};

fn facts() -> Facts {
    Facts { nftables: true, ..node("d", &[("eth0", "192.168.0.1/24")], None) }
}

/// The packets that are counted, and those that are not tracked.
fn told(slice: &VirtualServiceSlice, facts: &Facts) -> (Vec<String>, Vec<String>) {
    let fragment = plan(&[slice], Some(&group("d")), ACTIVE, facts);
    let text = |pick: fn(&Fixture) -> Option<Packets>| {
        fragment.fixtures.iter().filter_map(pick).map(|it| it.to_string()).collect()
    };
    let counted = text(|it| match it {
        Fixture::Arrivals { packets } => Some(*packets),
        _ => None,
    });
    let untracked = text(|it| match it {
        Fixture::Untracked { packets } => Some(*packets),
        _ => None,
    });
    (counted, untracked)
}

#[test]
fn all_that_arrives_is_counted_and_what_no_nat_server_gets_is_not_tracked() {
    let servers = [
        server("192.168.0.101", DR, 1, 80),
        server("192.168.0.102", TUN, 0, 80),
        server("192.168.0.101", DR, 1, 443),
        server("192.168.0.103", NAT, 1, 443),
    ];
    let services = [service(VIP, 80), service(VIP, 443), service(VIP, 25)];
    let slice = slice("web", 1, &services, &servers);
    let of = |port: u16| format!("192.168.0.10/32 TCP/{port}");
    let (counted, untracked) = told(&slice, &facts());
    assert_eq!(counted, [of(25), of(80), of(443)]);
    assert_eq!(untracked, [of(80)], "443 has a NAT server too, 25 has none at all");
    let without = Facts { nftables: false, ..facts() };
    assert_eq!(told(&slice, &without), (vec![], vec![]), "a kernel without nftables");
}

#[test]
fn of_marks_the_addresses_count_and_rules_of_others_say_themselves_what_is_tracked() {
    let mut wanted = marked(7, &[VIP]);
    let mark = wanted.firewall_mark.as_mut().unwrap();
    let ports = |port, end_port| SliceMarkPorts { protocol: Protocol::TCP, port, end_port };
    mark.ports = vec![ports(21, None), ports(20_000, Some(20_999))];
    mark.destinations = vec!["198.51.100.0/24".to_owned()];
    let servers = [server("192.168.0.101", DR, 1, 0)];
    let of = |wanted: &SliceService| {
        told(&slice("ftp", 1, std::slice::from_ref(wanted), &servers), &facts())
    };
    let all = ["192.168.0.10/32 TCP/21", "192.168.0.10/32 TCP/20000-20999"].map(str::to_owned);
    assert_eq!(of(&wanted), (all.to_vec(), all.to_vec()), "what passes through is not the node's");
    wanted.firewall_mark.as_mut().unwrap().rules = MarkRules::External;
    assert_eq!(of(&wanted), (all.to_vec(), vec![]));
}
