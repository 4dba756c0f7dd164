//! Our table: its parts, and the messages that make and remove them.
//!
//! `nft list table inet kube-lvs` shows it, with a comment for each rule.

mod set;

use super::message::{Attributes, INET, Kind, Message};
use crate::state::{Fixture, Packets};
use lvs_ipvs::Family;
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use set::set;

/// The table; everything in it is ours.
pub(super) const TABLE: &str = "kube-lvs";
/// Counts packets that came for a marked service with a mark of somebody else's.
pub(super) const FOREIGN: &str = "foreign";
/// The same, of what only passes through.
pub(super) const FOREIGN_PASSING: &str = "foreign-passing";
/// The set of other directors' addresses.
pub(super) const DIRECTORS: &str = "directors";
/// The set of our own tunnel devices.
pub(super) const TUNNELS: &str = "tunnels";
/// All such counters.
pub(super) const FOREIGN_COUNTERS: [&str; 2] = [FOREIGN, FOREIGN_PASSING];
/// `NFT_OBJECT_COUNTER`
pub(super) const COUNTER_OBJECT: u32 = 1;

pub(super) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// What stands and falls together. They are apart so that a node gets no connection tracking for a mark.
///
/// Hosts and networks are apart, too: a set with ranges cannot hold two elements of which one lies in the other
/// (`nft_pipapo_insert` refuses the inner one after the outer, takes them the other way round, and then finds either). For
/// the same reason all ports of a host are apart from single ones of them; of marks nobody may have both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Of packets to a host: a VIP.
    Marks,
    /// Of packets to a network, that pass through.
    NetworkMarks,
    Masquerade,
    AllPortsMasquerade,
    /// What leaves networks by itself.
    Outgoing,
    UnknownReplies,
    SegmentSizes,
    AllPortsSegmentSizes,
    NetworkSegmentSizes,
    /// Of what another director has balanced.
    Balanced,
    /// What connection tracking shall not see.
    Untracked,
    /// What arrives, counted; and all ports of hosts that shall not be tracked, since only what is counted tells which single
    /// ports are other services'.
    Arrivals,
}

/// What a set is keyed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Ranges of address, protocol and port.
    Packets(Family),
    /// The same, of all ports of hosts, beside which another service may have one.
    AllPorts(Family),
    /// The same, of networks.
    Network(Family),
    /// A host's address, protocol and port. Such a set is a hash: a change costs the same however many there are, where one of
    /// ranges is copied whole (`pipapo_clone`).
    Port(Family),
    /// A host's address and protocol.
    Host(Family),
    /// Source addresses of frames.
    Mac,
    /// Names.
    Interface,
}

/// What a set maps its keys to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Nothing,
    /// 32 bits in host byte order.
    Mark,
    /// 16 bits in network byte order.
    Size,
    /// Nothing, but each key has a counter.
    Counter,
}

/// By what parts have sets besides packets.
const BALANCED: [Key; 6] = [
    Key::AllPorts(Family::V4),
    Key::AllPorts(Family::V6),
    Key::Network(Family::V4),
    Key::Network(Family::V6),
    Key::Mac,
    Key::Interface,
];
const UNTRACKED: [Key; 2] = [Key::Port(Family::V4), Key::Port(Family::V6)];
const ARRIVALS: [Key; 6] = [
    Key::Port(Family::V4),
    Key::Port(Family::V6),
    Key::AllPorts(Family::V4),
    Key::AllPorts(Family::V6),
    Key::Host(Family::V4),
    Key::Host(Family::V6),
];

impl Part {
    pub(super) const ALL: [Part; 12] = [
        Part::Marks,
        Part::NetworkMarks,
        Part::Masquerade,
        Part::AllPortsMasquerade,
        Part::Outgoing,
        Part::UnknownReplies,
        Part::SegmentSizes,
        Part::AllPortsSegmentSizes,
        Part::NetworkSegmentSizes,
        Part::Balanced,
        Part::Untracked,
        Part::Arrivals,
    ];

    /// The part that a fixture is in.
    pub(super) fn of(fixture: &Fixture) -> Option<Part> {
        match fixture {
            Fixture::Mark { packets, .. } if is_host(packets) => Some(Part::Marks),
            Fixture::Mark { .. } => Some(Part::NetworkMarks),
            Fixture::Masquerade { packets } if all_ports(packets) => Some(Part::AllPortsMasquerade),
            Fixture::Masquerade { .. } => Some(Part::Masquerade),
            Fixture::Outgoing { .. } => Some(Part::Outgoing),
            Fixture::UnknownReplies { .. } => Some(Part::UnknownReplies),
            Fixture::SegmentSize { packets, .. } if !is_host(packets) => {
                Some(Part::NetworkSegmentSizes)
            }
            Fixture::SegmentSize { packets, .. } if all_ports(packets) => {
                Some(Part::AllPortsSegmentSizes)
            }
            Fixture::SegmentSize { .. } => Some(Part::SegmentSizes),
            Fixture::Balanced { .. }
            | Fixture::OtherDirector { .. }
            | Fixture::OwnTunnel { .. } => Some(Part::Balanced),
            Fixture::Untracked { packets } if all_ports(packets) => Some(Part::Arrivals),
            Fixture::Untracked { .. } => Some(Part::Untracked),
            Fixture::Arrivals { .. } => Some(Part::Arrivals),
            Fixture::Tunnel { .. }
            | Fixture::Gue { .. }
            | Fixture::LocalDelivery { .. }
            | Fixture::SyncDaemon(_) => None,
        }
    }

