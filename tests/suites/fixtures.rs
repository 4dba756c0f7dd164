//! A firewall mark and masquerading: through the agent into a real kernel, and back.

use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::Standalone;
use lvs_tests::table::NodeState;
use lvs_tests::traffic::{Client, Server};

const PATIENCE: Duration = Duration::from_secs(10);

fn sysctl(node: &Node, name: &str) -> String {
    node.sh(&format!("cat /proc/sys/net/ipv4/vs/{name}")).expect(name).trim().to_owned()
}

fn service(spec: &str) -> String {
    let object = |kind: &str, name: &str, rest: &str| {
        format!(
            "---\napiVersion: kube-lvs.io/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}\n  labels: {{app: web}}\n\
             spec:\n{rest}"
        )
    };
    let selector = "  realServers:\n    selector:\n      matchLabels: {app: web}\n";
    let servers = [("rs1", "10.0.0.101"), ("rs2", "10.0.0.102")]
        .map(|(name, address)| object("RealServer", name, &format!("  address: {address}\n")));
    let web = object("VirtualService", "web", &format!("{spec}{selector}"));
    format!("{web}{}", servers.concat())
}

/// A client, a director, and two real servers whose replies go nowhere but to their own network.
struct Net {
    client: Node,
    director: Node,
    _servers: Vec<Server>,
}

impl Net {
    fn new() -> Self {
        let (out, inside) = (Link::new("out"), Link::new("in"));
        let client = Node::new("client").on(&out, "eth0", "192.168.0.50/24");
        let director = Node::new("director").on(&out, "eth0", "192.168.0.1/24").on(
            &inside,
            "eth1",
            "10.0.0.1/24",
        );
        let server = |name: &str, address: &str, port: u16| {
            let node = Node::new(&format!("{name}-{port}"));
            let node = node.on(&inside, "eth0", &format!("{address}/24"));
            Server::tcp(&node, &format!("{address}:{port}"), name)
        };
        let servers = vec![server("rs1", "10.0.0.101", 8080), server("rs2", "10.0.0.102", 8080)];
        Self { client, director, _servers: servers }
    }
}

#[test]
fn masquerading_is_made_with_the_service_and_goes_with_it() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = Net::new();
        net.director.sh("ipvsadm -L -n")?;
        let before = NodeState::of(&net.director);
        let mut agent = Standalone::start(&net.director);
        let spec = "  addresses: [192.168.0.10]\n  ports: [{port: 80, targetPort: 8080}]\n  scheduler: rr\n  \
                    forwarding: NAT\n  nat: {masquerade: true}\n";
        agent.put("web.yaml", service(spec));
        agent.wait_for("web", "Programmed", "True");
        assert_eq!(sysctl(&net.director, "conntrack"), "1");
        let answer = Client::new(&net.client).get("192.168.0.10:80")?;
        assert_eq!(answer.seen_source.ip().to_string(), "10.0.0.1");
        let shares = net.client.shares("192.168.0.10:80", 4)?;
        assert_eq!(shares, [("rs1".to_owned(), 2), ("rs2".to_owned(), 2)].into());
        agent.remove("web.yaml");
        let rules = || net.director.sh("nft list ruleset").unwrap_or_default();
        eventually("the table is gone", PATIENCE, rules, String::is_empty);
        eventually("conntrack", PATIENCE, || sysctl(&net.director, "conntrack"), |it| it == "0");
        agent.clean_up();
        NodeState::of(&net.director).assert_same_as(&before);
        Ok(())
    });
}

#[test]
fn a_mark_changes_its_number_and_scheduler_in_place_and_leaves_nothing_behind() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = Net::new();
        let before = NodeState::of(&net.director);
        let mut agent = Standalone::start(&net.director);
        let spec = |mark: u32, scheduler: &str| {
            service(&format!(
                "  addresses: [192.168.0.10]\n  ports: [{{port: 8080}}]\n  firewallMark: {{mark: {mark}}}\n  scheduler: \
                 {scheduler}\n  forwarding: NAT\n  nat: {{masquerade: true}}\n"
            ))
        };
        agent.put("web.yaml", spec(77, "rr"));
        agent.wait_for("web", "Programmed", "True");
        let table = || net.director.sh("ipvsadm -S -n").unwrap_or_default();
        assert!(table().contains("-A -f 77 -s rr"), "{}", table());
        assert_eq!(net.client.shares("192.168.0.10:8080", 4)?["rs1"], 2);

        agent.put("web.yaml", spec(77, "lc"));
        eventually("lc", PATIENCE, table, |it| it.contains("-A -f 77 -s lc"));
        agent.put("web.yaml", spec(78, "rr"));
        eventually("the new mark", PATIENCE, table, |it| {
            it.contains("-A -f 78 -s rr") && !it.contains("-f 77")
        });
        assert_eq!(net.client.shares("192.168.0.10:8080", 4)?["rs1"], 2);
        let rules = net.director.sh("nft list ruleset")?;
        assert!(rules.contains("0x0000004e") && !rules.contains("0x0000004d"), "{rules}");

        agent.clean_up();
        assert_eq!(net.director.sh("nft list ruleset")?, "");
        NodeState::of(&net.director).assert_same_as(&before);
        Ok(())
    });
}
