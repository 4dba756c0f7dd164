//! The bed itself: a test that fails inside is seen as failed outside, time can be virtual, nodes talk.

use std::process::Command;
use std::time::{Duration, Instant};

use lvs_tests::bed::{Guest, in_guest, try_in_guest};
use lvs_tests::control_plane::ControlPlane;
use lvs_tests::net::{Link, Node};
use lvs_tests::table::NodeState;
use lvs_tests::traffic::{Client, Server};
use lvs_tests::wait_for;
use lvs_tests::wire::{Capture, Packet};

#[test]
fn a_panic_inside_is_a_failure_outside_with_its_message() {
    let failure =
        try_in_guest(Guest::kernel(), || -> () { panic!("the sky is green") }).unwrap_err();
    assert!(failure.to_string().contains("the sky is green"), "{failure}");
    assert!(failure.reason().contains("status 101"), "{failure}");
}

#[test]
fn an_error_inside_is_a_failure_outside_with_its_causes() {
    let failure = try_in_guest(Guest::kernel(), || -> anyhow::Result<()> {
        Err(anyhow::anyhow!("no cable").context("no ping"))
    });
    let shown = failure.unwrap_err().to_string();
    assert!(shown.contains("no ping") && shown.contains("no cable"), "{shown}");
}

#[test]
fn a_guest_that_panics_is_reported_with_its_console() {
    let failure = try_in_guest(Guest::kernel(), || {
        std::fs::write("/proc/sysrq-trigger", "c").unwrap();
        std::thread::sleep(Duration::from_secs(60));
    });
    let failure = failure.unwrap_err();
    assert!(failure.reason().contains("died"), "{failure}");
    assert!(failure.to_string().contains("Kernel panic"), "{failure}");
}

#[test]
fn a_guest_that_hangs_is_ended_at_its_limit() {
    let start = Instant::now();
    let guest = Guest::kernel().limit(Duration::from_secs(3));
    let failure = try_in_guest(guest, || std::thread::sleep(Duration::from_secs(100)));
    assert!(failure.unwrap_err().reason().contains("did not end within 3s"));
    assert!(start.elapsed() < Duration::from_secs(60));
}

/// In real time a wait has ten times its limit: here that would be longer than the guest lives.
#[test]
fn a_wait_tells_what_it_has_seen_before_its_guest_is_ended() {
    let guest = Guest::kernel().limit(Duration::from_secs(15));
    let failure = try_in_guest(guest, || {
        wait_for("the sky is green", Duration::from_secs(5), || Err::<(), _>("it is blue"));
    });
    let failure = failure.unwrap_err();
    assert!(failure.to_string().contains("last seen: \"it is blue\""), "{failure}");
}

#[test]
fn a_kernel_without_a_module_refuses_what_it_would_bring() {
    in_guest(Guest::debian().without_module("ip_vs_lblcr"), || -> anyhow::Result<()> {
        let node = Node::new("director");
        node.sh("ipvsadm -A -t 10.0.0.1:80 -s lblc")?;
        let refused = node.sh("ipvsadm -A -t 10.0.0.1:81 -s lblcr").unwrap_err().to_string();
        assert!(refused.contains("Scheduler or persistence engine not found"), "{refused}");
        Ok(())
    });
    in_guest(Guest::debian().without_module("ip_vs"), || {
        let node = Node::new("director");
        assert!(node.sh("ipvsadm -A -t 10.0.0.1:80 -s rr").is_err());
        assert_eq!(node.services(), []);
    });
}

/// In a guest, whose kernel has IPVS and where the test is root, this very suite runs once more without a guest.
#[test]
fn on_a_host_with_ipvs_the_same_test_needs_no_guest() {
    in_guest(Guest::kernel(), || -> anyhow::Result<()> {
        let example = "bed::the_example_of_the_readme_balances_and_its_replies_bypass_the_director";
        let mut again = Command::new(std::env::current_exe()?);
        again.args(["--exact", example, "--nocapture"]);
        again.env_remove("BED_INSIDE").env("BED", "host").env("BED_DURATIONS", "/tmp/durations");
        let output = again.output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let also = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}{also}");
        let links = Node::here().sh("ip link; ls /run/netns")?;
        assert!(
            !links.contains("lan") && !links.contains("director"),
            "it left something: {links}"
        );
        Ok(())
    });
}

