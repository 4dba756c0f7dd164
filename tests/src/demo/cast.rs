//! The machines of both examples, with the addresses of the guide that the examples come from.

use lvs_tests::net::{Link, Node};
use lvs_tests::traffic::{Client, Server};

/// The first of many client addresses in the DR example.
const FIRST_CLIENT: u8 = 128;

/// Example 1: client, director and real server on one link. The director serves as well.
#[derive(Debug)]
pub(crate) struct DirectRouting {
    pub(crate) client: Node,
    pub(crate) director: Node,
    pub(crate) server: Node,
    _web: Vec<Server>,
}

impl DirectRouting {
    pub(crate) const VIP: &str = "192.168.0.10:80";

    pub(crate) fn new() -> DirectRouting {
        let lan = Link::new("lan");
        // Many clients in one machine: all of this range are its own addresses.
        let client = Node::new("client1")
            .on(&lan, "eth0", "192.168.0.50/24")
            .route(&format!("local 192.168.0.{FIRST_CLIENT}/25 dev lo"));
        let director = Node::new("director1").on(&lan, "eth0", "222.117.155.123/24");
        let server = Node::new("rs1").on(&lan, "eth0", "192.168.0.101/24");
        // On every address: the VIP is not there yet.
        let web = vec![
            Server::tcp(&director, "0.0.0.0:80", "director1"),
            Server::tcp(&server, "0.0.0.0:80", "rs1"),
        ];
        DirectRouting { client, director, server, _web: web }
    }

    /// Asks as the client of this number, each with an address of its own.
    pub(crate) fn ask_as(&self, number: usize) -> anyhow::Result<String> {
        let address = usize::from(FIRST_CLIENT) + number;
        let client = Client::new(&self.client).from(&format!("192.168.0.{address}:0"));
        Ok(client.get(Self::VIP)?.server)
    }
}

/// Example 2: the real servers are on the inside, and reach the outside only through the director.
#[derive(Debug)]
pub(crate) struct Masquerading {
    pub(crate) client: Node,
    pub(crate) director: Node,
    pub(crate) servers: [Node; 2],
    _web: Vec<Server>,
}

impl Masquerading {
    pub(crate) const VIP: &str = "211.47.13.234:80";

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
        let web =
            servers.iter().map(|node| Server::tcp(node, "0.0.0.0:8080", node.name())).collect();
        Masquerading { client, director, servers, _web: web }
    }
}
