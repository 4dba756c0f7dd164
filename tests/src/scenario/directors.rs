use std::net::IpAddr;
use std::time::Duration;

use super::{Standalone, real_server};
use crate::eventually;
use crate::net::{Link, Node};
use crate::traffic::Server;

/// From started agents, or a change, to one holder of each VIP. Most suites run in virtual time.
const PATIENCE: Duration = Duration::from_secs(20);
/// The file with all objects.
const FILE: &str = "directors.yaml";

/// Several directors, each with an agent without a cluster, all with the same manifests; a client; real servers.
#[derive(Debug)]
pub struct Directors {
    /// At 192.168.0.50 and 2001:db8::50.
    pub client: Node,
    /// `lvs1`, `lvs2` ...: 192.168.0.1 and 2001:db8::1 on `eth0`, and so on; with NAT 10.0.0.1 and fd00::1 on `eth1`.
    pub nodes: Vec<Node>,
    /// The directors'.
    pub agents: Vec<Standalone>,
    /// `rs1`, `rs2` ...: 192.168.0.101 and 2001:db8::101 and so on; with NAT 10.0.0.101 and fd00::101.
    pub servers: Vec<Node>,
    outside: Link,
    nat: bool,
    objects: String,
    real_server_agents: Vec<Standalone>,
    programs: Vec<Server>,
}

impl Directors {
    /// The floating default gateway of NAT's real servers.
    pub const GATEWAY: &str = "10.0.0.254";
    /// As above.
    pub const GATEWAY_SIX: &str = "fd00::fe";

    /// As [`Directors::flat`], but the real servers have no agents: what DR needs of them is made by hand for these VIPs.
    #[track_caller]
    pub fn by_hand(directors: usize, servers: usize, vips: &[&str]) -> Directors {
        let mut all = Directors::build(directors, servers, false).with_agents();
        let quiet = |node: Node| {
            let node = node.sysctl("net.ipv4.conf.all.arp_ignore", "1");
            let node = node.sysctl("net.ipv4.conf.all.arp_announce", "2");
            vips.iter().for_each(|vip| node.ip(&format!("addr add {vip} dev lo")));
            node
        };
        all.servers = all.servers.into_iter().map(quiet).collect();
        all
    }

    /// Two networks, directors between them; the real servers' default gateway is floating.
    #[track_caller]
    pub fn nat(directors: usize, servers: usize) -> Directors {
        Directors::build(directors, servers, true).with_agents()
    }

    /// As [`Directors::nat`], without agents: for others' programs.
    #[track_caller]
    pub fn machines(directors: usize, servers: usize) -> Directors {
        Directors::build(directors, servers, true)
    }

    /// Everybody on one link, for DR and TUN; the real servers have agents too.
    #[track_caller]
    pub fn flat(directors: usize, servers: usize) -> Directors {
        let mut all = Directors::build(directors, servers, false).with_agents();
        all.real_server_agents = all.servers.iter().map(Standalone::start).collect();
        all
    }

    #[track_caller]
    fn build(directors: usize, servers: usize, nat: bool) -> Directors {
        let (outside, inside) = (Link::new("outside"), Link::new("inside"));
        let outer = |name: &str, host: usize| {
            Node::new(name).on(
                &outside,
                "eth0",
                &format!("192.168.0.{host}/24 2001:db8::{host}/64"),
            )
        };
        let client = outer("client", 50);
        let nodes: Vec<Node> = (1..=directors)
            .map(|number| {
                let node = outer(&format!("lvs{number}"), number);
                match nat {
                    true => {
                        node.on(&inside, "eth1", &format!("10.0.0.{number}/16 fd00::{number}/64"))
                    }
                    false => node,
                }
            })
            .collect();
        let servers: Vec<Node> = (1..=servers)
            .map(|number| match nat {
                true => Node::new(&format!("rs{number}"))
                    .on(&inside, "eth0", &format!("10.0.0.{0}/16 fd00::{0}/64", 100 + number))
                    .route(&format!("default via {}", Self::GATEWAY))
                    .route(&format!("default via {}", Self::GATEWAY_SIX)),
                false => outer(&format!("rs{number}"), 100 + number),
            })
            .collect();
        let (agents, real_server_agents, programs) = (Vec::new(), Vec::new(), Vec::new());
        let objects = String::new();
        Directors {
            client,
            nodes,
            agents,
            servers,
            outside,
            nat,
            objects,
            real_server_agents,
            programs,
        }
    }

    fn with_agents(mut self) -> Directors {
        // An audit's own looks would be counted among what a failover costs.
        let start = |node| Standalone::start_with(node, &["--audit-interval", "10m"]);
        self.agents = self.nodes.iter().map(start).collect();
        self
    }

    /// Puts these objects in place of those before, with the DirectorGroup of all directors. `group`: what else it says,
    /// such as `failover: {profile: Fast}`.
    #[track_caller]
    pub fn apply(&mut self, group: &str, objects: &[String]) {
        let everybody: Vec<usize> = (0..self.nodes.len()).collect();
        self.objects = objects.join("---\n");
        for index in 0..self.nodes.len() {
            self.tell(index, &everybody, group);
        }
        let text = self.manifest(&everybody, group);
        for agent in &self.real_server_agents {
            agent.put(FILE, &text);
        }
    }

