//! Served: what a client meets, by the word of a director that stands by and asks as clients do.

mod counts;
mod others;
mod places;

use std::thread::sleep;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::scenario::{Directors, virtual_service};
use lvs_tests::traffic::Server;
use lvs_tests::wait_for;

const VIP: &str = "192.168.0.10";
const WEB: &str = "192.168.0.10:80";
/// From a broken path to Served=False, and back.
const PROMISE: Duration = Duration::from_secs(10);

/// Two directors and one DR real server with the VIP on `lo`, on one link; `web` is served.
fn dr() -> Directors {
    let mut net = Directors::by_hand(2, 1, &["192.168.0.10/32"]);
    net.listen(Server::tcp, "0.0.0.0:80");
    let mut objects = net.real_servers(false, "weight: 1");
    objects.push(virtual_service("web", &format!("addresses: [{VIP}], ports: [{{port: 80}}]")));
    net.apply("", &objects);
    net
}

/// Two directors between two networks and one real server behind their gateway.
fn nat() -> Directors {
    let mut net = Directors::nat(2, 1);
    net.listen(Server::tcp, "0.0.0.0:8080");
    let mut objects = net.real_servers(false, "weight: 1");
    let spec =
        format!("addresses: [{VIP}], forwarding: NAT, ports: [{{port: 80, targetPort: 8080}}]");
    objects.push(virtual_service("web", &spec));
    net.apply("", &objects);
    net
}

/// What the director that stands by says of `web`, once it is that; within the promise.
#[track_caller]
fn says(net: &Directors, asks: usize, status: &str, part: &str) {
    let what = format!("web is Served={status} and tells of {part:?}");
    wait_for(&what, PROMISE, || match net.agents[asks].condition("web", "Served") {
        Some((found, told)) if found == status && told.contains(part) => Ok(()),
        found => Err((found, net.agents[asks].log())),
    });
}

#[test]
fn a_director_that_stands_by_tells_whether_the_other_one_serves() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = dr();
        let carrier = net.holder(VIP);
        let asks = 1 - carrier;
        says(&net, asks, "True", &format!("lvs{} was answered in", asks + 1));
        net.agents[asks].wait_for_told("web", "Available", "True", "Clients are served");
        // Who carries it cannot ask itself.
        says(&net, carrier, "Unknown", "its own status file");
        assert!(net.agents[asks].log().contains("Served=True"));
        // Clean: no connection is left half open, and none was reset.
        sleep(Duration::from_secs(10));
        let server = &net.servers[0];
        let left = server.sh("cat /proc/net/tcp /proc/net/tcp6")?;
        let half = left.lines().filter(|line| line.contains(":0050 ") && !line.contains(" 0A "));
        assert_eq!(half.count(), 0, "{left}");
        for line in
            server.sh("nstat -az TcpEstabResets TcpAttemptFails TcpExtTCPAbortOnData")?.lines()
        {
            assert!(line.starts_with('#') || line.contains(" 0 "), "{line}");
        }
        let sent = net.nodes[asks].sh("nstat -az TcpOutRsts")?;
        assert!(
            sent.lines().any(|line| line.starts_with("TcpOutRsts") && line.contains(" 0 ")),
            "{sent}"
        );
        Ok(())
    });
}

/// The trap: the kernel of a director that stands by would balance its own connections by its own table.
#[test]
fn a_director_whose_table_is_empty_is_found_although_the_others_is_full() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = dr();
        let carrier = net.holder(VIP);
        let asks = 1 - carrier;
        says(&net, asks, "True", "was answered");
        net.nodes[carrier].sh("ipvsadm -C")?;
        assert!(net.nodes[asks].service(WEB).is_some());
        assert!(net.client.get(WEB).is_err());
        says(&net, asks, "False", &format!("lvs{}", carrier + 1));
        net.agents[asks].wait_for_told("web", "Available", "False", "not served");
        Ok(())
    });
}

#[test]
fn a_take_over_leaves_it_served_and_the_other_one_asks() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut net = nat();
        let carrier = net.holder(VIP);
        let asks = 1 - carrier;
        says(&net, asks, "True", "was answered");
        net.agents[carrier].stop();
        sleep(Duration::from_secs(2));
        assert_eq!(net.holder(VIP), asks);
        net.agents[carrier].run();
        says(&net, carrier, "True", "was answered");
        Ok(())
    });
}

#[test]
fn ipv6_is_asked_too() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut net = Directors::by_hand(2, 1, &["2001:db8::10/128"]);
        net.listen(Server::tcp, "[::]:80");
        let mut objects = net.real_servers(true, "weight: 1");
        let spec = "addresses: ['2001:db8::10'], ports: [{port: 80}]";
        objects.push(virtual_service("web", spec));
        net.apply("", &objects);
        let carrier = net.holder("2001:db8::10");
        says(&net, 1 - carrier, "True", "was answered");
        net.servers[0].ip("addr del 2001:db8::10/128 dev lo");
        says(&net, 1 - carrier, "False", "2001:db8::10 TCP/80");
        Ok(())
    });
}
