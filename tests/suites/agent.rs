//! The agent as a program: restarts, drift, exit codes, what a change costs. Without a cluster, which it does not need.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::control_plane::program;
use lvs_tests::eventually;
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{DrNet, Load, NatNet, Standalone};
use lvs_tests::table::NodeState;

/// The promise: what somebody else changes is repaired within it.
const REPAIR: Duration = Duration::from_secs(5);

/// Waits in 50 ms steps, and fails when it takes longer than the promise.
#[track_caller]
fn within_the_promise(what: &str, is: impl Fn() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < REPAIR, "{what}: not repaired after {:?}", start.elapsed());
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn drift_is_repaired_within_five_seconds_and_counted() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = NatNet::new();
        let director = &net.director;
        let agent = Standalone::start(director);
        agent.put_example("nat.yaml");
        agent.wait_for("web", "Available", "True");
        let weights = || -> Vec<i64> {
            let service = director.service(NatNet::WEB);
            service.map(|s| s.destinations.iter().map(|d| d.weight).collect()).unwrap_or_default()
        };
        let sorted = || {
            let mut weights = weights();
            weights.sort_unstable();
            weights
        };
        let repairs = || agent.metric("lvs_agent_drift_repairs_total", "");
        assert_eq!(repairs(), 0.0);

        director.sh("ipvsadm -C")?;
        within_the_promise("ipvsadm -C", || sorted() == [1, 2]);
        director.sh("ipvsadm -e -t 211.47.13.234:80 -r 10.0.0.101:8080 -m -w 9")?;
        within_the_promise("a weight", || sorted() == [1, 2]);
        director.sh("ipvsadm -E -t 211.47.13.234:80 -s rr -p 10")?;
        let shape = || director.service(NatNet::WEB).map(|s| (s.scheduler, s.flags));
        let wanted = Some(("wlc".to_owned(), String::new()));
        within_the_promise("a scheduler", || shape() == wanted);
        director.sh("ip address del 211.47.13.234/24 dev eth1")?;
        within_the_promise("the VIP", || director.addresses().contains("eth1 211.47.13.234/24"));
        director.sh("sysctl -q -w net.ipv4.ip_forward=0")?;
        within_the_promise("a sysctl", || director.read_sysctl("net.ipv4.ip_forward") == "1");
        eventually("five repairs", REPAIR, repairs, |count| *count == 5.0);
        assert_eq!(net.client.shares(NatNet::WEB, 3)?.values().sum::<usize>(), 3);
        let told = || agent.status().to_string().contains("ip_forward was 0 instead of 1");
        eventually("the status file tells what was found", REPAIR, told, |told| *told);
        Ok(())
    });
}

#[test]
fn a_restart_under_load_drops_nothing_and_sigterm_leaves_the_data_path() {
    in_guest(Guest::kernel(), || -> anyhow::Result<()> {
        let net = NatNet::new();
        let before = NodeState::of(&net.director);
        let mut agent = Standalone::start(&net.director);
        agent.put_example("nat.yaml");
        agent.wait_for("web", "Available", "True");
        let mut held = net.client.hold(NatNet::WEB)?;
        held.ask()?;
        let made = NodeState::of(&net.director);
        let load = Load::start(&net.client, NatNet::WEB);
        agent.stop();
        sleep(Duration::from_millis(300));
        agent.run();
        agent.wait_for("web", "Available", "True");
        sleep(Duration::from_millis(2500));
        agent.kill();
        agent.run();
        sleep(Duration::from_millis(500));
        agent.stop();
        sleep(Duration::from_millis(300));
        load.end_without_a_failure();
        held.ask()?;
        NodeState::of(&net.director).assert_same_as(&made);
        agent.clean_up();
        NodeState::of(&net.director).assert_same_as(&before);
        Ok(())
    });
}

#[test]
fn nothing_of_others_is_touched_and_after_cleanup_the_node_is_as_it_was() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = DrNet::new();
        let director = &net.director;
        director.sh(
            "ipvsadm -A -t 192.168.0.99:80 -s rr && ipvsadm -a -t 192.168.0.99:80 -r 192.168.0.101 -g && \
             ip address add 192.168.0.99/24 dev eth0 && sysctl -q -w net.ipv4.conf.all.arp_ignore=2",
        )?;
        let before = NodeState::of(director);
        let mut agent = Standalone::start(director);
        agent.put_example("dr.yaml");
        agent.wait_for("web", "Available", "True");
        let foreign = director.service("192.168.0.99:80").expect("the admin's service");
        assert_eq!((foreign.scheduler.as_str(), foreign.destinations.len()), ("rr", 1));

        // The admin has the VIP and port that somebody asks for now.
        let manifest = "apiVersion: kube-lvs.io/v1alpha1\nkind: VirtualService\nmetadata: {name: taken}\nspec: \
                        {addresses: [192.168.0.99], ports: [{port: 80}], realServers: {selector: {matchLabels: {app: \
                        web}}}}\n";
        agent.put("taken.yaml", manifest.replace("192.168.0.99", "192.168.0.98"));
        agent.wait_for("taken", "Available", "True");
        director.sh("ipvsadm -A -t 192.168.0.97:80 -s lc")?;
        agent.put("taken.yaml", manifest.replace("192.168.0.99", "192.168.0.97"));
        agent.wait_for("taken", "Programmed", "False");
        let (_, message) = agent.condition("taken", "Programmed").expect("a condition");
        assert!(message.contains("192.168.0.97:80") && message.contains("ipvsadm -D"), "{message}");
        assert_eq!(director.service("192.168.0.97:80").map(|s| s.scheduler), Some("lc".to_owned()));
        director.sh("ipvsadm -D -t 192.168.0.97:80")?;
        agent.wait_for("taken", "Programmed", "True");

        agent.clean_up();
        NodeState::of(director).assert_same_as(&before);
        Ok(())
    });
}

