//! Directors of several that are real servers too.

use super::sync::{SEVERAL, pair};
use super::*;
use crate::state::{InterfaceName, Mac, Packets};
use lvs_crds::TunnelType;
use std::num::NonZeroU32;

fn facts() -> Facts {
    node("e", &[("eth0", "192.168.0.2/24")], None)
}

const MARK: u32 = 8192 + 7 * 32 + 1;

fn number(mark: u32) -> NonZeroU32 {
    mark.try_into().unwrap()
}

fn web(forwarding: lvs_crds::Forwarding) -> lvs_crds::VirtualServiceSlice {
    let servers =
        [server("192.168.0.2", forwarding, 1, 80), server("192.168.0.3", forwarding, 1, 80)];
    slice("web", 1, &[service(VIP, 80)], &servers)
}

fn local(fragment: &Fragment) -> Option<&ServiceState> {
    fragment.services.get(&ServiceKey::mark(lvs_ipvs::Family::V4, number(MARK)))
}

#[test]
fn what_another_director_sends_is_served_here_alone() {
    let fragment = plan(&[&web(DR)], Some(&pair("a", 7)), SEVERAL, &facts());
    let packets = Packets {
        destination: "192.168.0.10/32".parse().unwrap(),
        protocol: lvs_ipvs::Protocol::Tcp,
        first_port: 80,
        last_port: 80,
    };
    let expected = [
        Fixture::Balanced { packets, mark: number(MARK) },
        Fixture::OtherDirector { mac: Mac([2, 0, 0, 0, 0, 2]) },
    ];
    assert_eq!(fragment.fixtures, expected.into());
    let local = local(&fragment).unwrap();
    let to: Vec<_> = local.destinations.keys().map(ToString::to_string).collect();
    assert_eq!(to, ["192.168.0.2:0"]);
    assert!(local.service.flags.contains(ServiceFlags::ONE_PACKET));
    assert!(fragment.addresses.contains(&held("lo", "192.168.0.10/32")));
    assert!(fragment.services.contains_key(&key(80)), "it directs, too");
    assert_eq!(fragment.warnings, []);
}

#[test]
fn what_comes_out_of_a_tunnel_is_told_by_the_device() {
    let mut slice = web(TUN);
    for server in &mut slice.spec.real_servers {
        server.tunnel = Some(tunnel(TunnelType::Gue, None, None));
    }
    let fragment = plan(&[&slice], Some(&pair("a", 7)), SEVERAL, &facts());
    let interface = InterfaceName::new("lvsic0a80002").unwrap();
    assert!(fragment.fixtures.contains(&Fixture::OwnTunnel { interface }), "{fragment:?}");
    assert!(!fragment.fixtures.iter().any(|it| matches!(it, Fixture::OtherDirector { .. })));
    assert!(local(&fragment).is_some());
}

#[test]
fn nothing_of_it_is_there_for_one_director_or_one_that_serves_nothing() {
    let kept = |fragment: &Fragment| {
        let mark = |key: &&ServiceKey| matches!(key, ServiceKey::Mark { .. });
        fragment.services.keys().filter(mark).count() + fragment.fixtures.len()
    };
    assert_eq!(kept(&plan(&[&web(DR)], Some(&group("e")), ACTIVE, &facts())), 0);
    let elsewhere = node("e", &[("eth0", "192.168.0.9/24")], None);
    assert_eq!(kept(&plan(&[&web(DR)], Some(&pair("a", 7)), SEVERAL, &elsewhere)), 0);
    assert_eq!(kept(&plan(&[&web(DR)], Some(&pair("a", 7)), None, &facts())), 0);
}

#[test]
fn a_director_whose_address_is_unknown_is_named_with_the_fix() {
    let mut group = pair("a", 7);
    group.status.as_mut().unwrap().members[0].macs = vec!["garbled".to_owned()];
    let mut slice = web(DR);
    slice.spec.services.push(service("192.168.0.11", 80));
    let fragment = plan(&[&slice], Some(&group), SEVERAL, &facts());
    let [warning] = fragment.warnings.as_slice() else { panic!("{:?}", fragment.warnings) };
    assert_eq!(warning.reason, "UnknownDirectorMAC");
    assert!(warning.message.contains("director d") && warning.message.contains("spec.members[]"));
}

#[test]
fn a_tunnel_of_the_other_family_ends_at_any_address_of_this_node() {
    let facts = node("e", &[("eth0", "2001:db8::2/64")], None);
    let slice = slice("web", 1, &[service(VIP, 80)], &[server("2001:db8::2", TUN, 1, 80)]);
    let fragment = plan(&[&slice], Some(&pair("a", 7)), SEVERAL, &facts);
    let to: Vec<_> =
        local(&fragment).unwrap().destinations.keys().map(ToString::to_string).collect();
    assert_eq!(to, ["127.0.0.1:0"]);
}

#[test]
fn two_services_share_the_mark_and_a_users_own_cannot_be_it() {
    let mut fragments = Fragments::default();
    let mut other = web(DR);
    other.spec.virtual_service = "other".to_owned();
    other.spec.services = vec![service("192.168.0.11", 80)];
    for slice in [&web(DR), &other] {
        let fragment = plan(&[slice], Some(&pair("a", 7)), SEVERAL, &facts());
        fragments.set(&Owner::of(slice), fragment, &mut Touched::default());
    }
    assert_eq!(fragments.lost_claims().count(), 0);
    assert_eq!(fragments.union().services.len(), 3);
    let servers = [server("192.168.0.3", DR, 1, 80)];
    let marked = slice("fixed", 1, &[marked(MARK.into(), &[VIP])], &servers);
    let fragment = plan(&[&marked], Some(&pair("a", 7)), SEVERAL, &facts());
    assert_eq!(reasons(&fragment), ["Invalid"]);
    assert!(fragment.services.is_empty());
}

#[test]
fn a_nat_server_on_a_director_is_told_unless_its_replies_come_back() {
    let mut slice = web(NAT);
    let warnings = |slice: &lvs_crds::VirtualServiceSlice| {
        let mut group = pair("a", 7);
        group.status.as_mut().unwrap().sync_id = None;
        let fragment = plan(&[slice], Some(&group), SEVERAL, &facts());
        fragment.warnings.into_iter().map(|warning| warning.reason).collect::<Vec<_>>()
    };
    assert_eq!(warnings(&slice), ["RepliesBypassDirector"]);
    slice.spec.masquerade = true;
    assert_eq!(warnings(&slice), Vec::<String>::new());
}
