//! FTP, with vsftpd and curl: active and passive, direct and masqueraded. Two servers hold the same file, and one each
//! that tells them apart.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Daemon, Link, Node};
use lvs_tests::scenario::Standalone;
use lvs_tests::wait_for;

const SETTLED: Duration = Duration::from_secs(1);
const DR_VIP: &str = "192.168.0.36";
const NAT_VIP: &str = "192.168.0.37";

/// How data goes.
const PASSIVE: &str = "--ftp-pasv";
const OLD_PASSIVE: &str = "--ftp-pasv --disable-epsv";
const ACTIVE: &str = "--ftp-port -";
const OLD_ACTIVE: &str = "--ftp-port - --disable-eprt";

/// What both servers have, 300 KB that repeat late.
fn contents() -> Vec<u8> {
    (0..75_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect()
}

/// An FTP server for everybody in a node, at port 21 of whatever address, with passive ports from 20000 to 20999.
fn ftp_server(node: &Node) -> Daemon {
    let name = node.name();
    let root = format!("/tmp/ftp-{name}");
    let (empty, config) = (format!("/tmp/empty-{name}"), format!("/tmp/vsftpd-{name}.conf"));
    let written = fs::create_dir_all(&root)
        .and_then(|()| fs::create_dir_all(&empty))
        .and_then(|()| fs::write(Path::new(&root).join("data"), contents()))
        .and_then(|()| fs::write(Path::new(&root).join("who"), name))
        .and_then(|()| {
            fs::write(
                &config,
                format!(
                    "listen=YES\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\nno_anon_password=YES\n\
                     anon_root={root}\nsecure_chroot_dir={empty}\nconnect_from_port_20=YES\nport_enable=YES\n\
                     pasv_min_port=20000\npasv_max_port=20999\nseccomp_sandbox=NO\nisolate=NO\nisolate_network=NO\n\
                     nopriv_user=nobody\n"
                ),
            )
        });
    written.unwrap_or_else(|e| panic!("{root}: {e}"));
    let daemon = node.spawn(Command::new("vsftpd").arg(&config));
    wait_for("vsftpd listens", Duration::from_secs(10), || {
        let listening = node.sh("ss -Hltn sport = :21").unwrap_or_default();
        if listening.is_empty() { Err(daemon.log()) } else { Ok(()) }
    });
    daemon
}

/// Fetches a file with curl, speaking from an address of the node.
fn fetch(client: &Node, from: &str, how: &str, vip: &str, file: &str) -> anyhow::Result<Vec<u8>> {
    let target = format!("/tmp/fetched-{file}");
    let _ = fs::remove_file(&target);
    client
        .sh(&format!(
            "curl -sS -v --max-time 10 --interface {from} {how} -o {target} ftp://{vip}/{file} 2>/tmp/curl.log || \
             {{ cat /tmp/curl.log >&2; exit 1; }}"
        ))
        .with_context(|| format!("{how} from {from}"))?;
    Ok(fs::read(&target)?)
}

/// Fetches the common file and then twice the other one, each over a control connection of its own: the servers' names.
fn session(client: &Node, from: &str, how: &str, vip: &str) -> anyhow::Result<Vec<String>> {
    let data = fetch(client, from, how, vip, "data")?;
    ensure!(data == contents(), "{how} from {from}: {} bytes that are not the file", data.len());
    (0..2).map(|_| Ok(String::from_utf8(fetch(client, from, how, vip, "who")?)?)).collect()
}

/// Which servers each of a few clients meets; each has to get its files.
fn sessions(client: &Node, how: &str, vip: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let from = |host: u8| {
        let mut met = session(client, &format!("172.20.1.{host}"), how, vip)?;
        met.sort();
        met.dedup();
        Ok(met)
    };
    let mut met = (1..=4).map(from).collect::<anyhow::Result<Vec<_>>>()?;
    met.sort();
    met.dedup();
    Ok(met)
}

fn client(lan: &Link) -> Node {
    let client = Node::new("client").on(lan, "eth0", "192.168.0.50/24");
    client.ip("route add local 172.20.0.0/16 dev lo");
    client
}

#[track_caller]
fn example(agent: &Standalone, name: &str, edit: impl FnOnce(String) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/{name}.yaml"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    agent.put("ftp.yaml", edit(text));
    sleep(SETTLED);
    agent.wait_for(name, "Programmed", "True");
}

#[test]
fn with_direct_routing_all_ports_are_one_service() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let client = client(&lan);
        let director = Node::new("director")
            .on(&lan, "eth0", "192.168.0.1/24")
            .route("172.20.0.0/16 via 192.168.0.50");
        let mut servers = Vec::new();
        for number in 1..=2 {
            let node = Node::new(&format!("rs{number}"))
                .on(&lan, "eth0", &format!("192.168.0.10{number}/24"))
                .route("172.20.0.0/16 via 192.168.0.50")
                .sysctl("net.ipv4.conf.all.arp_ignore", "1")
                .sysctl("net.ipv4.conf.all.arp_announce", "2");
            node.ip(&format!("addr add {DR_VIP}/32 dev lo"));
            servers.push(ftp_server(&node));
        }
        let agent = Standalone::start(&director);
        let scheduler =
            |text: String| text.replace("forwarding: DR", "forwarding: DR\n  scheduler: rr");
        example(&agent, "ftp-dr", scheduler);
        for how in [PASSIVE, OLD_PASSIVE, ACTIVE, OLD_ACTIVE] {
            assert_eq!(sessions(&client, how, DR_VIP)?, [["rs1"], ["rs2"]], "{how}");
        }

        // What each part of the example is for.
        let without_20 = |text: String| {
            let shorter = text.replace("  - name: active\n    port: 20\n", "");
            assert_ne!(shorter, text);
            scheduler(shorter)
        };
        example(&agent, "ftp-dr", without_20);
        session(&client, "172.20.2.1", PASSIVE, DR_VIP)?;
        assert!(session(&client, "172.20.2.1", ACTIVE, DR_VIP).is_err(), "answers to port 20");
        let without_persistence = |text: String| {
            let shorter = text.replace("  persistence:\n    timeoutSeconds: 360\n", "");
            assert_ne!(shorter, text);
            scheduler(shorter)
        };
        example(&agent, "ftp-dr", without_persistence);
        // After EPSV that fails curl tries PASV, whose data meet the right one again.
        let met = session(&client, "172.20.2.2", OLD_PASSIVE, DR_VIP);
        assert!(met.is_err(), "data meet the other one: {met:?}");
        Ok(())
    });
}

