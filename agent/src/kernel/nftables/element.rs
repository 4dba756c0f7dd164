//! Fixtures as elements of our sets.

use super::message::{Attributes, Kind, Message, View};
use super::ruleset::{self, Key, Part, TABLE, Value, message};
use crate::state::{Fixture, InterfaceName, Mac, Packets};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use lvs_ipvs::{Family, Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

/// The message that adds or removes a fixture's element. `None` for what is no fixture of this table, or has a protocol
/// that does not fit into a packet.
pub(super) fn request(kind: Kind, fixture: &Fixture) -> Option<Message> {
    let part = Part::of(fixture)?;
    let (packets, value) = match fixture {
        // Marks are in host byte order (nft_meta_set_eval), options of TCP in the network's.
        Fixture::Mark { packets, mark } | Fixture::Balanced { packets, mark } => {
            (packets, mark.get().to_ne_bytes().to_vec())
        }
        Fixture::OtherDirector { mac } => return Some(plain(kind, part, Key::Mac, &mac.0)),
        Fixture::OwnTunnel { interface } => {
            let mut name = interface.as_str().as_bytes().to_vec();
            name.resize(INTERFACE_NAME, 0);
            return Some(plain(kind, part, Key::Interface, &name));
        }
        Fixture::Outgoing { network } => return whole(kind, part, *network),
        Fixture::SegmentSize { packets, bytes } => (packets, bytes.to_be_bytes().to_vec()),
        Fixture::Masquerade { packets }
        | Fixture::UnknownReplies { packets }
        | Fixture::Untracked { packets }
        | Fixture::Arrivals { packets } => (packets, Vec::new()),
        Fixture::Tunnel { .. }
        | Fixture::Gue { .. }
        | Fixture::LocalDelivery { .. }
        | Fixture::SyncDaemon(_) => return None,
    };
    let set = ruleset::key(fixture)?;
    if let Key::Port(_) | Key::Host(_) = set {
        let mut value = key(packets.destination.addr(), packets.protocol, packets.first_port)?;
        if let Key::Host(_) = set {
            value.truncate(value.len() - PORT);
        }
        return Some(plain(kind, part, set, &value));
    }
    let (first, last) = (packets.destination.network(), packets.destination.broadcast());
    let data = |value: &[u8]| Attributes::new().bytes(1, value);
    // NFTA_SET_ELEM_KEY, _KEY_END, _DATA
    let element = Attributes::new()
        .nest(1, &data(&key(first, packets.protocol, packets.first_port)?))
        .nest(10, &data(&key(last, packets.protocol, packets.last_port)?));
    let element = match part.value(set) {
        Value::Mark | Value::Size if kind == Kind::NewElement => element.nest(2, &data(&value)),
        _ => element,
    };
    let list = Attributes::new().nest(1, &element);
    Some(message(kind, of_set(part.set_of(set)).nest(3, &list)))
}

/// The room that a port takes in a key.
const PORT: usize = 4;
/// `IFNAMSIZ`
const INTERFACE_NAME: usize = 16;

/// The message about an element that is its key alone.
fn plain(kind: Kind, part: Part, key: Key, value: &[u8]) -> Message {
    let element = Attributes::new().nest(1, &Attributes::new().bytes(1, value));
    message(kind, of_set(part.set_of(key)).nest(3, &Attributes::new().nest(1, &element)))
}

/// The message about the element that has all packets of a network, whatever their protocol and port.
fn whole(kind: Kind, part: Part, network: IpNet) -> Option<Message> {
    let end = |address, protocol: u8, port| {
        let key = key(address, Protocol::from_number(protocol.into()), port)?;
        Some(Attributes::new().bytes(1, &key))
    };
    let element = Attributes::new()
        .nest(1, &end(network.network(), 0, 0)?)
        .nest(10, &end(network.broadcast(), u8::MAX, u16::MAX)?);
    let set = of_set(part.set(Family::of(&network.addr())));
    Some(message(kind, set.nest(3, &Attributes::new().nest(1, &element))))
}

/// The set that a fixture of this table is in.
pub(super) fn set(fixture: &Fixture) -> Option<&'static str> {
    let key = ruleset::key(fixture)?;
    Some(Part::of(fixture)?.set_of(key))
}

/// `NFTA_SET_ELEM_LIST_TABLE`, `_SET`
pub(super) fn of_set(set: &str) -> Attributes {
    Attributes::new().text(1, TABLE).text(2, set)
}

