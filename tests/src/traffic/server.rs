use std::io::{ErrorKind, PipeWriter, Read as _, Write as _, pipe};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::IpTransparent;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, listen,
    setsockopt, socket,
};

use super::{Answer, bulk, socket_address};
use crate::net::Node;

/// How long a large transfer may stand still: less than a client waits, so that the next finds the server free.
const BULK_PATIENCE: Duration = Duration::from_secs(2);

/// A server in a node. Dropping it closes its port and all its connections.
#[derive(Debug)]
pub struct Server {
    name: String,
    /// Closing it ends the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
    open: Arc<AtomicUsize>,
}

impl Server {
    /// Answers each line on each TCP connection; connections stay open until the client closes them.
    ///
    /// # Panics
    /// When the address is not the node's or the port is taken.
    #[track_caller]
    pub fn tcp(node: &Node, address: &str, name: &str) -> Server {
        let listener = node.run(|| TcpListener::bind(socket_address(address)));
        let listener =
            listener.unwrap_or_else(|e| panic!("{name} cannot listen on {address}: {e}"));
        listener.set_nonblocking(true).unwrap_or_else(|e| panic!("{name}: {e}"));
        Server::start(name, move |stop, name, open| serve_tcp(&listener, stop, name, open))
    }

    /// As [`Server::tcp`], over SCTP (one-to-one style, sctp(7)).
    ///
    /// # Panics
    /// When the address is not the node's, the port is taken, or the kernel has no SCTP.
    #[track_caller]
    pub fn sctp(node: &Node, address: &str, name: &str) -> Server {
        let listener = node.run(|| -> nix::Result<OwnedFd> {
            let to = socket_address(address);
            let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
            let flags = SockFlag::SOCK_CLOEXEC;
            let socket = socket(family, SockType::Stream, flags, SockProtocol::Sctp)?;
            bind(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
            listen(&socket, Backlog::MAXCONN)?;
            Ok(socket)
        });
        let listener =
            listener.unwrap_or_else(|e| panic!("{name} cannot listen on {address}/sctp: {e}"));
        // Accepting, reading and writing are the same system calls.
        let listener = TcpListener::from(listener);
        listener.set_nonblocking(true).unwrap_or_else(|e| panic!("{name}: {e}"));
        Server::start(name, move |stop, name, open| serve_tcp(&listener, stop, name, open))
    }

    /// As [`Server::tcp`], with a listener that also takes connections to addresses that are not the node's
    /// (`IP_TRANSPARENT`), where the node's routes deliver them. `address` is a wildcard and a port.
    ///
    /// # Panics
    /// When the port is taken.
    #[track_caller]
    pub fn transparent(node: &Node, address: &str, name: &str) -> Server {
        let listener = node.run(|| -> std::io::Result<TcpListener> {
            let listener = TcpListener::bind(socket_address(address))?;
            // Of IPv6 sockets it sets the same bit (ipv6_setsockopt).
            setsockopt(&listener, IpTransparent, &true)?;
            Ok(listener)
        });
        let listener =
            listener.unwrap_or_else(|e| panic!("{name} cannot listen on {address}: {e}"));
        listener.set_nonblocking(true).unwrap_or_else(|e| panic!("{name}: {e}"));
        Server::start(name, move |stop, name, open| serve_tcp(&listener, stop, name, open))
    }

    /// Takes large transfers and sends them back, one connection after the other: see [`super::Client::bulk`].
    ///
    /// # Panics
    /// When the address is not the node's or the port is taken.
    #[track_caller]
    pub fn bulk(node: &Node, address: &str, name: &str) -> Server {
        let listener = node.run(|| TcpListener::bind(socket_address(address)));
        let listener =
            listener.unwrap_or_else(|e| panic!("{name} cannot listen on {address}: {e}"));
        listener.set_nonblocking(true).unwrap_or_else(|e| panic!("{name}: {e}"));
        Server::start(name, move |stop, name, _| serve_bulk(&listener, stop, name))
    }

    /// Answers each UDP datagram from the address it is bound to (which should be no wildcard).
    ///
    /// # Panics
    /// When the address is not the node's or the port is taken.
    #[track_caller]
    pub fn udp(node: &Node, address: &str, name: &str) -> Server {
        let socket = node.run(|| UdpSocket::bind(socket_address(address)));
        let socket =
            socket.unwrap_or_else(|e| panic!("{name} cannot listen on {address}/udp: {e}"));
        Server::start(name, move |stop, name, _| serve_udp(&socket, stop, name))
    }

    fn start(
        name: &str,
        serve: impl FnOnce(BorrowedFd<'_>, &str, &AtomicUsize) + Send + 'static,
    ) -> Server {
        let (reader, writer) = pipe().unwrap_or_else(|e| panic!("{name}: {e}"));
        let open = Arc::new(AtomicUsize::new(0));
        let (called, counter) = (name.to_owned(), Arc::clone(&open));
        let thread = std::thread::spawn(move || serve(reader.as_fd(), &called, &counter));
        Server { name: name.to_owned(), stop: Some(writer), thread: Some(thread), open }
    }

    /// The name it answers with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many TCP connections are open.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of its own has been printed.
            let _ = thread.join();
        }
    }
}

