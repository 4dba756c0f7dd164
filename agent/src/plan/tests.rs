mod colocated;
mod fixtures;
mod health;
mod netfilter;
mod obstacles;
mod service;
mod settings;
mod sync;

use super::*;
use crate::scenario::{gateway, group, marked, network, node, server, service, slice, tunnel};
use crate::state::Floats;
use crate::state::NodeState;
use lvs_crds::Forwarding::{DR, NAT, TUN};
use lvs_crds::{Protocol, Scheduler, SchedulerFlag, SlicePersistence};
use lvs_ipvs::{DestinationKey, Forwarding, Netmask, ServiceFlags};
use std::net::Ipv4Addr;

const ACTIVE: Option<Part> = Some(Part::Alone);
const VIP: &str = "192.168.0.10";

fn held(interface: &str, address: &str) -> HeldAddress {
    HeldAddress { interface: interface.to_owned(), address: address.parse().unwrap() }
}

fn addresses(fragment: &Fragment) -> Vec<HeldAddress> {
    fragment.addresses.iter().cloned().collect()
}

fn key(port: u16) -> ServiceKey {
    ServiceKey::tcp(Ipv4Addr::new(192, 168, 0, 10), port)
}

fn reasons(fragment: &Fragment) -> Vec<&str> {
    fragment.problems.iter().map(|problem| problem.reason.as_str()).collect()
}

#[test]
fn a_director_holds_the_vip_in_its_network_and_the_services() {
    let facts = node("d", &[("eth0", "222.117.155.123/24")], Some("222.117.155.1"));
    let mut group = group("d");
    group.spec.networks = vec![network("192.168.0.0/24", Some("eth0"))];
    let servers = [server("192.168.0.101", DR, 5, 80), server("222.117.155.123", DR, 10, 80)];
    let slice = slice("web", 1, &[service(VIP, 80)], &servers);
    let fragment = plan(&[&slice], Some(&group), ACTIVE, &facts);
    assert_eq!(addresses(&fragment), [held("eth0", "192.168.0.10/24")]);
    let promotes = "net/ipv4/conf/eth0/promote_secondaries".to_owned();
    assert_eq!(fragment.sysctls, [(promotes, "1".to_owned())].into());
    assert_eq!(fragment.problems, []);
    let weights: Vec<_> = fragment.services[&key(80)]
        .destinations
        .values()
        .map(|destination| (destination.forwarding, destination.weight))
        .collect();
    let route = lvs_ipvs::Forwarding::DirectRoute;
    assert_eq!(weights, [(route, 5), (route, 10)]);
}

#[test]
fn a_vip_of_no_network_stands_with_a_host_prefix_where_its_route_leads() {
    let facts = node("d", &[("in", "10.0.0.1/24"), ("out", "192.168.0.1/24")], None);
    let slice = slice("web", 1, &[service(VIP, 80)], &[]);
    let fragment = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
    assert_eq!(addresses(&fragment), [held("out", "192.168.0.10/32")]);
}

#[test]
fn a_network_without_an_interface_takes_the_one_inside_it_then_the_route() {
    let facts = node("d", &[("in", "10.0.0.1/24"), ("out", "172.16.0.1/24")], Some("172.16.0.254"));
    let mut group = group("d");
    group.spec.networks = vec![network("10.0.0.0/16", None), network("192.168.0.0/24", None)];
    let services = [service("10.0.200.1", 80), service(VIP, 80)];
    let slice = slice("web", 1, &services, &[]);
    let fragment = plan(&[&slice], Some(&group), ACTIVE, &facts);
    let expected = [held("in", "10.0.200.1/16"), held("out", "192.168.0.10/24")];
    assert_eq!(addresses(&fragment), expected);
}

#[test]
fn of_nested_networks_the_narrowest_counts() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let mut group = group("d");
    group.spec.networks = vec![network("192.168.0.0/16", None), network("192.168.0.0/28", None)];
    let slice = slice("web", 1, &[service(VIP, 80)], &[]);
    let fragment = plan(&[&slice], Some(&group), ACTIVE, &facts);
    assert_eq!(addresses(&fragment), [held("eth0", "192.168.0.10/28")]);
}

#[test]
fn no_interface_for_a_vip_is_a_problem_that_names_the_field_and_the_services_stay() {
    let facts = node("d", &[("eth0", "10.0.0.1/24")], None);
    let mut group = group("d");
    let slice = slice("web", 1, &[service(VIP, 80)], &[]);
    let fragment = plan(&[&slice], Some(&group), ACTIVE, &facts);
    assert_eq!(reasons(&fragment), ["NoInterface"]);
    assert!(fragment.problems[0].message.contains("spec.networks of DirectorGroup default"));
    assert!(fragment.addresses.is_empty() && fragment.services.len() == 1);

    group.spec.networks = vec![network("192.168.0.0/24", Some("bond7"))];
    let fragment = plan(&[&slice], Some(&group), ACTIVE, &facts);
    let message = &fragment.problems[0].message;
    assert!(message.contains("spec.networks[0]") && message.contains("bond7"), "{message}");
}

