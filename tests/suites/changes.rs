//! Changes while connections are open, restarts under load, and that nothing of others is ever touched.

use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::scenario::{Cluster, Load, NatNet, real_server};
use lvs_tests::table::{NodeState, Service};
use lvs_tests::traffic::{Held, Server};
use lvs_tests::{eventually, net::Node};

const WEB: &str = NatNet::WEB;
/// Long enough for a Lease to expire, or for a client to notice that its connection is dead.
const PATIENCE: Duration = Duration::from_secs(90);
/// Of somebody else, beside ours on the same interface.
const FOREIGN_VIP: &str = "211.47.13.99";
const FOREIGN: &str = "211.47.13.99:25";

/// A second VirtualService at the same VIP, with real servers of its own: on another port, since a client may use one
/// source port for both, and that would be one connection to a real server that both share.
const OTHER: &str = "
apiVersion: kube-lvs.io/v1alpha1
kind: VirtualService
metadata: {name: other}
spec:
  addresses: [211.47.13.234]
  ports: [{port: 81, targetPort: 8081}]
  forwarding: NAT
  scheduler: rr
  realServers: {selector: {matchLabels: {app: other}}}
---
apiVersion: kube-lvs.io/v1alpha1
kind: RealServer
metadata: {name: other-1, labels: {app: other}}
spec: {address: 10.0.0.101}
";

#[test]
fn connections_survive_changes_restarts_and_an_api_server_that_is_away() {
    let guest = Guest::control_plane().virtual_time().limit(Duration::from_secs(400));
    in_guest(guest, || -> anyhow::Result<()> {
        let net = NatNet::new();
        let _foreign_web = set_up_a_foreign_service(&net)?;
        let _other = Server::tcp(&net.rs1, "10.0.0.101:8081", "other");
        let mut cluster = Cluster::start();
        let before = [
            cluster.add_director(&net.director),
            cluster.add_node(&net.rs1),
            cluster.add_node(&net.rs2),
        ];
        cluster.apply_example("nat.yaml");
        cluster.apply(OTHER);
        cluster.wait_for("virtualservice/web", "Available");
        cluster.wait_for("virtualservice/other", "Available");

        let mut open = Open::new(&net.client)?;
        every_scheduler_of_the_guide_is_programmed_and_read_back(&net, &cluster, &mut open)?;
        a_weight_changes_in_place(&net, &cluster, &mut open)?;
        a_real_server_comes_and_goes(&net, &cluster, &mut open)?;
        the_operator_may_die(&net, &mut cluster, &mut open)?;
        the_agent_may_restart_under_load(&net, &mut cluster, &mut open)?;
        without_the_api_server_the_last_known_state_is_programmed(&net, &mut cluster, &mut open)?;
        a_deleted_service_takes_only_itself_away(&net, &cluster, &mut open)?;

        cluster.delete("virtualservice/other");
        in_table(&net, "211.47.13.234:81", "gone", Option::is_none);
        assert_eq!(open.foreign.ask()?.server, "foreign");
        for (node, before) in [&net.director, &net.rs1, &net.rs2].into_iter().zip(&before) {
            cluster.clean_up(node);
            NodeState::of(node).assert_same_as(before);
        }
        assert_eq!(open.foreign.ask()?.server, "foreign");
        Ok(())
    });
}

/// By an admin, with a real server whose default router is the director's own address.
fn set_up_a_foreign_service(net: &NatNet) -> anyhow::Result<Server> {
    let node = net.another_real_server("foreign", "10.0.0.109");
    node.sh("ip route replace default via 10.0.0.1")?;
    net.director.sh(&format!(
        "sysctl -q -w net.ipv4.ip_forward=1 && ip addr add {FOREIGN_VIP}/24 dev eth1 && \
         ipvsadm -A -t {FOREIGN} -s rr && ipvsadm -a -t {FOREIGN} -r 10.0.0.109 -m -w 7"
    ))?;
    Ok(Server::tcp(&node, "10.0.0.109:25", "foreign"))
}

/// Connections through everything that is on the director, held over all that happens.
struct Open {
    web: Vec<(Held, String)>,
    other: Held,
    foreign: Held,
}

impl Open {
    fn new(client: &Node) -> anyhow::Result<Open> {
        let mut web = Vec::new();
        for _ in 0..6 {
            let mut held = client.hold(WEB)?;
            let server = held.ask()?.server;
            web.push((held, server));
        }
        let mut other = client.hold("211.47.13.234:81")?;
        other.ask()?;
        let mut foreign = client.hold(FOREIGN)?;
        foreign.ask()?;
        Ok(Open { web, other, foreign })
    }

    fn all_live(&mut self, after: &str) {
        for (held, server) in &mut self.web {
            let answer = held.ask().unwrap_or_else(|e| panic!("lost after {after}: {e:#}"));
            assert_eq!(answer.server, *server, "after {after}");
        }
        self.others_live(after);
    }

    fn others_live(&mut self, after: &str) {
        for held in [&mut self.other, &mut self.foreign] {
            held.ask().unwrap_or_else(|e| panic!("lost after {after}: {e:#}"));
        }
    }
}

