use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use super::{Standalone, real_server, virtual_service};
use crate::net::{Link, Node};
use crate::table::{Destination, Service};
use crate::traffic::Server;

/// From a change of the manifests to a programmed kernel. Most suites run in virtual time, where it is an instant.
const SETTLED: Duration = Duration::from_secs(1);
/// The file with all objects.
const FILE: &str = "farm.yaml";

/// A client, a director with an agent of its own, and real servers `rs1`, `rs2` ... behind NAT; and the one
/// VirtualService `web` of the moment, with as many RealServers as wanted.
///
/// The client speaks from any address of 172.20.0.0/16, or 2001:db8:50::/48, without having it on an interface.
#[derive(Debug)]
pub struct Farm {
    /// At 192.168.0.50 and 2001:db8::50.
    pub client: Node,
    /// It has a link to the client and one to the real servers, whose default gateway it is.
    pub director: Node,
    /// The director's.
    pub agent: Standalone,
    nodes: Vec<Node>,
    programs: Vec<Server>,
    six: bool,
    port: u16,
    spec: String,
    servers: Vec<String>,
    others: String,
}

impl Farm {
    /// The VIP.
    pub const VIP: &str = "192.168.0.10";
    /// The VIP, with [`Farm::six`].
    pub const VIP_SIX: &str = "2001:db8::10";

    /// Builds it with so many real servers, each with a TCP and a UDP server on port 8080. Each service of
    /// [`Farm::serve`] has TCP servers on a port of its own besides.
    #[track_caller]
    pub fn new(count: usize) -> Farm {
        Farm::build(count, false)
    }

    /// As [`Farm::new`], with IPv6 throughout.
    #[track_caller]
    pub fn six(count: usize) -> Farm {
        Farm::build(count, true)
    }

    #[track_caller]
    fn build(count: usize, six: bool) -> Farm {
        let (outside, inside) = (Link::new("outside"), Link::new("inside"));
        // A local route is enough to receive; to speak from such an address IPv6 wants this besides.
        let client = Node::new("client")
            .on(&outside, "eth0", "192.168.0.50/24 2001:db8::50/64")
            .sysctl("net.ipv6.ip_nonlocal_bind", "1");
        client.ip("route add local 172.20.0.0/16 dev lo\nroute add local 2001:db8:50::/48 dev lo");
        let director = Node::new("director")
            .on(&outside, "eth0", "192.168.0.1/24 2001:db8::1/64")
            .on(&inside, "eth1", "10.0.0.1/16 fd00::1/64")
            .route("172.20.0.0/16 via 192.168.0.50")
            .route("2001:db8:50::/48 via 2001:db8::50")
            .sysctl("net.ipv6.conf.all.forwarding", "1");
        let mut nodes = Vec::new();
        let mut programs = Vec::new();
        for number in 1..=count {
            let name = format!("rs{number}");
            let node = Node::new(&name)
                .on(&inside, "eth0", &format!("10.0.0.{0}/16 fd00::{0}/64", 100 + number))
                .route("default via 10.0.0.1")
                .route("default via fd00::1");
            let address = socket(number, six, 8080);
            programs.push(Server::tcp(&node, &address, &name));
            programs.push(Server::udp(&node, &address, &name));
            nodes.push(node);
        }
        // An audit's own requests would be counted among those of a change.
        let agent = Standalone::start_with(&director, &["--audit-interval", "10m"]);
        Farm {
            client,
            director,
            agent,
            nodes,
            programs,
            six,
            port: 1000,
            spec: String::new(),
            servers: Vec::new(),
            others: String::new(),
        }
    }

    /// The real servers' nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Keeps a further server running.
    pub fn keep(&mut self, server: Server) {
        self.programs.push(server);
    }

    /// Puts a new service in place of the one before: none of that one's connections count any more. Returns its
    /// `VIP:PORT`.
    ///
    /// `spec` is as in [`virtual_service`], without addresses and forwarding. Its port is TCP and goes to
    /// [`Farm::target`], unless `spec` has `ports`, in which `PORT` is replaced by a new one.
    #[track_caller]
    pub fn serve(&mut self, spec: &str, weights: &[i32]) -> String {
        self.port += 1;
        self.spec = spec.to_owned();
        if !spec.contains("ports:") {
            let (target, six) = (self.target(), self.six);
            let start = |(number, node): (usize, &Node)| {
                Server::tcp(node, &socket(number, six, target), node.name())
            };
            self.programs.extend((1..).zip(&self.nodes).map(start));
        }
        self.servers = weights.iter().map(weight).collect();
        self.apply();
        self.address()
    }

    /// Changes the running service.
    #[track_caller]
    pub fn change(&mut self, spec: &str) {
        self.spec = spec.to_owned();
        self.apply();
    }

    /// Changes the running service and does not wait for success.
    pub fn try_change(&mut self, spec: &str) {
        self.spec = spec.to_owned();
        self.write();
    }

