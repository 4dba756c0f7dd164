use crate::net::{Link, Node};
use crate::traffic::Server;

/// The guide's NAT example: the director stands between a public net and a private one with two real servers.
#[derive(Debug)]
pub struct NatNet {
    /// Beyond a router, with [`NatNet::CLIENT`].
    pub client: Node,
    /// `eth1` is public, `eth0` private.
    pub director: Node,
    /// 10.0.0.101
    pub rs1: Node,
    /// 10.0.0.102
    pub rs2: Node,
    /// On port 8080 of `rs1`.
    pub web1: Server,
    /// On port 8080 of `rs2`.
    pub web2: Server,
    inside: Link,
    _router: Node,
}

impl NatNet {
    /// The public VIP.
    pub const VIP: &str = "211.47.13.234";
    /// The virtual service.
    pub const WEB: &str = "211.47.13.234:80";
    /// The client's address.
    pub const CLIENT: &str = "203.0.113.50";

    /// Builds it; the servers are named as their nodes, `rs1` and `rs2`.
    #[track_caller]
    pub fn new() -> NatNet {
        let (internet, outside, inside) =
            (Link::new("internet"), Link::new("outside"), Link::new("inside"));
        let client = Node::new("client")
            .on(&internet, "eth0", &format!("{}/24", Self::CLIENT))
            .route("default via 203.0.113.1");
        let router = Node::new("router")
            .on(&internet, "eth0", "203.0.113.1/24")
            .on(&outside, "eth1", "211.47.13.1/24")
            .sysctl("net.ipv4.ip_forward", "1");
        let director = Node::new("director")
            .on(&inside, "eth0", "10.0.0.1/24")
            .on(&outside, "eth1", "211.47.13.2/24")
            .route("default via 211.47.13.1");
        let [rs1, rs2] = [("rs1", "10.0.0.101"), ("rs2", "10.0.0.102")]
            .map(|(name, address)| real_server(&inside, name, address));
        let [web1, web2] = [&rs1, &rs2].map(|node| Server::tcp(node, "0.0.0.0:8080", node.name()));
        NatNet { client, director, rs1, rs2, web1, web2, inside, _router: router }
    }

    /// One more machine on the private net.
    #[track_caller]
    pub fn another_real_server(&self, name: &str, address: &str) -> Node {
        real_server(&self.inside, name, address)
    }
}

impl Default for NatNet {
    fn default() -> NatNet {
        NatNet::new()
    }
}

/// Its default route is the floating address, which need not be there yet.
#[track_caller]
fn real_server(inside: &Link, name: &str, address: &str) -> Node {
    Node::new(name).on(inside, "eth0", &format!("{address}/24")).route("default via 10.0.0.234")
}
