//! Example 1: direct routing.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use lvs_tests::net::{Link, Node};
use lvs_tests::traffic::{Client, Server};
use lvs_tests::wait_for;
use lvs_tests::wire::Capture;

use crate::stage::{Stage, show};
use crate::system::System;

/// The first of many client addresses.
const FIRST_CLIENT: usize = 128;
const VIP: &str = "192.168.0.10";
const SERVICE: &str = "192.168.0.10:80";
const MANIFEST: &str = "dr.yaml";

/// Client, director and real server on one link. The director serves as well.
#[derive(Debug)]
pub(crate) struct DirectRouting {
    client: Node,
    pub(crate) director: Node,
    pub(crate) server: Node,
    _web: [Server; 2],
}

impl DirectRouting {
    pub(crate) fn new() -> DirectRouting {
        let lan = Link::new("lan");
        // Many clients in one machine: all of this range are its own addresses.
        let client = Node::new("client1")
            .on(&lan, "eth0", "192.168.0.50/24")
            .route(&format!("local 192.168.0.{FIRST_CLIENT}/25 dev lo"));
        let director = Node::new("director1").on(&lan, "eth0", "222.117.155.123/24");
        let server = Node::new("rs1").on(&lan, "eth0", "192.168.0.101/24");
        // On every address: the VIP is not there yet.
        let web = [&director, &server].map(|node| Server::tcp(node, "0.0.0.0:80", node.name()));
        DirectRouting { client, director, server, _web: web }
    }

    pub(crate) fn play(&self, stage: Stage, system: &dyn System) -> anyhow::Result<()> {
        stage.part("1. Direct routing (DR): replies go straight to the client");
        stage.say(
            "client1 192.168.0.50 --+-- director1 222.117.155.123, will carry VIP 192.168.0.10\n                       \
             +-- rs1       192.168.0.101\n\
             The director is a real server too: weight 10. rs1 has weight 5.",
        );
        system.apply(stage, MANIFEST, "dr")?;
        show(stage, &self.director, "ipvsadm -Ln")?;
        show(stage, &self.server, "ip -brief -4 address show lo")?;

        let wire = Capture::start(&self.client);
        let shares = self.clients(stage, 0)?;
        ensure!(shares == of(20, 10), "5:10 was asked for, the shares are {shares:?}");
        self.tell_wire(stage, &wire)?;
        stage.command("client1", "curl http://192.168.0.10/   (6 times, always the same client)");
        let same = stage.requests(6, |_| Ok(self.client.get(SERVICE)?.server))?;
        ensure!(same.len() == 1, "persistence is on, and one client met {same:?}");

        system.set_weight(stage, MANIFEST, "rs1", 20)?;
        let kernel =
            || self.director.service(SERVICE).map(|s| s.destination("192.168.0.101:80").weight);
        wait_for("the new weight in the kernel", Duration::from_secs(10), || match kernel() {
            Some(20) => Ok(()),
            other => Err(other),
        });
        let shares = self.clients(stage, 30)?;
        ensure!(shares == of(10, 20), "20:10 was asked for, the shares are {shares:?}");
        Ok(())
    }

    /// Thirty clients that have not been here before, one connection each.
    fn clients(&self, stage: Stage, first: usize) -> anyhow::Result<BTreeMap<String, usize>> {
        stage.command("client1", "curl http://192.168.0.10/   (from 30 addresses, once each)");
        stage.requests(30, |number| {
            let address = FIRST_CLIENT + first + number;
            let client = Client::new(&self.client).from(&format!("192.168.0.{address}:0"));
            Ok(client.get(SERVICE)?.server)
        })
    }

    /// Who sent the replies of the VIP, and who answers ARP for it.
    fn tell_wire(&self, stage: Stage, wire: &Capture) -> anyhow::Result<()> {
        let (server, director) = (self.server.mac("eth0"), self.director.mac("eth0"));
        let frames = wire.frames();
        let replies = |mac: &str| {
            let sent = frames.iter().filter(|f| !f.outgoing && f.source_mac == mac);
            sent.filter(|f| f.is_from(VIP)).count()
        };
        let owners = self.client.who_has(VIP, "eth0");
        ensure!(replies(server) > 0, "no reply came straight from rs1");
        ensure!(
            owners.iter().eq([director]),
            "not the director alone answers ARP for the VIP: {owners:?}"
        );
        stage.say(&format!(
            "On client1's wire: {} packets from {VIP} carry rs1's MAC {server}, past the director.\n\
             ARP for {VIP} is answered by the director alone ({director}).",
            replies(server)
        ));
        Ok(())
    }
}

fn of(director: usize, server: usize) -> BTreeMap<String, usize> {
    [("director1".to_owned(), director), ("rs1".to_owned(), server)].into()
}