fn every_scheduler_of_the_guide_is_programmed_and_read_back(
    net: &NatNet,
    cluster: &Cluster,
    open: &mut Open,
) -> anyhow::Result<()> {
    for scheduler in ["rr", "wrr", "lc", "lblc", "lblcr", "dh", "sh", "wlc"] {
        let patch =
            format!(r#"[{{"op": "replace", "path": "/spec/scheduler", "value": "{scheduler}"}}]"#);
        cluster.patch("virtualservice/web", &patch);
        cluster.wait_for("virtualservice/web", "Programmed");
        let table = net.director.sh("ipvsadm -Ln")?;
        assert!(table.contains(&format!("TCP  {WEB} {scheduler}\n")), "{table}");
        assert_eq!(table.matches("Masq").count(), 4, "{table}");
        open.all_live(scheduler);
    }
    Ok(())
}

fn a_weight_changes_in_place(
    net: &NatNet,
    cluster: &Cluster,
    open: &mut Open,
) -> anyhow::Result<()> {
    let name = "realserver/web-1";
    cluster.patch(name, r#"[{"op": "replace", "path": "/spec/weight", "value": 0}]"#);
    weight_is(net, "10.0.0.101:8080", 0);
    cluster.wait_for("virtualservice/web", "Programmed");
    open.all_live("weight 0");
    assert_eq!(net.client.shares(WEB, 5)?, [("rs2".to_owned(), 5)].into(), "none for weight 0");
    cluster.patch(name, r#"[{"op": "replace", "path": "/spec/weight", "value": 1}]"#);
    weight_is(net, "10.0.0.101:8080", 1);
    open.all_live("weight 1");
    Ok(())
}

fn a_real_server_comes_and_goes(
    net: &NatNet,
    cluster: &Cluster,
    open: &mut Open,
) -> anyhow::Result<()> {
    let rs3 = net.another_real_server("rs3", "10.0.0.103");
    let _web3 = Server::tcp(&rs3, "10.0.0.103:8080", "rs3");
    // So heavy that wlc sends the next ones there.
    cluster.apply(&real_server("web-3", "web", "address: 10.0.0.103, weight: 1000"));
    count_is(net, 3);
    open.all_live("a real server more");
    let mut held = net.client.hold(WEB)?;
    assert_eq!(held.ask()?.server, "rs3");

    cluster.delete("realserver/web-3");
    count_is(net, 2);
    open.all_live("a real server less");
    assert!(held.ask().is_err(), "its own connections end with it");
    Ok(())
}

fn the_operator_may_die(
    net: &NatNet,
    cluster: &mut Cluster,
    open: &mut Open,
) -> anyhow::Result<()> {
    let load = Load::start(&net.client, WEB);
    cluster.kill_operator();
    cluster.patch("realserver/web-2", r#"[{"op": "replace", "path": "/spec/weight", "value": 3}]"#);
    cluster.start_operator();
    weight_is(net, "10.0.0.102:8080", 3);
    load.end_without_a_failure();
    open.all_live("the operator's death");
    Ok(())
}

fn the_agent_may_restart_under_load(
    net: &NatNet,
    cluster: &mut Cluster,
    open: &mut Open,
) -> anyhow::Result<()> {
    let load = Load::start(&net.client, WEB);
    for kill in [false, true] {
        if kill {
            cluster.kill_agent(&net.director);
        } else {
            cluster.stop_agent(&net.director);
        }
        assert!(net.director.service(WEB).is_some(), "a director without an agent goes on");
        net.client.shares(WEB, 5)?;
        cluster.start_agent(&net.director);
        cluster.wait_until_ready(&net.director);
    }
    load.end_without_a_failure();
    open.all_live("the agent's restarts");
    Ok(())
}

fn without_the_api_server_the_last_known_state_is_programmed(
    net: &NatNet,
    cluster: &mut Cluster,
    open: &mut Open,
) -> anyhow::Result<()> {
    cluster.plane.cut(&net.director);
    cluster.kill_agent(&net.director);
    net.director.sh(
        "ipvsadm -d -t 211.47.13.234:80 -r 10.0.0.101:8080 && ip addr del 211.47.13.234/24 dev eth1",
    )?;
    cluster.start_agent(&net.director);
    count_is(net, 2);
    eventually(
        "the VIP is back",
        PATIENCE,
        || net.director.addresses(),
        |addresses| addresses.contains("eth1 211.47.13.234/24"),
    );
    open.all_live("a restart without the API server");
    cluster.plane.heal(&net.director);
    cluster.apply(&real_server("late", "web", "address: 10.0.0.105"));
    count_is(net, 3);
    cluster.delete("realserver/late");
    count_is(net, 2);
    open.all_live("the API server's return");
    Ok(())
}

fn a_deleted_service_takes_only_itself_away(
    net: &NatNet,
    cluster: &Cluster,
    open: &mut Open,
) -> anyhow::Result<()> {
    cluster.delete("virtualservice/web");
    in_table(net, WEB, "gone", Option::is_none);
    open.others_live("another service's end");
    assert!(net.client.get("211.47.13.234:81").is_ok(), "the VIP stays while a service has it");
    let table = net.director.sh("ipvsadm -S -n")?;
    assert!(table.contains(&format!("-a -t {FOREIGN} -r 10.0.0.109:25 -m -w 7")), "{table}");
    assert!(net.director.addresses().contains("eth1 211.47.13.99/24"));
    Ok(())
}

#[track_caller]
fn in_table(net: &NatNet, service: &str, what: &str, wanted: impl Fn(&Option<Service>) -> bool) {
    eventually(
        &format!("{service} in the table: {what}"),
        PATIENCE,
        || net.director.service(service),
        wanted,
    );
}

#[track_caller]
fn weight_is(net: &NatNet, server: &str, weight: i64) {
    in_table(net, WEB, &format!("{server} has weight {weight}"), |service| {
        service.as_ref().is_some_and(|service| service.destination(server).weight == weight)
    });
}

#[track_caller]
fn count_is(net: &NatNet, count: usize) {
    in_table(net, WEB, &format!("{count} real servers"), |service| {
        service.as_ref().is_some_and(|service| service.destinations.len() == count)
    });
}
