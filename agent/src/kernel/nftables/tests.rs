use super::message::{Attributes, Kind, Message, View};
use super::plan::{Cause, Known, plan};
use super::ruleset::{Part, comment};
use super::{Direction, arrivals, blame, clash, element, watch};
use crate::state::{Fixture, InterfaceName, Mac, Packets};
use ipnet::IpNet;
use lvs_ipvs::Protocol;
use netlink_packet_core::{
    NLM_F_ACK, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

fn packets() -> impl Strategy<Value = Packets> {
    let v4 = (any::<[u8; 4]>(), 0..=32_u8)
        .prop_map(|(address, length)| IpNet::new(address.into(), length).expect("a length"));
    let v6 = (any::<[u8; 16]>(), 0..=128_u8)
        .prop_map(|(address, length)| IpNet::new(address.into(), length).expect("a length"));
    (prop_oneof![v4, v6], any::<u8>(), any::<(u16, u16)>()).prop_map(|(net, number, (a, b))| {
        Packets {
            destination: net.trunc(),
            protocol: Protocol::from_number(number.into()),
            first_port: a.min(b),
            last_port: a.max(b),
        }
    })
}

/// Packets to hosts: one port, some, or all.
fn hosts() -> impl Strategy<Value = Packets> {
    (packets(), 0..3).prop_map(|(mut packets, ports)| {
        packets.destination = packets.destination.addr().into();
        match ports {
            0 => packets.last_port = packets.first_port,
            1 => (packets.first_port, packets.last_port) = (0, u16::MAX),
            _ => {}
        }
        packets
    })
}

fn fixture() -> impl Strategy<Value = Fixture> {
    prop_oneof![
        (packets(), 1..u32::MAX).prop_map(|(packets, mark)| Fixture::Mark {
            packets,
            mark: NonZeroU32::new(mark).expect("not 0"),
        }),
        packets().prop_map(|packets| Fixture::Masquerade { packets }),
        packets().prop_map(|packets| Fixture::Outgoing { network: packets.destination }),
        packets().prop_map(|packets| Fixture::UnknownReplies { packets }),
        (packets(), any::<u16>())
            .prop_map(|(packets, bytes)| Fixture::SegmentSize { packets, bytes }),
        (packets(), 1..u32::MAX).prop_map(|(packets, mark)| Fixture::Balanced {
            packets,
            mark: NonZeroU32::new(mark).expect("not 0"),
        }),
        hosts().prop_map(|packets| Fixture::Untracked { packets }),
        hosts().prop_map(|packets| Fixture::Arrivals { packets }),
        any::<[u8; 6]>().prop_map(|mac| Fixture::OtherDirector { mac: Mac(mac) }),
        "[a-z0-9]{1,15}".prop_map(|name| Fixture::OwnTunnel {
            interface: InterfaceName::new(&name).expect("a name"),
        }),
    ]
}

fn web(mark: u32) -> Fixture {
    let packets = Packets {
        destination: "10.0.0.10/32".parse().expect("a network"),
        protocol: Protocol::Tcp,
        first_port: 80,
        last_port: 80,
    };
    Fixture::Mark { packets, mark: NonZeroU32::new(mark).expect("not 0") }
}

fn kinds(plan: &super::plan::Plan) -> Vec<Kind> {
    plan.messages.iter().map(|(message, ..)| message.kind).collect()
}

/// One expression, as the kernel lists it.
fn expression(rule: Attributes, name: &str, data: &Attributes) -> Attributes {
    rule.nest(1, &Attributes::new().text(1, name).nest(2, data))
}

proptest! {
    #[test]
    fn a_fixture_is_read_back_as_it_was_written(fixture in fixture()) {
        let message = element::request(Kind::NewElement, &fixture).expect("a request");
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let mut header = NetlinkHeader::default();
        header.message_type = message.message_type();
        let read = Message::deserialize(&header, &bytes).expect("a message");
        prop_assert_eq!(&read, &message);
        let part = Part::of(&fixture).expect("a part");
        let key = super::ruleset::key(&fixture).expect("a key");
        prop_assert_eq!(element::fixtures(part, key, read.attributes.view()), [fixture]);
    }

    #[test]
    fn bytes_of_any_kind_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in any::<u16>()) {
        let mut header = NetlinkHeader::default();
        header.message_type = kind;
        if let Ok(message) = Message::deserialize(&header, &bytes) {
            for part in Part::ALL {
                for (key, _) in part.sets() {
                    element::fixtures(part, key, message.attributes.view());
                    arrivals::counted(message.attributes.view(), key);
                }
            }
        }
        watch::takes_away(&bytes);
        prop_assert!(View(&bytes).count() <= bytes.len() / 4);
        clash::clashing(View(&bytes), &BTreeSet::from([1, 0x100]));
        comment(&bytes);
    }

    #[test]
    fn a_cut_off_element_is_left_out_or_whole(fixture in fixture(), keep in 0..100_usize) {
        let message = element::request(Kind::NewElement, &fixture).expect("a request");
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes.truncate(keep);
        if let Ok(message) = Message::deserialize(&NetlinkHeader::default(), &bytes) {
            for part in [Part::Balanced, Part::Arrivals] {
                for (key, _) in part.sets() {
                    element::fixtures(part, key, message.attributes.view());
                }
            }
        }
    }
}

