//! Packet sockets (packet(7)) for ARP and neighbour discovery on one interface: frames out, and those that come in.

use super::link_address::link_address;
use super::socket::waited;
use nix::sys::socket::sockopt::SndBufForce;
use nix::sys::socket::{MsgFlags, recv, setsockopt};
use socket2::{Domain, SockAddr, SockFilter, Socket, Type};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
/// A gratuitous ARP for each of a thousand addresses at once takes some 800 bytes of it.
const SEND_BYTES: usize = 4 << 20;

// Of linux/bpf_common.h: load a byte at a fixed place; jump if equal; return.
const LOAD_BYTE: u16 = 0x30;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Next header ICMPv6, and of that solicitations and advertisements of neighbours alone; all other IPv6 packets of the interface
/// pass by without waking anybody.
const DISCOVERY: [SockFilter; 7] = [
    SockFilter::new(LOAD_BYTE, 0, 0, 14 + 6),
    SockFilter::new(JUMP_EQUAL, 0, 4, 58),
    SockFilter::new(LOAD_BYTE, 0, 0, 14 + 40),
    SockFilter::new(JUMP_EQUAL, 1, 0, 135),
    SockFilter::new(JUMP_EQUAL, 0, 1, 136),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
    SockFilter::new(RETURN, 0, 0, 0),
];

/// One interface's sockets. A socket that is bound to one EtherType sees no frame that the node sends itself.
#[derive(Debug)]
pub(crate) struct Neighbors {
    arp: Socket,
    /// With the address to send to.
    discovery: Socket,
    to_arp: SockAddr,
    to_discovery: SockAddr,
}

impl Neighbors {
    /// Listens on an interface, which must be an Ethernet device.
    pub(crate) fn open(interface: u32) -> io::Result<Self> {
        let (to_arp, to_discovery) = (link_address(interface, ARP), link_address(interface, IPV6));
        let arp = bound(&to_arp, &[])?;
        let discovery = bound(&to_discovery, &DISCOVERY)?;
        Ok(Self { arp, discovery, to_arp, to_discovery })
    }

    /// Sends whole Ethernet frames; how many the kernel took.
    pub(crate) fn send(&self, frames: impl IntoIterator<Item = Vec<u8>>) -> usize {
        let mut taken = 0;
        for frame in frames {
            let (socket, to) = match frame.get(12..14) {
                Some([8, 6]) => (&self.arp, &self.to_arp),
                _ => (&self.discovery, &self.to_discovery),
            };
            // A full queue is no reason to wait: it is announced again.
            taken += usize::from(socket.send_to(&frame, to).is_ok());
        }
        taken
    }

    /// The next frame that is there.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        for socket in [&self.arp, &self.discovery] {
            let length = recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT);
            if let Some(length) = waited(length)? {
                return Ok(buffer.get(..length));
            }
        }
        Ok(None)
    }

    /// What to poll.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.arp.as_fd(), self.discovery.as_fd()]
    }
}

/// It sees nothing before it is bound, so nothing gets past the filter.
fn bound(to: &SockAddr, filter: &[SockFilter]) -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), None)?;
    if !filter.is_empty() {
        socket.attach_filter(filter)?;
    }
    if let Err(error) = setsockopt(&socket, SndBufForce, &SEND_BYTES) {
        tracing::debug!(%error, "the send buffer keeps its size");
    }
    socket.bind(to)?;
    Ok(socket)
}
