//! Raw sockets of VRRP (IP protocol 112): one for each address family, however many groups, peers and interfaces there are.
//!
//! Source address and interface go with each packet (`IP_PKTINFO`, `IPV6_PKTINFO`), so that no socket depends on an interface
//! that may come and go.

use lvs_vrrp::packet::{MULTICAST_V4, MULTICAST_V6, PROTOCOL, TTL};
use nix::cmsg_space;
use nix::libc::{c_int, in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::sockopt::{Ipv6RecvHopLimit, Ipv6RecvPacketInfo, RcvBufForce};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, recv, recvmsg, sendmsg,
    setsockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

/// Room for what comes while the thread makes addresses: 32 directors' advertisements of some seconds.
const QUEUE_BYTES: usize = 1 << 20;
/// `EADDRINUSE`: joined already.
const JOINED: i32 = nix::libc::EADDRINUSE;

/// One address family's socket.
#[derive(Debug)]
pub(super) struct VrrpSocket {
    socket: Socket,
    ipv6: bool,
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) ttl: u8,
    /// Without the IP header.
    pub(super) bytes: &'a [u8],
}

impl VrrpSocket {
    /// A socket of the calling thread's network namespace.
    pub(super) fn open(ipv6: bool) -> io::Result<Self> {
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let protocol = Protocol::from(i32::from(PROTOCOL));
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
        let ttl = u32::from(TTL);
        if ipv6 {
            socket.set_unicast_hops_v6(ttl)?;
            socket.set_multicast_hops_v6(ttl)?;
            socket.set_multicast_loop_v6(false)?;
            setsockopt(&socket, Ipv6RecvHopLimit, &true)?;
            setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
        } else {
            socket.set_ttl_v4(ttl)?;
            socket.set_multicast_ttl_v4(ttl)?;
            socket.set_multicast_loop_v4(false)?;
        }
        if let Err(error) = setsockopt(&socket, RcvBufForce, &QUEUE_BYTES) {
            tracing::debug!(%error, "the receive buffer keeps its size");
        }
        Ok(Self { socket, ipv6 })
    }

    /// Receives what goes to VRRP's multicast group on an interface from now on; once more does no harm.
    pub(super) fn join(&self, interface: u32) -> io::Result<()> {
        let joined = match (MULTICAST_V4, MULTICAST_V6) {
            (_, IpAddr::V6(group)) if self.ipv6 => self.socket.join_multicast_v6(&group, interface),
            (IpAddr::V4(group), _) => {
                self.socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(interface))
            }
            _ => Ok(()),
        };
        match joined {
            Err(error) if error.raw_os_error() == Some(JOINED) => Ok(()),
            joined => joined,
        }
    }

    /// Sends from an address of this node's; through an interface, or as the routes say where it is 0.
    pub(super) fn send(
        &self,
        bytes: &[u8],
        source: IpAddr,
        destination: IpAddr,
        interface: u32,
    ) -> io::Result<()> {
        let fd = self.socket.as_raw_fd();
        let parts = [IoSlice::new(bytes)];
        let flags = MsgFlags::MSG_DONTWAIT;
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let info = in_pktinfo {
                    ipi_ifindex: c_int::try_from(interface).unwrap_or(0),
                    ipi_spec_dst: in_addr { s_addr: u32::from(source).to_be() },
                    ipi_addr: in_addr { s_addr: 0 },
                };
                let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
                let control = [ControlMessage::Ipv4PacketInfo(&info)];
                sendmsg(fd, &parts, &control, flags, Some(&to))?;
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let info = in6_pktinfo {
                    ipi6_addr: in6_addr { s6_addr: source.octets() },
                    ipi6_ifindex: interface,
                };
                let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, interface));
                let control = [ControlMessage::Ipv6PacketInfo(&info)];
                sendmsg(fd, &parts, &control, flags, Some(&to))?;
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(())
    }

    /// The next packet that is there; `None` when there is none. What the kernel would not have delivered is passed over.
    pub(super) fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<Received<'a>>> {
        let fd = self.socket.as_raw_fd();
        if !self.ipv6 {
            let length = recv(fd, buffer, MsgFlags::MSG_DONTWAIT);
            return Ok(waited(length)?.and_then(|length| ipv4(buffer.get(..length)?)));
        }
        let mut control = cmsg_space!(in6_pktinfo, c_int);
        let (length, source, destination, ttl) = {
            let mut parts = [IoSliceMut::new(buffer)];
            let message =
                recvmsg::<SockaddrIn6>(fd, &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT);
            let Some(message) = waited(message)? else { return Ok(None) };
            let (mut destination, mut ttl) = (None, None);
            for part in message.cmsgs()? {
                match part {
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                    }
                    ControlMessageOwned::Ipv6HopLimit(limit) => ttl = u8::try_from(limit).ok(),
                    _ => {}
                }
            }
            (message.bytes, message.address.map(|address| address.ip()), destination, ttl)
        };
        let received = || {
            Some(Received {
                source: source?.into(),
                destination: destination?.into(),
                ttl: ttl?,
                bytes: buffer.get(..length)?,
            })
        };
        Ok(received())
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `None` when there is nothing to wait for.
pub(crate) fn waited<T>(result: nix::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(nix::Error::EAGAIN | nix::Error::EINTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Takes the IP header off, which a raw socket delivers in IPv4 (raw(7)).
fn ipv4(packet: &[u8]) -> Option<Received<'_>> {
    let header = packet.first_chunk::<20>()?;
    let length = usize::from(header[0] & 0xf) * 4;
    let address = |at: usize| {
        let octets: [u8; 4] = header.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(octets)))
    };
    Some(Received {
        source: address(12)?,
        destination: address(16)?,
        ttl: header[8],
        bytes: packet.get(length.max(20)..)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ip_header_with_options_is_taken_off() {
        let mut packet = vec![0x46, 0, 0, 0, 0, 0, 0, 0, 255, 112, 0, 0];
        packet.extend([10, 0, 0, 1, 224, 0, 0, 18, 1, 1, 1, 0, 0x31, 7]);
        let received = ipv4(&packet).unwrap();
        assert_eq!(received.source, "10.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(received.destination, MULTICAST_V4);
        assert_eq!((received.ttl, received.bytes), (255, &[0x31, 7][..]));
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        let whole = [0x4f; 70];
        for length in 0..whole.len() {
            let parsed = ipv4(&whole[..length]);
            assert_eq!(parsed.is_some(), length >= 60, "{length}");
        }
    }
}