fn key(address: IpAddr, protocol: Protocol, port: u16) -> Option<Vec<u8>> {
    let mut key = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let protocol = u8::try_from(protocol.number()).ok()?;
    key.extend([protocol, 0, 0, 0]);
    key.extend(port.to_be_bytes());
    key.extend([0, 0]);
    Some(key)
}

/// The fixtures in one message of a listing. What we cannot have written is left out.
pub(super) fn fixtures(part: Part, key: Key, attributes: View<'_>) -> Vec<Fixture> {
    let elements = attributes.nest(3).into_iter().flatten();
    elements.filter_map(|(_, element)| fixture(part, key, View(element))).collect()
}

/// One element of a listing.
pub(super) fn fixture(part: Part, key: Key, element: View<'_>) -> Option<Fixture> {
    let data = |kind| element.nest(kind)?.bytes(1);
    let from = data(1)?;
    let family = match key {
        Key::Packets(family)
        | Key::AllPorts(family)
        | Key::Network(family)
        | Key::Port(family)
        | Key::Host(family) => family,
        Key::Mac => return Some(Fixture::OtherDirector { mac: Mac(from.try_into().ok()?) }),
        Key::Interface => {
            let name = std::str::from_utf8(from).ok()?.trim_end_matches('\0');
            return Some(Fixture::OwnTunnel { interface: InterfaceName::new(name)? });
        }
    };
    if let Key::Host(_) = key {
        let (address, protocol, _) = split(family, &[from, &[0; PORT]].concat())?;
        let destination = address.into();
        let protocol = Protocol::from_number(protocol.into());
        let packets = Packets { destination, protocol, first_port: 0, last_port: u16::MAX };
        return Some(Fixture::Untracked { packets });
    }
    let (first, protocol, first_port) = split(family, from)?;
    // Without an end, an element is its beginning alone.
    let (last, last_protocol, last_port) = split(family, data(10).unwrap_or(from))?;
    if part == Part::Outgoing {
        let all = (protocol, first_port, last_protocol, last_port) == (0, 0, u8::MAX, u16::MAX);
        let network = network(first, last).filter(|_| all)?;
        return Some(Fixture::Outgoing { network });
    }
    if protocol != last_protocol {
        return None;
    }
    let packets = Packets {
        destination: network(first, last)?,
        protocol: Protocol::from_number(protocol.into()),
        first_port,
        last_port,
    };
    Some(match part {
        Part::Marks | Part::NetworkMarks | Part::Balanced => {
            let mark = NonZeroU32::new(u32::from_ne_bytes(data(2)?.try_into().ok()?))?;
            match part {
                Part::Balanced => Fixture::Balanced { packets, mark },
                _ => Fixture::Mark { packets, mark },
            }
        }
        Part::Masquerade | Part::AllPortsMasquerade => Fixture::Masquerade { packets },
        // Handled above.
        Part::Outgoing => return None,
        Part::UnknownReplies => Fixture::UnknownReplies { packets },
        Part::Untracked => Fixture::Untracked { packets },
        Part::Arrivals => Fixture::Arrivals { packets },
        Part::SegmentSizes | Part::AllPortsSegmentSizes | Part::NetworkSegmentSizes => {
            Fixture::SegmentSize { packets, bytes: u16::from_be_bytes(data(2)?.try_into().ok()?) }
        }
    })
}

fn split(family: Family, key: &[u8]) -> Option<(IpAddr, u8, u16)> {
    let (address, rest) = match family {
        Family::V4 => {
            let (octets, rest) = key.split_first_chunk::<4>()?;
            (IpAddr::from(Ipv4Addr::from(*octets)), rest)
        }
        Family::V6 => {
            let (octets, rest) = key.split_first_chunk::<16>()?;
            (IpAddr::from(Ipv6Addr::from(*octets)), rest)
        }
    };
    let [protocol, _, _, _, high, low, ..] = rest else { return None };
    Some((address, *protocol, u16::from_be_bytes([*high, *low])))
}

/// The network that begins and ends there.
fn network(first: IpAddr, last: IpAddr) -> Option<IpNet> {
    let net = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let differing = first.to_bits() ^ last.to_bits();
            IpNet::V4(Ipv4Net::new(first, u8::try_from(differing.leading_zeros()).ok()?).ok()?)
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let differing = first.to_bits() ^ last.to_bits();
            IpNet::V6(Ipv6Net::new(first, u8::try_from(differing.leading_zeros()).ok()?).ok()?)
        }
        _ => return None,
    };
    (net.network() == first && net.broadcast() == last).then_some(net)
}
