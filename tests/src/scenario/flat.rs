use std::thread::sleep;
use std::time::Duration;

use super::{Standalone, real_server};
use crate::eventually;
use crate::net::{Link, Node};
use crate::traffic::Server;

/// From a change of the manifests to programmed kernels. The suites run in virtual time, where it is an instant.
const SETTLED: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
/// The file with all objects.
const FILE: &str = "flat.yaml";
/// Of which only the director's name is special.
const GROUP: &str = "{apiVersion: kube-lvs.io/v1alpha1, kind: DirectorGroup, metadata: {name: default}, \
                     spec: {nodeSelector: {matchLabels: {kubernetes.io/hostname: director}}, SPEC}}\n";

/// A client, a director and real servers `rs1`, `rs2` ... on one link, with both families: for DR and TUN. The director
/// and each real server have an agent, all with the same manifests.
#[derive(Debug)]
pub struct Flat {
    /// At 192.168.0.50 and 2001:db8::50.
    pub client: Node,
    /// At 192.168.0.1 and 2001:db8::1.
    pub director: Node,
    /// The director's.
    pub agent: Standalone,
    /// At 192.168.0.101, 2001:db8::101 and so on.
    pub nodes: Vec<Node>,
    agents: Vec<Standalone>,
    programs: Vec<Server>,
}

impl Flat {
    /// The IPv4 VIP.
    pub const VIP: &str = "192.168.0.10";
    /// The IPv6 VIP.
    pub const VIP_SIX: &str = "2001:db8::10";

    /// Builds it with so many real servers, on which nothing listens yet.
    #[track_caller]
    pub fn new(count: usize) -> Flat {
        let lan = Link::new("lan");
        let node = |name: &str, host: usize| {
            Node::new(name).on(&lan, "eth0", &format!("192.168.0.{host}/24 2001:db8::{host}/64"))
        };
        let (client, director) = (node("client", 50), node("director", 1));
        let nodes: Vec<_> =
            (1..=count).map(|number| node(&format!("rs{number}"), 100 + number)).collect();
        let agent = Standalone::start(&director);
        let agents = nodes.iter().map(Standalone::start).collect();
        Flat { client, director, agent, nodes, agents, programs: Vec::new() }
    }

    /// Puts these objects in place of those before, with a DirectorGroup of this spec, and waits until the director
    /// has the VirtualServices `names` and each real server has those VIPs that stand in the objects.
    #[track_caller]
    pub fn apply(&mut self, group: &str, names: &[&str], objects: &[String]) {
        let text = GROUP.replace("SPEC", group) + "---\n" + &objects.join("---\n");
        for agent in self.agents.iter().chain([&self.agent]) {
            agent.put(FILE, &text);
        }
        sleep(SETTLED);
        for name in names {
            self.agent.wait_for(name, "Programmed", "True");
        }
        let vips: Vec<_> =
            [(Flat::VIP, "lo 192.168.0.10/32"), (Flat::VIP_SIX, "lo 2001:db8::10/128")]
                .into_iter()
                .filter(|(vip, _)| text.contains(vip))
                .collect();
        for node in &self.nodes {
            eventually(
                "the VIPs are on lo",
                PATIENCE,
                || node.addresses(),
                |addresses| vips.iter().all(|(_, address)| addresses.contains(*address)),
            );
        }
    }

    /// The RealServers of all nodes with this family's address: of `app: web`, named as their nodes and the family.
    pub fn real_servers(&self, six: bool, specs: &[&str]) -> Vec<String> {
        let mut objects = Vec::new();
        for (number, spec) in (101..).zip(specs) {
            let (name, address) = match six {
                true => (format!("rs{}-v6", number - 100), format!("2001:db8::{number}")),
                false => (format!("rs{}-v4", number - 100), format!("192.168.0.{number}")),
            };
            objects.push(real_server(&name, "web", &format!("address: '{address}', {spec}")));
        }
        objects
    }

    /// Starts a server on each node at the VIP, `start` being one of [`Server`]'s functions. They run until
    /// [`Flat::stop_servers`].
    #[track_caller]
    pub fn listen(&mut self, start: impl Fn(&Node, &str, &str) -> Server, address: &str) {
        self.programs.extend(self.nodes.iter().map(|node| start(node, address, node.name())));
    }

    /// Ends the servers.
    pub fn stop_servers(&mut self) {
        self.programs.clear();
    }

    /// The MAC addresses of the real servers.
    pub fn macs(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.mac("eth0").to_owned()).collect()
    }
}
