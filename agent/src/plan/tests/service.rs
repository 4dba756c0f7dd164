//! Services in the kernel's form.

use super::*;
use lvs_crds::{PersistenceEngine, TunnelChecksum, TunnelType};
use lvs_ipvs::{Family, Tunnel as KernelTunnel, TunnelFlags, TunnelType as Kind};

fn persistence() -> SlicePersistence {
    SlicePersistence { timeout_seconds: 300, prefix_length: 32, engine: None }
}

#[test]
fn a_firewall_mark_is_a_service_of_its_family_whose_servers_keep_the_clients_port() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let mut server = server("192.168.0.101", DR, 3, 80);
    server.ports.clear();
    let services = [marked(4096, &[VIP]), marked(4096, &["2001:db8::10"])];
    let slice = slice("web", 1, &services, &[server]);
    let fragment = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
    let number = 4096.try_into().unwrap();
    let four = ServiceKey::mark(Family::V4, number);
    let six = ServiceKey::mark(Family::V6, number);
    let keys: Vec<_> = fragment.services.keys().copied().collect();
    assert_eq!(keys, [four, six]);
    let destinations: Vec<_> = fragment.services[&four].destinations.keys().copied().collect();
    assert_eq!(destinations, [DestinationKey::new(Ipv4Addr::new(192, 168, 0, 101), 0)]);
    assert!(fragment.services[&six].destinations.is_empty());
}

#[test]
fn a_mark_that_is_none_is_invalid_and_gets_no_rules() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    for number in [0, -1, 1 << 32] {
        let slice = slice("web", 1, &[marked(number, &[VIP])], &[]);
        let fragment = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
        assert_eq!((reasons(&fragment), fragment.fixtures.len()), (vec!["Invalid"], 0), "{number}");
        assert!(fragment.problems[0].message.contains(&format!("firewall mark {number}")));
    }
}

#[test]
fn single_packets_and_the_sip_engine_reach_the_kernel_form() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let mut dns = service(VIP, 53);
    (dns.protocol, dns.one_packet) = (Protocol::UDP, true);
    let mut sip = service(VIP, 5060);
    sip.protocol = Protocol::UDP;
    sip.persistence =
        Some(SlicePersistence { engine: Some(PersistenceEngine::Sip), ..persistence() });
    let slice = slice("udp", 1, &[dns, sip], &[]);
    let fragment = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
    let at = |port| {
        let key = ServiceKey::udp(Ipv4Addr::new(192, 168, 0, 10), port);
        let service = &fragment.services[&key].service;
        (service.flags, service.pe_name.clone())
    };
    assert_eq!(at(53), (ServiceFlags::ONE_PACKET, None));
    assert_eq!(at(5060), (ServiceFlags::PERSISTENT, Some("sip".to_owned())));
}

#[test]
fn port_0_is_a_service_only_with_persistence() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let mut all = service(VIP, 0);
    let servers = [server("192.168.0.101", DR, 1, 0)];
    let planned = |service: &SliceService| {
        let slice = slice("all", 1, std::slice::from_ref(service), &servers);
        plan(&[&slice], Some(&group("d")), ACTIVE, &facts)
    };
    assert_eq!(reasons(&planned(&all)), ["Invalid"]);
    all.persistence = Some(persistence());
    let fragment = planned(&all);
    let ports: Vec<_> =
        fragment.services[&key(0)].destinations.keys().map(|key| key.port).collect();
    assert_eq!((reasons(&fragment), ports), (vec![], vec![0]));
}

#[test]
fn a_tunnels_type_port_and_checksum_reach_the_kernel_form() {
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    let checksum = TunnelFlags::CHECKSUM;
    for (tunnel, expected) in [
        (None, KernelTunnel::default()),
        (
            Some(tunnel(TunnelType::Gue, None, None)),
            KernelTunnel { kind: Kind::Gue, port: 6080, flags: TunnelFlags::NONE },
        ),
        (
            Some(tunnel(TunnelType::Gue, Some(7000), Some(TunnelChecksum::Remcsum))),
            KernelTunnel { kind: Kind::Gue, port: 7000, flags: TunnelFlags::REMOTE_CHECKSUM },
        ),
        (
            Some(tunnel(TunnelType::Gre, None, Some(TunnelChecksum::Csum))),
            KernelTunnel { kind: Kind::Gre, port: 0, flags: checksum },
        ),
    ] {
        let mut server = server("10.0.0.101", TUN, 1, 80);
        server.tunnel = tunnel;
        let slice = slice("web", 1, &[service(VIP, 80)], &[server]);
        let fragment = plan(&[&slice], Some(&group("d")), ACTIVE, &facts);
        let destination = fragment.services[&key(80)].destinations.values().next().unwrap();
        assert_eq!((destination.forwarding, destination.tunnel), (Forwarding::Tunnel, expected));
    }
}

#[test]
fn a_tunnel_leads_to_the_other_family_where_the_service_has_none_of_its_own() {
    let facts = node("d", &[("eth0", "192.168.0.1/24"), ("eth1", "2001:db8::1/64")], None);
    let servers = [server("192.168.0.101", TUN, 1, 80), server("192.168.0.102", DR, 1, 80)];
    let alone = slice("web", 1, &[service("2001:db8::10", 80)], &servers);
    let fragment = plan(&[&alone], Some(&group("d")), ACTIVE, &facts);
    let state = fragment.services.values().next().unwrap();
    let expected = DestinationKey::new(Ipv4Addr::new(192, 168, 0, 101), 80);
    assert_eq!(state.destinations.keys().copied().collect::<Vec<_>>(), [expected]);
    let both = slice("web", 1, &[service("2001:db8::10", 80), service(VIP, 80)], &servers);
    let fragment = plan(&[&both], Some(&group("d")), ACTIVE, &facts);
    let counts: Vec<_> = fragment.services.values().map(|it| it.destinations.len()).collect();
    assert_eq!(counts, [2, 0]);
}
