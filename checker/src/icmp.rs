//! An ICMP echo request, by a raw socket (raw(7), icmp(7)): the right to one is the agent's for VRRP already.

use crate::connection::Deadline;
use crate::failure::Failure;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::UdpSocket;

/// Which request an answer is to.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Sequence and identifier are the first eight bytes after type, code and checksum.
const LENGTH: usize = 16;

pub(crate) async fn run(address: IpAddr, until: Deadline) -> Result<String, Failure> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed) ^ std::process::id().rotate_left(16);
    let (socket, request) = open(address, number).map_err(Failure::Local)?;
    let asked = async {
        socket.send(&request).await.map_err(Failure::Connection)?;
        let mut buffer = [0; 2048];
        loop {
            let length = socket.recv(&mut buffer).await.map_err(Failure::Connection)?;
            let packet = buffer.get(..length).unwrap_or_default();
            if is_answer(address, packet, number) {
                return Ok("echo answered".to_owned());
            }
        }
    };
    until.answer(asked).await
}

/// A socket that hears of this address alone, and the request.
fn open(address: IpAddr, number: u32) -> io::Result<(UdpSocket, [u8; LENGTH])> {
    let (domain, protocol, kind) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128),
    };
    let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
    socket.connect(&SocketAddr::new(address, 0).into())?;
    let mut request = [0; LENGTH];
    request[0] = kind;
    request[4..8].copy_from_slice(&number.to_be_bytes());
    // Of ICMPv6 the kernel sums up itself (RFC 3542, 3.1).
    if address.is_ipv4() {
        let sum = checksum(&request);
        request[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    // Datagrams of whatever protocol are sent and received alike.
    Ok((UdpSocket::from_std(socket.into())?, request))
}

fn is_answer(address: IpAddr, packet: &[u8], number: u32) -> bool {
    let (message, kind) = match address {
        // Here the IP header comes along.
        IpAddr::V4(_) => {
            let header = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
            (packet.get(header..).unwrap_or_default(), 0)
        }
        IpAddr::V6(_) => (packet, 129),
    };
    message.first() == Some(&kind) && message.get(4..8) == Some(&number.to_be_bytes())
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}
