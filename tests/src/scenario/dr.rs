use crate::net::{Link, Node};
use crate::traffic::Server;

/// The guide's DR example: client, director and one more real server on one link. The director serves as well.
#[derive(Debug)]
pub struct DrNet {
    /// Its neighbour, with [`DrNet::CLIENT`].
    pub client: Node,
    /// It has no address in the VIP's network.
    pub director: Node,
    /// It can be reached only from the VIP's network.
    pub rs1: Node,
    _web: [Server; 2],
}

impl DrNet {
    /// The VIP.
    pub const VIP: &str = "192.168.0.10";
    /// The virtual service.
    pub const WEB: &str = "192.168.0.10:80";
    /// The client's address.
    pub const CLIENT: &str = "192.168.0.50";

    /// Builds it; the servers are named as their nodes, `director` and `rs1`.
    #[track_caller]
    pub fn new() -> DrNet {
        let lan = Link::new("lan");
        let client = Node::new("client").on(&lan, "eth0", &format!("{}/24", Self::CLIENT));
        let director = Node::new("director").on(&lan, "eth0", "222.117.155.123/24");
        let rs1 = Node::new("rs1").on(&lan, "eth0", "192.168.0.101/24");
        // On every address: the VIP is not there yet.
        let web = [&director, &rs1].map(|node| Server::tcp(node, "0.0.0.0:80", node.name()));
        DrNet { client, director, rs1, _web: web }
    }
}

impl Default for DrNet {
    fn default() -> DrNet {
        DrNet::new()
    }
}
