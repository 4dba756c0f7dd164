//! Settings of the node that others have made, by which clients are not served: each is named while it does harm.

use std::thread::sleep;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{NatNet, Standalone, director_group, real_server, virtual_service};
use lvs_tests::traffic::{Client, Server};

const WEB: &str = "192.168.0.10:80";
/// Longer than two lost packets take.
const SHORT: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn arp_that_a_director_does_not_answer_is_told_with_the_setting() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let director = Node::new("director").on(&lan, "eth0", "192.168.0.1/24");
        let client = Node::new("client").on(&lan, "eth0", "192.168.0.50/24");
        let rs1 = Node::new("rs1")
            .on(&lan, "eth0", "192.168.0.101/24")
            .sysctl("net.ipv4.conf.all.arp_ignore", "1")
            .sysctl("net.ipv4.conf.all.arp_announce", "2");
        rs1.ip("addr add 192.168.0.10/32 dev lo");
        let _web = Server::tcp(&rs1, WEB, "rs1");
        let agent = Standalone::start(&director);
        let objects = [
            virtual_service("web", "addresses: [192.168.0.10]"),
            real_server("rs1", "web", "address: 192.168.0.101"),
        ];
        agent.put("web.yaml", objects.join("---\n"));
        agent.wait_for("web", "Available", "True");
        let asked = || {
            client.sh("ip neigh flush all").expect("ip");
            Client::new(&client).patience(SHORT).get(WEB)
        };
        asked()?;
        for (of, value, served) in [
            ("eth0", 8, false),
            ("all", 8, false),
            ("eth0", 3, false),
            ("all", 1, true),
            ("eth0", 2, true),
        ] {
            let name = format!("net.ipv4.conf.{of}.arp_ignore");
            director.sh(&format!("sysctl -q -w {name}={value}"))?;
            sleep(Duration::from_secs(5));
            let answer = asked();
            assert_eq!(answer.is_ok(), served, "{name}={value}: {answer:?}");
            if served {
                agent.wait_for("web", "Degraded", "False");
            } else {
                let told = format!("{name} is {value}");
                agent.wait_for_told("web", "Degraded", "True", &told);
                println!("{:?}", agent.condition("web", "Degraded"));
            }
            director.sh(&format!("sysctl -q -w {name}=0"))?;
            agent.wait_for("web", "Degraded", "False");
            asked()?;
        }
        Ok(())
    });
}

#[test]
fn nat_answers_that_go_no_further_are_told_with_the_setting() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = NatNet::new();
        let agent = Standalone::start(&net.director);
        agent.put_example("nat.yaml");
        agent.wait_for("web", "Available", "True");
        let asked = || Client::new(&net.client).patience(SHORT).get(NatNet::WEB);
        asked()?;
        net.director.sh("sysctl -q -w net.ipv4.conf.eth0.forwarding=0")?;
        assert!(asked().is_err());
        agent.wait_for_told("web", "Degraded", "True", "net.ipv4.conf.eth0.forwarding is 0");
        net.director.sh("sysctl -q -w net.ipv4.conf.eth0.forwarding=1")?;
        agent.wait_for("web", "Degraded", "False");
        asked()?;

        // Clients come in where the VIP is, and the director's own way to them leads elsewhere.
        net.director
            .sh("sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth1.rp_filter=1 && \
             ip route add 203.0.113.0/24 via 10.0.0.101")?;
        sleep(Duration::from_secs(3));
        assert!(asked().is_err() && asked().is_err());
        let told = || agent.status().to_string();
        let names = |text: &String| text.contains("net.ipv4.conf.eth1.rp_filter");
        let text = eventually("the filter is told", PATIENCE, told, names);
        assert!(text.contains("ReversePathFilter"), "{text}");
        net.director.sh("ip route del 203.0.113.0/24")?;
        asked()?;
        eventually("and no more", Duration::from_secs(90), told, |text| !names(text));
        Ok(())
    });
}

#[test]
fn who_clears_the_table_again_and_again_is_told() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = NatNet::new();
        let agent = Standalone::start(&net.director);
        agent.put_example("nat.yaml");
        agent.put("group.yaml", director_group("other", ""));
        agent.wait_for("web", "Available", "True");
        let told = || agent.status().to_string();
        for time in 1..=3 {
            net.director.sh("ipvsadm -C")?;
            let back = || net.director.service(NatNet::WEB);
            eventually("it is put back", PATIENCE, back, Option::is_some);
            let expected = format!("taken out of the kernel {time} times in 1 min");
            sleep(Duration::from_secs(3));
            assert_eq!(told().contains(&expected), time > 1, "{time}: {}", told());
        }
        net.client.get(NatNet::WEB)?;
        sleep(Duration::from_secs(11 * 60));
        assert!(!told().contains("TableCleared"));
        Ok(())
    });
}
