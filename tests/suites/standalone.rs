//! `lvs-agent --manifests DIR`: both examples from files, and files with mistakes.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{DrNet, NatNet, Standalone};
use lvs_tests::table::NodeState;
use lvs_tests::traffic::Client;

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn the_dr_example_from_a_file() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = DrNet::new();
        let before = NodeState::of(&net.director);
        net.rs1.sh(
            "sysctl -q -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2 && \
             ip address add 192.168.0.10/32 dev lo",
        )?;
        let mut agent = Standalone::start(&net.director);
        agent.put_example("dr.yaml");
        agent.wait_for("web", "Available", "True");
        assert!(net.director.addresses().contains("eth0 192.168.0.10/24"));

        let text = fs::read_to_string(agent.folder().join("dr.yaml"))?;
        let text = text.replace("  persistence:\n    timeoutSeconds: 300\n", "");
        agent.put("dr.yaml", &text);
        let flags = || net.director.service(DrNet::WEB).map(|service| service.flags);
        eventually("persistence is off", PATIENCE, flags, |flags| flags.as_deref() == Some(""));
        let shares = net.client.shares(DrNet::WEB, 30)?;
        let expected = [("director".to_owned(), 20), ("rs1".to_owned(), 10)];
        assert_eq!(shares, expected.into());

        agent.put("dr.yaml", text.replace("weight: 5", "weight: 10"));
        let weight = || {
            let service = net.director.service(DrNet::WEB).expect("the service");
            service.destination("192.168.0.101:80").weight
        };
        eventually("the weight is 10", PATIENCE, weight, |weight| *weight == 10);
        assert_eq!(net.client.shares(DrNet::WEB, 30)?["rs1"], 15);

        agent.remove("dr.yaml");
        eventually("it is gone", PATIENCE, || net.director.service(DrNet::WEB), Option::is_none);
        agent.clean_up();
        NodeState::of(&net.director).assert_same_as(&before);
        Ok(())
    });
}

#[test]
fn the_nat_example_from_a_file() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = NatNet::new();
        let before = NodeState::of(&net.director);
        let mut agent = Standalone::start(&net.director);
        agent.put_example("nat.yaml");
        agent.wait_for("web", "Available", "True");
        let addresses = net.director.addresses();
        assert!(addresses.contains("eth0 10.0.0.234/24"), "{addresses:?}");
        assert!(addresses.contains("eth1 211.47.13.234/24"), "{addresses:?}");
        let answer = net.client.get(NatNet::WEB)?;
        assert_eq!(answer.seen_source.ip().to_string(), NatNet::CLIENT);
        agent.clean_up();
        NodeState::of(&net.director).assert_same_as(&before);
        Ok(())
    });
}

/// A service with one real server, 192.168.0.101.
fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: kube-lvs.io/v1alpha1\nkind: VirtualService\nmetadata:\n  name: {name}\nspec:\n  \
         addresses: [192.168.0.10]\n  ports:\n  - port: {port}\n  realServers:\n    selector:\n      \
         matchLabels: {{app: web}}\n"
    )
}

const REAL_SERVER: &str = "apiVersion: kube-lvs.io/v1alpha1\nkind: RealServer\nmetadata:\n  name: rs1\n  labels: {app: \
                           web}\nspec:\n  address: 192.168.0.101\n";

