//! What rtnetlink tells of links and addresses, as it happens.

use super::links::{Change, Links, note};
use crate::kernel::own_address;
use crate::state::HeldAddress;
use netlink_packet_core::{NetlinkBuffer, NetlinkDeserializable as _, NetlinkHeader};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV6_IFADDR` (include/uapi/linux/rtnetlink.h).
const GROUPS: [u32; 3] = [1, 5, 9];
/// A message about one link has some 2 KiB; those of machines with many virtual functions more.
const RECEIVE_BYTES: usize = 64 * 1024;
/// Room for what comes while the thread acts: each renewal of an address is told too.
const QUEUE_BYTES: usize = 4 << 20;
/// A netlink message's header.
const HEADER: usize = 16;

/// What has happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Links are not as they were.
    pub(super) links: bool,
    /// Interfaces behind which everybody has to hear anew where addresses are.
    pub(super) moved: BTreeSet<String>,
    /// Interfaces that have another name now: the old one, and the new one.
    pub(super) renamed: Vec<(String, String)>,
    /// Addresses that were taken away, by whomever.
    pub(super) gone: BTreeSet<HeldAddress>,
    /// Addresses that came and were not known.
    pub(super) came: BTreeSet<HeldAddress>,
}

impl News {
    pub(super) fn add(&mut self, change: Change) {
        self.links |= change.other;
        self.moved.extend(change.moved);
        self.renamed.extend(change.renamed);
    }
}

/// Tells of links and addresses that come, go and change.
#[derive(Debug)]
pub(super) struct Watch {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Watch {
    /// Of the calling thread's network namespace.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        if let Err(error) = setsockopt(&socket.as_fd(), RcvBufForce, &QUEUE_BYTES) {
            tracing::debug!(%error, "the receive buffer keeps its size");
        }
        Ok(Self { socket, buffer: Vec::with_capacity(RECEIVE_BYTES) })
    }

    /// Takes over what has changed, and tells what matters here. `known` addresses do not come: they are renewed.
    ///
    /// # Errors
    /// When messages got lost, among others: then list all anew.
    pub(super) fn update(
        &mut self,
        links: &mut Links,
        known: &dyn Fn(&HeldAddress) -> bool,
    ) -> io::Result<News> {
        let mut news = News::default();
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => apply(&self.buffer, links, known, &mut news),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(news),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Notes what one datagram says.
fn apply(
    mut datagram: &[u8],
    links: &mut Links,
    known: &dyn Fn(&HeldAddress) -> bool,
    news: &mut News,
) {
    while let Ok(header) = NetlinkBuffer::new_checked(&datagram) {
        let Ok(length) = usize::try_from(header.length()) else { break };
        let Some(payload) = datagram.get(HEADER..length) else { break };
        let mut head = NetlinkHeader::default();
        head.message_type = header.message_type();
        match RouteNetlinkMessage::deserialize(&head, payload) {
            Ok(RouteNetlinkMessage::NewLink(link)) => news.add(note(&link, false, links)),
            Ok(RouteNetlinkMessage::DelLink(link)) => news.add(note(&link, true, links)),
            Ok(RouteNetlinkMessage::NewAddress(address)) => {
                news.came.extend(held(&address, links).filter(|held| !known(held)));
            }
            Ok(RouteNetlinkMessage::DelAddress(address)) => {
                news.gone.extend(held(&address, links));
            }
            Ok(_) | Err(_) => {}
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn held(message: &AddressMessage, links: &Links) -> Option<HeldAddress> {
    let mut all = links.iter();
    let (interface, _) = all.find(|(_, link)| link.index == message.header.index)?;
    Some(HeldAddress { interface: interface.clone(), address: own_address(message)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::links::Link;
    use crate::kernel::address;
    use netlink_packet_core::{NetlinkMessage, NetlinkPayload};

    fn links() -> Links {
        [("eth0".to_owned(), Link { index: 2, ..Link::default() })].into()
    }

    fn eth0(address: &str) -> HeldAddress {
        HeldAddress { interface: "eth0".to_owned(), address: address.parse().unwrap() }
    }

    fn datagram(payloads: Vec<RouteNetlinkMessage>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in payloads {
            let payload = NetlinkPayload::from(payload);
            let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
            message.finalize();
            let start = bytes.len();
            bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
            message.serialize(&mut bytes[start..]);
        }
        bytes
    }

    #[test]
    fn addresses_that_go_are_told_and_those_that_come_unless_they_are_known() {
        use RouteNetlinkMessage::{DelAddress, NewAddress};
        let told = |address: &str, index| address::removal(&eth0(address), index);
        let bytes = datagram(vec![
            NewAddress(told("10.0.0.1/24", 2)),
            NewAddress(told("10.0.0.10/24", 2)),
            DelAddress(told("10.0.0.11/24", 2)),
            DelAddress(told("10.0.0.12/24", 9)),
        ]);
        let mut news = News::default();
        let known = |held: &HeldAddress| *held == eth0("10.0.0.10/24");
        apply(&bytes, &mut links(), &known, &mut news);
        let (came, gone) = ([eth0("10.0.0.1/24")].into(), [eth0("10.0.0.11/24")].into());
        assert_eq!(news, News { came, gone, ..News::default() });
    }

    #[test]
    fn bytes_that_are_no_messages_change_nothing() {
        let mut links = links();
        let before = links.clone();
        for length in 0..200_usize {
            let bytes: Vec<u8> =
                (0..length).map(|at| u8::try_from(at * 37 % 251).unwrap()).collect();
            let mut news = News::default();
            apply(&bytes, &mut links, &|_| false, &mut news);
            assert_eq!(news, News::default());
        }
        assert_eq!(links, before);
    }
}