    /// What the set of these keys maps them to.
    pub(super) fn value(self, key: Key) -> Value {
        if matches!(key, Key::Mac | Key::Interface | Key::Host(_)) {
            return Value::Nothing;
        }
        match self {
            Part::Marks | Part::NetworkMarks | Part::Balanced => Value::Mark,
            Part::Masquerade
            | Part::AllPortsMasquerade
            | Part::Outgoing
            | Part::UnknownReplies
            | Part::Untracked => Value::Nothing,
            Part::Arrivals => Value::Counter,
            Part::SegmentSizes | Part::AllPortsSegmentSizes | Part::NetworkSegmentSizes => {
                Value::Size
            }
        }
    }

    /// The set of its packets.
    pub(super) fn set(self, family: Family) -> &'static str {
        match (self, family) {
            (Part::Marks, Family::V4) => "marks4",
            (Part::Marks, Family::V6) => "marks6",
            (Part::NetworkMarks, Family::V4) => "network-marks4",
            (Part::NetworkMarks, Family::V6) => "network-marks6",
            (Part::Masquerade, Family::V4) => "masquerade4",
            (Part::Masquerade, Family::V6) => "masquerade6",
            (Part::AllPortsMasquerade, Family::V4) => "all-ports-masquerade4",
            (Part::AllPortsMasquerade, Family::V6) => "all-ports-masquerade6",
            (Part::Outgoing, Family::V4) => "outgoing4",
            (Part::Outgoing, Family::V6) => "outgoing6",
            (Part::UnknownReplies, Family::V4) => "unknown-replies4",
            (Part::UnknownReplies, Family::V6) => "unknown-replies6",
            (Part::SegmentSizes, Family::V4) => "segment-sizes4",
            (Part::SegmentSizes, Family::V6) => "segment-sizes6",
            (Part::AllPortsSegmentSizes, Family::V4) => "all-ports-segment-sizes4",
            (Part::AllPortsSegmentSizes, Family::V6) => "all-ports-segment-sizes6",
            (Part::NetworkSegmentSizes, Family::V4) => "network-segment-sizes4",
            (Part::NetworkSegmentSizes, Family::V6) => "network-segment-sizes6",
            (Part::Balanced, Family::V4) => "balanced4",
            (Part::Balanced, Family::V6) => "balanced6",
            (Part::Untracked, Family::V4) => "range-untracked4",
            (Part::Untracked, Family::V6) => "range-untracked6",
            (Part::Arrivals, Family::V4) => "range-arrivals4",
            (Part::Arrivals, Family::V6) => "range-arrivals6",
        }
    }

    /// The set of these keys.
    pub(super) fn set_of(self, key: Key) -> &'static str {
        match key {
            Key::Packets(family) => self.set(family),
            Key::Port(Family::V4) if self == Part::Arrivals => "arrivals4",
            Key::Port(Family::V6) if self == Part::Arrivals => "arrivals6",
            Key::Port(Family::V4) => "untracked4",
            Key::Port(Family::V6) => "untracked6",
            Key::Host(Family::V4) => "all-ports-untracked4",
            Key::Host(Family::V6) => "all-ports-untracked6",
            Key::AllPorts(Family::V4) if self == Part::Arrivals => "all-ports-arrivals4",
            Key::AllPorts(Family::V6) if self == Part::Arrivals => "all-ports-arrivals6",
            Key::AllPorts(Family::V4) => "all-ports-balanced4",
            Key::AllPorts(Family::V6) => "all-ports-balanced6",
            Key::Network(Family::V4) => "network-balanced4",
            Key::Network(Family::V6) => "network-balanced6",
            Key::Mac => DIRECTORS,
            Key::Interface => TUNNELS,
        }
    }

    /// The counter of foreign marks that comes with it.
    fn counter(self) -> Option<&'static str> {
        match self {
            Part::Marks => Some(FOREIGN),
            Part::NetworkMarks => Some(FOREIGN_PASSING),
            _ => None,
        }
    }

    pub(super) fn sets(self) -> impl Iterator<Item = (Key, &'static str)> {
        let others = match self {
            Part::Balanced => &BALANCED[..],
            Part::Untracked => &UNTRACKED,
            Part::Arrivals => &ARRIVALS,
            _ => &[],
        };
        let keys = FAMILIES.into_iter().map(Key::Packets).chain(others.iter().copied());
        keys.map(move |key| (key, self.set_of(key)))
    }

    /// The chain and comment of each rule, as they are while the part is whole.
    pub(super) fn rules(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.chains().into_iter().flat_map(|chain| {
            chain.rules.into_iter().map(move |(comment, _)| (chain.name, comment))
        })
    }

    /// What makes the part, without elements.
    pub(super) fn creation(self) -> Vec<(Message, u16)> {
        let mut messages = Vec::new();
        if let Some(counter) = self.counter() {
            // NFTA_OBJ_TABLE, _NAME, _TYPE, and empty _DATA: a counter begins with 0.
            let counter = named(counter).number(3, COUNTER_OBJECT).nest(4, &Attributes::new());
            messages.push((message(Kind::NewObject, counter), NLM_F_CREATE));
        }
        for (id, (key, name)) in (1..).zip(self.sets()) {
            let set = set(name, key, self.value(key), id);
            messages.push((message(Kind::NewSet, set), NLM_F_CREATE));
        }
        for chain in self.chains() {
            messages.push((message(Kind::NewChain, chain.creation()), NLM_F_CREATE));
            for (comment, expressions) in &chain.rules {
                // NFTA_RULE_TABLE, _CHAIN, _EXPRESSIONS, _USERDATA
                let rule = Attributes::new().text(1, TABLE).text(2, chain.name);
                let rule = rule.nest(4, expressions).bytes(7, &user_data(comment));
                messages.push((message(Kind::NewRule, rule), NLM_F_CREATE | NLM_F_APPEND));
            }
        }
        messages
    }

    /// What removes the part, whatever is in it.
    pub(super) fn removal(self) -> Vec<(Message, u16)> {
        let mut messages = Vec::new();
        for chain in self.chains() {
            // With its rules (nf_tables_delchain), which lets go of the sets. NFTA_CHAIN_TABLE, _NAME
            let chain = Attributes::new().text(1, TABLE).text(3, chain.name);
            messages.push((message(Kind::DelChain, chain), 0));
        }
        for (_, name) in self.sets() {
            messages.push((message(Kind::DelSet, named(name)), 0));
        }
        if let Some(counter) = self.counter() {
            let counter = named(counter).number(3, COUNTER_OBJECT);
            messages.push((message(Kind::DelObject, counter), 0));
        }
        messages
    }
}