#[test]
fn of_several_directors_each_has_everything_but_the_vip_floats() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let slice = slice("web", 1, &[service(VIP, 80)], &[server("192.168.0.101", DR, 1, 80)]);
    let alone = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
    let several = plan(&[&slice], Some(&group("d")), Some(Part::OneOfSeveral), &facts);
    assert_eq!(
        alone.addresses.iter().collect::<Vec<_>>(),
        several.floating.keys().collect::<Vec<_>>()
    );
    let floats = Floats { group: "default".to_owned(), with: Floating::Vip(VIP.parse().unwrap()) };
    assert_eq!(several.floating.values().collect::<Vec<_>>(), [&floats]);
    let still =
        Fragment { addresses: alone.addresses.clone(), floating: BTreeMap::new(), ..several };
    assert_eq!(still, alone);
}

#[test]
fn a_vip_of_nat_floats_with_the_gateway_unless_replies_come_back_anyway() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let with = |gateway: bool, masquerade: bool, servers: &[SliceRealServer]| {
        let mut slice = slice("web", 1, &[service(VIP, 80)], servers);
        slice.spec.masquerade = masquerade;
        let mut group = group("d");
        group
            .spec
            .nat_gateways
            .extend(gateway.then(|| crate::scenario::gateway("10.0.0.1/24", None)));
        let fragment = plan(&[&slice], Some(&group), Some(Part::OneOfSeveral), &facts);
        fragment.floating.values().next().unwrap().with
    };
    let (nat, dr) = (server("10.0.0.101", NAT, 1, 80), server("192.168.0.102", DR, 1, 80));
    let vip = Floating::Vip(VIP.parse().unwrap());
    assert_eq!(with(true, false, &[dr.clone(), nat.clone()]), Floating::NatGateway);
    assert_eq!(with(true, true, std::slice::from_ref(&nat)), vip);
    assert_eq!(with(false, false, &[nat]), vip);
    assert_eq!(with(true, false, &[dr]), vip);
}

#[test]
fn strangers_hold_nothing() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let slice = slice("web", 1, &[service(VIP, 80)], &[server("192.168.0.101", DR, 1, 80)]);
    assert_eq!(plan(&[&slice], Some(&group("x")), None, &facts), Fragment::default());
    assert_eq!(plan(&[&slice], None, None, &facts), Fragment::default());
}

#[test]
fn nat_forwards_packets_and_translates_ports() {
    let facts = node("d", &[("eth1", "211.47.13.1/24")], None);
    let mut server = server("10.0.0.101", NAT, 1, 80);
    server.ports[0].target_port = 8080;
    let slice = slice("web", 1, &[service("211.47.13.234", 80)], &[server]);
    let fragment = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
    assert_eq!(fragment.sysctls.get(IP_FORWARD).map(String::as_str), Some("1"));
    let state = fragment.services.values().next().unwrap();
    let expected = DestinationKey::new(Ipv4Addr::new(10, 0, 0, 101), 8080);
    assert_eq!(state.destinations.keys().collect::<Vec<_>>(), [&expected]);
}

#[test]
fn ipv6_nat_forwards_ipv6() {
    let facts = node("d", &[("eth1", "2001:db8::1/64")], None);
    let slice =
        slice("web", 1, &[service("2001:db8::10", 80)], &[server("2001:db8:1::1", NAT, 1, 80)]);
    let fragment = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
    assert_eq!(fragment.sysctls.keys().collect::<Vec<_>>(), [IPV6_FORWARDING]);
    assert_eq!(addresses(&fragment), [held("eth1", "2001:db8::10/128")]);
}

#[test]
fn nat_gateways_stand_on_the_active_director_without_any_service() {
    let facts = node("d", &[("eth0", "10.0.0.1/24")], None);
    let mut group = group("d");
    group.spec.nat_gateways =
        vec![gateway("10.0.0.234/24", None), gateway("10.9.0.234/24", Some("nope"))];
    let fragment = plan_group(&group, ACTIVE, &[&group], &facts);
    assert_eq!(addresses(&fragment), [held("eth0", "10.0.0.234/24")]);
    assert!(fragment.problems[0].message.contains("spec.natGateways[1]"));
    assert_eq!(plan_group(&group, None, &[&group], &facts), Fragment::default());
}

