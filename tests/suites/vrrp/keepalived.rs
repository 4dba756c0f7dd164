//! keepalived as the other director: both take over from each other, and give back.

use super::{has, time_until};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Daemon, Link, Node};
use lvs_tests::wire::{Capture, Packet};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// How advertisements travel.
struct Way {
    multicast: bool,
    ours: &'static str,
    theirs: &'static str,
    vips: &'static [&'static str],
}

const V4: &[&str] = &["10.0.0.100/24", "10.0.0.101/24"];
const V6: &[&str] = &["fe80::100/64", "fd00::100/64"];
/// Of the first two interfaces' MAC addresses, 02:00:00:00:00:01 and :02.
const LINK_LOCAL: [&str; 2] = ["fe80::ff:fe00:1", "fe80::ff:fe00:2"];

const WAYS: [Way; 4] = [
    Way { multicast: false, ours: "10.0.0.1", theirs: "10.0.0.2", vips: V4 },
    Way { multicast: true, ours: "10.0.0.1", theirs: "10.0.0.2", vips: V4 },
    Way { multicast: false, ours: LINK_LOCAL[0], theirs: LINK_LOCAL[1], vips: V6 },
    Way { multicast: true, ours: LINK_LOCAL[0], theirs: LINK_LOCAL[1], vips: V6 },
];

impl Way {
    fn ours(&self, node: &Node, first: bool) -> Daemon {
        let vips: Vec<String> = self.vips.iter().map(|vip| format!("{vip}@eth0")).collect();
        let order = if first { "ours,theirs" } else { "theirs,ours" };
        let mut command = Command::new(env!("CARGO_BIN_EXE_lvs-carry"));
        command.args(["ours", "--interval", "100", "--preempt", "0"]);
        command.args(["--member", &format!("ours={}", self.ours)]);
        command.args(["--member", &format!("theirs={}", self.theirs)]);
        command.args(["--router", &format!("51:{order}:{}", vips.join(","))]);
        if self.multicast {
            command.arg("--multicast");
        }
        node.spawn(&mut command)
    }

    fn theirs(&self, node: &Node, first: bool) -> Daemon {
        let priority = if first { 254 } else { 250 };
        let unicast = format!(
            // Its own default in IPv6 is the interface's hop limit, 64, which RFC 9568, 5.1.2.3 has dropped.
            "unicast_ttl 255\n unicast_src_ip {}\n unicast_peer {{\n {}\n }}\n",
            self.theirs, self.ours
        );
        let path = if self.multicast { "" } else { &unicast };
        let vips = self.vips.join("\n ");
        let text = format!(
            "global_defs {{\n vrrp_version 3\n}}\nvrrp_instance one {{\n interface eth0\n state BACKUP\n virtual_router_id 51\n \
             priority {priority}\n advert_int 0.1\n {path} virtual_ipaddress {{\n {vips}\n }}\n}}\n"
        );
        let file = format!("/tmp/keepalived-{}.conf", node.name());
        std::fs::write(&file, text).expect("a configuration file");
        let mut command = Command::new("keepalived");
        let [all, vrrp] =
            ["all", "vrrp"].map(|it| format!("/tmp/keepalived-{}-{it}.pid", node.name()));
        command.args(["-n", "-l", "-D", "-P", "-f", &file, "-p", &all, "-r", &vrrp]);
        node.spawn(&mut command)
    }

    fn vip(&self) -> &'static str {
        self.vips[1].split('/').next().expect("an address")
    }
}

#[test]
fn keepalived_takes_over_from_us_and_gives_back() {
    for (number, way) in WAYS.iter().enumerate() {
        println!("way {number}");
        in_guest(Guest::kernel().virtual_time(), || ours_first(way));
    }
}

#[test]
fn we_take_over_from_keepalived_and_give_back() {
    for (number, way) in WAYS.iter().enumerate() {
        println!("way {number}");
        in_guest(Guest::kernel().virtual_time(), || theirs_first(way));
    }
}

