//! The machines of both examples, with the addresses of the guide that the examples come from. One director serves both.

use lvs_tests::net::{Link, Node};
use lvs_tests::traffic::Server;

/// The first of many client addresses that client1 has.
pub(crate) const FIRST_CLIENT: usize = 128;

pub(crate) const PICTURE: &str = "\
client1 192.168.0.50 --+-- eth0 director 222.117.155.123
                       +-- rs1 192.168.0.101    |eth1
                       +-- rs2 10.0.0.101       +-- client2 211.47.13.50
                       +-- rs3 10.0.0.102";

/// All machines, with a web server on each that serves.
#[derive(Debug)]
pub(crate) struct Cast {
    pub(crate) client1: Node,
    pub(crate) client2: Node,
    pub(crate) director: Node,
    pub(crate) rs1: Node,
    _behind: [Node; 2],
    _web: Vec<Server>,
}

impl Cast {
    pub(crate) fn new() -> Cast {
        let (inside, outside) = (Link::new("inside"), Link::new("outside"));
        let director = Node::new("director")
            .on(&inside, "eth0", "222.117.155.123/24")
            .on(&outside, "eth1", "");
        let client1 = Node::new("client1")
            .on(&inside, "eth0", "192.168.0.50/24")
            // Many clients in one machine: all of this range are its own addresses.
            .route(&format!("local 192.168.0.{FIRST_CLIENT}/25 dev lo"));
        let client2 = Node::new("client2").on(&outside, "eth0", "211.47.13.50/24");
        let rs1 = Node::new("rs1").on(&inside, "eth0", "192.168.0.101/24");
        let behind = [("rs2", "10.0.0.101"), ("rs3", "10.0.0.102")].map(|(name, address)| {
            Node::new(name)
                .on(&inside, "eth0", &format!("{address}/24"))
                .route("default via 10.0.0.234")
        });
        // On every address: the VIPs are not there yet.
        let web = [(&director, 80), (&rs1, 80), (&behind[0], 8080), (&behind[1], 8080)];
        let web =
            web.map(|(node, port)| Server::tcp(node, &format!("0.0.0.0:{port}"), node.name()));
        Cast { client1, client2, director, rs1, _behind: behind, _web: web.into() }
    }
}