#[test]
fn flags_persistence_and_thresholds_reach_the_kernel_form() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let mut wanted = service(VIP, 80);
    wanted.scheduler = Scheduler::Sh;
    wanted.scheduler_flags = vec![SchedulerFlag::ShFallback, SchedulerFlag::ShPort];
    wanted.persistence =
        Some(SlicePersistence { timeout_seconds: 300, prefix_length: 24, engine: None });
    let mut server = server("192.168.0.101", DR, 1, 80);
    (server.upper_threshold, server.lower_threshold) = (10, 5);
    let slice = slice("web", 1, &[wanted], &[server]);
    let fragment = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
    let state = &fragment.services[&key(80)];
    let flags = ServiceFlags::SCHED1 | ServiceFlags::SCHED2 | ServiceFlags::PERSISTENT;
    assert_eq!((state.service.scheduler.as_str(), state.service.flags), ("sh", flags));
    assert_eq!(state.service.timeout, 300);
    assert_eq!(state.service.netmask, Netmask::V4(Ipv4Addr::new(255, 255, 255, 0)));
    let destination = state.destinations.values().next().unwrap();
    assert_eq!((destination.upper_threshold, destination.lower_threshold), (10, 5));
}

#[test]
fn a_prefix_length_of_0_is_a_netmask_but_no_ipv6_prefix() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let mut services = [service(VIP, 80), service("2001:db8::10", 80)];
    for service in &mut services {
        service.persistence =
            Some(SlicePersistence { timeout_seconds: 300, prefix_length: 0, engine: None });
    }
    let slice = slice("web", 1, &services, &[]);
    let fragment = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
    assert_eq!(fragment.services.len(), 1, "{:?}", fragment.services);
    let netmask = fragment.services[&key(80)].service.netmask;
    assert_eq!(netmask, Netmask::V4(Ipv4Addr::UNSPECIFIED));
}

#[test]
fn a_server_serves_the_services_of_its_family_and_ports_only() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let mut udp = service(VIP, 80);
    udp.protocol = Protocol::UDP;
    let services = [service(VIP, 80), service(VIP, 443), service("2001:db8::10", 80), udp];
    let slice = slice("web", 1, &services, &[server("192.168.0.101", DR, 1, 80)]);
    let fragment = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
    let served: Vec<_> = fragment
        .services
        .iter()
        .filter(|(_, state)| !state.destinations.is_empty())
        .map(|(key, _)| *key)
        .collect();
    assert_eq!((served, fragment.services.len()), (vec![key(80)], 4));
}

#[test]
fn a_bad_entry_of_a_slice_costs_only_itself() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let services = [service(VIP, 80), service("nonsense", 80), service(VIP, 70_000)];
    let servers =
        [server("192.168.0.101", DR, 1, 80), server("x", DR, 1, 80), server("1.1.1.1", DR, -1, 80)];
    let slice = slice("web", 1, &services, &servers);
    let fragment = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
    assert_eq!(fragment.services[&key(80)].destinations.len(), 1);
    assert_eq!(reasons(&fragment), ["Invalid"; 4]);
}

#[test]
fn a_dr_real_server_holds_the_vip_on_lo_and_keeps_quiet() {
    let slice = slice("web", 1, &[service(VIP, 80)], &[server("192.168.0.101", DR, 1, 80)]);
    let facts = node("r", &[("eth0", "192.168.0.101/24")], None);
    let fragment = plan(&[&slice], Some(&group("d")), None, &facts);
    assert_eq!(addresses(&fragment), [held("lo", "192.168.0.10/32")]);
    let quiet =
        [(ARP_ANNOUNCE.to_owned(), "2".to_owned()), (ARP_IGNORE.to_owned(), "1".to_owned())];
    assert_eq!(fragment.sysctls.into_iter().collect::<Vec<_>>(), quiet);
    assert!(fragment.services.is_empty());
}

#[test]
fn a_real_server_is_known_by_node_name_too_and_ipv6_needs_no_arp() {
    let mut server = server("2001:db8::101", DR, 1, 80);
    server.node_name = Some("r".to_owned());
    let slice = slice("web", 1, &[service("2001:db8::10", 80), service(VIP, 80)], &[server]);
    let facts = node("r", &[("eth0", "10.0.0.1/24")], None);
    let fragment = plan(&[&slice], None, None, &facts);
    assert_eq!(addresses(&fragment), [held("lo", "2001:db8::10/128")]);
    assert!(fragment.sysctls.is_empty());
}

#[test]
fn the_director_as_its_own_real_server_needs_no_vip_on_lo() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let slice = slice("web", 1, &[service(VIP, 80)], &[server("192.168.0.1", DR, 1, 80)]);
    let fragment = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
    assert_eq!(addresses(&fragment), [held("eth0", "192.168.0.10/32")]);
    assert!(fragment.sysctls.is_empty());
}

