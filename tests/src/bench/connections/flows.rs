//! TCP connections without endpoints: crafted packets of as many clients as wanted, many to a system call.

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType, SockaddrIn, connect,
    sendmmsg, socket,
};

use crate::net::Node;

/// Packets to a system call: fewer than `net.core.netdev_max_backlog`, which is 1000.
const BATCH: usize = 512;
/// The first client's address; the others follow it (RFC 6598, so that no other address of a test is met).
const FIRST: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 1);
/// Connections of one client.
const PORTS: u32 = 50_000;
/// The lowest port of a client.
const LOWEST_PORT: u16 = 1_024;
const IP_HEADER: usize = 20;
const TCP_HEADER: usize = 20;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

type Packet = [u8; IP_HEADER + TCP_HEADER];

/// Sends the packets of numbered TCP connections from a node to a virtual service. The clients' addresses stand nowhere:
/// what answers them must not need an answer itself.
#[derive(Debug)]
pub struct Flows {
    socket: OwnedFd,
    service: SocketAddrV4,
}

impl Flows {
    /// From `node`, which must have a route to the service at `ADDRESS:PORT`.
    ///
    /// # Errors
    /// Without a route, or without the right to raw sockets.
    pub fn new(node: &Node, service: &str) -> anyhow::Result<Flows> {
        let service: SocketAddrV4 = service.parse().context("an IPv4 ADDRESS:PORT")?;
        let socket = node.run(|| {
            // raw(7): the protocol IPPROTO_RAW says that the IP header is ours.
            let flags = SockFlag::SOCK_CLOEXEC;
            let socket = socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Raw)?;
            connect(socket.as_raw_fd(), &SockaddrIn::from(service)).map(|()| socket)
        });
        Ok(Flows { socket: socket.context("a raw socket")?, service })
    }

    /// Opens connections as a director under DR sees it, which hears the client only: SYN, then ACK.
    ///
    /// # Errors
    /// When not all packets could be sent.
    pub fn open(&self, numbers: impl IntoIterator<Item = u32>) -> anyhow::Result<Duration> {
        self.send(numbers.into_iter().flat_map(|number| [(number, SYN), (number, ACK)]))
    }

    /// One more ACK of each of these connections. Returns the time that sending took, in which the director has handled
    /// the packets, as all is one CPU.
    ///
    /// # Errors
    /// When not all packets could be sent.
    pub fn touch(&self, numbers: impl IntoIterator<Item = u32>) -> anyhow::Result<Duration> {
        self.send(numbers.into_iter().map(|number| (number, ACK)))
    }

    fn send(&self, packets: impl Iterator<Item = (u32, u8)>) -> anyhow::Result<Duration> {
        let packets: Vec<Packet> =
            packets.map(|(number, flags)| packet(number, flags, self.service)).collect();
        let slices: Vec<_> = packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
        let connected: Vec<Option<()>> = vec![None; BATCH];
        let mut headers = MultiHeaders::preallocate(BATCH, None);
        let mut took = Duration::ZERO;
        for batch in slices.chunks(BATCH) {
            let start = Instant::now();
            let (socket, none) = (self.socket.as_raw_fd(), MsgFlags::empty());
            let sent = sendmmsg(socket, &mut headers, batch, &connected, [], none)?;
            took += start.elapsed();
            let sent = sent.count();
            ensure!(sent == batch.len(), "{sent} of {} packets were sent", batch.len());
        }
        Ok(took)
    }
}

/// The kernel fills in the IP header's length and checksum (raw(7)); IPVS asks for no TCP checksum under DR.
fn packet(number: u32, flags: u8, service: SocketAddrV4) -> Packet {
    let client = Ipv4Addr::from(u32::from(FIRST) + number / PORTS);
    let port = LOWEST_PORT + u16::try_from(number % PORTS).expect("PORTS is less than 2^16");
    let mut packet = [0; IP_HEADER + TCP_HEADER];
    packet[0] = 0x45;
    // An identification of 0 would be chosen anew by the kernel.
    packet[5] = 1;
    packet[6] = 0x40;
    packet[8] = 64;
    packet[9] = 6;
    packet[12..16].copy_from_slice(&client.octets());
    packet[16..20].copy_from_slice(&service.ip().octets());
    packet[20..22].copy_from_slice(&port.to_be_bytes());
    packet[22..24].copy_from_slice(&service.port().to_be_bytes());
    packet[27] = 1;
    packet[32] = 0x50;
    packet[33] = flags;
    packet[34..36].copy_from_slice(&u16::MAX.to_be_bytes());
    packet
}