    /// Gives the DirectorGroup other settings, with the objects that there are.
    #[track_caller]
    pub fn again(&mut self, group: &str) {
        let objects = [std::mem::take(&mut self.objects)];
        self.apply(group, &objects);
    }

    /// [`Link::spanning_tree`] of the clients' link.
    #[track_caller]
    pub fn spanning_tree(&self) {
        self.outside.spanning_tree();
    }

    /// Tells one director alone who the directors are.
    #[track_caller]
    pub fn tell(&self, director: usize, members: &[usize], group: &str) {
        self.agents[director].put(FILE, self.manifest(members, group));
    }

    fn manifest(&self, members: &[usize], group: &str) -> String {
        let member = |&index: &usize| {
            let node = &self.nodes[index];
            let (name, number) = (node.name(), index + 1);
            let address = if self.nat { "10.0.0." } else { "192.168.0." };
            let macs = format!("macs: ['{}']", node.mac("eth0"));
            format!("{{node: {name}, addresses: [{address}{number}], {macs}}}")
        };
        let members: Vec<String> = members.iter().map(member).collect();
        let mut spec = format!("members: [{}]", members.join(", "));
        if self.nat && !group.contains("natGateways:") {
            spec += &format!(
                ", natGateways: [{{address: {}/16}}, {{address: '{}/64'}}]",
                Self::GATEWAY,
                Self::GATEWAY_SIX
            );
        }
        if !group.is_empty() {
            spec += &format!(", {group}");
        }
        let group = super::manifest("DirectorGroup", "name: default", &spec);
        group + "---\n" + &self.objects
    }

    /// RealServers of `app: web` at the real servers' addresses of one family; each with `spec`.
    pub fn real_servers(&self, six: bool, spec: &str) -> Vec<String> {
        let address = |number: usize| match (self.nat, six) {
            (true, false) => format!("10.0.0.{number}"),
            (true, true) => format!("fd00::{number}"),
            (false, false) => format!("192.168.0.{number}"),
            (false, true) => format!("2001:db8::{number}"),
        };
        (101..)
            .zip(&self.servers)
            .map(|(number, node)| {
                let name = format!("{}-{}", node.name(), if six { "v6" } else { "v4" });
                real_server(&name, "web", &format!("address: '{}', {spec}", address(number)))
            })
            .collect()
    }

    /// Starts a server on each real server, `start` being one of [`Server`]'s functions.
    #[track_caller]
    pub fn listen(&mut self, start: impl Fn(&Node, &str, &str) -> Server, address: &str) {
        self.programs.extend(self.servers.iter().map(|node| start(node, address, node.name())));
    }

    /// Who has an address; see [`holders`].
    pub fn holders(&self, address: &str) -> Vec<usize> {
        holders(&self.nodes, address)
    }

    /// Who has which of these addresses on an interface other than `lo`, by index: as [`Directors::holders`] of each, by one
    /// look at each director.
    pub fn holders_of(&self, addresses: &[IpAddr]) -> Vec<Vec<usize>> {
        let mut holders = vec![Vec::new(); addresses.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            let standing = node.run(|| nix::ifaddrs::getifaddrs().map(Iterator::collect::<Vec<_>>));
            for one in standing.unwrap_or_else(|e| panic!("addresses of {}: {e}", node.name())) {
                let found = one.address.as_ref().and_then(crate::table::ip);
                for (address, holders) in addresses.iter().zip(&mut holders) {
                    if one.interface_name != "lo" && found == Some(*address) {
                        holders.push(index);
                    }
                }
            }
        }
        holders
    }

    /// Waits until exactly one director has an address, and says which.
    #[track_caller]
    pub fn holder(&self, address: &str) -> usize {
        let what = format!("one director has {address}");
        eventually(&what, PATIENCE, || self.holders(address), |holders| holders.len() == 1)[0]
    }

    /// Pulls all cables of a director; first that over which it could tell the others.
    pub fn unplug(&self, director: usize) {
        self.cables().for_each(|interface| self.nodes[director].unplug(interface));
    }

    /// Puts them back.
    pub fn plug(&self, director: usize) {
        self.cables().for_each(|interface| self.nodes[director].plug(interface));
    }

    fn cables(&self) -> impl Iterator<Item = &'static str> {
        ["eth1", "eth0"].into_iter().skip(if self.nat { 0 } else { 1 })
    }
}

/// Who of these has an address on an interface other than `lo`, by index.
pub fn holders(nodes: &[Node], address: &str) -> Vec<usize> {
    let holds = |node: &Node| {
        node.addresses().iter().any(|standing| {
            let mut words = standing.split(' ');
            let interface = words.next();
            interface != Some("lo")
                && words.next().and_then(|it| it.split('/').next()) == Some(address)
        })
    };
    let nodes = nodes.iter().enumerate();
    nodes.filter(|(_, node)| holds(node)).map(|(index, _)| index).collect()
}
