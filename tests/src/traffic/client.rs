use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::socket::sockopt::{Linger, ReuseAddr, SendTimeout};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect, setsockopt,
    socket,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::{Answer, socket_address};
use crate::net::Node;

/// How long a client waits for a connection or an answer, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks servers from a node. Most suites need only [`Node::get`], [`Node::hold`] and [`Node::shares`].
#[derive(Clone, Debug)]
pub struct Client<'a> {
    pub(super) node: &'a Node,
    source: Option<SocketAddr>,
    patience: Duration,
    protocol: SockProtocol,
}

impl<'a> Client<'a> {
    /// A client in `node` that waits 3 s for each connection and each answer.
    pub fn new(node: &'a Node) -> Client<'a> {
        Client { node, source: None, patience: PATIENCE, protocol: SockProtocol::Tcp }
    }

    /// Speaks from this address and port; port 0 is any.
    #[track_caller]
    pub fn from(self, source: &str) -> Client<'a> {
        Client { source: Some(socket_address(source)), ..self }
    }

    /// Waits at most this long for each connection and each answer.
    pub fn patience(self, patience: Duration) -> Client<'a> {
        Client { patience, ..self }
    }

    /// What it opens are SCTP associations (one-to-one style, sctp(7)) instead of TCP connections.
    pub fn sctp(self) -> Client<'a> {
        Client { protocol: SockProtocol::Sctp, ..self }
    }

    /// Opens a TCP connection, asks once, closes it.
    pub fn get(&self, server: &str) -> anyhow::Result<Answer> {
        self.node.run(|| self.connect(server)?.ask())
    }

    /// Opens a TCP connection and keeps it.
    pub fn hold(&self, server: &str) -> anyhow::Result<Held> {
        self.node.run(|| self.connect(server))
    }

    /// Sends one UDP datagram from a new socket and waits for the answer.
    pub fn get_udp(&self, server: &str) -> anyhow::Result<Answer> {
        self.node.run(|| self.ask_udp(server))
    }

    /// Asks `count` times, each time on a new TCP connection: how many answers came from which server.
    ///
    /// # Errors
    /// At the first connection that fails.
    pub fn shares(&self, server: &str, count: usize) -> anyhow::Result<BTreeMap<String, usize>> {
        self.node.run(|| tally(count, || self.connect(server)?.ask()))
    }

    /// As [`Client::shares`], with UDP.
    pub fn shares_udp(
        &self,
        server: &str,
        count: usize,
    ) -> anyhow::Result<BTreeMap<String, usize>> {
        self.node.run(|| tally(count, || self.ask_udp(server)))
    }

    pub(super) fn node(&self) -> &Node {
        self.node
    }

    pub(super) fn patience_of(&self) -> Duration {
        self.patience
    }

    /// A TCP connection whose reads wait no longer than the client's patience.
    pub(super) fn stream(&self, server: &str) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::from(self.socket(socket_address(server), SockType::Stream)?);
        stream.set_read_timeout(Some(self.patience))?;
        if self.protocol == SockProtocol::Tcp {
            stream.set_nodelay(true)?;
        }
        Ok(stream)
    }

    pub(super) fn connect(&self, server: &str) -> anyhow::Result<Held> {
        let stream = BufReader::new(self.stream(server)?);
        Ok(Held { server: socket_address(server), stream })
    }

    fn ask_udp(&self, server: &str) -> anyhow::Result<Answer> {
        exchange(&self.udp_socket(server)?, b"?\n")
    }

    /// A connected UDP socket.
    pub(super) fn udp_socket(&self, server: &str) -> anyhow::Result<UdpSocket> {
        let to = socket_address(server);
        let socket = UdpSocket::from(self.socket(to, SockType::Datagram)?);
        socket.set_read_timeout(Some(self.patience))?;
        Ok(socket)
    }

    /// A connected socket. std can neither choose the source nor bound the wait for both.
    fn socket(&self, to: SocketAddr, kind: SockType) -> anyhow::Result<OwnedFd> {
        let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let protocol = (kind == SockType::Stream).then_some(self.protocol);
        let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, protocol)?;
        if let Some(source) = self.source {
            setsockopt(&socket, ReuseAddr, &true)?;
            bind(socket.as_raw_fd(), &SockaddrStorage::from(source))
                .with_context(|| format!("cannot speak from {source}"))?;
        }
        // It bounds connect(2) as well (socket(7), SO_SNDTIMEO).
        let patience = TimeVal::milliseconds(self.patience.as_millis().try_into()?);
        setsockopt(&socket, SendTimeout, &patience)?;
        connect(socket.as_raw_fd(), &SockaddrStorage::from(to))
            .with_context(|| format!("{} cannot connect to {to}", self.node.name()))?;
        Ok(socket)
    }
}

impl Node {
    /// Opens a TCP connection to `ADDRESS:PORT`, asks once, closes it.
    pub fn get(&self, server: &str) -> anyhow::Result<Answer> {
        Client::new(self).get(server)
    }

    /// Opens a TCP connection to `ADDRESS:PORT` and keeps it.
    pub fn hold(&self, server: &str) -> anyhow::Result<Held> {
        Client::new(self).hold(server)
    }

    /// Asks `count` times, each time on a new TCP connection: how many answers came from which server.
    pub fn shares(&self, server: &str, count: usize) -> anyhow::Result<BTreeMap<String, usize>> {
        Client::new(self).shares(server, count)
    }

    /// Sends one UDP datagram to `ADDRESS:PORT` and waits for the answer.
    pub fn get_udp(&self, server: &str) -> anyhow::Result<Answer> {
        Client::new(self).get_udp(server)
    }
}

/// Sends a datagram and waits for the answer.
pub(super) fn exchange(socket: &UdpSocket, datagram: &[u8]) -> anyhow::Result<Answer> {
    let server = socket.peer_addr()?;
    socket.send(datagram).with_context(|| format!("cannot send to {server}/udp"))?;
    let mut answer = [0; 512];
    let length =
        socket.recv(&mut answer).with_context(|| format!("no answer from {server}/udp"))?;
    Answer::parse(&String::from_utf8_lossy(&answer[..length]))
}

fn tally(
    count: usize,
    mut ask: impl FnMut() -> anyhow::Result<Answer>,
) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut shares = BTreeMap::new();
    for number in 1..=count {
        let answer =
            ask().with_context(|| format!("request {number} of {count}, after {shares:?}"))?;
        *shares.entry(answer.server).or_default() += 1;
    }
    Ok(shares)
}

/// A TCP connection that stays open until it is dropped.
#[derive(Debug)]
pub struct Held {
    server: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Held {
    /// Asks once more on the same connection.
    ///
    /// # Errors
    /// When the connection is gone or no answer comes in time.
    pub fn ask(&mut self) -> anyhow::Result<Answer> {
        let server = self.server;
        self.stream.get_mut().write_all(b"?\n").with_context(|| format!("{server} is gone"))?;
        let mut line = String::new();
        let length = self.stream.read_line(&mut line);
        let length = length.with_context(|| format!("no answer from {server}"))?;
        ensure!(length > 0, "{server} closed the connection");
        Answer::parse(&line)
    }

    /// The client's own address and port.
    pub fn local(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.stream.get_ref().local_addr()?)
    }

    /// Ends the connection with a RST instead of a FIN, so that no director keeps it as inactive.
    pub fn reset(self) -> anyhow::Result<()> {
        let now = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(self.stream.get_ref(), Linger, &now)?;
        Ok(())
    }
}
