//! A real DNS server and client, the case that single datagrams are for.

use std::collections::BTreeMap;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::{Daemon, Node};
use lvs_tests::scenario::{Flat, virtual_service};
use lvs_tests::wire::Capture;

/// Which server answered, and one address that all give alike.
const WHO: &str = "who.example.com TXT";
const WWW: &str = "www.example.com A";
/// The answer is longer than a datagram of a client without EDNS may be.
const LONG: &str = "long.example.com TXT";

/// dnsmasq, which knows its name.
fn dns_server(node: &Node) -> Daemon {
    let mut server = node.command("dnsmasq");
    server.args(["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file"]);
    server.args(["--no-resolv", "--no-hosts", "--bind-interfaces"]);
    server.args(["--listen-address", Flat::VIP, "--host-record=www.example.com,198.51.100.7"]);
    server.arg(format!("--txt-record=who.example.com,{}", node.name()));
    for number in 0..5 {
        server.arg(format!("--txt-record=long.example.com,{number}{}", "x".repeat(200)));
    }
    node.spawn(&mut server)
}

/// What dig prints of questions, asked one after the other, each from the same port.
fn dig(
    client: &Node,
    port: u16,
    options: &str,
    question: &str,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    let questions = format!("{question} ").repeat(count);
    let from = format!("-b 192.168.0.50#{port} +tries=1 +time=2 +short {options}");
    let said = client.sh(&format!("dig @{} {from} {questions}", Flat::VIP))?;
    Ok(said.lines().map(|line| line.trim_matches('"').to_owned()).collect())
}

fn counts(lines: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.as_str()).or_default() += 1;
    }
    counts
}

#[test]
fn each_dns_query_is_balanced_and_answered_from_the_vip() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut flat = Flat::new(3);
        let of = |name: &str, port: &str| {
            let spec = format!("addresses: [{}], scheduler: rr, ports: [{port}]", Flat::VIP);
            virtual_service(name, &spec).replace(&format!("app: {name}"), "app: web")
        };
        let udp = of("dns-udp", "{port: 53, protocol: UDP}");
        let tcp = of("dns-tcp", "{port: 53}");
        let objects = |udp: &str| {
            let mut objects = vec![udp.to_owned(), tcp.clone()];
            objects.extend(flat.real_servers(false, &["weight: 1"; 3]));
            objects
        };
        let one_packet = udp.replace("scheduler: rr", "scheduler: rr, onePacket: true");
        let (plain, single) = (objects(&udp), objects(&one_packet));
        flat.apply("", &["dns-udp", "dns-tcp"], &plain);
        let _servers: Vec<_> = flat.nodes.iter().map(dns_server).collect();
        eventually(
            "every server answers",
            std::time::Duration::from_secs(10),
            || {
                flat.nodes.iter().all(|node| {
                    node.sh(&format!("dig @{} +tries=1 +time=1 {WWW}", Flat::VIP)).is_ok()
                })
            },
            |all| *all,
        );

        // Without onePacket a resolver that asks from one port is one connection.
        let met = dig(&flat.client, 40_000, "", WHO, 6)?;
        assert_eq!(counts(&met).len(), 1, "{met:?}");

        flat.apply("", &["dns-udp", "dns-tcp"], &single);
        let at_client = Capture::start(&flat.client);
        let met = dig(&flat.client, 40_001, "", WHO, 9)?;
        assert_eq!(counts(&met), [("rs1", 3), ("rs2", 3), ("rs3", 3)].into(), "from one port");
        let met = dig(&flat.client, 0, "", WHO, 9)?;
        assert_eq!(counts(&met), [("rs1", 3), ("rs2", 3), ("rs3", 3)].into(), "from many ports");
        let all = dig(&flat.client, 40_001, "", WWW, 9)?;
        assert_eq!(counts(&all), [("198.51.100.7", 9)].into());
        let answers: Vec<_> =
            at_client.frames().into_iter().filter(|frame| frame.is_from(Flat::VIP)).collect();
        let macs = flat.macs();
        assert_eq!(answers.len(), 27);
        assert!(answers.iter().all(|frame| macs.contains(&frame.source_mac)), "past the director");
        // Ports are in hexadecimal there: the query of port 40000 left an entry, those of 40001 none.
        let entries = flat.director.sh("cat /proc/net/ip_vs_conn")?;
        assert!(entries.contains(" 9C40 "), "{entries}");
        assert!(!entries.contains(" 9C41 "), "{entries}");

        // TCP, on the same VIP and port: on purpose, and where an answer does not fit a datagram.
        let met = dig(&flat.client, 0, "+tcp", WHO, 6)?;
        assert_eq!(counts(&met), [("rs1", 2), ("rs2", 2), ("rs3", 2)].into(), "over TCP");
        let long = dig(&flat.client, 0, "+noedns", LONG, 1)?;
        assert_eq!(long.len(), 5, "{long:?}");
        let cut = dig(&flat.client, 0, "+noedns +ignore", LONG, 1)?;
        assert!(cut.len() < 5, "it needed TCP: {cut:?}");
        Ok(())
    });
}
