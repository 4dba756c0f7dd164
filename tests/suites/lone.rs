//! Machines without a cluster that are directors alone become one group, and the reverse: whose the VIP is, is never in doubt.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::scenario::{Directors, Standalone, real_server, virtual_service};
use lvs_tests::traffic::Server;

const VIP: &str = "192.168.0.10";
const SIX: &str = "2001:db8::10";
const WEB: &str = "192.168.0.10:80";
/// An address's lifetime, and a second: no longer may two directors have one VIP.
const BOUND: Duration = Duration::from_secs(4);
/// Long enough for whatever is to happen to have happened.
const SETTLED: Duration = Duration::from_secs(6);

/// Two directors that know of nobody else, and each carry the VIP.
fn lone() -> Directors {
    let mut net = Directors::by_hand(2, 1, &["192.168.0.10/32", "2001:db8::10/128"]);
    net.listen(Server::tcp, "0.0.0.0:80");
    for agent in &net.agents {
        agent.put("web.yaml", web());
    }
    both_have(&net);
    net
}

fn web() -> String {
    let servers = [
        real_server("rs1", "web", "address: 192.168.0.101"),
        real_server("rs1-v6", "web", "address: '2001:db8::101'"),
    ];
    let service = virtual_service("web", &format!("addresses: [{VIP}, '{SIX}'], forwarding: DR"));
    format!("{service}---\n{}", servers.join("---\n"))
}

/// A group of both; `spec`: what else it says.
fn group(spec: &str) -> String {
    format!(
        "{{apiVersion: kube-lvs.io/v1alpha1, kind: DirectorGroup, metadata: {{name: default}}, spec: {{members: [\
         {{node: lvs1, addresses: [192.168.0.1]}}, {{node: lvs2, addresses: [192.168.0.2]}}]{spec}}}}}\n"
    )
}

fn together(net: &Directors, spec: &str) {
    for agent in &net.agents {
        agent.put("group.yaml", group(spec));
    }
}

fn alone(net: &Directors) {
    for agent in &net.agents {
        agent.put("group.yaml", only(agent));
    }
}

/// A group of this machine alone.
fn only(agent: &Standalone) -> String {
    let name = agent.folder().to_string_lossy().replace("/tmp/manifests-", "");
    format!(
        "{{apiVersion: kube-lvs.io/v1alpha1, kind: DirectorGroup, metadata: {{name: default}}, spec: {{members: [{{node: \
         {name}}}]}}}}\n"
    )
}

#[track_caller]
fn both_have(net: &Directors) {
    for vip in [VIP, SIX] {
        let what = format!("each has {vip}");
        eventually(&what, SETTLED, || net.holders(vip), |holders| holders.len() == 2);
    }
}

/// From now on within the bound one director has both VIPs, nobody calls them a stranger's, and clients are served.
#[track_caller]
fn one_has(net: &Directors, since: Instant) {
    for vip in [VIP, SIX] {
        let what = format!("one has {vip}");
        eventually(&what, BOUND, || net.holders(vip), |holders| holders.len() == 1);
    }
    let took = since.elapsed();
    assert!(took <= BOUND, "{took:?}");
    sleep(SETTLED);
    for vip in [VIP, SIX] {
        assert_eq!(net.holders(vip).len(), 1, "{vip}");
    }
    for agent in &net.agents {
        let status = agent.status().to_string();
        assert!(!status.contains("ForeignVIP"), "{status}");
    }
    let served = net.client.shares(WEB, 3).unwrap_or_else(|e| panic!("{e:#}"));
    assert_eq!(served, BTreeMap::from([("rs1".to_owned(), 3)]));
}

#[test]
fn two_lone_directors_that_become_one_group_keep_the_vip_on_one() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = lone();
        let since = Instant::now();
        together(&net, "");
        one_has(&net, since);
        // And back, and together again, more than once.
        for _ in 0..2 {
            alone(&net);
            both_have(&net);
            let since = Instant::now();
            together(&net, "");
            one_has(&net, since);
        }
        Ok(())
    });
}

#[test]
fn the_group_may_give_the_vip_another_prefix_when_it_comes_and_when_it_goes() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = lone();
        let networks = ", networks: [{cidr: 192.168.0.0/24}, {cidr: '2001:db8::/64'}]";
        let since = Instant::now();
        together(&net, networks);
        one_has(&net, since);
        let since = Instant::now();
        together(&net, "");
        one_has(&net, since);
        let since = Instant::now();
        together(&net, networks);
        one_has(&net, since);
        alone(&net);
        both_have(&net);
        Ok(())
    });
}

#[test]
fn agents_that_were_started_anew_since_they_were_alone_know_their_own() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut net = lone();
        // Killed: nothing was told to anybody.
        for agent in &mut net.agents {
            agent.kill();
        }
        together(&net, "");
        for agent in &mut net.agents {
            agent.run();
        }
        one_has(&net, Instant::now());
        // Started anew while alone, and told while they run.
        alone(&net);
        both_have(&net);
        for agent in &mut net.agents {
            agent.stop();
            agent.run();
        }
        sleep(SETTLED);
        both_have(&net);
        let since = Instant::now();
        together(&net, "");
        one_has(&net, since);
        Ok(())
    });
}