#[test]
fn a_nat_real_server_with_another_default_gateway_is_told() {
    let mut group = group("d");
    group.spec.nat_gateways = vec![gateway("10.0.0.234/24", None)];
    let slice = slice("web", 1, &[service(VIP, 80)], &[server("10.0.0.101", NAT, 1, 80)]);
    let problem = |gateway: Option<&str>, role| {
        let facts = node("r", &[("eth0", "10.0.0.101/24")], gateway);
        plan(&[&slice], Some(&group), role, &facts)
            .problems
            .into_iter()
            .filter(|problem| problem.reason == "WrongDefaultGateway")
            .collect::<Vec<_>>()
    };
    assert_eq!(problem(Some("10.0.0.234"), None), []);
    assert_eq!(problem(Some("10.0.0.1"), ACTIVE), []);
    let found = &problem(Some("10.0.0.1"), None)[0];
    assert_eq!(found.role, FailedRole::RealServer);
    assert!(found.message.contains("10.0.0.1 ") && found.message.contains("10.0.0.234"));
    assert!(problem(None, None)[0].message.contains("no default route"));
}

#[test]
fn without_nat_gateways_no_default_route_is_wrong() {
    let slice = slice("web", 1, &[service(VIP, 80)], &[server("10.0.0.101", NAT, 1, 80)]);
    let facts = node("r", &[("eth0", "10.0.0.101/24")], None);
    assert_eq!(plan(&[&slice], Some(&group("d")), None, &facts), Fragment::default());
}

#[test]
fn while_slices_disagree_the_newest_says_what_the_services_are() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let old = slice("web", 5, &[service(VIP, 80)], &[server("192.168.0.101", DR, 1, 81)]);
    let mut new = slice("web", 4, &[service(VIP, 81)], &[server("192.168.0.102", DR, 1, 81)]);
    new.spec.generation = 2;
    let fragment = plan(&[&new, &old], Some(&group("d")), ACTIVE, &facts);
    assert_eq!(fragment.services.keys().collect::<Vec<_>>(), [&key(81)]);
    assert_eq!(fragment.services[&key(81)].destinations.len(), 2);
}

fn owner(name: &str) -> Owner {
    Owner::VirtualService { namespace: "default".to_owned(), name: name.to_owned() }
}

#[test]
fn what_two_need_stays_until_both_are_gone() {
    let facts = node("r", &[("eth0", "192.168.0.101/24")], None);
    let servers = [server("192.168.0.101", DR, 1, 80), server("192.168.0.101", DR, 1, 443)];
    let web = plan(&[&slice("web", 1, &[service(VIP, 80)], &servers)], None, None, &facts);
    let tls = plan(&[&slice("tls", 2, &[service(VIP, 443)], &servers)], None, None, &facts);
    let mut all = Fragments::default();
    all.set(&owner("web"), web, &mut Touched::default());
    let mut touched = Touched::default();
    all.set(&owner("tls"), tls, &mut touched);
    assert_eq!(all.part(&touched), *all.union());
    all.set(&owner("web"), Fragment::default(), &mut touched);
    assert_eq!(all.union().addresses.len(), 1);
    assert_eq!(all.union().sysctls.len(), 2);
    all.set(&owner("tls"), Fragment::default(), &mut touched);
    assert_eq!(*all.union(), NodeState::default());
    assert_eq!((touched.addresses.len(), touched.sysctls.len()), (1, 2));
}

#[test]
fn of_two_that_claim_a_service_the_first_by_name_has_it_and_the_other_inherits_it() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let fragment = |vs: &str, weight| {
        let servers = [server("192.168.0.101", DR, weight, 80)];
        let slice = slice(vs, 1, &[service(VIP, 80)], &servers);
        plan(&[&slice], Some(&group("d")), ACTIVE, &facts)
    };
    let weight = |all: &Fragments| {
        all.union().services[&key(80)].destinations.values().next().map(|d| d.weight)
    };
    let mut all = Fragments::default();
    let mut touched = Touched::default();
    all.set(&owner("b"), fragment("b", 2), &mut touched);
    assert_eq!((weight(&all), all.lost_claims().count()), (Some(2), 0));
    all.set(&owner("a"), fragment("a", 1), &mut touched);
    assert_eq!(weight(&all), Some(1));
    assert_eq!(all.lost_claims().collect::<Vec<_>>(), [(&key(80), &owner("a"), &owner("b"))]);
    assert_eq!(all.destinations(), 1);
    let mut touched = Touched::default();
    all.set(&owner("a"), Fragment::default(), &mut touched);
    assert_eq!((weight(&all), all.lost_claims().count()), (Some(2), 0));
    assert!(touched.services.contains(&key(80)));
}
