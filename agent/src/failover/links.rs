//! The node's interfaces, kept up to date by what rtnetlink tells of them.

use crate::kernel::netlink::Rtnetlink;
use lvs_vrrp::Mac;
use netlink_packet_core::{NetlinkBuffer, NetlinkDeserializable as _, NetlinkHeader};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// `RTNLGRP_LINK` (include/uapi/linux/rtnetlink.h).
const GROUP: u32 = 1;
/// A message about one link has some 2 KiB; those of machines with many virtual functions more.
const RECEIVE_BYTES: usize = 64 * 1024;
/// A netlink message's header.
const HEADER: usize = 16;

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// The kernel's index.
    pub(super) index: u32,
    /// It is up, and its cable is plugged in.
    pub(super) running: bool,
    /// Where its neighbours are asked by ARP or neighbour discovery: its own address there.
    pub(super) mac: Option<Mac>,
}

/// Interfaces by name.
pub(super) type Links = BTreeMap<String, Link>;

/// Tells of links that come, go and change.
#[derive(Debug)]
pub(super) struct LinkWatch {
    socket: Socket,
    buffer: Vec<u8>,
}

impl LinkWatch {
    /// Of the calling thread's network namespace.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.add_membership(GROUP)?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket, buffer: Vec::with_capacity(RECEIVE_BYTES) })
    }

    /// Takes over what has changed; whether anything did that matters here.
    ///
    /// # Errors
    /// When messages got lost, among others: then [`list`] anew.
    pub(super) fn update(&mut self, links: &mut Links) -> io::Result<bool> {
        let mut changed = false;
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => changed |= apply(&self.buffer, links),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(changed),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// All interfaces.
pub(super) fn list(route: &mut Rtnetlink) -> io::Result<Links> {
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let mut links = Links::new();
    for message in route.list(&request)? {
        note(message, &mut links);
    }
    Ok(links)
}

/// Notes what one datagram says.
fn apply(mut datagram: &[u8], links: &mut Links) -> bool {
    let mut changed = false;
    while let Ok(header) = NetlinkBuffer::new_checked(&datagram) {
        let Ok(length) = usize::try_from(header.length()) else { break };
        let Some(payload) = datagram.get(HEADER..length) else { break };
        let mut head = NetlinkHeader::default();
        head.message_type = header.message_type();
        if let Ok(message) = RouteNetlinkMessage::deserialize(&head, payload) {
            changed |= note(message, links);
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    changed
}

fn note(message: RouteNetlinkMessage, links: &mut Links) -> bool {
    let (link, gone) = match message {
        RouteNetlinkMessage::NewLink(link) => (link, false),
        RouteNetlinkMessage::DelLink(link) => (link, true),
        _ => return false,
    };
    // Bridges tell of their ports with a family of their own: a port that leaves is no link that goes.
    if link.header.interface_family != AddressFamily::Unspec {
        return false;
    }
    let index = link.header.index;
    let new = if gone { None } else { read(&link) };
    let old = links.iter().find(|(_, old)| old.index == index).map(|(name, _)| name.clone());
    let mut changed = false;
    if let Some(old) = old
        && new.as_ref().is_none_or(|(name, _)| *name != old)
    {
        links.remove(&old);
        changed = true;
    }
    if let Some((name, link)) = new {
        changed |= links.get(&name) != Some(&link);
        links.insert(name, link);
    }
    changed
}

fn read(message: &LinkMessage) -> Option<(String, Link)> {
    let (mut name, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
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
        mac: mac.filter(|_| asks),
    };
    Some((name?, link))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            note(RouteNetlinkMessage::NewLink(message.clone()), &mut links);
        }
        links
    }

    #[test]
    fn a_link_without_carrier_does_not_run() {
        let links = links(&[
            message(2, "eth0", LinkFlags::Up | LinkFlags::Running),
            message(3, "eth1", LinkFlags::Up),
            message(4, "dummy0", LinkFlags::Up | LinkFlags::Running | LinkFlags::Noarp),
        ]);
        assert!(links["eth0"].running && links["eth0"].mac.is_some());
        assert!(!links["eth1"].running && links["eth1"].mac.is_some());
        assert!(links["dummy0"].running && links["dummy0"].mac.is_none());
    }

    #[test]
    fn a_renamed_link_has_one_name_and_a_bridge_port_that_leaves_stays_a_link() {
        let up = LinkFlags::Up | LinkFlags::Running;
        let mut links = links(&[message(2, "eth0", up)]);
        assert!(note(RouteNetlinkMessage::NewLink(message(2, "wan", up)), &mut links));
        assert!(!note(RouteNetlinkMessage::NewLink(message(2, "wan", up)), &mut links));
        assert_eq!(links.keys().collect::<Vec<_>>(), ["wan"]);
        let mut port = message(2, "wan", up);
        port.header.interface_family = AddressFamily::Bridge;
        assert!(!note(RouteNetlinkMessage::DelLink(port), &mut links));
        assert!(note(RouteNetlinkMessage::DelLink(message(2, "wan", up)), &mut links));
        assert!(links.is_empty());
    }

    #[test]
    fn bytes_that_are_no_messages_change_nothing() {
        let mut links = links(&[message(2, "eth0", LinkFlags::Up)]);
        let before = links.clone();
        for length in 0..200_usize {
            let bytes: Vec<u8> =
                (0..length).map(|at| u8::try_from(at * 37 % 251).unwrap()).collect();
            assert!(!apply(&bytes, &mut links));
        }
        assert_eq!(links, before);
    }
}