fn nobody_has(net: &Directors) {
    sleep(SETTLED);
    for vip in [VIP, SIX] {
        assert_eq!(net.holders(vip), [] as [usize; 0], "{vip}");
    }
}

#[test]
fn a_group_that_cannot_be_read_makes_no_machine_a_lone_director() {
    let guest = Guest::kernel().virtual_time().limit(Duration::from_secs(300));
    in_guest(guest, || -> anyhow::Result<()> {
        let mut net = Directors::by_hand(2, 1, &["192.168.0.10/32", "2001:db8::10/128"]);
        net.listen(Server::tcp, "0.0.0.0:80");
        let misspelt = group("").replace("lvs2, addresses", "lvs2, addres");
        for agent in &net.agents {
            agent.put("group.yaml", &misspelt);
            agent.put("web.yaml", web());
        }
        nobody_has(&net);
        for agent in &net.agents {
            agent.wait_for_error("group.yaml", "spec.members[1].addres: unknown field");
            agent.wait_for_error("group.yaml", "no VIP is claimed");
            assert!(agent.log().contains("no VIP is claimed"), "{}", agent.log());
        }
        // Nor half of one, nor an empty file, nor after a restart.
        let whole = group("");
        for half in [&whole[..whole.len() / 2], &whole[..20], "", "kind: Direct"] {
            for agent in &mut net.agents {
                agent.put("group.yaml", half);
                agent.stop();
                agent.run();
            }
            nobody_has(&net);
            net.agents[0].wait_for_error("group.yaml", "no VIP is claimed");
        }
        let since = Instant::now();
        together(&net, "");
        one_has(&net, since);
        for agent in &net.agents {
            assert_eq!(agent.status()["errors"], serde_json::json!([]));
        }
        Ok(())
    });
}

#[test]
fn a_group_that_was_known_goes_on_whatever_becomes_of_its_file() {
    let guest = Guest::kernel().virtual_time().limit(Duration::from_secs(300));
    in_guest(guest, || -> anyhow::Result<()> {
        let mut net = Directors::by_hand(2, 1, &["192.168.0.10/32", "2001:db8::10/128"]);
        net.listen(Server::tcp, "0.0.0.0:80");
        together(&net, "");
        for agent in &net.agents {
            agent.put("web.yaml", web());
        }
        one_has(&net, Instant::now());
        let misspelt = group("").replace("lvs2, addresses", "lvs2, addres");
        for bad in [misspelt.as_str(), "", &misspelt[..40]] {
            for agent in &mut net.agents {
                agent.put("group.yaml", bad);
                agent.wait_for_error("group.yaml", "");
            }
            one_has(&net, Instant::now());
            for agent in &mut net.agents {
                agent.kill();
                agent.run();
            }
            sleep(SETTLED);
            one_has(&net, Instant::now());
        }
        // Its file is gone; and comes again under another name, not whole.
        for agent in &mut net.agents {
            agent.remove("group.yaml");
            agent.wait_for_error("", "DirectorGroup default is in no file any more");
        }
        one_has(&net, Instant::now());
        for agent in &mut net.agents {
            agent.stop();
            agent.put("directors.yaml", &misspelt);
            agent.run();
        }
        sleep(SETTLED);
        one_has(&net, Instant::now());
        // In two files: the first by name counts, on both machines.
        together(&net, "");
        for agent in &net.agents {
            agent.put("a.yaml", only(agent).replace("name: default", "name: other"));
            agent.put("directors.yaml", group(", failover: {preempt: false}"));
            agent.wait_for_error("group.yaml", "DirectorGroup default is in directors.yaml too");
        }
        one_has(&net, Instant::now());
        Ok(())
    });
}

#[test]
fn directors_may_speak_by_their_link_local_addresses() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut net = Directors::by_hand(2, 1, &["192.168.0.10/32", "2001:db8::10/128"]);
        net.listen(Server::tcp, "0.0.0.0:80");
        // Two interfaces with one MAC address have one link-local address.
        for node in &net.nodes {
            let mac = node.mac("eth0");
            node.ip(&format!("link add vlan7 type dummy\nlink set vlan7 address {mac} up"));
        }
        let local = |index: usize| {
            let shown = net.nodes[index].sh("ip -6 -o address show dev eth0 scope link")?;
            let words = shown.split_whitespace().find(|word| word.starts_with("fe80::"));
            anyhow::Ok(words.unwrap_or_default().split('/').next().unwrap_or_default().to_owned())
        };
        let group = format!(
            "{{apiVersion: kube-lvs.io/v1alpha1, kind: DirectorGroup, metadata: {{name: default}}, spec: {{members: [\
             {{node: lvs1, addresses: ['{}']}}, {{node: lvs2, addresses: ['{}']}}], failover: {{interface: eth0}}}}}}\n",
            local(0)?,
            local(1)?
        );
        for agent in &net.agents {
            agent.put("group.yaml", &group);
            agent.put("web.yaml", web());
        }
        one_has(&net, Instant::now() + SETTLED);
        let first = net.holder(VIP);
        net.unplug(first);
        let moved = || net.holders(VIP);
        eventually("it has moved", BOUND, moved, |holders| *holders == [1 - first]);
        let status = net.agents[1 - first].status().to_string();
        assert!(!status.contains("NoInterface") && !status.contains("NoAddress"), "{status}");
        Ok(())
    });
}
