//! A connection, and the time that is left for it.

use crate::failure::Failure;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

/// When a check has to be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    timeout: Duration,
}

impl Deadline {
    pub(crate) fn after(timeout: Duration) -> Self {
        Self { at: Instant::now() + timeout, timeout }
    }

    /// An answer, if it comes in time.
    pub(crate) async fn answer<T>(
        self,
        answer: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match timeout_at(self.at, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::NoAnswer(self.timeout)),
        }
    }

    /// A TCP connection that ends with a reset, if it is made in time.
    pub(crate) async fn connect(self, at: SocketAddr) -> Result<TcpStream, Failure> {
        let connect = async {
            let socket = socket(at).map_err(Failure::Local)?;
            socket.connect(at).await.map_err(|error| match error.kind() {
                // No route, no address, a filter of our own: this says nothing of the server.
                io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::AddrNotAvailable
                | io::ErrorKind::PermissionDenied => Failure::Local(error),
                _ => Failure::Connection(error),
            })
        };
        match timeout_at(self.at, connect).await {
            Ok(stream) => stream,
            Err(_) => Err(Failure::NoConnection(self.timeout)),
        }
    }
}

fn socket(at: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // socket(7): what is open then is thrown away.
    socket.set_zero_linger()?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
