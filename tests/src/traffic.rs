//! Our own server and client: who answered, which source address it saw, and whether a connection still lives.
//!
//! ```no_run
//! # use lvs_tests::net::{Link, Node};
//! # use lvs_tests::traffic::Server;
//! # fn test(lan: &Link, client: &Node) -> anyhow::Result<()> {
//! let rs1 = Node::new("rs1").on(lan, "eth0", "10.0.0.101/24");
//! let _server = Server::tcp(&rs1, "10.0.0.101:8080", "rs1");
//! let mut held = client.hold("192.168.0.10:80")?;
//! assert_eq!(held.ask()?.server, "rs1");
//! assert_eq!(client.get("192.168.0.10:80")?.seen_source.ip().to_string(), "192.168.0.50");
//! # Ok(())
//! # }
//! ```
//! A server also answers `curl`, with a page that says the same.

mod bulk;
mod client;
mod many;
mod pinger;
mod probe;
mod server;

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};

pub use client::{Client, Held};
pub use many::{Connections, Met, by_server, shares};
pub use pinger::{Echo, Pinger};
pub use probe::{Attempt, Probe, longest_silence};
pub use server::Server;

/// What a server says of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name the server was started with.
    pub server: String,
    /// The client's address and port, as the server sees them.
    pub seen_source: SocketAddr,
    /// The server's own address and port of this connection. For UDP: the address it is bound to.
    pub seen_local: SocketAddr,
}

impl Answer {
    fn to_line(&self) -> String {
        format!("{} {} {}\n", self.server, self.seen_source, self.seen_local)
    }

    fn parse(line: &str) -> anyhow::Result<Answer> {
        let words: Vec<_> = line.split_whitespace().collect();
        ensure!(words.len() == 3, "a strange answer: {line:?}");
        Ok(Answer {
            server: words[0].to_owned(),
            seen_source: words[1].parse().with_context(|| format!("a strange answer: {line:?}"))?,
            seen_local: words[2].parse().with_context(|| format!("a strange answer: {line:?}"))?,
        })
    }
}

fn socket_address(address: &str) -> SocketAddr {
    address.parse().unwrap_or_else(|e| panic!("{address:?} is no ADDRESS:PORT: {e}"))
}
