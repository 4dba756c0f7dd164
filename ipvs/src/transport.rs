//! The socket, and what stands for it in tests.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};

/// Room for one datagram. The kernel makes dump datagrams as large as the reader's buffer, up to 32 KiB
/// (`netlink_recvmsg` in net/netlink/af_netlink.c), so that a large table takes few reads.
const RECEIVE_BYTES: usize = 64 * 1024;

/// Asked of the socket's receive queue; the kernel grants at most `net.core.rmem_max`.
const QUEUE_BYTES: i32 = 1 << 20;

/// How long to wait for an answer. The kernel works requests off before `send` returns, so one that is
/// not there at once will hardly ever come.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection to the kernel's generic netlink: datagrams out, datagrams in.
pub trait Transport {
    /// Sends one datagram.
    ///
    /// # Errors
    /// The socket's.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;

    /// Puts the next datagram into `into` (cleared first). With `wait` it may block, for a bounded time.
    ///
    /// # Errors
    /// `WouldBlock` when none came, ENOBUFS when some were lost, `InvalidData` when one was cut off,
    /// otherwise the socket's.
    fn recv(&mut self, into: &mut Vec<u8>, wait: bool) -> io::Result<()>;
}

/// The real one. It belongs to the network namespace in which it was opened, whatever its thread does
/// afterwards.
#[derive(Debug)]
pub struct NetlinkTransport {
    socket: Socket,
}

impl NetlinkTransport {
    /// Opens a generic netlink socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The socket's.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        // A connected socket takes messages from the kernel alone, not from other processes.
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_rx_buf_sz(QUEUE_BYTES)?;
        // Refusals come without the request's copy and with the kernel's own words.
        socket.set_cap_ack(true)?;
        socket.set_ext_ack(true)?;
        // SO_RCVTIMEO and SO_SNDTIMEO belong to the open file that both descriptors share; netlink-sys
        // has no call for them and std has one, which does not look at the socket's family.
        let timer = UdpSocket::from(socket.as_fd().try_clone_to_owned()?);
        timer.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        timer.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { socket })
    }
}

/// `MSG_DONTWAIT` and `MSG_TRUNC` of Linux.
const MSG_DONTWAIT: i32 = 0x40;
const MSG_TRUNC: i32 = 0x20;

impl Transport for NetlinkTransport {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send(datagram, 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn recv(&mut self, into: &mut Vec<u8>, wait: bool) -> io::Result<()> {
        let flags = if wait { MSG_TRUNC } else { MSG_TRUNC | MSG_DONTWAIT };
        into.clear();
        into.reserve(RECEIVE_BYTES);
        loop {
            match self.socket.recv(into, flags) {
                Ok(length) if length > into.len() => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a datagram larger than the receive buffer was cut off",
                    ));
                }
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
