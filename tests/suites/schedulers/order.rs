//! sh and dh send a client to the server that stands at its place in the order of destinations: whatever came when, two
//! directors have them in one order.

use std::net::IpAddr;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::Node;
use lvs_tests::scenario::{Directors, real_server, virtual_service};
use lvs_tests::traffic::{Server, by_server};

const VIP: &str = "192.168.0.10";
const WEB: &str = "192.168.0.10:80";
const PATIENCE: Duration = Duration::from_secs(10);

fn objects(scheduler: &str, servers: &[(u8, u32)]) -> Vec<String> {
    let spec = format!("addresses: [{VIP}], forwarding: DR, scheduler: {scheduler}");
    let server = |(number, weight): &(u8, u32)| {
        let spec = format!("address: 192.168.0.{}, weight: {weight}", 100 + number);
        real_server(&format!("rs{number}"), "web", &spec)
    };
    let servers = servers.iter().map(server);
    std::iter::once(virtual_service("web", &spec)).chain(servers).collect()
}

/// The destinations' numbers and weights, in the kernel's order.
fn in_order(node: &Node) -> Vec<(u8, i64)> {
    let service = node.service(WEB);
    let destinations = service.iter().flat_map(|service| &service.destinations);
    destinations
        .map(|it| {
            let address = it.address.trim_end_matches(":80");
            let address: IpAddr = address.parse().expect("an address");
            let IpAddr::V4(address) = address else { panic!("{address}") };
            (address.octets()[3] - 100, it.weight)
        })
        .collect()
}

#[track_caller]
fn has(node: &Node, wanted: &[(u8, i64)]) {
    eventually("its table", PATIENCE, || in_order(node), |found| found == wanted);
}

/// Directors, four real servers, and a hundred clients' addresses on one machine.
fn net(directors: usize) -> (Directors, Vec<String>) {
    let mut net = Directors::by_hand(directors, 4, &["192.168.0.10/32"]);
    net.listen(Server::tcp, "0.0.0.0:80");
    let clients: Vec<u8> = (120..220).collect();
    let add = |host: &u8| format!("address add 192.168.0.{host}/24 dev eth0");
    net.client.ip(&clients.iter().map(add).collect::<Vec<_>>().join("\n"));
    let sources = clients.iter().map(|host| format!("192.168.0.{host}:0")).collect();
    (net, sources)
}

#[test]
fn servers_that_came_in_another_order_move_no_client_at_a_take_over() {
    for scheduler in ["sh", "dh", "mh"] {
        println!("{scheduler}");
        in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
            let (mut net, sources) = net(2);
            let group = "failover: {preempt: false}";
            let all = objects(scheduler, &[(1, 1), (2, 1), (3, 1), (4, 1)]);
            net.apply(group, &objects(scheduler, &[(3, 1)]));
            let first = net.holder(VIP);
            net.agents[1 - first].kill();
            has(&net.nodes[first], &[(3, 1)]);
            let mut held = net.client.hold_many(WEB, 10)?;
            for servers in [&[(1, 1), (3, 1)][..], &[(1, 1), (3, 1), (4, 1)]] {
                net.apply(group, &objects(scheduler, servers));
                let wanted = |node: &Node| in_order(node).len() == servers.len();
                eventually("it is added", PATIENCE, || wanted(&net.nodes[first]), |is| *is);
                held.extend(net.client.hold_many(WEB, 10)?);
            }
            net.apply(group, &all);
            eventually("all", PATIENCE, || in_order(&net.nodes[first]).len(), |it| *it == 4);
            if scheduler != "mh" {
                has(&net.nodes[first], &[(4, 1), (3, 1), (2, 1), (1, 1)]);
            }
            held.assert_alive("all additions");
            // The other one, as an agent that was started anew, has them all at once.
            net.nodes[1 - first].sh("ipvsadm -D -t 192.168.0.10:80 || true")?;
            net.agents[1 - first].run();
            eventually("all", PATIENCE, || in_order(&net.nodes[1 - first]).len(), |it| *it == 4);
            let before = net.client.met_from(&sources, WEB)?;
            net.unplug(first);
            let moved = || net.holders(VIP);
            eventually("it has moved", PATIENCE, moved, |it| it.contains(&(1 - first)));
            let after = net.client.met_from(&sources, WEB)?;
            let moved = before.iter().zip(&after).filter(|(one, other)| one != other).count();
            println!("{scheduler}: {moved} of {} clients moved", before.len());
            assert_eq!(moved, 0, "{scheduler}: {:?} {:?}", by_server(&before), by_server(&after));
            Ok(())
        });
    }
}

#[test]
fn a_table_whose_order_somebody_has_changed_is_put_in_order_and_connections_live() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let (mut net, _) = net(1);
        net.apply("", &objects("sh", &[(1, 1), (2, 1), (3, 1), (4, 1)]));
        let holder = net.holder(VIP);
        let node = net.nodes[holder].clone();
        has(&node, &[(4, 1), (3, 1), (2, 1), (1, 1)]);
        let mut held = net.client.hold_many(WEB, 40)?;
        let counted = |node: &Node| -> anyhow::Result<u64> {
            let text = node.sh("awk '$1 == \"->\" {sum += $5} END {print sum}' /proc/net/ip_vs")?;
            Ok(text.trim().parse()?)
        };
        let before = counted(&node)?;
        assert!(before >= 40, "{before}");
        // With the kernel's own default, so that this itself ends none.
        node.sh(
            "sysctl -qw net.ipv4.vs.expire_nodest_conn=0 && ipvsadm -d -t 192.168.0.10:80 -r 192.168.0.102 && \
             ipvsadm -a -t 192.168.0.10:80 -r 192.168.0.102 -g -w 1",
        )?;
        has(&node, &[(2, 1), (4, 1), (3, 1), (1, 1)]);
        // An agent that is started anew looks at once; the audits of these are far between.
        net.agents[holder].kill();
        net.agents[holder].run();
        has(&node, &[(4, 1), (3, 1), (2, 1), (1, 1)]);
        assert_eq!(counted(&node)?, before, "as many connections as before");
        let expires = || node.read_sysctl("net.ipv4.vs.expire_nodest_conn");
        eventually("it is as it was", PATIENCE, expires, |value| value == "1");
        net.holder(VIP);
        held.assert_alive("putting in order");
        Ok(())
    });
}

#[test]
fn weights_with_a_common_divisor_leave_no_server_without_clients() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let (mut net, sources) = net(1);
        net.apply("", &objects("sh", &[(1, 100), (2, 100), (3, 100), (4, 100)]));
        let holder = net.holder(VIP);
        has(&net.nodes[holder], &[(4, 1), (3, 1), (2, 1), (1, 1)]);
        let met = by_server(&net.client.met_from(&sources, WEB)?);
        assert_eq!(met.len(), 4, "{met:?}");
        // Others have no such table.
        net.apply("", &objects("wrr", &[(1, 100), (2, 200), (3, 100), (4, 100)]));
        eventually(
            "as written",
            PATIENCE,
            || in_order(&net.nodes[holder]),
            |found| found.contains(&(2, 200)),
        );
        // Where none has, who gets no client is told.
        net.apply("", &objects("sh", &[(1, 100), (2, 101), (3, 100), (4, 100)]));
        net.agents[holder].wait_for_told(
            "web",
            "Degraded",
            "True",
            "192.168.0.101:80 gets no client",
        );
        let told = net.agents[holder].condition("web", "Available");
        assert_eq!(told.map(|(status, _)| status).as_deref(), Some("True"));
        Ok(())
    });
}
