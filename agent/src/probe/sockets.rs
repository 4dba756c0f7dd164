//! What the prober sends and hears by: packet sockets, and source ports of its own.

use crate::failover::link_address::link_address;
use crate::failover::neighbors::Neighbors;
use crate::failover::socket::waited;
use nix::sys::socket::{MsgFlags, recv};
use socket2::{Domain, SockAddr, SockFilter, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// How many source ports: a connection's is used again after so many others of its service, when IPVS's entry of it is
/// closing or gone.
const PORTS: u16 = 8;
/// Above the ports that the kernel gives to others by default (`ip_local_port_range`).
const FIRST: u16 = 61_000;
const LAST: u16 = 65_000;

// Of linux/bpf_common.h.
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_HALF_AT_X: u16 = 0x48;
const LOAD_HEADER_LENGTH: u16 = 0xb1;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_NOT_LESS: u16 = 0x35;
const JUMP_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

/// TCP to our ports, and ICMP; everything else of the interface passes by without waking anybody.
fn ipv4(ports: &Range<u16>) -> [SockFilter; 12] {
    let (first, last) = (u32::from(ports.start), u32::from(ports.end.saturating_sub(1)));
    [
        SockFilter::new(LOAD_BYTE, 0, 0, 14 + 9),
        SockFilter::new(JUMP_EQUAL, 8, 0, 1),
        SockFilter::new(JUMP_EQUAL, 0, 8, 6),
        SockFilter::new(LOAD_HALF, 0, 0, 14 + 6),
        // But the first fragment has no ports.
        SockFilter::new(JUMP_SET, 6, 0, 0x1fff),
        SockFilter::new(LOAD_HEADER_LENGTH, 0, 0, 14),
        SockFilter::new(LOAD_HALF_AT_X, 0, 0, 14 + 2),
        SockFilter::new(JUMP_NOT_LESS, 0, 3, first),
        SockFilter::new(JUMP_GREATER, 2, 0, last),
        SockFilter::new(RETURN, 0, 0, 256),
        SockFilter::new(RETURN, 0, 0, 256),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// As above; of ICMPv6 destination unreachable alone.
fn ipv6(ports: &Range<u16>) -> [SockFilter; 10] {
    let (first, last) = (u32::from(ports.start), u32::from(ports.end.saturating_sub(1)));
    [
        SockFilter::new(LOAD_BYTE, 0, 0, 14 + 6),
        SockFilter::new(JUMP_EQUAL, 4, 0, 58),
        SockFilter::new(JUMP_EQUAL, 0, 6, 6),
        SockFilter::new(LOAD_HALF, 0, 0, 14 + 40 + 2),
        SockFilter::new(JUMP_NOT_LESS, 0, 4, first),
        SockFilter::new(JUMP_GREATER, 3, 2, last),
        SockFilter::new(LOAD_BYTE, 0, 0, 14 + 40),
        SockFilter::new(JUMP_EQUAL, 0, 1, 1),
        SockFilter::new(RETURN, 0, 0, 256),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// One interface's.
#[derive(Debug)]
pub(super) struct Tap {
    neighbors: Neighbors,
    v4: Socket,
    v6: Socket,
    to: [SockAddr; 2],
}

impl Tap {
    pub(super) fn open(interface: u32, ports: &Range<u16>) -> io::Result<Self> {
        let to = [link_address(interface, IPV4), link_address(interface, IPV6)];
        let [v4, v6] = &to;
        let v4 = bound(v4, &ipv4(ports))?;
        let v6 = bound(v6, &ipv6(ports))?;
        Ok(Self { neighbors: Neighbors::open(interface)?, v4, v6, to })
    }

    /// Sends a whole frame. A full queue is no reason to wait: it is sent again, or counts as lost.
    pub(super) fn send(&self, frame: Vec<u8>) {
        let [v4, v6] = &self.to;
        let sent = match frame.get(12..14) {
            Some([0x08, 0x00]) => self.v4.send_to(&frame, v4).map(drop),
            // Next header TCP; neighbour discovery has sockets of its own.
            Some([0x86, 0xdd]) if frame.get(20) == Some(&6) => {
                self.v6.send_to(&frame, v6).map(drop)
            }
            _ => {
                self.neighbors.send([frame]);
                Ok(())
            }
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "a packet socket");
        }
    }

    /// The next frame that is there.
    pub(super) fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        for socket in [&self.v4, &self.v6] {
            let length = recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT);
            if let Some(length) = waited(length)? {
                return Ok(buffer.get(..length));
            }
        }
        self.neighbors.receive(buffer)
    }

    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 4] {
        let [arp, discovery] = self.neighbors.descriptors();
        [arp, discovery, self.v4.as_fd(), self.v6.as_fd()]
    }
}

/// It sees nothing before it is bound, so nothing gets past the filter.
fn bound(to: &SockAddr, filter: &[SockFilter]) -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), None)?;
    socket.attach_filter(filter)?;
    socket.bind(to)?;
    Ok(socket)
}

/// Source ports that nobody else on this node has: listening sockets that take nothing. Without them the kernel would answer
/// what comes back for our connections by a reset (`tcp_v4_send_reset`); of a socket whose filter drops a packet it says
/// nothing (`tcp_filter` in `tcp_v4_rcv`, net/ipv4/tcp_ipv4.c). They end with the process.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) range: Range<u16>,
    _sockets: Vec<Socket>,
}

impl Ports {
    /// Takes them, beginning to look at a place of the caller's choice.
    pub(super) fn take(chance: u64) -> io::Result<Self> {
        let blocks = u64::from((LAST - FIRST) / PORTS);
        let mut refused = None;
        for attempt in 0..blocks {
            let block = u16::try_from((chance.wrapping_add(attempt)) % blocks).unwrap_or(0);
            let first = FIRST + block * PORTS;
            let range = first..first + PORTS;
            match range.clone().map(silent).collect::<io::Result<Vec<Socket>>>() {
                Ok(sockets) => return Ok(Self { range, _sockets: sockets }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
    }
}

/// Of both IP versions where the kernel has both.
fn silent(port: u16) -> io::Result<Socket> {
    let both = || -> io::Result<Socket> {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
        socket.set_only_v6(false)?;
        mute(socket, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))
    };
    match both() {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            mute(socket, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
        }
        done => done,
    }
}

fn mute(socket: Socket, address: SocketAddr) -> io::Result<Socket> {
    socket.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])?;
    socket.bind(&address.into())?;
    socket.listen(1)?;
    Ok(socket)
}