#[test]
fn a_host_without_ipvs_says_so() {
    in_guest(Guest::debian().without_module("ip_vs"), || -> anyhow::Result<()> {
        let mut again = Command::new(std::env::current_exe()?);
        again.args(["--exact", "bed::nodes_talk_and_servers_say_who_asked", "--nocapture"]);
        again.env_remove("BED_INSIDE").env("BED", "host").env("BED_DURATIONS", "/tmp/durations");
        let output = again.output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains("needs a host kernel with IPVS"),
            "{said}"
        );
        Ok(())
    });
}

#[test]
fn waiting_costs_nothing_in_virtual_time() {
    let start = Instant::now();
    in_guest(Guest::kernel().virtual_time(), || {
        let start = Instant::now();
        std::thread::sleep(Duration::from_secs(3600));
        let slept = start.elapsed();
        assert!(
            slept >= Duration::from_secs(3600) && slept < Duration::from_secs(3601),
            "{slept:?}"
        );
    });
    if !lvs_tests::bed::inside() {
        assert!(start.elapsed() < Duration::from_secs(90), "an hour took {:?}", start.elapsed());
    }
}

#[test]
fn nodes_talk_and_servers_say_who_asked() {
    in_guest(Guest::kernel(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let server = Node::new("server").on(&lan, "eth0", "10.0.0.101/24 2001:db8::101/64");
        let client =
            Node::new("client").on(&lan, "eth0", "10.0.0.50/24 10.0.0.51/24 2001:db8::50/64");

        let web = Server::tcp(&server, "0.0.0.0:80", "web");
        let answer = client.get("10.0.0.101:80")?;
        assert_eq!(answer.server, "web");
        assert_eq!(answer.seen_source.ip().to_string(), "10.0.0.50");
        assert_eq!(answer.seen_local.to_string(), "10.0.0.101:80");
        let other = Client::new(&client).from("10.0.0.51:4321").get("10.0.0.101:80")?;
        assert_eq!(other.seen_source.to_string(), "10.0.0.51:4321");

        let mut held = client.hold("10.0.0.101:80")?;
        let first = held.ask()?;
        assert_eq!(held.ask()?, first, "the same connection");
        assert_eq!(client.shares("10.0.0.101:80", 5)?, [("web".to_owned(), 5)].into());
        drop(web);
        assert!(held.ask().is_err(), "the server is gone");
        assert!(client.get("10.0.0.101:80").is_err(), "its port is closed");

        let _six = Server::tcp(&server, "[2001:db8::101]:80", "six");
        assert_eq!(client.get("[2001:db8::101]:80")?.server, "six");
        let _dns = Server::udp(&server, "10.0.0.101:53", "dns");
        assert_eq!(client.get_udp("10.0.0.101:53")?.server, "dns");

        server.unplug("eth0");
        let short = Client::new(&client).patience(Duration::from_millis(300));
        assert!(short.get_udp("10.0.0.101:53").is_err(), "the cable is out");
        server.plug("eth0");
        assert_eq!(client.get_udp("10.0.0.101:53")?.server, "dns");
        Ok(())
    });
}

#[test]
fn a_router_joins_two_links() {
    in_guest(Guest::kernel(), || -> anyhow::Result<()> {
        let (outside, inside) = (Link::new("outside"), Link::new("inside"));
        let client = Node::new("client")
            .on(&outside, "eth0", "203.0.113.50/24")
            .route("default via 203.0.113.1");
        let _router = Node::new("router")
            .on(&outside, "eth0", "203.0.113.1/24")
            .on(&inside, "eth1", "10.0.0.1/24")
            .sysctl("net.ipv4.ip_forward", "1");
        let server =
            Node::new("server").on(&inside, "eth0", "10.0.0.101/24").route("default via 10.0.0.1");
        let _web = Server::tcp(&server, "10.0.0.101:80", "web");
        assert_eq!(client.get("10.0.0.101:80")?.seen_source.ip().to_string(), "203.0.113.50");
        client.sh("busybox ping -c 1 -W 1 10.0.0.101").map(drop)
    });
}

