//! A thousand addresses.

use lvs_agent::failover::{Carrier as _, Handle, WantedRouter, Wants};
use lvs_agent::state::HeldAddress;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::carrying::{self, member, want};
use lvs_tests::wire::{Capture, Packet};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const MANY: u32 = 1000;
const PATIENCE: Duration = Duration::from_secs(10);

fn wants(own: &str) -> Wants {
    let held = |number: u32| HeldAddress {
        interface: "eth0".to_owned(),
        address: std::net::IpAddr::from(Ipv4Addr::from(0x0a01_0000 + number)).into(),
    };
    let router = WantedRouter {
        name: "a/0".to_owned(),
        order: vec!["a".to_owned(), "b".to_owned()],
        addresses: (1..=MANY).map(held).collect(),
        ill: None,
    };
    let members = vec![member("a", "10.0.0.1"), member("b", "10.0.0.2")];
    carrying::wants(1, vec![("group", want(own, members, [(10, router)].into()))])
}

#[test]
fn a_thousand_addresses_are_held_in_few_requests_and_announced() {
    in_guest(Guest::kernel(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let a = Node::new("a").on(&lan, "eth0", "10.0.0.1/24");
        let client = Node::new("client").on(&lan, "eth0", "10.0.0.50/24");
        let capture = Capture::start(&client);
        let mut handle = a.run(|| Handle::start(&BTreeSet::new(), || ()))?;
        let start = Instant::now();
        handle.want(wants("a"));
        eventually("all are held", PATIENCE, || handle.report().held.len(), |held| *held == 1000);
        let took = start.elapsed();
        let figures = handle.figures();
        println!("{MANY} addresses {took:?} after they were wanted, {} requests", figures.requests);
        // One each, and few lists.
        assert!(figures.requests < u64::from(MANY) + 10, "{figures:?}");
        // The last part is announced after it is held.
        std::thread::sleep(Duration::from_millis(500));
        let announced: BTreeSet<Ipv4Addr> = capture
            .frames()
            .into_iter()
            .filter_map(|frame| match frame.packet {
                // Its own address is told of too.
                Packet::Arp { sender, target, .. } if sender == target => {
                    Some(sender).filter(|sender| sender.octets()[1] == 1)
                }
                _ => None,
            })
            .collect();
        assert_eq!(announced.len(), 1000);
        let b = Node::new("b").on(&lan, "eth0", "10.0.0.2/24");
        let mut other = b.run(|| Handle::start(&BTreeSet::new(), || ()))?;
        other.want(wants("b"));
        // Time for some renewals.
        std::thread::sleep(Duration::from_secs(4));
        println!("{:?}\n{:?}", handle.figures(), other.figures());
        a.unplug("eth0");
        let start = Instant::now();
        eventually(
            "all are taken over",
            PATIENCE,
            || other.report().held.len(),
            |held| *held == 1000,
        );
        println!("taken over after {:?}", start.elapsed());
        handle.stop();
        let start = Instant::now();
        other.stop();
        println!("stopped after {:?}", start.elapsed());
        Ok(())
    });
}
