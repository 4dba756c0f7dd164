//! Says that links, addresses or routes have changed.

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use std::{io, thread};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, channel};

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV4_ROUTE`, `RTNLGRP_IPV6_IFADDR`, `RTNLGRP_IPV6_ROUTE`
/// (include/uapi/linux/rtnetlink.h).
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];

/// Gives a `()` after links, addresses or routes of the calling thread's network namespace have changed, by whomever:
/// time to look. Many changes may be one `()`. The agent's own changes are told too.
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
        // What it says is not looked at, so that a cut-off message is as good as a whole one.
        let mut message = Vec::with_capacity(64);
        loop {
            message.clear();
            match socket.recv(&mut message, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Messages got lost: something has changed for sure.
                Err(error) if error.raw_os_error() == Some(lvs_ipvs::Errno::ENOBUFS.0) => {}
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