fn nodes() -> (Node, Node) {
    let lan = Link::new("lan");
    (
        Node::new("ours").on(&lan, "eth0", "10.0.0.1/24 fd00::1/64"),
        Node::new("theirs").on(&lan, "eth0", "10.0.0.2/24 fd00::2/64"),
    )
}

fn ours_first(way: &Way) {
    let (ours, theirs) = nodes();
    let vip = way.vip();
    let one = |node: &Node, other: &Node| has(node, vip) && !has(other, vip);
    let keepalived = way.theirs(&theirs, false);
    time_until("keepalived alone is Master", Duration::from_secs(10), || has(&theirs, vip));
    let mut daemon = way.ours(&ours, true);
    let capture = Capture::start(&theirs);
    time_until("ours comes first", Duration::from_secs(3), || one(&ours, &theirs));
    sleep(Duration::from_secs(5));
    assert!(one(&ours, &theirs), "it stays so; keepalived says:\n{}", keepalived.log());
    valid(&capture, &theirs);
    ours.unplug("eth0");
    let took = time_until("keepalived takes over", Duration::from_secs(2), || has(&theirs, vip));
    println!("keepalived took over after {took:?}");
    time_until("ours has let go", Duration::from_secs(4), || !has(&ours, vip));
    ours.plug("eth0");
    time_until("it is given back", Duration::from_secs(3), || one(&ours, &theirs));
    // Told to stop, ours says so, and the other need not wait.
    daemon.term();
    let took = time_until("keepalived takes over", Duration::from_secs(2), || has(&theirs, vip));
    println!("handed over to keepalived within {took:?}");
    assert!(daemon.wait(Duration::from_secs(2)).is_ok_and(|status| status.success()));
    assert!(!has(&ours, vip), "handed over, it is not left behind");
}

fn theirs_first(way: &Way) {
    let (ours, theirs) = nodes();
    let vip = way.vip();
    let one = |node: &Node, other: &Node| has(node, vip) && !has(other, vip);
    let _daemon = way.ours(&ours, false);
    time_until("ours alone is Active", Duration::from_secs(2), || has(&ours, vip));
    let mut keepalived = way.theirs(&theirs, true);
    time_until("keepalived comes first", Duration::from_secs(10), || one(&theirs, &ours));
    sleep(Duration::from_secs(5));
    assert!(one(&theirs, &ours), "it stays so; keepalived says:\n{}", keepalived.log());
    theirs.unplug("eth0");
    let took = time_until("ours takes over", Duration::from_secs(2), || has(&ours, vip));
    println!("ours took over after {took:?}");
    theirs.plug("eth0");
    time_until("it is given back", Duration::from_secs(10), || one(&theirs, &ours));
    // keepalived says so too, with priority 0.
    keepalived.term();
    let took = time_until("ours takes over", Duration::from_secs(2), || has(&ours, vip));
    println!("handed over by keepalived within {took:?}");
    assert!(took < Duration::from_millis(100), "{took:?}");
    let _ = keepalived.wait(Duration::from_secs(2));
}

/// tcpdump, which checks what VRRPv3 says of length and checksum, finds nothing wrong with what came from us.
fn valid(capture: &Capture, node: &Node) {
    let frames = capture.frames();
    let advertisement = |packet: &Packet| matches!(packet, Packet::Ip { protocol: 112, .. });
    let count =
        frames.iter().filter(|frame| !frame.outgoing && advertisement(&frame.packet)).count();
    assert!(count > 40, "{count} advertisements in five seconds");
    let said = node.sh(
        "timeout 2 tcpdump -c 5 -nvv -Q in -i eth0 'ip proto 112 or ip6 proto 112' 2>&1 || true",
    );
    let said = said.expect("tcpdump");
    println!("{said}");
    // Not "bad" alone: a flow label is in hexadecimal.
    let faults = ["(bad ", "bad cksum", "trunc"];
    let faultless = !faults.iter().any(|fault| said.contains(fault));
    assert!(said.contains("VRRPv3, Advertisement") && faultless, "{said}");
}