#[test]
fn one_bad_file_stops_no_other_and_keeps_its_last_good_objects() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let director = Node::new("director").on(&lan, "eth0", "192.168.0.1/24");
        let mut agent = Standalone::start(&director);
        let ports = || -> Vec<String> {
            let mut all: Vec<_> = director.services().into_iter().map(|s| s.address).collect();
            all.sort();
            all
        };
        let wait = |expected: &[&str]| {
            eventually(&format!("{expected:?}"), PATIENCE, ports, |found| found == expected);
        };
        agent.put("good.yaml", format!("{}---\n{REAL_SERVER}", service("good", 80)));
        agent.put("other.yaml", service("other", 81));
        wait(&["192.168.0.10:80", "192.168.0.10:81"]);
        agent.wait_for("good", "Programmed", "True");

        // Of two documents one is bad: the good one counts.
        agent.put("two.yaml", format!("{}---\nkind: Nonsense\n", service("two", 82)));
        wait(&["192.168.0.10:80", "192.168.0.10:81", "192.168.0.10:82"]);
        agent.wait_for_error("two.yaml", "apiVersion");

        for (bad, told) in [
            ("kind:\tx\n\tname: y\n".to_owned(), "tab"),
            (service("other", 81).replace("realServers:", "realServers: ["), "not YAML"),
            (service("other", 81).split_at(120).0.to_owned(), ""),
            (service("other", 81).replace("port: 81", "port: 65536"), "spec.ports[0].port"),
            ("#".repeat(10 << 20), "bytes"),
            (String::new(), "empty"),
        ] {
            agent.put("other.yaml", &bad);
            agent.wait_for_error("other.yaml", told);
            wait(&["192.168.0.10:80", "192.168.0.10:81", "192.168.0.10:82"]);
        }
        // Also over a restart.
        agent.put("other.yaml", "kind: [");
        agent.wait_for_error("other.yaml", "");
        agent.stop();
        agent.run();
        agent.put("new.yaml", service("new", 83));
        wait(&["192.168.0.10:80", "192.168.0.10:81", "192.168.0.10:82", "192.168.0.10:83"]);

        agent.put("other.yaml", service("other", 90));
        wait(&["192.168.0.10:80", "192.168.0.10:82", "192.168.0.10:83", "192.168.0.10:90"]);
        agent.remove("two.yaml");
        wait(&["192.168.0.10:80", "192.168.0.10:83", "192.168.0.10:90"]);

        // As editors write, and as a ConfigMap is mounted.
        fs::write("/tmp/edited", service("other", 91))?;
        fs::rename("/tmp/edited", agent.folder().join("other.yaml"))?;
        wait(&["192.168.0.10:80", "192.168.0.10:83", "192.168.0.10:91"]);
        let status = agent.status();
        assert_eq!(status["errors"], serde_json::json!([]), "{status}");
        Ok(())
    });
}

#[test]
fn a_folder_that_is_replaced_or_away_is_followed() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let director = Node::new("director").on(&lan, "eth0", "192.168.0.1/24");
        let mut agent = Standalone::start(&director);
        let has = |address: &str| director.service(address).is_some();
        agent.put("a.yaml", service("a", 80));
        eventually("a stands", PATIENCE, || has("192.168.0.10:80"), |is| *is);
        let away = agent.folder().with_extension("away");
        fs::rename(agent.folder(), &away)?;
        agent.wait_for_error("", "cannot be read");
        assert!(has("192.168.0.10:80"), "while the folder is away all stays");

        // Also over a restart, and even when nobody remembers what was in it.
        agent.stop();
        fs::remove_dir_all(lvs_tests::control_plane::state_dir(&director).join("manifests"))?;
        agent.run();
        agent.wait_for_error("", "cannot be read");
        sleep(Duration::from_secs(10));
        assert!(has("192.168.0.10:80"), "while the folder is away all stays");
        fs::create_dir(agent.folder())?;
        agent.put("b.yaml", service("b", 81));
        eventually("b stands", PATIENCE, || has("192.168.0.10:81"), |is| *is);
        eventually("a is gone", PATIENCE, || has("192.168.0.10:80"), |is| !*is);
        Ok(())
    });
}

#[test]
fn what_two_objects_get_wrong_together_is_told_and_the_first_keeps_working() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = DrNet::new();
        let agent = Standalone::start(&net.director);
        agent.put_example("dr.yaml");
        agent.wait_for("web", "Available", "True");
        agent.put("clash.yaml", service("zclash", 80));
        agent.wait_for("zclash", "Accepted", "False");
        let (_, message) = agent.condition("zclash", "Accepted").expect("a condition");
        assert!(message.contains("default/web"), "{message}");
        agent.put("own.yaml", service("own", 80).replace("192.168.0.10", "222.117.155.123"));
        agent.wait_for("own", "Accepted", "False");
        let once = Client::new(&net.director).get(DrNet::WEB)?;
        assert_eq!(once.server, "director");
        Ok(())
    });
}
