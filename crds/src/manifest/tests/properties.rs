//! Any valid object survives its own manifest; no text makes the reader panic.

use super::{Object, SERVICE, one, parse, parse_bytes};
use crate::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

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

fn tunnel() -> impl Strategy<Value = Option<Tunnel>> {
    let of = |(kind, port, checksum): (TunnelType, i32, Option<TunnelChecksum>)| Tunnel {
        kind,
        port: (kind == TunnelType::Gue).then_some(port),
        checksum: checksum.filter(|c| match kind {
            TunnelType::Ipip => false,
            TunnelType::Gue => true,
            TunnelType::Gre => *c != TunnelChecksum::Remcsum,
        }),
    };
    let checksum = proptest::option::of(select(TunnelChecksum::ALL));
    proptest::option::of((select(TunnelType::ALL), 1..=65535i32, checksum).prop_map(of))
}

fn v4_network() -> impl Strategy<Value = String> {
    (0..=32u32, any::<u32>()).prop_map(|(length, bits)| {
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        format!("{}/{length}", Ipv4Addr::from_bits(bits & mask))
    })
}

fn firewall_mark() -> impl Strategy<Value = Option<FirewallMark>> {
    let mark = proptest::option::of(1..=i64::from(u32::MAX));
    let destinations = vec(v4_network(), 0..3);
    let of = |(mark, external, destinations): (Option<i64>, bool, Vec<String>)| FirewallMark {
        mark,
        rules: match external && mark.is_some() {
            true => MarkRules::External,
            false => MarkRules::Managed,
        },
        destinations,
    };
    proptest::option::of((mark, any::<bool>(), destinations).prop_map(of))
}

fn persistence() -> impl Strategy<Value = Option<Persistence>> {
    let of = |(timeout_seconds, bits, length, sip): (i32, u32, i32, bool)| Persistence {
        timeout_seconds,
        ipv4_netmask: Some(
            Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - bits).unwrap_or(0)).to_string(),
        ),
        ipv6_prefix_length: Some(length),
        engine: sip.then_some(PersistenceEngine::Sip),
    };
    proptest::option::of((1..=2_678_400i32, 0..=32u32, 1..=128i32, any::<bool>()).prop_map(of))
}