#[test]
fn removals_come_before_additions_and_the_last_word_counts() {
    let mut known = Known { table: true, ..Known::default() };
    known.parts.insert(Part::Marks, [web(5)].into());
    let change = |place, direction, mark| (place, direction, web(mark));
    let (add, remove) = (Direction::Add, Direction::Remove);
    let planned = plan(&known, &[change(0, add, 6), change(1, remove, 5)]);
    assert_eq!(kinds(&planned), [Kind::DelElement, Kind::NewElement]);
    assert_eq!(planned.messages[1].1 & NLM_F_ACK, NLM_F_ACK, "the last one is acknowledged");
    assert_eq!(planned.after.parts[&Part::Marks], [web(6)].into());
    let planned = plan(&known, &[change(0, remove, 5), change(1, add, 5)]);
    assert_eq!(kinds(&planned), []);
    let planned = plan(&known, &[change(0, add, 5), change(1, remove, 5)]);
    assert_eq!(kinds(&planned), [Kind::DelTable], "the last fixture takes the table along");
}

#[test]
fn a_broken_part_is_made_anew_with_all_that_stands() {
    let mut known = Known { table: true, ..Known::default() };
    known.parts.insert(Part::Marks, [web(5)].into());
    known.broken.insert(Part::Marks);
    let planned = plan(&known, &[(0, Direction::Add, web(5))]);
    let made = kinds(&planned);
    assert_eq!(made[..2], [Kind::DelTable, Kind::NewTable]);
    assert_eq!(made.iter().filter(|kind| **kind == Kind::NewElement).count(), 1);
    assert!(planned.after.broken.is_empty());
}

#[test]
fn the_part_that_failed_takes_only_its_own_fixtures_with_it() {
    let Fixture::Mark { packets, .. } = web(1) else { unreachable!() };
    let masquerade = Fixture::Masquerade { packets };
    let changes = [(0, Direction::Add, web(5)), (1, Direction::Add, masquerade)];
    let causes = [Cause::Table, Cause::Part(Part::Masquerade), Cause::Change(0)];
    let blamed = |errors: &[(usize, i32)]| match blame(
        &changes,
        &causes,
        &errors.iter().copied().collect::<BTreeMap<_, _>>(),
    ) {
        super::Failure::Changes(errors) => errors.into_keys().collect(),
        super::Failure::Whole(_) => vec![98],
        super::Failure::Unreachable(_) => vec![99],
    };
    // In the transaction, the causes begin behind the message that opens it.
    assert_eq!(blamed(&[(2, 2)]), [1]);
    assert_eq!(blamed(&[(3, 17)]), [0]);
    assert_eq!(blamed(&[(2, 2), (3, 17)]), [0, 1]);
    assert_eq!(blamed(&[(0, 12)]), [98]);
    assert_eq!(blamed(&[(1, 97)]), [99]);
}