/// One thread for all connections: a wake-up a request, also in virtual time.
fn serve_tcp(listener: &TcpListener, stop: BorrowedFd<'_>, name: &str, open: &AtomicUsize) {
    let mut connections: Vec<TcpStream> = Vec::new();
    loop {
        open.store(connections.len(), Ordering::Relaxed);
        let ready =
            ready([stop, listener.as_fd()].into_iter().chain(connections.iter().map(AsFd::as_fd)));
        if ready[0] {
            return;
        }
        let mut asked = ready[2..].iter();
        connections
            .retain_mut(|stream| !asked.next().is_some_and(|ready| *ready) || answer(stream, name));
        if ready[1] {
            while let Ok((stream, _)) = listener.accept() {
                if stream.set_nonblocking(true).is_ok() {
                    connections.push(stream);
                }
            }
        }
    }
}

fn serve_bulk(listener: &TcpListener, stop: BorrowedFd<'_>, name: &str) {
    loop {
        let ready = ready([stop, listener.as_fd()].into_iter());
        if ready[0] {
            return;
        }
        while let Ok((stream, _)) = listener.accept() {
            // What went wrong the client sees too.
            let _ = bulk::answer(stream, name, BULK_PATIENCE);
        }
    }
}

/// Which of the descriptors have something to say.
fn ready<'a>(descriptors: impl Iterator<Item = BorrowedFd<'a>>) -> Vec<bool> {
    let mut polled: Vec<_> = descriptors.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    // Interrupted: nothing is ready, and the caller asks again.
    let _ = poll(&mut polled, PollTimeout::NONE);
    polled.iter().map(|fd| fd.any().unwrap_or(true)).collect()
}

/// Answers what has come in on a connection; false when it is over.
fn answer(stream: &mut TcpStream, name: &str) -> bool {
    let mut request = [0; 4096];
    let length = match stream.read(&mut request) {
        Ok(0) => return false,
        Ok(length) => length,
        Err(error) => return error.kind() == ErrorKind::WouldBlock,
    };
    let (Ok(seen_source), Ok(seen_local)) = (stream.peer_addr(), stream.local_addr()) else {
        return false;
    };
    let line = Answer { server: name.to_owned(), seen_source, seen_local }.to_line();
    if request.starts_with(b"GET ") {
        let page = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{line}",
            line.len()
        );
        let _ = stream.write_all(page.as_bytes());
        return false;
    }
    let lines = request[..length].iter().filter(|&&byte| byte == b'\n').count();
    stream.write_all(line.repeat(lines).as_bytes()).is_ok()
}

fn serve_udp(socket: &UdpSocket, stop: BorrowedFd<'_>, name: &str) {
    let mut request = [0; 2048];
    loop {
        let ready = ready([stop, socket.as_fd()].into_iter());
        if ready[0] {
            return;
        }
        if ready[1]
            && let Ok((_, seen_source)) = socket.recv_from(&mut request)
            && let Ok(seen_local) = socket.local_addr()
        {
            let line = Answer { server: name.to_owned(), seen_source, seen_local }.to_line();
            // A client that is gone is not our concern.
            let _ = socket.send_to(line.as_bytes(), seen_source);
        }
    }
}
