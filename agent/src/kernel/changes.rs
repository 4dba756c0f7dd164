//! Says that links, addresses or routes have changed.

use netlink_packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::{io, thread};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, channel};

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV4_ROUTE`, `RTNLGRP_IPV6_IFADDR`, `RTNLGRP_IPV6_ROUTE`
/// (include/uapi/linux/rtnetlink.h).
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];
/// Room for one notification; one that is longer is cut off, and then counts as a change.
const BYTES: usize = 16 * 1024;

/// Gives a `()` after links, addresses or routes of the calling thread's network namespace have changed, by whomever:
/// time to look. Many changes may be one `()`. The agent's own changes are told too, but for the renewal of an address's
/// lifetime.
///
/// The thread behind it ends with the first change after the receiver has gone.
///
/// # Errors
/// When the socket or the thread cannot be made.
pub fn changes() -> io::Result<Receiver<()>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    for group in GROUPS {
        socket.add_membership(group)?;
    }
    let (sender, receiver) = channel(1);
    thread::Builder::new().name("rtnetlink-changes".to_owned()).spawn(move || {
        let mut message = Vec::with_capacity(BYTES);
        let mut known = Known::default();
        loop {
            message.clear();
            match socket.recv(&mut message, 0) {
                Ok(_) if !known.is_news(&message) => continue,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Messages got lost: something has changed for sure.
                Err(error) if error.raw_os_error() == Some(lvs_ipvs::Errno::ENOBUFS.0) => {
                    known = Known::default();
                }
                Err(error) => {
                    tracing::error!(%error, "changes of links, addresses and routes go unnoticed until the next audit");
                    return;
                }
            }
            if let Err(TrySendError::Closed(())) = sender.try_send(()) {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// The addresses that have been told of. A new lifetime of one comes as if it were new (`inet_rtm_newaddr` in
/// net/ipv4/devinet.c), and directors renew theirs each second.
#[derive(Debug, Default)]
struct Known(BTreeSet<(u32, IpAddr, u8)>);

impl Known {
    /// Whether a datagram says anything but that a known address goes on.
    fn is_news(&mut self, datagram: &[u8]) -> bool {
        let mut news = false;
        let mut rest = datagram;
        while !rest.is_empty() {
            let Ok(buffer) = NetlinkBuffer::new_checked(rest) else { return true };
            let length = usize::try_from(buffer.length()).unwrap_or(0);
            let parsed = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest);
            news |= match parsed.map(|message| message.payload) {
                Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(new))) => {
                    key(&new).is_none_or(|key| self.0.insert(key))
                }
                Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(gone))) => {
                    if let Some(key) = key(&gone) {
                        self.0.remove(&key);
                    }
                    true
                }
                _ => true,
            };
            // Messages in a datagram are aligned to 4 bytes (NLMSG_ALIGN).
            let next = length.max(1).next_multiple_of(4).min(rest.len());
            rest = rest.get(next..).unwrap_or_default();
        }
        news
    }
}

fn key(message: &AddressMessage) -> Option<(u32, IpAddr, u8)> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = address.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    });
    Some((message.header.index, address?, message.header.prefix_len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::NetlinkHeader;

    fn datagram(payloads: Vec<RouteNetlinkMessage>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in payloads {
            let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload.into());
            message.finalize();
            let start = bytes.len();
            bytes.resize(start + message.buffer_len(), 0);
            message.serialize(&mut bytes[start..]);
        }
        bytes
    }

    fn address(host: u8) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.index = 2;
        message.header.prefix_len = 24;
        message.attributes.push(AddressAttribute::Local([10, 0, 0, host].into()));
        message
    }

    #[test]
    fn an_address_that_goes_on_is_no_news_and_everything_else_is() {
        use RouteNetlinkMessage::{DelAddress, NewAddress, NewLink};
        let mut known = Known::default();
        assert!(known.is_news(&datagram(vec![NewAddress(address(1)), NewAddress(address(2))])));
        assert!(!known.is_news(&datagram(vec![NewAddress(address(2)), NewAddress(address(1))])));
        assert!(
            known.is_news(&datagram(vec![NewAddress(address(1)), NewLink(Default::default())]))
        );
        assert!(known.is_news(&datagram(vec![DelAddress(address(1))])));
        assert!(known.is_news(&datagram(vec![NewAddress(address(1))])));
        assert!(known.is_news(&[1, 2, 3]));
    }
}