fn is_host(packets: &Packets) -> bool {
    packets.destination.prefix_len() == packets.destination.max_prefix_len()
}

fn all_ports(packets: &Packets) -> bool {
    (packets.first_port, packets.last_port) == (0, u16::MAX)
}

/// What the set is keyed by that a fixture of our table is in.
pub(super) fn key(fixture: &Fixture) -> Option<Key> {
    Some(match fixture {
        Fixture::OtherDirector { .. } => Key::Mac,
        Fixture::OwnTunnel { .. } => Key::Interface,
        Fixture::Outgoing { network } => Key::Packets(Family::of(&network.addr())),
        Fixture::Balanced { packets, .. } => {
            let family = Family::of(&packets.destination.addr());
            match packets {
                packets if !is_host(packets) => Key::Network(family),
                packets if all_ports(packets) => Key::AllPorts(family),
                _ => Key::Packets(family),
            }
        }
        Fixture::Untracked { packets } | Fixture::Arrivals { packets } => {
            let family = Family::of(&packets.destination.addr());
            // Networks are the directors' to pass on, and perhaps somebody's to translate.
            match fixture {
                _ if !is_host(packets) => return None,
                _ if packets.first_port == packets.last_port => Key::Port(family),
                Fixture::Untracked { .. } if all_ports(packets) => Key::Host(family),
                _ if all_ports(packets) => Key::AllPorts(family),
                _ => Key::Packets(family),
            }
        }
        Fixture::Mark { packets, .. }
        | Fixture::Masquerade { packets }
        | Fixture::UnknownReplies { packets }
        | Fixture::SegmentSize { packets, .. } => {
            Key::Packets(Family::of(&packets.destination.addr()))
        }
        _ => return None,
    })
}

/// NFTA_SET_TABLE and _NAME, which for objects have the same numbers.
pub(super) fn named(name: &str) -> Attributes {
    Attributes::new().text(1, TABLE).text(2, name)
}

pub(super) fn message(kind: Kind, attributes: Attributes) -> Message {
    Message { kind, family: INET, attributes }
}

/// A comment as nft writes it (libnftnl's `NFTNL_UDATA_RULE_COMMENT`): type 0, length, text with NUL.
fn user_data(comment: &str) -> Vec<u8> {
    let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
    [&[0, length], comment.as_bytes(), &[0]].concat()
}

/// The comment in a rule's user data.
pub(super) fn comment(user_data: &[u8]) -> Option<&str> {
    let [0, length, rest @ ..] = user_data else { return None };
    let text = rest.get(..usize::from(*length))?.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(text).ok()
}
