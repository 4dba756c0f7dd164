//! Packets as they are on a node's interfaces.
//!
//! ```no_run
//! # use lvs_tests::net::Node;
//! # use lvs_tests::wire::Capture;
//! # fn test(client: &Node, rs1: &Node) -> anyhow::Result<()> {
//! let capture = Capture::start(client);
//! client.get("192.168.0.10:80")?;
//! let replies = capture.frames();
//! assert!(replies.iter().any(|frame| frame.source_mac == rs1.mac("eth0")), "straight from the real server");
//! # Ok(())
//! # }
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::net::if_::{Interface, if_nameindex};
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket,
};

use crate::net::Node;

/// Room for some ten thousand small frames until they are looked at.
const BUFFER: usize = 16 << 20;
/// packet(7): a frame that the node itself sends.
const OUTGOING: u8 = 4;

/// Everything that passes a node's interfaces, from now on; the kernel keeps it until it is asked for.
#[derive(Debug)]
pub struct Capture {
    node: Node,
    socket: OwnedFd,
}

/// One Ethernet frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The interface it passed.
    pub interface: String,
    /// Sent by the node, not received.
    pub outgoing: bool,
    /// As 02:00:00:00:00:01.
    pub source_mac: String,
    /// As 02:00:00:00:00:01.
    pub target_mac: String,
    /// What is in it.
    pub packet: Packet,
}

/// What is in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A question or an answer about who has an IPv4 address.
    Arp {
        /// An answer, not a question.
        reply: bool,
        /// Who speaks: the address that it claims to have.
        sender: Ipv4Addr,
        /// The MAC address that it claims for it.
        sender_mac: String,
        /// Whom it asks for or answers.
        target: Ipv4Addr,
    },
    /// An IPv4 or IPv6 packet.
    Ip {
        /// Source address; the port is 0 where there is none.
        source: SocketAddr,
        /// Destination address; the port is 0 where there is none.
        destination: SocketAddr,
        /// As in /etc/protocols: 6 is TCP, 17 UDP, 4 IP in IP, 47 GRE.
        protocol: u8,
        /// What follows the IP header, cut at the capture's length.
        payload: Vec<u8>,
    },
    /// Something else, by its EtherType.
    Other(u16),
}

impl Capture {
    /// Starts to capture on all interfaces of the node.
    #[track_caller]
    pub fn start(node: &Node) -> Capture {
        let socket = node.run(|| {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
            setsockopt(&socket, RcvBufForce, &BUFFER).map(|()| socket)
        });
        let socket = socket.unwrap_or_else(|e| panic!("cannot capture on {}: {e}", node.name()));
        Capture { node: node.clone(), socket }
    }

    /// What has passed since the start, or since the last call.
    pub fn frames(&self) -> Vec<Frame> {
        let names = self.node.run(|| -> nix::Result<BTreeMap<usize, String>> {
            let name = |known: &Interface| known.name().to_string_lossy().into_owned();
            Ok(if_nameindex()?.iter().map(|known| (known.index() as usize, name(known))).collect())
        });
        let names = names.expect("a node's interfaces");
        let mut frames = Vec::new();
        let mut buffer = [0; 512];
        while let Ok((length, Some(from))) =
            recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut buffer)
        {
            let interface = names.get(&from.ifindex()).cloned();
            frames.extend(parse(&buffer[..length]).map(|(target_mac, source_mac, packet)| Frame {
                interface: interface.unwrap_or_default(),
                outgoing: from.pkttype() == OUTGOING,
                source_mac,
                target_mac,
                packet,
            }));
        }
        frames
    }
}

impl Frame {
    /// An IP packet from this address.
    pub fn is_from(&self, address: &str) -> bool {
        matches!(&self.packet, Packet::Ip { source, .. } if source.ip().to_string() == address)
    }

    /// An IP packet to this address.
    pub fn is_to(&self, address: &str) -> bool {
        matches!(&self.packet, Packet::Ip { destination, .. } if destination.ip().to_string() == address)
    }
}

impl Node {
    /// The MAC addresses of all who say that they have this IPv4 address, asked twice on an interface within two seconds.
    #[track_caller]
    pub fn who_has(&self, address: &str, interface: &str) -> BTreeSet<String> {
        let capture = Capture::start(self);
        // It exits with 1 when nobody answers, which is an answer too.
        let arping =
            self.command("arping").args(["-c", "2", "-w", "2", "-I", interface, address]).output();
        let said =
            arping.unwrap_or_else(|e| panic!("cannot run arping (package iputils-arping): {e}"));
        assert!(said.status.code().is_some_and(|code| code < 2), "arping: {said:?}");
        let answers = capture.frames().into_iter().filter_map(|frame| match frame.packet {
            Packet::Arp { reply: true, sender, sender_mac, .. }
                if !frame.outgoing && sender.to_string() == address =>
            {
                Some(sender_mac)
            }
            _ => None,
        });
        answers.collect()
    }
}

/// Target and source MAC address, and the packet. `None`: shorter than an Ethernet header.
fn parse(frame: &[u8]) -> Option<(String, String, Packet)> {
    let kind = u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]);
    let body = &frame[14..];
    let packet = match kind {
        0x0806 => parse_arp(body),
        0x0800 => parse_ipv4(body),
        0x86dd => parse_ipv6(body),
        _ => None,
    };
    Some((mac(&frame[..6]), mac(&frame[6..12]), packet.unwrap_or(Packet::Other(kind))))
}

/// RFC 826, for Ethernet and IPv4.
fn parse_arp(body: &[u8]) -> Option<Packet> {
    Some(Packet::Arp {
        reply: *body.get(7)? == 2,
        sender: Ipv4Addr::from(array(body, 14)?),
        sender_mac: mac(body.get(8..14)?),
        target: Ipv4Addr::from(array(body, 24)?),
    })
}

fn parse_ipv4(body: &[u8]) -> Option<Packet> {
    let header = usize::from(*body.first()? & 0xf) * 4;
    let addresses = [array::<4>(body, 12)?, array::<4>(body, 16)?]
        .map(|address| IpAddr::from(Ipv4Addr::from(address)));
    Some(ip(addresses, *body.get(9)?, body.get(header..)?))
}

/// Extension headers are left in the payload.
fn parse_ipv6(body: &[u8]) -> Option<Packet> {
    let addresses = [array::<16>(body, 8)?, array::<16>(body, 24)?]
        .map(|address| IpAddr::from(Ipv6Addr::from(address)));
    Some(ip(addresses, *body.get(6)?, body.get(40..)?))
}

fn ip([source, destination]: [IpAddr; 2], protocol: u8, payload: &[u8]) -> Packet {
    // TCP, UDP and SCTP begin with both ports.
    let ported = matches!(protocol, 6 | 17 | 132);
    let port = |at| array(payload, at).filter(|_| ported).map_or(0, u16::from_be_bytes);
    Packet::Ip {
        source: SocketAddr::new(source, port(0)),
        destination: SocketAddr::new(destination, port(2)),
        protocol,
        payload: payload.to_vec(),
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn mac(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}