#[test]
fn the_example_of_the_readme_balances_and_its_replies_bypass_the_director() {
    in_guest(Guest::kernel(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let director = Node::new("director").on(&lan, "eth0", "10.0.0.1/24 10.0.0.10/32");
        let client = Node::new("client").on(&lan, "eth0", "10.0.0.50/24");
        let rs1 = Node::new("rs1")
            .on(&lan, "eth0", "10.0.0.101/24")
            .sysctl("net.ipv4.conf.all.arp_ignore", "1")
            .sysctl("net.ipv4.conf.all.arp_announce", "2");
        rs1.ip("addr add 10.0.0.10/32 dev lo");
        let _web = Server::tcp(&rs1, "10.0.0.10:80", "rs1");
        let before = NodeState::of(&director);
        director.sh(
            "ipvsadm -A -t 10.0.0.10:80 -s rr && ipvsadm -a -t 10.0.0.10:80 -r 10.0.0.101 -g",
        )?;
        assert_eq!(client.shares("10.0.0.10:80", 4)?, [("rs1".to_owned(), 4)].into());

        // The README's example ends here.
        let changes = NodeState::of(&director).changes_since(&before);
        assert_eq!(
            changes,
            [
                "+ ipvs: -A -t 10.0.0.10:80 -s rr",
                "+ ipvs: -a -t 10.0.0.10:80 -r 10.0.0.101:80 -g -w 1",
            ]
        );
        let service = director.service("10.0.0.10:80").expect("the service");
        assert_eq!((service.protocol.as_str(), service.scheduler.as_str()), ("TCP", "rr"));
        let destination = service.destination("10.0.0.101:80");
        assert_eq!((destination.forwarding.as_str(), destination.weight), ("Route", 1));
        director.sh("ipvsadm -E -t 10.0.0.10:80 -s wrr -p 300")?;
        let service = director.service("10.0.0.10:80").expect("the service");
        assert_eq!(service.flags, "persistent 300 255.255.255.255");

        let (at_client, at_director) = (Capture::start(&client), Capture::start(&director));
        client.get("10.0.0.10:80")?;
        let frames = at_client.frames();
        let replies: Vec<_> = frames.iter().filter(|frame| frame.is_from("10.0.0.10")).collect();
        assert!(!replies.is_empty(), "{frames:#?}");
        assert!(replies.iter().all(|frame| frame.source_mac == rs1.mac("eth0")), "{replies:#?}");
        let passed = at_director.frames();
        assert!(
            passed.iter().any(|frame| frame.is_to("10.0.0.10") && !frame.outgoing),
            "{passed:#?}"
        );
        assert!(!passed.iter().any(|frame| frame.is_from("10.0.0.10")), "{passed:#?}");

        assert_eq!(client.who_has("10.0.0.10", "eth0"), [director.mac("eth0").to_owned()].into());
        rs1.ip("addr add 10.0.0.10/32 dev eth0");
        assert_eq!(client.who_has("10.0.0.10", "eth0").len(), 2, "a second one claims it");
        assert!(client.who_has("10.0.0.77", "eth0").is_empty());
        Ok(())
    });
}

