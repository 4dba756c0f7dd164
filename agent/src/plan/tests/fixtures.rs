//! Marks, local delivery and masquerading on the director; tunnels on real servers.

use super::*;
use crate::plan::settings::{CONN_REUSE_MODE, CONNTRACK};
use crate::state::{Fixture, Made, Packets, TunnelDevice};
use lvs_crds::{MarkRules, SliceMarkPorts, TunnelChecksum, TunnelType};
use lvs_ipvs::Family;
use std::net::IpAddr;

fn packets(destination: &str, protocol: lvs_ipvs::Protocol, first: u16, last: u16) -> Packets {
    let destination = destination.parse().unwrap();
    Packets { destination, protocol, first_port: first, last_port: last }
}

fn fixtures(fragment: &Fragment) -> Vec<Fixture> {
    fragment.fixtures.iter().copied().collect()
}

const TCP: lvs_ipvs::Protocol = lvs_ipvs::Protocol::Tcp;

fn director() -> Facts {
    node("d", &[("eth0", "192.168.0.1/24")], None)
}

fn active(slice: &VirtualServiceSlice, facts: &Facts) -> Fragment {
    plan(&[slice], Some(&group("d")), ACTIVE, facts)
}

#[test]
fn each_address_and_range_of_a_mark_gets_a_rule_and_the_addresses_stand() {
    let mut wanted = marked(7, &[VIP, "192.168.0.11"]);
    let ports = |protocol, port, end_port| SliceMarkPorts { protocol, port, end_port };
    wanted.firewall_mark.as_mut().unwrap().ports =
        vec![ports(Protocol::TCP, 21, None), ports(Protocol::UDP, 20_000, Some(20_999))];
    let fragment = active(&slice("ftp", 1, &[wanted], &[]), &director());
    let mark = 7.try_into().unwrap();
    let udp = lvs_ipvs::Protocol::Udp;
    let expected = [
        packets("192.168.0.10/32", TCP, 21, 21),
        packets("192.168.0.10/32", udp, 20_000, 20_999),
        packets("192.168.0.11/32", TCP, 21, 21),
        packets("192.168.0.11/32", udp, 20_000, 20_999),
    ];
    assert_eq!(fixtures(&fragment), expected.map(|packets| Fixture::Mark { packets, mark }));
    let stand = [held("eth0", "192.168.0.10/32"), held("eth0", "192.168.0.11/32")];
    assert_eq!(addresses(&fragment), stand);
}

#[test]
fn external_rules_are_not_ours() {
    let mut wanted = marked(7, &[VIP]);
    let managed = slice("web", 1, &[wanted.clone()], &[]);
    wanted.firewall_mark.as_mut().unwrap().rules = MarkRules::External;
    let external = slice("web", 1, &[wanted], &[]);
    let fragment = active(&external, &director());
    assert_eq!((fixtures(&fragment), fragment.services.len()), (vec![], 1));
    assert_eq!(fixtures(&active(&managed, &director())).len(), 1);
}

#[test]
fn all_ports_of_a_mark_are_one_range() {
    let mut wanted = marked(7, &[VIP]);
    wanted.firewall_mark.as_mut().unwrap().ports[0].port = 0;
    let fragment = active(&slice("web", 1, &[wanted], &[]), &director());
    let packets = packets("192.168.0.10/32", TCP, 0, u16::MAX);
    assert_eq!(fixtures(&fragment), [Fixture::Mark { packets, mark: 7.try_into().unwrap() }]);
}

#[test]
fn other_networks_are_delivered_on_the_director_and_on_servers_that_answer_themselves() {
    let mut wanted = marked(7, &[]);
    wanted.firewall_mark.as_mut().unwrap().destinations =
        vec!["203.0.113.0/24".to_owned(), "nonsense".to_owned()];
    let servers = [server("192.168.0.101", DR, 1, 80), server("192.168.0.102", NAT, 1, 80)];
    let slice = slice("cache", 1, &[wanted], &servers);
    let packets = packets("203.0.113.0/24", TCP, 80, 80);
    let delivery = Fixture::LocalDelivery { packets };
    let mark = Fixture::Mark { packets, mark: 7.try_into().unwrap() };
    let fragment = active(&slice, &director());
    assert_eq!(fixtures(&fragment), [mark, delivery]);
    assert_eq!((reasons(&fragment), addresses(&fragment)), (vec!["Invalid"], vec![]));
    let of =
        |address| plan(&[&slice], Some(&group("d")), None, &node("r", &[("eth0", address)], None));
    assert_eq!(fixtures(&of("192.168.0.101/24")), [delivery]);
    assert_eq!(fixtures(&of("192.168.0.102/24")), []);
}