#[test]
fn marks_of_others_are_recognised() {
    let marks = BTreeSet::from([7, 0x13]);
    let found = |rule: Attributes| clash::clashing(rule.view(), &marks);
    let value = |value: u32| Attributes::new().bytes(1, &value.to_ne_bytes());
    let constant = |register, it| Attributes::new().number(1, register).nest(2, &value(it));
    let load = Attributes::new().number(1, 1).number(2, 3);
    let store = |register| Attributes::new().number(2, 3).number(3, register);
    let rule = || Attributes::new();
    let set = |register| {
        let rule = expression(rule(), "immediate", &constant(1, 7));
        expression(rule, "meta", &store(register))
    };
    assert_eq!(found(set(1)), [(7, "sets")].into());
    assert_eq!(found(set(8)), [(7, "sets")].into(), "the same register by its other name");
    assert_eq!(found(set(9)), BTreeMap::new());
    // Something else is loaded in between.
    let lookup = Attributes::new().text(1, "map").number(2, 2).number(3, 1);
    let other = expression(expression(rule(), "immediate", &constant(1, 7)), "lookup", &lookup);
    assert_eq!(found(expression(other, "meta", &store(1))), BTreeMap::new());

    let compare =
        |operation, it| Attributes::new().number(1, 1).number(2, operation).nest(3, &value(it));
    let loaded = expression(rule(), "meta", &load);
    assert_eq!(found(expression(loaded.clone(), "cmp", &compare(0, 7))), [(7, "matches")].into());
    assert_eq!(found(expression(loaded.clone(), "cmp", &compare(1, 7))), BTreeMap::new());
    let mask = Attributes::new().number(1, 1).number(2, 1).number(3, 4);
    let mask = mask.nest(4, &value(0xf0)).nest(5, &value(0));
    let masked = expression(loaded, "bitwise", &mask);
    assert_eq!(
        found(expression(masked.clone(), "cmp", &compare(0, 0x10))),
        [(0x13, "matches")].into()
    );
    assert_eq!(found(expression(masked, "cmp", &compare(0, 0))), BTreeMap::new());

    let xt = |name, mark: u32, mask: u32, rest: &[u8]| {
        let info = [&mark.to_ne_bytes()[..], &mask.to_ne_bytes(), rest].concat();
        Attributes::new().text(1, name).number(2, 2).bytes(3, &info)
    };
    let whole = u32::MAX;
    assert_eq!(
        found(expression(rule(), "target", &xt("MARK", 7, whole, &[]))),
        [(7, "sets")].into()
    );
    assert_eq!(found(expression(rule(), "target", &xt("MARK", 7, 7, &[]))), BTreeMap::new());
    assert_eq!(
        found(expression(rule(), "match", &xt("mark", 7, whole, &[0]))),
        [(7, "matches")].into()
    );
    assert_eq!(found(expression(rule(), "match", &xt("mark", 7, whole, &[1]))), BTreeMap::new());
}

#[test]
fn what_goes_of_our_table_is_news_and_elements_and_other_tables_are_not() {
    let told = |kind, family, table: &str| {
        let attributes = Attributes::new().text(1, table);
        let mut message = NetlinkMessage::new(
            NetlinkHeader::default(),
            NetlinkPayload::InnerMessage(Message { kind, family, attributes }),
        );
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    };
    let other = told(Kind::DelTable, 1, "filter");
    assert!(!watch::takes_away(&other));
    for kind in [Kind::DelTable, Kind::DelChain, Kind::DelRule, Kind::DelSet] {
        assert!(
            watch::takes_away(&[other.clone(), told(kind, 1, "kube-lvs")].concat()),
            "{kind:?}"
        );
        assert!(!watch::takes_away(&told(kind, 2, "kube-lvs")), "another family's");
    }
    for kind in [Kind::NewTable, Kind::NewRule, Kind::DelElement, Kind::NewElement] {
        assert!(!watch::takes_away(&told(kind, 1, "kube-lvs")), "{kind:?}");
    }
}
