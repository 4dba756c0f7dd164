//! Where no director can ask, another node on the VIP's link does.

use std::time::{Duration, Instant};

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{Cluster, director_group, real_server, virtual_service};
use lvs_tests::traffic::Server;

/// From a broken path to Served=False, and back.
const PROMISE: Duration = Duration::from_secs(10);

fn says(cluster: &Cluster, status: &str, part: &str) {
    let read = || {
        let found = cluster.condition("virtualservice/web", "Served");
        (found.status, found.message)
    };
    let what = format!("Served={status} with {part:?}");
    let found = eventually(&what, Duration::from_secs(30), read, |(found, told)| {
        found == status && told.contains(part)
    });
    println!("Served={}: {}", found.0, found.1);
}

#[test]
fn one_director_is_asked_by_a_node_that_is_neither_director_nor_real_server() {
    let guest = Guest::control_plane().virtual_time().limit(Duration::from_secs(300));
    in_guest(guest, || -> anyhow::Result<()> {
        let (lan, far) = (Link::new("lan"), Link::new("far"));
        let node = |name: &str, host: u8| {
            Node::new(name).on(&lan, "eth0", &format!("192.168.0.{host}/24"))
        };
        let (director, rs1, worker) = (node("director", 1), node("rs1", 101), node("worker", 60));
        let client = node("client", 50);
        let away = Node::new("away").on(&far, "eth0", "172.30.0.9/24");
        let _web = Server::tcp(&rs1, "0.0.0.0:80", "rs1");
        let mut cluster = Cluster::start();
        cluster.add_director(&director);
        cluster.add_node(&rs1);
        let objects = [
            director_group("default", ""),
            virtual_service("web", "addresses: [192.168.0.10], ports: [{port: 80}]"),
            real_server("rs1", "web", "nodeName: rs1"),
        ];
        cluster.apply(&objects.join("---\n"));
        cluster.wait_for("virtualservice/web", "Available");
        // Its only other node is the real server, which has the VIP itself.
        says(&cluster, "Unknown", "one director");
        // Of a network of its own: it would have to be routed there.
        cluster.add_node(&away);
        says(&cluster, "Unknown", "node away has no");
        cluster.add_node(&worker);
        says(&cluster, "True", "worker was answered in");
        cluster.kubectl("wait --for=condition=Served lvsvs/web --timeout=5s")?;
        assert!(client.get("192.168.0.10:80").is_ok());

        director.sh(
            "nft 'add table ip broken; add chain ip broken c { type filter hook input priority 0; }; \
             add rule ip broken c tcp dport 80 drop'",
        )?;
        let since = Instant::now();
        says(&cluster, "False", "worker was not served");
        println!("Served=False after {:?}", since.elapsed());
        anyhow::ensure!(since.elapsed() <= PROMISE, "{:?}", since.elapsed());
        director.sh("nft delete table ip broken")?;
        says(&cluster, "True", "worker was answered");
        // A real server's own VIP is in nobody's way: the worker becomes one.
        cluster.apply(&real_server("worker", "web", "nodeName: worker"));
        says(&cluster, "Unknown", "node away has no");
        Ok(())
    });
}