#[test]
fn tables_and_frames_are_read_for_ipv6_and_marks_too() {
    in_guest(Guest::kernel(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let director = Node::new("director").on(&lan, "eth0", "2001:db8::10/64");
        let server = Node::new("server").on(&lan, "eth0", "2001:db8::101/64");
        director.sh(
            "ipvsadm -A -t [2001:db8::10]:80 -s lc -p 60 -M 64 && \
             ipvsadm -a -t [2001:db8::10]:80 -r [2001:db8::101]:8080 -m -w 7 && \
             ipvsadm -A -f 300 -s sh -b sh-port -p 20 && ipvsadm -A -u 10.0.0.1:53 -s mh -p 30 -M 255.255.0.0",
        )?;
        let six = director.service("[2001:db8::10]:80").expect("the IPv6 service");
        assert_eq!((six.scheduler.as_str(), six.flags.as_str()), ("lc", "persistent 60 64"));
        assert_eq!(six.destination("[2001:db8::101]:8080").weight, 7);
        let mark = director.service("300").expect("the mark's service");
        assert_eq!((mark.protocol.as_str(), mark.scheduler.as_str()), ("FWM", "sh"));
        assert!(mark.flags.contains("persistent 20 255.255.255.255"), "{}", mark.flags);
        let dns = director.service("10.0.0.1:53").expect("the UDP service");
        assert_eq!(dns.flags, "persistent 30 255.255.0.0");

        let _web = Server::tcp(&server, "[2001:db8::101]:80", "web");
        let capture = Capture::start(&director);
        let source = director.get("[2001:db8::101]:80")?.seen_source;
        let asked = capture
            .frames()
            .into_iter()
            .filter(|frame| frame.outgoing && frame.is_to("2001:db8::101"));
        let Some(Packet::Ip { source: seen, destination, protocol, .. }) =
            asked.map(|frame| frame.packet).next_back()
        else {
            panic!("nothing was sent");
        };
        assert_eq!((seen, destination.port(), protocol), (source, 80, 6));
        Ok(())
    });
}

#[test]
fn the_control_plane_answers_and_validates_in_virtual_time() {
    in_guest(Guest::control_plane().virtual_time(), the_control_plane_answers_and_validates);
}

#[test]
fn the_control_plane_answers_and_validates_in_real_time() {
    in_guest(Guest::control_plane(), the_control_plane_answers_and_validates);
}

fn the_control_plane_answers_and_validates() -> anyhow::Result<()> {
    let start = Instant::now();
    let plane = ControlPlane::start();
    println!("ready after {:?}", start.elapsed());
    assert!(plane.kubectl(&["get", "namespaces"])?.contains("kube-lvs"));
    println!("kubectl {:?}", start.elapsed());
    plane.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")?;
    let unknown = plane
        .apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop}, spec: {colour: red}}");
    assert!(unknown.unwrap_err().to_string().contains("colour"));
    let bad =
        "{apiVersion: kube-lvs.io/v1alpha1, kind: RealServer, metadata: {name: rs1}, spec: {}}";
    let message = plane.apply(bad).unwrap_err().to_string();
    assert!(message.contains("address") && message.contains("nodeName"), "{message}");
    println!("applied {:?}", start.elapsed());

    let lan = Link::new("lan");
    let director = Node::new("director").on(&lan, "eth0", "192.168.0.1/24");
    let before = NodeState::of(&director);
    plane.add_node(&director, "192.168.0.1", &[("kube-lvs.io/director", "true")]);
    NodeState::of(&director).assert_same_as(&before);
    let nodes = plane.kubectl(&["get", "nodes", "-o", "wide", "--show-labels"])?;
    assert!(
        nodes.contains("192.168.0.1") && nodes.contains("kube-lvs.io/director=true"),
        "{nodes}"
    );

    // As the agent's account: it may read slices, and nothing of its users'.
    let kubeconfig = plane.account_kubeconfig("kube-lvs-agent", Some(&director));
    let kubectl = std::path::Path::new(&std::env::var("BED_CONTROL_PLANE")?).join("kubectl");
    let get = |what: &str| -> anyhow::Result<()> {
        let mut command = director.command(&kubectl);
        command.arg("--kubeconfig").arg(&kubeconfig).args([
            "get",
            what,
            "-A",
            "--request-timeout=5s",
        ]);
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{said}");
        Ok(())
    };
    get("virtualserviceslices")?;
    assert!(get("virtualservices").unwrap_err().to_string().contains("forbidden"));
    plane.cut(&director);
    assert!(get("virtualserviceslices").is_err(), "it is cut off");
    plane.heal(&director);
    get("virtualserviceslices")?;
    println!("all {:?}", start.elapsed());
    Ok(())
}
