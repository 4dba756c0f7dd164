//! A datagram and what comes back.

use crate::connection::Deadline;
use crate::failure::{BadCheck, Failure};
use crate::hex;
use lvs_crds::UdpCheck;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

/// The largest datagram.
pub(crate) const MOST: usize = 65_535;

#[derive(Debug)]
pub(crate) struct Udp {
    payload: Vec<u8>,
    reply: Option<Vec<u8>>,
    mask: Vec<u8>,
}

impl Udp {
    pub(crate) fn new(check: &UdpCheck) -> Result<Self, BadCheck> {
        let payload = hex::bytes("udp.payload", &check.payload)?;
        let reply = check.reply.as_deref().map(|it| hex::bytes("udp.reply", it)).transpose()?;
        let length = reply.as_ref().map_or(0, Vec::len);
        let mask = match &check.reply_mask {
            Some(mask) => hex::bytes("udp.replyMask", mask)?,
            None => vec![u8::MAX; length],
        };
        if mask.len() != length {
            return Err(BadCheck::new("udp.replyMask", "not as many digits as reply has"));
        }
        Ok(Self { payload, reply, mask })
    }

    pub(crate) async fn run(&self, at: SocketAddr, until: Deadline) -> Result<String, Failure> {
        let socket = connect(at).await?;
        socket.send(&self.payload).await.map_err(Failure::Connection)?;
        let mut buffer = vec![0; MOST];
        let receive = async { socket.recv(&mut buffer).await.map_err(Failure::Connection) };
        let Some(reply) = &self.reply else {
            // An ICMP error becomes an error of the connected socket: udp(7).
            return match timeout_at(until.at, receive).await {
                Ok(received) => received.map(|length| format!("answered with {length} bytes")),
                Err(_) => Ok("not refused".to_owned()),
            };
        };
        let length = until.answer(receive).await?;
        let received = buffer.get(..length).unwrap_or_default();
        if matches(reply, &self.mask, received) {
            return Ok(format!("answered with {length} bytes"));
        }
        Err(Failure::Answer(format!("another reply than wanted, {length} bytes")))
    }
}

/// A connected socket, on any port.
pub(crate) async fn connect(at: SocketAddr) -> Result<UdpSocket, Failure> {
    let any: SocketAddr = match at {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let connected = async {
        let socket = UdpSocket::bind(any).await?;
        socket.connect(at).await?;
        Ok::<_, io::Error>(socket)
    };
    connected.await.map_err(Failure::Local)
}

fn matches(wanted: &[u8], mask: &[u8], received: &[u8]) -> bool {
    received.len() >= wanted.len()
        && wanted
            .iter()
            .zip(mask)
            .zip(received)
            .all(|((wanted, mask), received)| wanted & mask == received & mask)
}
