//! Any valid object survives its own manifest; no text makes the reader panic.

use super::{Object, SERVICE, one, parse, parse_bytes};
use crate::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;
use std::net::{Ipv4Addr, Ipv6Addr};

fn label() -> impl Strategy<Value = String> {
    "[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?"
}

fn v4() -> impl Strategy<Value = String> {
    (1u32..0x7f00_0000).prop_map(|bits| Ipv4Addr::from_bits(bits).to_string())
}

fn v6() -> impl Strategy<Value = String> {
    (any::<u64>(), any::<u64>()).prop_map(|(high, low)| {
        let bits = (0x2001_0db8_u128 << 96) | u128::from(high) << 32 | u128::from(low);
        Ipv6Addr::from_bits(bits).to_string()
    })
}

fn addresses() -> impl Strategy<Value = Vec<String>> {
    prop_oneof![
        v4().prop_map(|a| vec![a]),
        v6().prop_map(|a| vec![a]),
        (v4(), v6()).prop_map(|(a, b)| vec![a, b]),
    ]
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    let value = prop_oneof![Just(String::new()), "[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?"];
    let key = "([a-z]{1,9}[.]example/)?[A-Za-z0-9]{1,9}";
    let requirement =
        (key, vec(value.clone(), 1..4), 0..4usize).prop_map(|(key, values, operator)| {
            LabelSelectorRequirement {
                key,
                operator: ["In", "NotIn", "Exists", "DoesNotExist"][operator].to_owned(),
                values: (operator < 2).then_some(values),
            }
        });
    (btree_map(key, value, 1..4), vec(requirement, 1..4)).prop_map(|(labels, expressions)| {
        LabelSelector { match_labels: Some(labels), match_expressions: Some(expressions) }
    })
}

fn virtual_service() -> impl Strategy<Value = VirtualService> {
    let ports = btree_set(1..=65535i32, 1..6);
    let persistence = proptest::option::of((1..=2_678_400i32, 1..=32u32));
    let choice = (select(Scheduler::ALL), select(Forwarding::ALL), select(Protocol::ALL));
    (label(), label(), addresses(), ports, persistence, choice, selector()).prop_map(
        |(
            name,
            namespace,
            addresses,
            ports,
            persistence,
            (scheduler, forwarding, protocol),
            selector,
        )| {
            let v4 = addresses.iter().any(|a| a.contains('.'));
            let port = |(index, port): (usize, i32)| ServicePort {
                name: Some(format!("p{index}")),
                protocol,
                port,
                end_port: None,
                target_port: (forwarding == Forwarding::NAT).then_some(65536 - port),
            };
            let persistence = persistence.map(|(timeout_seconds, bits)| Persistence {
                timeout_seconds,
                ipv4_netmask: v4.then(|| Ipv4Addr::from_bits(u32::MAX << (32 - bits)).to_string()),
                ipv6_prefix_length: None,
                engine: None,
            });
            let spec = VirtualServiceSpec {
                addresses,
                ports: ports.into_iter().enumerate().map(port).collect(),
                scheduler,
                scheduler_flags: match scheduler {
                    Scheduler::Sh => vec![SchedulerFlag::ShPort, SchedulerFlag::ShFallback],
                    Scheduler::Mh => vec![SchedulerFlag::MhFallback],
                    _ => Vec::new(),
                },
                firewall_mark: None,
                forwarding,
                tunnel: None,
                nat: None,
                one_packet: false,
                persistence,
                real_servers: RealServers { selector },
                director_group: "edge".to_owned(),
            };
            let mut service = VirtualService::new(&name, spec);
            service.metadata.namespace = Some(namespace);
            service
        },
    )
}