/// Any fields, of which those are then left out that do not go together.
fn virtual_service() -> impl Strategy<Value = VirtualService> {
    let ports = btree_set(1..=65535i32, 1..6);
    let choice = (select(Scheduler::ALL), select(Forwarding::ALL), select(Protocol::ALL));
    let flags = (proptest::option::of(any::<bool>()), any::<bool>(), any::<bool>());
    let meta = (label(), label(), selector());
    (meta, addresses(), ports, persistence(), choice, firewall_mark(), tunnel(), flags).prop_map(
        |(
            (name, namespace, selector),
            mut addresses,
            ports,
            mut persistence,
            (scheduler, forwarding, protocol),
            firewall_mark,
            tunnel,
            (masquerade, one_packet, all_ports),
        )| {
            let marked = firewall_mark.is_some();
            let destinations = firewall_mark.iter().flat_map(|m| &m.destinations).count();
            if destinations > 0 && all_ports {
                addresses.clear();
            } else if marked {
                addresses.extend(["198.51.100.1".to_owned(), "198.51.100.2".to_owned()]);
            }
            let v4 = destinations > 0 || addresses.iter().any(|a| a.contains('.'));
            let v6 = addresses.iter().any(|a| a.contains(':'));
            if let Some(persistence) = &mut persistence {
                persistence.ipv4_netmask.take_if(|_| !v4);
                persistence.ipv6_prefix_length.take_if(|_| !v6);
                persistence.engine.take_if(|_| protocol != Protocol::UDP);
                let engine = persistence.engine.is_some();
                persistence.ipv4_netmask.take_if(|mask| mask == "0.0.0.0" && !engine);
            }
            let port = |(index, port): (usize, i32)| ServicePort {
                name: Some(format!("p{index}")),
                protocol,
                port,
                end_port: (marked && all_ports).then_some(port),
                target_port: (forwarding == Forwarding::NAT && !marked).then_some(65536 - port),
            };
            let mut ports: Vec<_> = ports.into_iter().enumerate().map(port).collect();
            if all_ports && (marked || persistence.is_some()) {
                let all =
                    ServicePort { port: 0, end_port: None, target_port: None, ..ports.remove(0) };
                ports = vec![all];
            }
            let own = |flag: &&SchedulerFlag| flag.scheduler() == scheduler;
            let spec = VirtualServiceSpec {
                addresses,
                ports,
                firewall_mark,
                scheduler,
                scheduler_flags: SchedulerFlag::ALL.iter().filter(own).copied().collect(),
                forwarding,
                tunnel,
                nat: masquerade.map(|masquerade| Nat { masquerade }),
                one_packet: one_packet
                    && protocol == Protocol::UDP
                    && forwarding != Forwarding::NAT,
                persistence,
                real_servers: RealServers { selector },
                health_check: None,
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
    let forwarding = proptest::option::of(select(Forwarding::ALL));
    let how = (forwarding, tunnel());
    (label(), place, ports, 0..=65535i32, how, thresholds, state).prop_map(
        |(name, (address, node_name), ports, weight, (forwarding, tunnel), thresholds, state)| {
            let spec = RealServerSpec {
                address,
                node_name,
                ports: ports
                    .into_iter()
                    .map(|(name, port)| RealServerPort { name, port })
                    .collect(),
                weight,
                forwarding,
                tunnel,
                upper_threshold: thresholds.map(|(upper, _)| upper),
                lower_threshold: thresholds.and_then(|(upper, both)| both.then_some(upper)),
                health_check: None,
                state,
            };
            let mut server = RealServer::new(&name, spec);
            server.metadata.namespace = Some("shop".to_owned());
            server
        },
    )
}

fn settings() -> impl Strategy<Value = (Option<Timeouts>, Option<Sysctls>)> {
    let timeout = || proptest::option::of(1..=2_147_483i32);
    let timeouts = (timeout(), timeout(), timeout());
    let timeouts = timeouts.prop_map(|(tcp, tcp_fin, udp)| Timeouts { tcp, tcp_fin, udp });
    let switches = vec(proptest::option::of(any::<bool>()), 9);
    let numbers = (0..=2i32, vec(proptest::option::of(0..=3i32), 3));
    let sysctls = (switches, numbers).prop_map(|(switches, (reuse, modes))| Sysctls {
        conntrack: switches[0],
        conn_reuse_mode: Some(reuse),
        expire_nodest_conn: switches[1],
        expire_quiescent_template: switches[2],
        sloppy_tcp: switches[3],
        sloppy_sctp: switches[4],
        schedule_icmp: switches[5],
        nat_icmp_send: switches[6],
        pmtu_disc: switches[7],
        drop_entry: modes[0],
        drop_packet: modes[1],
        secure_tcp: modes[2],
        run_estimation: switches[8],
    });
    (proptest::option::of(timeouts), proptest::option::of(sysctls))
}

/// What several directors do together.
fn together() -> impl Strategy<Value = (Option<Failover>, Option<ConnectionSync>)> {
    let delay = proptest::option::of(0..=1000i32);
    let flags = (any::<bool>(), any::<bool>(), proptest::option::of(any::<bool>()));
    let interval = proptest::option::of((1..=4095i32).prop_map(|ticks| ticks * 10));
    // As many as any number of directors needs.
    let ids = proptest::option::of(1..=31i32);
    let interface = || proptest::option::of("[a-z0-9@-]{3,15}");
    let failover = (flags, interval, delay, interface(), ids).prop_map(
        |((fast, multicast, preempt), interval, delay, interface, first)| Failover {
            profile: if fast { FailoverProfile::Fast } else { FailoverProfile::Default },
            advertisement_interval_milliseconds: interval,
            preempt,
            preempt_delay_seconds: delay.filter(|_| preempt != Some(false)),
            drop_unknown_replies: fast != multicast,
            transport: if multicast { VrrpTransport::Multicast } else { VrrpTransport::Unicast },
            interface,
            virtual_router_ids: first.map(|first| VirtualRouterIds { first, last: first + 224 }),
        },
    );
    let numbers = (1..=255i32, 1..=65535i32, 576..=65507i32).prop_map(Some);
    let sync = (proptest::option::of(any::<bool>()), interface(), 0..256u32, numbers).prop_map(
        |(enabled, interface, group, numbers)| ConnectionSync {
            enabled,
            interface,
            sync_id: numbers.map(|(id, _, _)| id),
            multicast_group: Some(Ipv4Addr::from_bits(0xef00_0000 | group).to_string()),
            port: numbers.map(|(_, port, _)| port),
            ttl: numbers.map(|(id, _, _)| id),
            max_length: numbers.map(|(_, _, length)| length),
        },
    );
    (proptest::option::of(failover), proptest::option::of(sync))
}

fn members() -> impl Strategy<Value = Vec<Member>> {
    let member = |(node, (last, mac)): (String, (u8, [u8; 6]))| Member {
        node,
        addresses: Vec::from([format!("10.0.{last}.1"), format!("2001:db8::{last:x}")]),
        macs: vec![mac.map(|byte| format!("{byte:02x}")).join(":")],
        mtu: Some(1400),
    };
    btree_map(label(), any::<[u8; 6]>(), 0..9).prop_map(move |members| {
        let numbered = members.into_iter().zip(1..);
        numbered.map(|((node, mac), last)| member((node, (last, mac)))).collect()
    })
}

fn director_group() -> impl Strategy<Value = DirectorGroup> {
    let cidr = (1..=32u32, any::<u32>()).prop_map(|(length, bits)| {
        format!("{}/{length}", Ipv4Addr::from_bits(bits & (u32::MAX << (32 - length))))
    });
    let interface = proptest::option::of("[a-z0-9.@-]{3,15}");
    let networks = btree_map(cidr.clone(), interface.clone(), 0..4);
    let gateway = (v4(), 31..=32u8).prop_map(|(address, length)| format!("{address}/{length}"));
    let gateways = proptest::option::of((gateway, interface));
    let namespaces = proptest::option::of(selector());
    let together = (settings(), together());
    let networks = (networks, gateways, vec(cidr, 0..4));
    (label(), selector(), namespaces, networks, together, members()).prop_map(
        |(name, nodes, namespaces, (networks, gateways, cidrs), (settings, together), members)| {
            let ((timeouts, sysctls), (failover, connection_sync)) = (settings, together);
            let network = |(cidr, interface)| Network { cidr, interface };
            let gateway =
                |(address, interface)| NatGateway { address, interface, masquerade: true };
            let spec = DirectorGroupSpec {
                node_selector: if members.is_empty() { nodes } else { LabelSelector::default() },
                allowed_namespaces: namespaces,
                networks: networks.into_iter().map(network).collect(),
                nat_gateways: gateways.into_iter().map(gateway).collect(),
                real_server_cidrs: cidrs,
                timeouts,
                sysctls,
                members,
                failover,
                connection_sync,
            };
            DirectorGroup::new(&name, spec)
        },
    )
}

fn object() -> impl Strategy<Value = Object> {
    prop_oneof![
        virtual_service().prop_map(|o| Object::VirtualService(Arc::new(o))),
        real_server().prop_map(|o| Object::RealServer(Arc::new(o))),
        director_group().prop_map(|o| Object::DirectorGroup(Arc::new(o))),
    ]
}

fn yaml(object: &Object) -> String {
    match object {
        Object::VirtualService(o) => serde_saphyr::to_string(o.as_ref()),
        Object::RealServer(o) => serde_saphyr::to_string(o.as_ref()),
        Object::DirectorGroup(o) => serde_saphyr::to_string(o.as_ref()),
    }
    .unwrap()
}

fn json(object: &Object) -> String {
    match object {
        Object::VirtualService(o) => serde_json::to_string_pretty(o.as_ref()),
        Object::RealServer(o) => serde_json::to_string_pretty(o.as_ref()),
        Object::DirectorGroup(o) => serde_json::to_string_pretty(o.as_ref()),
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
