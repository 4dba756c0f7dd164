//! The node's interfaces, and what a message about one changes; but for the listing, pure.

use crate::kernel::netlink::Rtnetlink;
use lvs_vrrp::Mac;
use netlink_packet_route::link::{LinkAttribute, LinkEvent, LinkFlags, LinkLayerType, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::collections::BTreeMap;
use std::io;

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// The kernel's index.
    pub(super) index: u32,
    /// It is up, and its cable is plugged in.
    pub(super) running: bool,
    /// How often its cable was plugged in.
    pub(super) ups: u32,
    /// Where its neighbours are asked by ARP or neighbour discovery: its own address there.
    pub(super) mac: Option<Mac>,
}

/// Interfaces by name.
pub(super) type Links = BTreeMap<String, Link>;

/// What a message, or a new listing, says that was not known.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// A link is not as it was.
    pub(super) other: bool,
    /// Everybody behind these has to hear anew where addresses are.
    pub(super) moved: Vec<String>,
    /// The old name and the new one.
    pub(super) renamed: Vec<(String, String)>,
}

/// All interfaces.
pub(super) fn list(route: &mut Rtnetlink) -> io::Result<Links> {
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let mut links = Links::new();
    for message in route.list(&request)? {
        if let RouteNetlinkMessage::NewLink(message) = message {
            note(&message, false, &mut links);
        }
    }
    Ok(links)
}

/// Notes what a message says of a link that is there, or `gone`.
pub(super) fn note(message: &LinkMessage, gone: bool, links: &mut Links) -> Change {
    let mut change = Change::default();
    // Bridges tell of their ports with a family of their own: a port that leaves is no link that goes.
    if message.header.interface_family != AddressFamily::Unspec {
        return change;
    }
    let index = message.header.index;
    let new = if gone { None } else { read(message) };
    let old = links.iter().find(|(_, old)| old.index == index).map(|(name, _)| name.clone());
    if let Some(old) = old
        && new.as_ref().is_none_or(|(name, _)| *name != old)
    {
        links.remove(&old);
        change.other = true;
        change.renamed.extend(new.iter().map(|(name, _)| (old.clone(), name.clone())));
    }
    if let Some((name, link)) = new {
        let before = links.get(&name);
        change.other |= before != Some(&link);
        if link.is_elsewhere(before) || notifies_peers(message) {
            change.moved.push(name.clone());
        }
        links.insert(name, link);
    }
    change
}

/// What differs between two listings, where messages got lost.
pub(super) fn between(before: &Links, now: &Links) -> Change {
    let moved = now.iter().filter(|(name, link)| link.is_elsewhere(before.get(*name)));
    let renamed = before.iter().filter_map(|(old, link)| {
        let (new, _) = now.iter().find(|(_, it)| it.index == link.index)?;
        (new != old).then(|| (old.clone(), new.clone()))
    });
    Change {
        other: before != now,
        moved: moved.map(|(name, _)| name.clone()).collect(),
        renamed: renamed.collect(),
    }
}

impl Link {
    /// Whether frames to what it was before do not reach it, or may not: it has another MAC address, is another device, or had
    /// no carrier, so that the switch may have forgotten it, or it is at another port.
    fn is_elsewhere(&self, before: Option<&Link>) -> bool {
        self.running && before != Some(self)
    }
}

/// The kernel itself says so (`NETDEV_NOTIFY_PEERS`): a bond has another active port, a guest has moved to another host. It
/// announces addresses once then (`inetdev_event` in net/ipv4/devinet.c), and once may be lost.
fn notifies_peers(message: &LinkMessage) -> bool {
    let is = |attribute: &LinkAttribute| {
        matches!(attribute, LinkAttribute::Event(LinkEvent::NotifyPeers))
    };
    message.attributes.iter().any(is)
}

