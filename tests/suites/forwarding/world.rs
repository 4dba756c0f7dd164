//! The machines, and an agent for each that is the balancer's.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{Standalone, director_group};
use lvs_tests::table::NodeState;
use lvs_tests::traffic::{Client, Server};
use serde_json::Value;

/// From a change of the manifests to all kernels programmed.
const SETTLED: Duration = Duration::from_secs(2);
/// The file with all objects.
const FILE: &str = "all.yaml";

/// ```text
///   lan 192.168.0.0/24, 2001:db8::/64        client .50, director .1, near .101, router .254
///   inside 10.0.0.0/24, fd00::/64            director .1, inside .101 .102 (no route out of it)
///   far 10.3.0.0/24, 10.4.0.0/24, fd03::/64  router .254, far1 10.3.0.101-104, far2 10.4.0.101-104
/// ```
/// Replies of `near`, `far1` and `far2` reach the client without the director. All filter reverse paths strictly.
pub(super) struct World {
    pub(super) client: Node,
    pub(super) director: Node,
    pub(super) near: Node,
    pub(super) inside: [Node; 2],
    pub(super) far: [Node; 2],
    agents: BTreeMap<String, Standalone>,
    before: BTreeMap<String, String>,
    servers: Vec<Server>,
}

impl World {
    /// VIPs that nobody else has.
    pub(super) const VIP: [&str; 2] = ["192.168.0.10", "2001:db8::10"];

    #[track_caller]
    pub(super) fn new() -> World {
        let [lan, inside, far] = ["lan", "inside", "far"].map(Link::new);
        let client = Node::new("client").on(&lan, "eth0", "192.168.0.50/24 2001:db8::50/64");
        let director = machine("director")
            .on(&lan, "eth0", "192.168.0.1/24 2001:db8::1/64")
            .on(&inside, "eth1", "10.0.0.1/24 fd00::1/64")
            .route("10.0.0.0/8 via 192.168.0.254")
            .route("fd03::/64 via 2001:db8::254");
        let _router = Node::new("router")
            .on(&lan, "eth0", "192.168.0.254/24 2001:db8::254/64")
            .on(&far, "eth1", "10.3.0.254/24 10.4.0.254/24 fd03::254/64")
            .sysctl("net.ipv4.ip_forward", "1")
            .sysctl("net.ipv6.conf.all.forwarding", "1");
        let near = machine("near").on(&lan, "eth0", "192.168.0.101/24 2001:db8::101/64");
        let inside = [101, 102].map(|host| {
            let addresses = format!("10.0.0.{host}/24 fd00::{host}/64");
            machine(&format!("inside{}", host - 100)).on(&inside, "eth0", &addresses)
        });
        let far = [3, 4].map(|net| {
            let mut addresses = format!("fd03::{}/64", net + 98);
            for host in 101..=104 {
                addresses.push_str(&format!(" 10.{net}.0.{host}/24"));
            }
            machine(&format!("far{}", net - 2))
                .on(&far, "eth0", &addresses)
                .route(&format!("default via 10.{net}.0.254"))
                .route("default via fd03::254")
        });
        World {
            client,
            director,
            near,
            inside,
            far,
            agents: BTreeMap::new(),
            before: BTreeMap::new(),
            servers: Vec::new(),
        }
    }

    /// Starts agents on these machines and a web server on each but the director: ports 80 and 8080 of all addresses.
    #[track_caller]
    pub(super) fn start(&mut self, nodes: &[&Node]) {
        for node in nodes {
            self.before.insert(node.name().to_owned(), everything(node));
            let agent = Standalone::start_with(node, &["--audit-interval", "10m"]);
            self.agents.insert(node.name().to_owned(), agent);
            if node.name() != "director" {
                self.serve(node);
            }
        }
    }

    /// A web server of the machine's name on ports 80 and 8080.
    #[track_caller]
    pub(super) fn serve(&mut self, node: &Node) {
        for address in ["0.0.0.0:80", "[::]:80", "0.0.0.0:8080", "[::]:8080"] {
            self.servers.push(Server::tcp(node, address, node.name()));
        }
    }

    pub(super) fn agent(&self, node: &Node) -> &Standalone {
        &self.agents[node.name()]
    }

    /// Gives all machines these manifests, and waits until each VirtualService is programmed.
    #[track_caller]
    pub(super) fn apply(&self, objects: &str, names: &[&str]) {
        self.put(objects);
        for name in names {
            self.agents["director"].wait_for(name, "Programmed", "True");
        }
        for (name, agent) in &self.agents {
            let failed = node_status(agent)["failures"].clone();
            assert!(failed.as_array().is_none_or(Vec::is_empty), "{name}: {failed:#}");
        }
    }

    /// Gives all machines these manifests and waits a little.
    #[track_caller]
    pub(super) fn put(&self, objects: &str) {
        let selector = "nodeSelector: {matchLabels: {kubernetes.io/hostname: director}}";
        self.put_all(&director_group("default", selector), objects);
    }

    /// The same, with a DirectorGroup.
    #[track_caller]
    pub(super) fn put_all(&self, group: &str, objects: &str) {
        for agent in self.agents.values() {
            agent.put(FILE, format!("{group}---\n{objects}"));
        }
        sleep(SETTLED);
    }

    /// Gives all machines back.
    #[track_caller]
    pub(super) fn stop(&mut self) {
        self.agents.values_mut().for_each(Standalone::clean_up);
    }

    /// Gives all machines back; each must be what it was.
    #[track_caller]
    pub(super) fn clean_up(&mut self) {
        self.stop();
        for name in self.agents.keys() {
            let node = [&self.director, &self.near].into_iter().chain(&self.inside);
            let node = node.chain(&self.far).find(|node| node.name() == name);
            assert_eq!(everything(node.expect("one of them")), self.before[name], "{name}");
        }
    }
}

/// A machine whose programs can listen on both families, and that drops what comes from where no answer would go.
fn machine(name: &str) -> Node {
    Node::new(name)
        .sysctl("net.ipv6.bindv6only", "1")
        .sysctl("net.ipv4.conf.all.rp_filter", "1")
        .sysctl("net.ipv4.conf.default.rp_filter", "1")
}

/// All of a machine that agents may change, as text.
pub(super) fn everything(node: &Node) -> String {
    let more = [
        "ip -d link | grep -v '^ *link/' | sed 's/^[0-9]*: //'",
        "ip fou show 2>&1 || true",
        "nft list ruleset 2>&1 || true",
    ];
    let more = more.map(|command| node.sh(command).unwrap_or_else(|e| panic!("{e:#}")));
    format!("{:#?}\n{}", NodeState::of(node), more.join("--\n"))
}

/// An agent's report of its node.
pub(super) fn node_status(agent: &Standalone) -> Value {
    let status = agent.status();
    let items = status["items"].as_array().cloned().unwrap_or_default();
    let node = items.into_iter().find(|item| item["kind"] == "LVSNode").unwrap_or_default();
    node["status"].clone()
}

/// `ADDRESS:PORT`.
pub(super) fn socket(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// Who answers a client on this machine, by how often, of `count` connections; `nobody` where there was no answer.
pub(super) fn answers(node: &Node, server: &str, count: usize) -> BTreeMap<String, usize> {
    let mut met = BTreeMap::new();
    let client = Client::new(node).patience(Duration::from_secs(2));
    for _ in 0..count {
        let who = client.get(server).map_or_else(|_| "nobody".to_owned(), |answer| answer.server);
        *met.entry(who).or_default() += 1;
    }
    met
}