#[test]
fn a_weight_change_in_a_table_of_1000_x_10_costs_three_netlink_requests() {
    let guest = Guest::kernel().memory("2G").virtual_time().limit(Duration::from_secs(600));
    in_guest(guest, || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let director = Node::new("director").on(&lan, "eth0", "10.0.0.1/16");
        // The audit's own requests would be counted too.
        let agent = Standalone::start_with(&director, &["--audit-interval", "10m"]);
        let server = |index: usize, weight: u32| {
            format!(
                "---\napiVersion: kube-lvs.io/v1alpha1\nkind: RealServer\nmetadata: {{name: rs{index}, labels: {{app: \
                 web}}}}\nspec: {{address: 10.0.1.{index}, weight: {weight}}}\n"
            )
        };
        let service = |index: usize, app: &str| {
            format!(
                "---\napiVersion: kube-lvs.io/v1alpha1\nkind: VirtualService\nmetadata: {{name: vs{index}}}\nspec: \
                 {{addresses: [10.0.0.10], ports: [{{port: {}}}], realServers: {{selector: {{matchLabels: {{app: \
                 {app}}}}}}}}}\n",
                1000 + index
            )
        };
        let own = |weight: u32| {
            let mut text = service(0, "own");
            for index in 101..=110 {
                let weight = if index == 110 { weight } else { 1 };
                text.push_str(&server(index, weight).replace("app: web", "app: own"));
            }
            text
        };
        agent.put("servers.yaml", (1..=10).map(|index| server(index, 1)).collect::<String>());
        agent.put("many.yaml", (1..1000).map(|index| service(index, "web")).collect::<String>());
        agent.put("own.yaml", own(1));
        let size = || director.services().iter().map(|s| s.destinations.len()).sum::<usize>();
        eventually("1,000 x 10", Duration::from_secs(120), size, |size| *size == 10_000);
        // The status file of a table like this takes its time to read.
        let version = || agent.metric("lvs_agent_programmed_resource_version", "");
        eventually("it is read back", REPAIR, version, |version| *version >= 1000.0);
        for weight in [7, 0, 9] {
            // Virtual time passes only where nobody computes: whatever the last change still had to do is done.
            sleep(Duration::from_secs(1));
            let requests = || {
                agent.metric("lvs_agent_kernel_requests", "ipvs")
                    + agent.metric("lvs_agent_kernel_requests", "route")
                    + agent.metric("lvs_agent_kernel_requests", "table_read")
            };
            let (before, old) = (requests(), version());
            agent.put("own.yaml", own(weight));
            let found = || {
                let service = director.service("10.0.0.10:1000").expect("the service");
                service.destination("10.0.1.110:1000").weight
            };
            eventually("the weight", REPAIR, found, |found| *found == i64::from(weight));
            eventually("it is read back", REPAIR, version, |version| *version > old);
            let spent = requests() - before;
            assert!((1.0..=3.0).contains(&spent), "{spent} requests for one weight");
        }
        Ok(())
    });
}

#[test]
fn what_keeps_it_from_running_has_its_message_and_exit_code() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let node = Node::new("node").on(&lan, "eth0", "10.0.0.1/24");
        let agent = program("lvs-agent");
        let run = |words: &str| {
            let mut command = Command::new("timeout");
            command.arg("20").arg(&agent).args(words.split_whitespace());
            let output = node.run(|| command.output()).expect("it starts");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (code, said) = run("--audit-interval 2");
        assert_eq!(code, Some(2), "{said}");
        let (code, said) = run("--kubeconfig /tmp/none");
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("/tmp/none"), "{said}");

        let _first = Standalone::start(&node);
        let state = lvs_tests::control_plane::state_dir(&node);
        eventually("the agent runs", REPAIR, || state.join("status.yaml").exists(), |is| *is);
        let with = |more: &str| run(&format!("--manifests /tmp --listen 127.0.0.1:0 {more}"));
        let (code, said) = with(&format!("--state-dir {}", state.display()));
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains("another lvs-agent"), "{said}");
        let (code, said) = with("--state-dir /proc/none");
        assert_eq!(code, Some(4), "{said}");
        let (code, said) = run("--manifests /tmp --state-dir /tmp/other --listen 127.0.0.1:9809");
        assert_eq!(code, Some(5), "{said}");
        let (code, said) = run(&format!("cleanup --state-dir {}", state.display()));
        assert_eq!(code, Some(4), "{said}");

        let mut command = Command::new("timeout");
        command.args(["20", "setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
        command.arg(&agent).args(["--manifests", "/tmp", "--state-dir", "/tmp/other"]);
        let output = node.run(|| command.output())?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("CAP_NET_ADMIN"), "{said}");
        Ok(())
    });
}