fn read(message: &LinkMessage) -> Option<(String, Link)> {
    let (mut name, mut mac, mut ups) = (None, None, 0);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::CarrierUpCount(count) => ups = *count,
            LinkAttribute::Address(bytes) => mac = Mac::try_from(bytes.as_slice()).ok(),
            _ => {}
        }
    }
    let header = &message.header;
    let asks = header.link_layer_type == LinkLayerType::Ether
        && !header.flags.intersects(LinkFlags::Noarp | LinkFlags::Loopback);
    let link = Link {
        index: header.index,
        // The kernel's own answer out of carrier and operational state (dev_get_flags in net/core/dev.c).
        running: header.flags.contains(LinkFlags::Up | LinkFlags::Running),
        ups,
        mac: mac.filter(|_| asks),
    };
    Some((name?, link))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: LinkFlags = LinkFlags::Up.union(LinkFlags::Running);

    fn message(index: u32, name: &str, flags: LinkFlags) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = flags;
        message.header.link_layer_type = LinkLayerType::Ether;
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        message.attributes.push(LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]));
        message
    }

    fn links(messages: &[LinkMessage]) -> Links {
        let mut links = Links::new();
        for message in messages {
            note(message, false, &mut links);
        }
        links
    }

    fn moved(name: &str) -> Change {
        Change { other: true, moved: vec![name.to_owned()], ..Change::default() }
    }

    #[test]
    fn a_link_without_carrier_does_not_run() {
        let links = links(&[
            message(2, "eth0", RUNS),
            message(3, "eth1", LinkFlags::Up),
            message(4, "dummy0", RUNS | LinkFlags::Noarp),
        ]);
        assert!(links["eth0"].running && links["eth0"].mac.is_some());
        assert!(!links["eth1"].running && links["eth1"].mac.is_some());
        assert!(links["dummy0"].running && links["dummy0"].mac.is_none());
    }

    #[test]
    fn a_renamed_link_has_one_name_and_a_bridge_port_that_leaves_stays_a_link() {
        let mut links = links(&[message(2, "eth0", RUNS)]);
        let renamed = vec![("eth0".to_owned(), "wan".to_owned())];
        let change = note(&message(2, "wan", RUNS), false, &mut links);
        assert_eq!(change, Change { renamed, ..moved("wan") });
        assert_eq!(note(&message(2, "wan", RUNS), false, &mut links), Change::default());
        assert_eq!(links.keys().collect::<Vec<_>>(), ["wan"]);
        let mut port = message(2, "wan", RUNS);
        port.header.interface_family = AddressFamily::Bridge;
        assert_eq!(note(&port, true, &mut links), Change::default());
        let gone = note(&message(2, "wan", RUNS), true, &mut links);
        assert_eq!(gone, Change { other: true, ..Change::default() });
        assert!(links.is_empty());
    }

    #[test]
    fn another_mac_address_another_device_and_carrier_that_is_back_are_told() {
        let mut links = links(&[message(2, "eth0", RUNS)]);
        let mut other = message(2, "eth0", RUNS);
        other.attributes[1] = LinkAttribute::Address(vec![2, 0, 0, 0, 0, 9]);
        let before = links.clone();
        assert_eq!(note(&other, false, &mut links), moved("eth0"));
        assert_eq!(between(&before, &links), moved("eth0"), "the same from two listings");
        assert_eq!(note(&other, false, &mut links), Change::default(), "its counters alone");
        let cut = note(&message(2, "eth0", LinkFlags::Up), false, &mut links);
        assert_eq!(cut, Change { other: true, ..Change::default() });
        assert_eq!(note(&message(2, "eth0", RUNS), false, &mut links), moved("eth0"));
        let before = links.clone();
        note(&message(2, "eth0", RUNS), true, &mut links);
        assert_eq!(note(&message(7, "eth0", RUNS), false, &mut links), moved("eth0"));
        assert_eq!(between(&before, &links), moved("eth0"));
        let wan = self::links(&[message(7, "wan", RUNS)]);
        let renamed = vec![("eth0".to_owned(), "wan".to_owned())];
        assert_eq!(between(&links, &wan), Change { renamed, ..moved("wan") });
    }

    #[test]
    fn what_the_kernel_says_to_neighbours_is_said_again() {
        let mut links = links(&[message(2, "bond0", RUNS)]);
        let mut told = message(2, "bond0", RUNS);
        told.attributes.push(LinkAttribute::Event(LinkEvent::NotifyPeers));
        let again = Change { moved: vec!["bond0".to_owned()], ..Change::default() };
        assert_eq!(note(&told, false, &mut links), again);
        told.attributes[2] = LinkAttribute::Event(LinkEvent::Features);
        assert_eq!(note(&told, false, &mut links), Change::default());
    }
}