#[test]
fn masquerading_is_for_services_with_nat_servers_and_needs_tracked_connections() {
    let servers = [server("192.168.0.101", NAT, 1, 80), server("192.168.0.102", DR, 1, 443)];
    let mut slice = slice("web", 1, &[service(VIP, 80), service(VIP, 443)], &servers);
    assert_eq!(active(&slice, &director()).sysctls.get(CONNTRACK), None);
    slice.spec.masquerade = true;
    let fragment = active(&slice, &director());
    let packets = packets("192.168.0.10/32", TCP, 80, 80);
    assert_eq!(fixtures(&fragment), [Fixture::Masquerade { packets }]);
    assert_eq!(fragment.sysctls.get(CONNTRACK).map(String::as_str), Some("1"));
    assert_eq!(fragment.sysctls.get(CONN_REUSE_MODE), None);
    let old = Facts { kernel_version: Some((5, 8)), ..director() };
    let reuse = active(&slice, &old).sysctls.get(CONN_REUSE_MODE).cloned();
    assert_eq!(reuse.as_deref(), Some("0"));
}

#[test]
fn unknown_replies_are_of_nat_servers_with_ports_of_their_own() {
    let mut servers = [server("192.168.0.101", NAT, 1, 80), server("192.168.0.102", DR, 1, 80)];
    for server in &mut servers {
        server.ports[0].target_port = 8080;
    }
    let mut slice = slice("web", 1, &[service(VIP, 80)], &servers);
    let mut group = group("d");
    let planned = |slice: &VirtualServiceSlice, group: &DirectorGroup| {
        let all = plan(&[slice], Some(group), ACTIVE, &director()).fixtures.into_iter();
        let told = all.filter_map(|it| match it {
            Fixture::UnknownReplies { packets } => Some(packets.to_string()),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(planned(&slice, &group), [""; 0], "by default");
    let failover = lvs_crds::Failover { drop_unknown_replies: true, ..Default::default() };
    group.spec.failover = Some(failover);
    assert_eq!(planned(&slice, &group), ["192.168.0.101/32 TCP/8080"]);
    assert_eq!(fixtures(&plan(&[&slice], Some(&group), None, &director())), [], "no director");
    // Of a mark the real server's port is the client's; a range's ports may be those of its own connections.
    let mut both = marked(7, &[VIP]);
    let ports = |port, end_port| SliceMarkPorts { protocol: Protocol::TCP, port, end_port };
    both.firewall_mark.as_mut().unwrap().ports = vec![ports(80, None), ports(1000, Some(65535))];
    slice.spec.services = vec![both];
    assert_eq!(planned(&slice, &group), ["192.168.0.101/32 TCP/80"]);
    slice.spec.services[0].firewall_mark.as_mut().unwrap().ports = vec![ports(0, None)];
    assert_eq!(planned(&slice, &group), [""; 0], "all ports");
    slice.spec.services = vec![SliceService { protocol: Protocol::UDP, ..service(VIP, 80) }];
    slice.spec.real_servers[0].ports[0].protocol = Protocol::UDP;
    assert_eq!(planned(&slice, &group), [""; 0], "a UDP server may ask from the same port");
    slice.spec.real_servers[0].ports[0].protocol = Protocol::TCP;
    slice.spec.services = vec![service(VIP, 80)];
    slice.spec.masquerade = true;
    assert_eq!(planned(&slice, &group), [""; 0], "they are the director's own");
}

#[test]
fn ftp_by_nat_without_its_helper_is_a_warning_and_with_it_tracks_connections() {
    let at = |services: &[SliceService], forwarding, facts: &Facts| {
        let servers = [server("192.168.0.101", forwarding, 1, 21)];
        active(&slice("ftp", 1, services, &servers), facts)
    };
    let mut range = marked(7, &[VIP]);
    let ports = &mut range.firewall_mark.as_mut().unwrap().ports[0];
    (ports.port, ports.end_port) = (20, Some(22));
    let with = Facts { ftp_helper: true, ..director() };
    for service in [service(VIP, 21), range] {
        let services = [service];
        let without = at(&services, NAT, &director());
        assert_eq!(without.warnings[0].reason, "FTPHelperMissing");
        assert!(without.warnings[0].message.contains("modprobe ip_vs_ftp"));
        assert_eq!((without.problems, without.sysctls.get(CONNTRACK)), (vec![], None));
        let helped = at(&services, NAT, &with);
        assert_eq!(helped.warnings, []);
        assert_eq!(helped.sysctls.get(CONNTRACK).map(String::as_str), Some("1"));
        assert_eq!(at(&services, DR, &director()).warnings, []);
    }
    assert_eq!(at(&[service(VIP, 80)], NAT, &director()).warnings, []);
}

/// What a real server of a TUN service gets, besides its VIP.
fn unwrapped(vip: &str, address: &str, wanted: Option<lvs_crds::Tunnel>) -> Vec<Fixture> {
    let bare = address.split('/').next().unwrap();
    let mut server = server(bare, TUN, 1, 80);
    server.tunnel = wanted;
    let slice = slice("web", 1, &[service(vip, 80)], &[server]);
    let facts = node("r", &[("eth0", address)], None);
    let fragment = plan(&[&slice], Some(&group("d")), None, &facts);
    let host = if vip.contains(':') { 128 } else { 32 };
    assert_eq!(addresses(&fragment), [held("lo", &format!("{vip}/{host}"))]);
    assert_eq!(fragment.sysctls.contains_key(ARP_IGNORE), host == 32);
    fixtures(&fragment)
}

#[test]
fn a_tunnels_device_port_and_segment_size_follow_its_type_and_both_families() {
    use TunnelChecksum::{Csum, Remcsum};
    use TunnelType::{Gre, Gue, Ipip};
    let (four, six) = ("10.0.0.101/24", "2001:db8:1::101/64");
    let vip6 = "2001:db8::10";
    let wrapped = |kind, checksum| Some(tunnel(kind, None, checksum));
    // MTU 1500, less the outer IP header, what the type adds, and the inner IP and TCP headers.
    for (vip, address, wanted, device, gue, bytes) in [
        (VIP, four, None, TunnelDevice::Ipip, None, 1440),
        (vip6, four, wrapped(Ipip, None), TunnelDevice::Sit, None, 1420),
        (VIP, six, None, TunnelDevice::Ip6tnl, None, 1420),
        (vip6, six, None, TunnelDevice::Ip6tnl, None, 1400),
        (VIP, four, wrapped(Gue, Some(Csum)), TunnelDevice::Ipip, Some(Family::V4), 1428),
        (vip6, four, wrapped(Gue, None), TunnelDevice::Sit, Some(Family::V4), 1408),
        (vip6, six, wrapped(Gue, None), TunnelDevice::Ip6tnl, Some(Family::V6), 1388),
        (VIP, four, wrapped(Gue, Some(Remcsum)), TunnelDevice::Ipip, Some(Family::V4), 1420),
        (VIP, four, wrapped(Gre, None), TunnelDevice::Gre, None, 1436),
        (vip6, four, wrapped(Gre, Some(Csum)), TunnelDevice::GreChecksum, None, 1412),
        (VIP, six, wrapped(Gre, None), TunnelDevice::Ip6gre, None, 1416),
        (VIP, six, wrapped(Gre, Some(Csum)), TunnelDevice::Ip6greChecksum, None, 1412),
    ] {
        let local: IpAddr = address.split('/').next().unwrap().parse().unwrap();
        let host = if vip == VIP { "192.168.0.10/32" } else { "2001:db8::10/128" };
        let packets = packets(host, TCP, 80, 80);
        let mut expected = vec![Fixture::Tunnel { device, local }];
        expected.extend(gue.map(|family| Fixture::Gue { family, port: 6080 }));
        expected.push(Fixture::SegmentSize { packets, bytes });
        assert_eq!(unwrapped(vip, address, wanted.clone()), expected, "{vip} {address} {wanted:?}");
    }
}

#[test]
fn the_smallest_mtu_of_the_interfaces_with_the_address_counts_and_udp_has_no_segments() {
    let mut udp = service(VIP, 53);
    udp.protocol = Protocol::UDP;
    let mut tcp = server("10.0.0.101", TUN, 1, 80);
    tcp.ports.push(lvs_crds::SlicePort { protocol: Protocol::UDP, port: 53, target_port: 53 });
    let slice = slice("web", 1, &[service(VIP, 80), udp], &[tcp]);
    let sizes_with = |group: &DirectorGroup, facts: &Facts| {
        let fragment = plan(&[&slice], Some(group), None, facts);
        let bytes = |fixture: &Fixture| match fixture {
            Fixture::SegmentSize { bytes, .. } => Some(*bytes),
            _ => None,
        };
        fragment.fixtures.iter().filter_map(bytes).collect::<Vec<_>>()
    };
    let sizes = |facts: &Facts| sizes_with(&group("d"), facts);
    let mut facts = node("r", &[("eth0", "10.0.0.101/24"), ("eth1", "10.0.0.101/24")], None);
    facts.interfaces.get_mut("eth1").unwrap().mtu = 1400;
    assert_eq!(sizes(&facts), [1340]);
    // What a director wraps has to leave it whole too.
    let mut group = group("d");
    for (mtu, bytes) in [(1500, 1340), (1300, 1240)] {
        group.status.as_mut().unwrap().members[0].mtu = Some(mtu);
        assert_eq!(sizes_with(&group, &facts), [bytes]);
    }
    facts.interfaces.get_mut("eth1").unwrap().mtu = 0;
    assert_eq!(sizes(&facts), [1440]);
    facts.interfaces.get_mut("eth0").unwrap().mtu = 60;
    assert_eq!(sizes(&facts), [] as [u16; 0]);
}

#[test]
fn a_node_that_is_two_real_servers_asks_for_segments_that_fit_both_tunnels() {
    let mut gre = server("10.0.0.102", TUN, 1, 80);
    gre.tunnel = Some(tunnel(TunnelType::Gre, None, None));
    let facts = node("r", &[("eth0", "10.0.0.101/24"), ("eth1", "10.0.0.102/24")], None);
    let ipip = server("10.0.0.101", TUN, 1, 80);
    for servers in [[ipip.clone(), gre.clone()], [gre, ipip]] {
        let slice = slice("web", 1, &[service(VIP, 80)], &servers);
        let all = fixtures(&plan(&[&slice], Some(&group("d")), None, &facts));
        let size =
            Fixture::SegmentSize { packets: packets("192.168.0.10/32", TCP, 80, 80), bytes: 1436 };
        assert_eq!((all.len(), all.last()), (3, Some(&size)));
    }
}

#[test]
fn the_only_director_as_a_tunnels_real_server_needs_no_device() {
    let slice = slice("web", 1, &[service(VIP, 80)], &[server("192.168.0.1", TUN, 1, 80)]);
    assert_eq!(fixtures(&active(&slice, &director())), []);
    let one = plan(&[&slice], Some(&group("d")), Some(Part::OneOfSeveral), &director());
    let tunnels = fixtures(&one).into_iter().filter(|it| matches!(it, Fixture::Tunnel { .. }));
    assert_eq!(tunnels.count(), 1, "one of several does");
}

#[test]
fn the_addresses_of_a_mark_stand_quietly_on_its_real_servers() {
    let slice = slice("web", 1, &[marked(7, &[VIP])], &[server("192.168.0.101", DR, 1, 80)]);
    let facts = node("r", &[("eth0", "192.168.0.101/24")], None);
    let fragment = plan(&[&slice], Some(&group("d")), None, &facts);
    assert_eq!(addresses(&fragment), [held("lo", "192.168.0.10/32")]);
    assert!(fragment.sysctls.contains_key(ARP_IGNORE) && fragment.fixtures.is_empty());
}

#[test]
fn a_fixture_that_two_need_stays_until_both_are_gone() {
    let facts = node("r", &[("eth0", "10.0.0.101/24")], None);
    let planned = |name: &str, port| {
        let servers = [server("10.0.0.101", TUN, 1, port)];
        plan(&[&slice(name, 1, &[service(VIP, port)], &servers)], None, None, &facts)
    };
    let mut all = Fragments::default();
    all.set(&owner("web"), planned("web", 80), &mut Touched::default());
    let mut touched = Touched::default();
    all.set(&owner("tls"), planned("tls", 443), &mut touched);
    assert_eq!((touched.fixtures.len(), all.union().fixtures.len()), (2, 3));
    assert_eq!(all.part(&touched).fixtures, touched.fixtures);
    let tunnel = Fixture::Tunnel { device: TunnelDevice::Ipip, local: [10, 0, 0, 101].into() };
    assert_eq!(all.owners(&Made::Fixture(tunnel)), [&owner("tls"), &owner("web")]);
    all.set(&owner("web"), Fragment::default(), &mut touched);
    assert!(all.union().fixtures.contains(&tunnel));
    all.set(&owner("tls"), Fragment::default(), &mut touched);
    assert_eq!(*all.union(), NodeState::default());
}
