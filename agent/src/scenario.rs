//! What tests are made of: slices, groups and nodes in a line each.

use crate::state::{Facts, Interface, Route};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lvs_crds::{
    DirectorGroup, DirectorGroupSpec, DirectorGroupStatus, Forwarding, IpFamily, MarkRules, Member,
    NatGateway, Network, Protocol, Scheduler, SliceMark, SliceMarkPorts, SlicePort,
    SliceRealServer, SliceService, Tunnel, TunnelChecksum, TunnelType, VirtualServiceSlice,
    VirtualServiceSliceSpec,
};

pub(crate) fn service(vip: &str, port: i32) -> SliceService {
    SliceService {
        address: vip.to_owned(),
        protocol: Protocol::TCP,
        port,
        scheduler: Scheduler::Wrr,
        scheduler_flags: Vec::new(),
        persistence: None,
        firewall_mark: None,
        one_packet: false,
    }
}

/// Firewall mark `number` of TCP port 80 at these addresses.
pub(crate) fn marked(number: i64, addresses: &[&str]) -> SliceService {
    let six = addresses.iter().any(|address| address.contains(':'));
    let mark = SliceMark {
        mark: number,
        family: if six { IpFamily::IPv6 } else { IpFamily::IPv4 },
        rules: MarkRules::Managed,
        addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
        destinations: Vec::new(),
        ports: vec![SliceMarkPorts { protocol: Protocol::TCP, port: 80, end_port: None }],
    };
    SliceService { firewall_mark: Some(mark), ..service("", 0) }
}

pub(crate) fn tunnel(
    kind: TunnelType,
    port: Option<i32>,
    checksum: Option<TunnelChecksum>,
) -> Tunnel {
    Tunnel { kind, port, checksum }
}

/// A real server of the services on `port`, without port translation.
pub(crate) fn server(
    address: &str,
    forwarding: Forwarding,
    weight: i32,
    port: i32,
) -> SliceRealServer {
    SliceRealServer {
        name: format!("rs-{address}"),
        address: address.to_owned(),
        node_name: None,
        forwarding,
        tunnel: None,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
        health_check: None,
        ports: vec![SlicePort { protocol: Protocol::TCP, port, target_port: port }],
    }
}

/// A slice of VirtualService `default/vs` in group `default`.
pub(crate) fn slice(
    vs: &str,
    version: u64,
    services: &[SliceService],
    real_servers: &[SliceRealServer],
) -> VirtualServiceSlice {
    VirtualServiceSlice {
        metadata: ObjectMeta {
            namespace: Some("default".to_owned()),
            name: Some(format!("{vs}-0")),
            resource_version: Some(version.to_string()),
            ..ObjectMeta::default()
        },
        spec: VirtualServiceSliceSpec {
            virtual_service: vs.to_owned(),
            generation: 1,
            director_group: "default".to_owned(),
            services: services.to_vec(),
            masquerade: false,
            health_check: None,
            real_servers: real_servers.to_vec(),
        },
    }
}

/// Group `default` with one director.
pub(crate) fn group(director: &str) -> DirectorGroup {
    let mut group = DirectorGroup::new("default", DirectorGroupSpec::default());
    let members = vec![Member {
        node: director.to_owned(),
        addresses: Vec::new(),
        macs: Vec::new(),
        mtu: None,
    }];
    group.status = Some(DirectorGroupStatus { members, ..DirectorGroupStatus::default() });
    group
}

pub(crate) fn network(cidr: &str, interface: Option<&str>) -> Network {
    Network { cidr: cidr.to_owned(), interface: interface.map(str::to_owned) }
}

pub(crate) fn gateway(address: &str, interface: Option<&str>) -> NatGateway {
    NatGateway {
        address: address.to_owned(),
        interface: interface.map(str::to_owned),
        masquerade: false,
    }
}

/// A node with the given interfaces (name, address) and a default route over the last one, if there is a gateway.
pub(crate) fn node(name: &str, interfaces: &[(&str, &str)], gateway: Option<&str>) -> Facts {
    let mut facts = Facts { node: name.to_owned(), ..Facts::default() };
    let loopback =
        Interface { index: 1, up: true, loopback: true, mtu: 65536, ..Interface::default() };
    facts.interfaces.insert("lo".to_owned(), loopback);
    for (index, (interface, address)) in (2..).zip(interfaces) {
        let address: ipnet::IpNet = address.parse().unwrap();
        let route = Route {
            destination: address.trunc(),
            interface: (*interface).to_owned(),
            gateway: None,
            metric: 0,
        };
        facts.routes.push(route);
        let addresses = vec![address];
        let mac = u8::try_from(index).ok().map(|last| crate::state::Mac([2, 0, 0, 0, 0, last]));
        let new = Interface {
            index,
            up: true,
            multicast: true,
            mac,
            mtu: 1500,
            addresses,
            ..Interface::default()
        };
        facts.interfaces.insert((*interface).to_owned(), new);
    }
    if let (Some(gateway), Some((interface, _))) = (gateway, interfaces.last()) {
        facts.routes.push(Route {
            destination: "0.0.0.0/0".parse().unwrap(),
            interface: (*interface).to_owned(),
            gateway: Some(gateway.parse().unwrap()),
            metric: 100,
        });
    }
    facts
}
