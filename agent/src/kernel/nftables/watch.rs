//! Says that somebody has taken away from our table.

use super::message::{INET, Kind, Message};
use super::ruleset::TABLE;
use netlink_packet_core::{NetlinkBuffer, NetlinkDeserializable as _, NetlinkHeader};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use std::{io, thread};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, channel};

/// `NFNLGRP_NFTABLES` (include/uapi/linux/netfilter/nfnetlink.h).
const GROUP: u32 = 7;
/// Room for one datagram: the kernel puts as many notifications into one as fit into a page
/// (`nf_tables_commit_notify`), and a single one may be longer.
const BYTES: usize = 64 * 1024;
/// A netlink message's header.
const HEADER: usize = 16;

/// Gives a `()` after our table, or a chain, rule or set of it, has gone in the calling thread's network namespace: `nft flush
/// ruleset`, as a reload of nftables.service has it, takes all tables. Elements are passed over, since the agent's own go with
/// each service; those that others take away, the audit sees. Many removals may be one `()`.
///
/// The thread behind it ends with the first removal after the receiver has gone.
///
/// # Errors
/// When the socket or the thread cannot be made: the kernel has no nftables.
pub fn removals() -> io::Result<Receiver<()>> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.add_membership(GROUP)?;
    let (sender, receiver) = channel(1);
    thread::Builder::new().name("nftables-removals".to_owned()).spawn(move || {
        let mut datagram = Vec::with_capacity(BYTES);
        loop {
            datagram.clear();
            match socket.recv(&mut datagram, 0) {
                Ok(_) if !takes_away(&datagram) => continue,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Messages got lost: ours may be among them.
                Err(error) if error.raw_os_error() == Some(lvs_ipvs::Errno::ENOBUFS.0) => {}
                Err(error) => {
                    tracing::error!(%error, "what others do to our nftables table goes unnoticed until the next audit");
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

/// Whether a datagram tells of something of ours that has gone.
pub(super) fn takes_away(mut datagram: &[u8]) -> bool {
    while let Ok(header) = NetlinkBuffer::new_checked(&datagram) {
        let Ok(length) = usize::try_from(header.length()) else { return false };
        let Some(payload) = datagram.get(HEADER..length) else { return false };
        let mut head = NetlinkHeader::default();
        head.message_type = header.message_type();
        // NFTA_TABLE_NAME, and of the others the table: all 1.
        if let Ok(message) = Message::deserialize(&head, payload)
            && matches!(
                message.kind,
                Kind::DelTable | Kind::DelChain | Kind::DelRule | Kind::DelSet
            )
            && message.family == INET
            && message.attributes.view().text(1) == Some(TABLE)
        {
            return true;
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}