/// A director between the client and servers behind NAT.
fn behind_nat() -> (Node, Standalone, Node, Vec<Node>) {
    let (outside, inside) = (Link::new("outside"), Link::new("inside"));
    let client = client(&outside);
    let director = Node::new("director")
        .on(&outside, "eth0", "192.168.0.1/24")
        .on(&inside, "eth1", "10.0.0.1/24")
        .route("172.20.0.0/16 via 192.168.0.50");
    let servers = (1..=2).map(|number| {
        Node::new(&format!("rs{number}"))
            .on(&inside, "eth0", &format!("10.0.0.10{number}/24"))
            .route("default via 10.0.0.1")
    });
    let servers = servers.collect();
    let agent = Standalone::start(&director);
    (client, agent, director, servers)
}

#[test]
fn with_nat_the_director_reads_along() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let (client, agent, director, nodes) = behind_nat();
        let _servers: Vec<_> = nodes.iter().map(ftp_server).collect();
        example(&agent, "ftp-nat", |text| {
            text.replace("forwarding: NAT", "forwarding: NAT\n  scheduler: rr")
        });
        for how in [PASSIVE, OLD_PASSIVE, ACTIVE, OLD_ACTIVE] {
            assert_eq!(sessions(&client, how, NAT_VIP)?, [["rs1", "rs2"]], "{how}");
        }
        fetch(&client, "172.20.1.1", OLD_PASSIVE, NAT_VIP, "who")?;
        let log = fs::read_to_string("/tmp/curl.log")?;
        assert!(log.contains("227 Entering Passive Mode (192,168,0,37,"), "{log}");
        assert_eq!(
            director.read_sysctl("net.ipv4.vs.conntrack"),
            "1",
            "it rewrites through netfilter"
        );
        let (degraded, told) = agent.condition("ftp-nat", "Degraded").context("a condition")?;
        assert_eq!(degraded, "False", "{told}");
        Ok(())
    });
}

#[test]
fn a_kernel_without_ip_vs_ftp_is_told_by_its_name() {
    in_guest(Guest::debian().without_module("ip_vs_ftp"), || -> anyhow::Result<()> {
        let (_client, agent, _director, _nodes) = behind_nat();
        example(&agent, "ftp-nat", |text| text);
        agent.wait_for_told("ftp-nat", "Degraded", "True", "modprobe ip_vs_ftp");
        Ok(())
    });
}
