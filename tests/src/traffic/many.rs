//! Many connections: which servers are met in which order, which one a client address meets, and connections held open
//! over what happens.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::ErrorKind;

use anyhow::Context as _;
use nix::errno::Errno;

use super::client::exchange;
use super::{Answer, Client, Held};
use crate::net::Node;

/// The server that a connection met; `None` if it was refused.
pub type Met = Option<String>;

/// Counts by server, as [`Node::shares`] gives them.
pub fn shares<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts.into_iter().map(|(server, count)| (server.to_owned(), count)).collect()
}

impl Client<'_> {
    /// Asks `count` times, each time on a new connection: the servers in the order in which they were met.
    ///
    /// # Errors
    /// At the first connection that fails.
    pub fn turns(&self, server: &str, count: usize) -> anyhow::Result<Vec<String>> {
        self.node.run(|| {
            let mut met = Vec::new();
            for number in 1..=count {
                let answer = self.connect(server).and_then(|mut held| held.ask());
                met.push(
                    answer.with_context(|| format!("{number} of {count}, after {met:?}"))?.server,
                );
            }
            Ok(met)
        })
    }

    /// Opens `count` connections one after the other, asks once on each, and keeps them.
    ///
    /// # Errors
    /// At the first connection that fails.
    pub fn hold_many(&self, server: &str, count: usize) -> anyhow::Result<Connections> {
        self.node.run(|| {
            let mut all = Connections(Vec::new());
            for number in 1..=count {
                let held = self.connect(server).and_then(|mut held| {
                    let server = held.ask()?.server;
                    Ok((held, server))
                });
                let shares = all.shares();
                all.0.push(held.with_context(|| format!("{number} of {count}, after {shares:?}"))?);
            }
            Ok(all)
        })
    }

    /// Which server each of these client addresses (`ADDRESS:PORT`, port 0 is any) meets with a connection of its own.
    ///
    /// # Errors
    /// At the first that fails in another way than by being refused.
    pub fn met_from(&self, sources: &[impl Display], server: &str) -> anyhow::Result<Vec<Met>> {
        self.each_from(sources, |client| client.connect(server)?.ask())
    }

    /// As [`Client::met_from`], with this UDP datagram from each.
    ///
    /// # Errors
    /// At the first that fails in another way than by being refused.
    pub fn met_from_udp(
        &self,
        sources: &[impl Display],
        server: &str,
        datagram: &[u8],
    ) -> anyhow::Result<Vec<Met>> {
        self.each_from(sources, |client| exchange(&client.udp_socket(server)?, datagram))
    }

    fn each_from(
        &self,
        sources: &[impl Display],
        ask: impl Fn(&Client<'_>) -> anyhow::Result<Answer> + Send + Sync,
    ) -> anyhow::Result<Vec<Met>> {
        let sources: Vec<_> = sources.iter().map(ToString::to_string).collect();
        self.node.run(|| {
            let from = |source: &String| match ask(&self.clone().from(source)) {
                Ok(answer) => Ok(Some(answer.server)),
                Err(error) if is_refusal(&error) => Ok(None),
                Err(error) => Err(error.context(format!("from {source}"))),
            };
            sources.iter().map(from).collect()
        })
    }

    /// Sends these UDP datagrams from one socket, each after the answer to the one before it: the servers that answered.
    ///
    /// # Errors
    /// At the first that is not answered.
    pub fn datagrams(
        &self,
        server: &str,
        all: &[impl AsRef<[u8]> + Sync],
    ) -> anyhow::Result<Vec<String>> {
        self.node.run(|| {
            let socket = self.udp_socket(server)?;
            all.iter().map(|datagram| Ok(exchange(&socket, datagram.as_ref())?.server)).collect()
        })
    }
}

/// How many of them met which server; `refused` is one of them.
pub fn by_server(met: &[Met]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for server in met {
        *counts.entry(server.clone().unwrap_or_else(|| "refused".to_owned())).or_default() += 1;
    }
    counts
}

/// What a director without a server for a connection answers: an ICMP error.
fn is_refusal(error: &anyhow::Error) -> bool {
    let connect = error.downcast_ref::<Errno>().is_some_and(|errno| *errno == Errno::ECONNREFUSED);
    let datagram = error.downcast_ref::<std::io::Error>();
    connect || datagram.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

impl Node {
    /// Asks `count` times, each time on a new TCP connection: the servers in the order in which they were met.
    ///
    /// # Errors
    /// At the first connection that fails.
    pub fn turns(&self, server: &str, count: usize) -> anyhow::Result<Vec<String>> {
        Client::new(self).turns(server, count)
    }

    /// Opens `count` TCP connections one after the other, and keeps them.
    ///
    /// # Errors
    /// At the first connection that fails.
    pub fn hold_many(&self, server: &str, count: usize) -> anyhow::Result<Connections> {
        Client::new(self).hold_many(server, count)
    }

    /// Which server each of these client addresses (`ADDRESS:PORT`, port 0 is any) meets with a TCP connection.
    ///
    /// # Errors
    /// At the first that fails in another way than by being refused.
    pub fn met_from(&self, sources: &[impl Display], server: &str) -> anyhow::Result<Vec<Met>> {
        Client::new(self).met_from(sources, server)
    }
}

/// Connections that stay open, in the order in which they were opened.
#[derive(Debug)]
pub struct Connections(Vec<(Held, String)>);

impl Connections {
    /// The server of each.
    pub fn servers(&self) -> Vec<String> {
        self.0.iter().map(|(_, server)| server.clone()).collect()
    }

    /// How many there are with each server.
    pub fn shares(&self) -> BTreeMap<String, usize> {
        let mut shares = BTreeMap::new();
        for (_, server) in &self.0 {
            *shares.entry(server.clone()).or_default() += 1;
        }
        shares
    }

    /// Takes the other ones in as well.
    pub fn extend(&mut self, more: Connections) {
        self.0.extend(more.0);
    }

    /// How many still answer, and with the same server.
    pub fn alive(&mut self) -> usize {
        let is_alive = |(held, server): &mut (Held, String)| {
            held.ask().is_ok_and(|answer| answer.server == *server)
        };
        self.0.iter_mut().map(is_alive).filter(|alive| *alive).count()
    }

    /// # Panics
    /// When one of them is lost or has got another server.
    #[track_caller]
    pub fn assert_alive(&mut self, after: &str) {
        let count = self.0.len();
        for (number, (held, server)) in self.0.iter_mut().enumerate() {
            match held.ask() {
                Ok(answer) => {
                    assert_eq!(answer.server, *server, "{number} of {count} after {after}")
                }
                Err(error) => panic!("{number} of {count} is lost after {after}: {error:#}"),
            }
        }
    }

    /// Ends `count` of those with this server by a RST.
    ///
    /// # Panics
    /// When it has not that many.
    #[track_caller]
    pub fn reset(&mut self, server: &str, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            let at = self.0.iter().position(|(_, with)| with == server);
            let at = at.unwrap_or_else(|| panic!("not {count} with {server}: {:?}", self.shares()));
            self.0.remove(at).0.reset()?;
        }
        Ok(())
    }
}
