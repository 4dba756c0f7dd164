//! Machines behind a NAT gateway reach others by themselves, where the gateway masquerades.

use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::scenario::{Directors, virtual_service};
use lvs_tests::traffic::{Client, Server};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn real_servers_have_a_way_out_and_clients_are_seen_as_before() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut world = Directors::nat(2, 1);
        let mut objects = world.real_servers(false, "weight: 1");
        objects.extend(world.real_servers(true, "weight: 1"));
        let spec =
            "addresses: [192.168.0.10, '2001:db8::10'], forwarding: NAT, ports: [{port: 80}]";
        objects.push(virtual_service("web", spec));
        let gateways = |masquerade: &str| {
            format!(
                "natGateways: [{{address: 10.0.0.254/16{masquerade}}}, {{address: 'fd00::fe/64'{masquerade}}}]"
            )
        };
        world.apply(&gateways(", masquerade: true"), &objects);
        for node in world.servers.iter().chain([&world.client]) {
            node.sh("sysctl -qw net.ipv6.bindv6only=1")?;
        }
        world.listen(Server::tcp, "0.0.0.0:80");
        world.listen(Server::tcp, "[::]:80");
        let elsewhere =
            ["0.0.0.0:8088", "[::]:8088"].map(|at| Server::tcp(&world.client, at, "elsewhere"));
        let outside = ["192.168.0.50:8088", "[2001:db8::50]:8088"];
        let inside = ["192.168.0.10:80", "[2001:db8::10]:80"];
        // Who is seen elsewhere, and who by the real server.
        let seen = |world: &Directors| -> Option<Vec<String>> {
            let out = outside.map(|at| Client::new(&world.servers[0]).get(at));
            let through = inside.map(|at| Client::new(&world.client).get(at));
            let peer = |answer: anyhow::Result<lvs_tests::traffic::Answer>| {
                answer.ok().map(|answer| answer.seen_source.ip().to_string())
            };
            out.into_iter().chain(through).map(peer).collect()
        };
        let mut holder = world.holder("192.168.0.10");
        for round in 0..2 {
            let number = holder + 1;
            let expected = [
                format!("192.168.0.{number}"),
                format!("2001:db8::{number}"),
                "192.168.0.50".to_owned(),
                "2001:db8::50".to_owned(),
            ];
            eventually(
                "all have a way",
                SOON,
                || seen(&world),
                |it| it.as_deref() == Some(&expected),
            );
            if round == 0 {
                world.unplug(holder);
                holder = 1 - holder;
                let holders = || world.holders("10.0.0.254");
                eventually("the other has it", SOON, holders, |it| it.contains(&holder));
            }
        }
        // Nobody asked for it by default.
        world.again(&gateways(""));
        let table = || world.nodes[holder].sh("nft list table inet kube-lvs").unwrap_or_default();
        eventually("no more of it", SOON, table, |it| !it.contains("outgoing"));
        anyhow::ensure!(Client::new(&world.servers[0]).get(outside[0]).is_err());
        let at = inside[0];
        anyhow::ensure!(
            Client::new(&world.client).get(at)?.seen_source.ip().to_string() == "192.168.0.50"
        );
        drop(elsewhere);
        Ok(())
    });
}
