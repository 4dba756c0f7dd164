//! Example 2: NAT.

use std::time::Duration;

use anyhow::ensure;
use lvs_tests::net::{Link, Node};
use lvs_tests::traffic::{Held, Server};
use lvs_tests::wait_for;

use crate::stage::{Stage, show};
use crate::system::System;

const SERVICE: &str = "211.47.13.234:80";
const MANIFEST: &str = "nat.yaml";

/// The real servers are on the inside, and reach the outside only through the director.
#[derive(Debug)]
pub(crate) struct Masquerading {
    client: Node,
    pub(crate) director: Node,
    _servers: [Node; 2],
    _web: [Server; 2],
}

impl Masquerading {
    pub(crate) fn new() -> Masquerading {
        let (outside, inside) = (Link::new("outside"), Link::new("inside"));
        let client = Node::new("client2").on(&outside, "eth0", "211.47.13.50/24");
        let director = Node::new("director2").on(&outside, "eth1", "211.47.13.1/24").on(
            &inside,
            "eth0",
            "10.0.0.1/24",
        );
        let servers = [("rs2", "10.0.0.101"), ("rs3", "10.0.0.102")].map(|(name, address)| {
            Node::new(name)
                .on(&inside, "eth0", &format!("{address}/24"))
                .route("default via 10.0.0.234")
        });
        let web = servers.each_ref().map(|node| Server::tcp(node, "0.0.0.0:8080", node.name()));
        Masquerading { client, director, _servers: servers, _web: web }
    }

    pub(crate) fn play(&self, stage: Stage, system: &dyn System) -> anyhow::Result<()> {
        stage.part("2. NAT: the director translates address and port, both ways");
        stage.say(
            "client2 211.47.13.50 --- eth1 director2 eth0 --+-- rs2 10.0.0.101:8080, weight 1\n    \
             VIP 211.47.13.234:80, inside 10.0.0.234    +-- rs3 10.0.0.102:8080, weight 2",
        );
        system.apply(stage, MANIFEST, "nat")?;
        let mut held: Vec<Held> = Vec::new();
        self.hold(stage, &mut held, [4, 8])?;
        show(stage, &self.director, "ipvsadm -Ln")?;
        show(stage, &self.director, "ip -brief -4 address show")?;
        let answer = self.client.get(SERVICE)?;
        ensure!(
            answer.seen_source.ip().to_string() == "211.47.13.50",
            "{} saw {} instead of the client",
            answer.server,
            answer.seen_source
        );
        stage.say(&format!(
            "{} was reached at {} and saw the client's own address, {}.",
            answer.server, answer.seen_local, answer.seen_source
        ));

        system.set_weight(stage, MANIFEST, "rs2", 2)?;
        let kernel =
            || self.director.service(SERVICE).map(|s| s.destination("10.0.0.101:8080").weight);
        wait_for("the new weight in the kernel", Duration::from_secs(10), || match kernel() {
            Some(2) => Ok(()),
            other => Err(other),
        });
        self.hold(stage, &mut held, [8, 4])?;
        for connection in &mut held {
            connection.ask()?;
        }
        stage.say(&format!(
            "All {} connections are alive, those from before the change too.",
            held.len()
        ));
        Ok(())
    }

    /// Twelve connections more, which stay open: wlc evens out what is open, in proportion to the weights.
    fn hold(&self, stage: Stage, held: &mut Vec<Held>, wanted: [usize; 2]) -> anyhow::Result<()> {
        stage.command("client2", "(opens 12 connections and keeps them)");
        let shares = stage.requests(12, |_| {
            let mut connection = self.client.hold(SERVICE)?;
            let server = connection.ask()?.server;
            held.push(connection);
            Ok(server)
        })?;
        let shares: Vec<usize> = shares.into_values().collect();
        ensure!(shares == wanted, "{wanted:?} was asked for, the shares are {shares:?}");
        Ok(())
    }
}
