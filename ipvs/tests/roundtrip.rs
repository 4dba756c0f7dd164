//! Properties of the codec, both ways.

use lvs_ipvs::codec::{
    Command, Counter, DaemonAttr, DestinationAttr, IpvsAttr, IpvsMessage, ServiceAttr, StatsAttr,
    StatsField,
};
use netlink_packet_core::{DefaultNla, Emitable, ParseableParametrized};
use netlink_packet_generic::{GenlFamily, GenlHeader};
use proptest::collection::vec;
use proptest::prelude::*;

fn encode(message: &IpvsMessage) -> Vec<u8> {
    let mut bytes = vec![0xaa; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

fn decode(command: u8, bytes: &[u8]) -> Result<IpvsMessage, netlink_packet_core::DecodeError> {
    IpvsMessage::parse_with_param(bytes, GenlHeader { cmd: command, version: 1 })
}

/// Attributes numbered above what this crate knows, with at most one of the two flags: they exclude
/// each other.
fn unknown() -> impl Strategy<Value = DefaultNla> {
    (16u16..0x3fff, 0u16..3, vec(any::<u8>(), 0..20))
        .prop_map(|(kind, flags, value)| DefaultNla::new(kind | flags << 14, value))
}

fn name() -> impl Strategy<Value = String> {
    "[ -~]{0,15}"
}

fn stats() -> impl Strategy<Value = Vec<StatsAttr>> {
    let counter =
        prop_oneof![any::<u32>().prop_map(Counter::Narrow), any::<u64>().prop_map(Counter::Wide),];
    let field = prop::sample::select(StatsField::ALL.to_vec());
    vec(
        prop_oneof![
            (field, counter).prop_map(|(field, counter)| StatsAttr::Counter(field, counter)),
            unknown().prop_map(StatsAttr::Other),
        ],
        0..12,
    )
}

fn service_attr() -> impl Strategy<Value = ServiceAttr> {
    prop_oneof![
        any::<u16>().prop_map(ServiceAttr::Family),
        any::<u16>().prop_map(ServiceAttr::Protocol),
        any::<[u8; 16]>().prop_map(ServiceAttr::Address),
        any::<u16>().prop_map(ServiceAttr::Port),
        any::<u32>().prop_map(ServiceAttr::Mark),
        name().prop_map(ServiceAttr::Scheduler),
        any::<(u32, u32)>().prop_map(|(flags, mask)| ServiceAttr::Flags { flags, mask }),
        any::<u32>().prop_map(ServiceAttr::Timeout),
        any::<[u8; 4]>().prop_map(ServiceAttr::Netmask),
        stats().prop_map(ServiceAttr::Stats),
        name().prop_map(ServiceAttr::PersistenceEngine),
        stats().prop_map(ServiceAttr::Stats64),
        unknown().prop_map(ServiceAttr::Other),
    ]
}

fn destination_attr() -> impl Strategy<Value = DestinationAttr> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(DestinationAttr::Address),
        any::<u16>().prop_map(DestinationAttr::Port),
        any::<u32>().prop_map(DestinationAttr::Forwarding),
        any::<u32>().prop_map(DestinationAttr::Weight),
        any::<u32>().prop_map(DestinationAttr::UpperThreshold),
        any::<u32>().prop_map(DestinationAttr::LowerThreshold),
        any::<u32>().prop_map(DestinationAttr::ActiveConnections),
        any::<u32>().prop_map(DestinationAttr::InactiveConnections),
        any::<u32>().prop_map(DestinationAttr::PersistentConnections),
        stats().prop_map(DestinationAttr::Stats),
        any::<u16>().prop_map(DestinationAttr::Family),
        stats().prop_map(DestinationAttr::Stats64),
        any::<u8>().prop_map(DestinationAttr::TunnelType),
        any::<u16>().prop_map(DestinationAttr::TunnelPort),
        any::<u16>().prop_map(DestinationAttr::TunnelFlags),
        unknown().prop_map(DestinationAttr::Other),
    ]
}

fn daemon_attr() -> impl Strategy<Value = DaemonAttr> {
    prop_oneof![
        any::<u32>().prop_map(DaemonAttr::State),
        name().prop_map(DaemonAttr::Interface),
        any::<u32>().prop_map(DaemonAttr::SyncId),
        any::<u16>().prop_map(DaemonAttr::MaxLength),
        any::<[u8; 4]>().prop_map(|group| DaemonAttr::Group(group.into())),
        any::<[u8; 16]>().prop_map(|group| DaemonAttr::Group6(group.into())),
        any::<u16>().prop_map(DaemonAttr::Port),
        any::<u8>().prop_map(DaemonAttr::Ttl),
        unknown().prop_map(DaemonAttr::Other),
    ]
}

fn message() -> impl Strategy<Value = IpvsMessage> {
    let info = prop_oneof![
        any::<u32>().prop_map(IpvsAttr::InfoVersion),
        any::<u32>().prop_map(IpvsAttr::InfoConnectionTableSize),
        unknown().prop_map(IpvsAttr::Other),
    ];
    let other = prop_oneof![
        vec(service_attr(), 0..14).prop_map(IpvsAttr::Service),
        vec(destination_attr(), 0..16).prop_map(IpvsAttr::Destination),
        vec(daemon_attr(), 0..10).prop_map(IpvsAttr::Daemon),
        any::<u32>().prop_map(IpvsAttr::TimeoutTcp),
        any::<u32>().prop_map(IpvsAttr::TimeoutTcpFin),
        any::<u32>().prop_map(IpvsAttr::TimeoutUdp),
        unknown().prop_map(IpvsAttr::Other),
    ];
    let command = prop::sample::select(Command::ALL.to_vec());
    (command, vec(info, 0..4), vec(other, 0..6)).prop_map(|(command, info, other)| IpvsMessage {
        command,
        // The two share their numbers; which is meant depends on the command.
        attrs: if command == Command::SetInfo { info } else { other },
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_decodes_to_the_same(message in message()) {
        let bytes = encode(&message);
        prop_assert_eq!(bytes.len() % 4, 0);
        let decoded = decode(message.command(), &bytes);
        prop_assert_eq!(decoded.expect("decodes"), message);
    }

    #[test]
    fn what_decodes_encodes_to_what_decodes_to_the_same(
        message in message(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut bytes = encode(&message);
        for (at, value) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        if let Ok(message) = decode(message.command(), &bytes) {
            prop_assert_eq!(decode(message.command(), &encode(&message)).expect("decodes"), message);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(command in any::<u8>(), bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode(command, &bytes);
    }

    #[test]
    fn a_truncated_message_is_an_error_or_a_shorter_message(message in message(), cut in 1usize..40) {
        let bytes = encode(&message);
        let kept = bytes.len().saturating_sub(cut);
        if let Ok(shorter) = decode(message.command(), &bytes[..kept]) {
            prop_assert!(shorter.attrs.len() <= message.attrs.len());
        }
    }
}

#[test]
fn the_flush_command_can_neither_be_encoded_nor_decoded() {
    assert!(Command::ALL.into_iter().all(|command| command.number() != 17));
    assert!(Command::try_from(17).is_err());
    assert!(decode(17, &[]).is_err());
    let numbers: Vec<_> = Command::ALL.into_iter().map(Command::number).collect();
    assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
}