    /// Changes the real servers' weights; a shorter list takes the last ones out.
    #[track_caller]
    pub fn weigh(&mut self, weights: &[i32]) {
        self.servers = weights.iter().map(weight).collect();
        self.apply();
    }

    /// Changes the real servers' specs, such as `weight: 1, upperThreshold: 4`; one that is empty is taken out.
    #[track_caller]
    pub fn servers_are(&mut self, specs: &[&str]) {
        self.servers = specs.iter().map(|&spec| spec.to_owned()).collect();
        self.apply();
    }

    /// Puts further objects beside the service.
    #[track_caller]
    pub fn beside(&mut self, objects: &str) {
        self.others = objects.to_owned();
        self.apply();
    }

    /// The port at which the real servers serve it. No two services share one: a client's connections to both may have
    /// one source port, and would be one connection to the real server.
    pub fn target(&self) -> u16 {
        self.port + 7000
    }

    /// The running service's `VIP:PORT`.
    pub fn address(&self) -> String {
        let port = if self.spec.contains("{port: 0") { 0 } else { self.port };
        match self.six {
            true => format!("[{}]:{port}", Farm::VIP_SIX),
            false => format!("{}:{port}", Farm::VIP),
        }
    }

    /// The running service as the kernel has it.
    #[track_caller]
    pub fn service(&self) -> Service {
        let services = self.director.services();
        let found = services.iter().find(|service| service.address == self.address());
        found.unwrap_or_else(|| panic!("no {} in {services:#?}", self.address())).clone()
    }

    /// The real servers in the order of the kernel's list, with their weights. Where an algorithm finds two equal, the
    /// first one counts.
    #[track_caller]
    pub fn in_order(&self) -> Vec<(String, i64)> {
        let names: BTreeMap<_, _> = (1..=self.nodes.len())
            .map(|number| (host(number, self.six), format!("rs{number}")))
            .collect();
        let service = self.service();
        let named = |to: &Destination| (names[host_of(to)].clone(), to.weight);
        service.destinations.iter().map(named).collect()
    }

    /// The real server's line in the kernel's table.
    #[track_caller]
    pub fn destination(&self, name: &str) -> Destination {
        let host = host(name.trim_start_matches("rs").parse().expect("rs1, rs2 ..."), self.six);
        let service = self.service();
        let found = service.destinations.iter().find(|to| host_of(to) == host);
        found.unwrap_or_else(|| panic!("no {name} in {service:#?}")).clone()
    }

    /// Requests of IPVS to the kernel that change something, and reads of its table, since the agent began.
    pub fn ipvs_requests(&self) -> f64 {
        self.agent.metric("lvs_agent_kernel_requests", "kind=\"ipvs\"")
            + self.agent.metric("lvs_agent_kernel_requests", "kind=\"table_read\"")
    }

    /// Writes the manifests and waits until the kernel has them.
    #[track_caller]
    fn apply(&mut self) {
        self.write();
        sleep(SETTLED);
        self.agent.wait_for("web", "Programmed", "True");
        let wanted = self.servers.iter().filter(|spec| !spec.is_empty()).count();
        let service = self.service();
        assert_eq!(service.destinations.len(), wanted, "{service:#?}");
    }

    fn write(&self) {
        let vip = if self.six { Farm::VIP_SIX } else { Farm::VIP };
        let spec = match self.spec.contains("ports:") {
            true => self.spec.replace("PORT", &self.port.to_string()),
            false => {
                let (port, target) = (self.port, self.target());
                format!("ports: [{{port: {port}, targetPort: {target}}}], {}", self.spec)
            }
        };
        let spec = format!("addresses: ['{vip}'], forwarding: NAT, {spec}");
        let mut objects = vec![virtual_service("web", &spec)];
        for (index, spec) in self.servers.iter().enumerate().filter(|(_, spec)| !spec.is_empty()) {
            let address = host(index + 1, self.six);
            let address = address.trim_matches(['[', ']']);
            let spec = format!("address: '{address}', {spec}");
            objects.push(real_server(&format!("rs{}", index + 1), "web", &spec));
        }
        if !self.others.is_empty() {
            objects.push(self.others.clone());
        }
        self.agent.put(FILE, objects.join("---\n"));
    }
}

fn weight(weight: &i32) -> String {
    format!("weight: {weight}")
}

/// A real server's address, as it stands before a port.
fn host(number: usize, six: bool) -> String {
    match six {
        true => format!("[fd00::{}]", 100 + number),
        false => format!("10.0.0.{}", 100 + number),
    }
}

fn host_of(destination: &Destination) -> &str {
    destination.address.rsplit_once(':').map_or("", |(host, _)| host)
}

/// Where a real server's program listens.
fn socket(number: usize, six: bool, port: u16) -> String {
    format!("{}:{port}", host(number, six))
}