fn real_server() -> impl Strategy<Value = RealServer> {
    let place = prop_oneof![
        v4().prop_map(|a| (Some(a), None)),
        v6().prop_map(|a| (Some(a), None)),
        label().prop_map(|n| (None, Some(n))),
    ];
    let ports = btree_map(proptest::option::of(label()), 1..=65535i32, 0..4);
    let thresholds = proptest::option::of((1..=i32::MAX, any::<bool>()));
    let state = prop_oneof![Just(RealServerState::Enabled), Just(RealServerState::Disabled)];
    (label(), place, ports, 0..=65535i32, thresholds, state).prop_map(
        |(name, (address, node_name), ports, weight, thresholds, state)| {
            let spec = RealServerSpec {
                address,
                node_name,
                ports: ports
                    .into_iter()
                    .map(|(name, port)| RealServerPort { name, port })
                    .collect(),
                weight,
                forwarding: (weight % 2 == 0).then_some(Forwarding::NAT),
                tunnel: None,
                upper_threshold: thresholds.map(|(upper, _)| upper),
                lower_threshold: thresholds.and_then(|(upper, both)| both.then_some(upper)),
                state,
            };
            let mut server = RealServer::new(&name, spec);
            server.metadata.namespace = Some("shop".to_owned());
            server
        },
    )
}

fn director_group() -> impl Strategy<Value = DirectorGroup> {
    let cidr = (1..=32u32, any::<u32>()).prop_map(|(length, bits)| {
        format!("{}/{length}", Ipv4Addr::from_bits(bits & (u32::MAX << (32 - length))))
    });
    let interface = proptest::option::of("[a-z0-9.@-]{3,15}");
    let networks = btree_map(cidr.clone(), interface.clone(), 0..4);
    let gateway = (v4(), 31..=32u8).prop_map(|(address, length)| format!("{address}/{length}"));
    let gateways = proptest::option::of((gateway, interface));
    (label(), selector(), proptest::option::of(selector()), networks, gateways, vec(cidr, 0..4))
        .prop_map(|(name, nodes, namespaces, networks, gateways, cidrs)| {
            let network = |(cidr, interface)| Network { cidr, interface };
            let gateway = |(address, interface)| NatGateway { address, interface };
            let spec = DirectorGroupSpec {
                node_selector: nodes,
                allowed_namespaces: namespaces,
                networks: networks.into_iter().map(network).collect(),
                nat_gateways: gateways.into_iter().map(gateway).collect(),
                real_server_cidrs: cidrs,
                timeouts: None,
                sysctls: None,
            };
            DirectorGroup::new(&name, spec)
        })
}

fn object() -> impl Strategy<Value = Object> {
    prop_oneof![
        virtual_service().prop_map(|o| Object::VirtualService(Box::new(o))),
        real_server().prop_map(|o| Object::RealServer(Box::new(o))),
        director_group().prop_map(|o| Object::DirectorGroup(Box::new(o))),
    ]
}

fn yaml(object: &Object) -> String {
    match object {
        Object::VirtualService(o) => serde_saphyr::to_string(o),
        Object::RealServer(o) => serde_saphyr::to_string(o),
        Object::DirectorGroup(o) => serde_saphyr::to_string(o),
    }
    .unwrap()
}

fn json(object: &Object) -> String {
    match object {
        Object::VirtualService(o) => serde_json::to_string_pretty(o),
        Object::RealServer(o) => serde_json::to_string_pretty(o),
        Object::DirectorGroup(o) => serde_json::to_string_pretty(o),
    }
    .unwrap()
}

fn validate(object: &Object) -> Result<(), Vec<Violation>> {
    match object {
        Object::VirtualService(o) => o.validate(),
        Object::RealServer(o) => o.validate(),
        Object::DirectorGroup(o) => o.validate(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_valid_object_survives_its_manifest(objects in vec(object(), 1..4)) {
        let texts: Vec<_> = objects.iter().map(yaml).collect();
        let file = texts.join("---\n");
        let read: Result<Vec<_>, _> = parse(&file).into_iter().collect();
        prop_assert_eq!(&read.map_err(|e| TestCaseError::fail(format!("{e}\n{file}")))?, &objects);
        for object in &objects {
            prop_assert_eq!(&one(&json(object)).map_err(|e| TestCaseError::fail(e.to_string()))?, object);
            prop_assert_eq!(validate(object), Ok(()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        parse(&text);
        parse_bytes(&bytes);
    }

    #[test]
    fn no_damage_to_a_manifest_makes_the_reader_panic(
        at in 0..SERVICE.len(), length in 0..40usize, with in "[-\\[\\]{}:,&*!|>'\"%@`\t\n #a0~.]{0,12}",
    ) {
        let end = (at + length).min(SERVICE.len());
        let text = format!("{}{with}{}", &SERVICE[..at], &SERVICE[end..]);
        for result in parse(&text) {
            if let Err(error) = result {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
