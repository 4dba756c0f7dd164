//! Several groups on one node, interfaces that vanish, and addresses that stood there before.

use super::{LIFETIME, TAKE_OVER, VIP, has, time_until};
use lvs_agent::failover::{Carrier as _, Handle, Report, Want, WantedRouter, Wants};
use lvs_agent::state::HeldAddress;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::carrying::{member, want, wants};
use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::Duration;

const SECOND: &str = "10.0.0.101";

pub(super) fn held(address: &str, interface: &str) -> HeldAddress {
    HeldAddress {
        interface: interface.to_owned(),
        address: format!("{address}/24").parse().expect("an address"),
    }
}

/// A group of `a` and `b` with one virtual router, carried in this order.
pub(super) fn group(own: &str, id: u8, order: &[&str], address: HeldAddress) -> Want {
    let router = WantedRouter {
        name: format!("{}/0", order[0]),
        order: order.iter().map(|&name| name.to_owned()).collect(),
        addresses: [address].into(),
        ill: None,
    };
    let members = vec![member("a", "10.0.0.1"), member("b", "10.0.0.2")];
    Want {
        preempt: Some(Duration::from_secs(1)),
        presence: id + 100,
        ..want(own, members, [(id, router)].into())
    }
}

pub(super) fn start(node: &Node) -> Handle {
    node.run(|| Handle::start(&BTreeSet::new(), || ())).expect("a thread")
}

#[track_caller]
pub(super) fn reported(handle: &Handle, what: &str, is: impl Fn(&Report) -> bool) {
    time_until(what, Duration::from_secs(5), || is(&handle.report()));
}

pub(super) struct Lan {
    pub(super) link: Link,
    pub(super) a: Node,
    pub(super) b: Node,
}

pub(super) fn lan() -> Lan {
    let link = Link::new("lan");
    let a = Node::new("a").on(&link, "eth0", "10.0.0.1/24");
    let b = Node::new("b").on(&link, "eth0", "10.0.0.2/24");
    Lan { link, a, b }
}

#[test]
fn groups_of_the_same_directors_do_not_mix() {
    in_guest(Guest::kernel().virtual_time(), || {
        let Lan { a, b, .. } = lan();
        let one = |own| ("one", group(own, 10, &["a", "b"], held(VIP, "eth0")));
        let two = |own| ("two", group(own, 11, &["b", "a"], held(SECOND, "eth0")));
        let (mut at_a, mut at_b) = (start(&a), start(&b));
        at_a.want(wants(1, vec![one("a"), two("a")]));
        at_b.want(wants(1, vec![one("b"), two("b")]));
        let apart = || {
            (has(&a, VIP), has(&b, VIP), has(&a, SECOND), has(&b, SECOND))
                == (true, false, false, true)
        };
        time_until("each has what it is home to", Duration::from_secs(5), apart);
        for _ in 0..100 {
            sleep(Duration::from_millis(50));
            assert!(apart(), "and nothing else");
        }
        for handle in [&at_a, &at_b] {
            assert_eq!(handle.report().strangers, BTreeMap::new());
            let figures = handle.figures();
            assert_eq!(figures.dropped.values().sum::<u64>(), 0, "{figures:?}");
        }

        // One of them is left.
        at_a.want(wants(2, vec![two("a")]));
        time_until("the other takes over what it had there", Duration::from_secs(1), || {
            assert!(has(&a, VIP) || has(&b, VIP), "nobody has it");
            !has(&a, VIP) && has(&b, VIP)
        });
        assert!(has(&b, SECOND));
        reported(&at_a, "it is forgotten", |it| it.routers.keys().all(|(name, _)| name == "two"));
        b.unplug("eth0");
        let took = time_until("the other group goes on", LIFETIME, || has(&a, SECOND));
        assert!(took <= TAKE_OVER, "{took:?}");
        assert!(!has(&a, VIP), "it is no part of the first any more");
    });
}

#[test]
fn an_interface_that_is_deleted_takes_its_routers_out_until_it_is_there_again() {
    in_guest(Guest::kernel().virtual_time(), || {
        let Lan { a, b, .. } = lan();
        let side = Link::new("side");
        let a = a.on(&side, "eth1", "10.1.0.1/24");
        let b = b.on(&side, "eth1", "10.1.0.2/24");
        let wanted = |own| vec![("one", group(own, 10, &["a", "b"], held("10.1.0.100", "eth1")))];
        let (mut at_a, mut at_b) = (start(&a), start(&b));
        at_a.want(wants(1, wanted("a")));
        at_b.want(wants(1, wanted("b")));
        let is_at = |first: bool| has(&a, "10.1.0.100") == first && has(&b, "10.1.0.100") != first;
        time_until("it is at home", Duration::from_secs(5), || is_at(true));
        sleep(Duration::from_secs(2));
        a.ip("link del eth1");
        let took = time_until("the other has it", Duration::from_secs(1), || is_at(false));
        assert!(took <= TAKE_OVER, "{took:?}");
        let key = ("one".to_owned(), 10);
        let problem = |it: &Report| it.routers.get(&key).and_then(|it| it.problem.clone());
        let told = "there is no interface eth1".to_owned();
        reported(&at_a, "it says why", |it| problem(it).as_ref() == Some(&told));
        assert_eq!(at_a.report().held, BTreeSet::new());
        let a = a.clone().on(&side, "eth1", "10.1.0.1/24");
        time_until("it is at home again", Duration::from_secs(5), || {
            has(&a, "10.1.0.100") && !has(&b, "10.1.0.100")
        });
        reported(&at_a, "all is well", |it| problem(it).is_none() && it.held.len() == 1);
    });
}

#[test]
fn what_stood_on_a_single_director_floats_as_its_own_when_others_come() {
    in_guest(Guest::kernel().virtual_time(), || {
        let Lan { a, b, .. } = lan();
        let mut at_a = start(&a);
        // The engine's.
        a.ip("addr add 10.0.0.100/24 dev eth0");
        let staying = BTreeSet::from([held(VIP, "eth0")]);
        at_a.want(Wants { staying: staying.clone(), ..wants(1, Vec::new()) });
        reported(&at_a, "it has heard of it", |it| it.number == 1);
        let wanted = |own| vec![("one", group(own, 10, &["a", "b"], held(VIP, "eth0")))];
        at_a.want(wants(2, wanted("a")));
        for _ in 0..1000 {
            assert!(has(&a, VIP), "it never goes");
            sleep(Duration::from_millis(1));
        }
        let report = at_a.report();
        assert_eq!((&report.held, report.foreign.len()), (&staying, 0), "{report:?}");
        let mut at_b = start(&b);
        at_b.want(wants(1, wanted("b")));
        time_until("it has a lifetime now", Duration::from_secs(5), || {
            let list = a.sh("ip -o address show to 10.0.0.100").expect("a list");
            list.contains("10.0.0.100") && !list.contains("valid_lft forever")
        });
        at_a.stop();
        time_until("it moves", Duration::from_secs(1), || !has(&a, VIP) && has(&b, VIP));

        // What somebody else has put there stays his.
        b.ip("addr add 10.0.0.101/24 dev eth0");
        let two = ("two", group("b", 11, &["b", "a"], held(SECOND, "eth0")));
        at_b.want(wants(2, [wanted("b"), vec![two]].concat()));
        let foreign = BTreeSet::from([held(SECOND, "eth0")]);
        reported(&at_b, "it is told of", |it| it.foreign == foreign);
        at_b.want(wants(3, wanted("b")));
        reported(&at_b, "it is let go", |it| it.foreign.is_empty());
        assert!(has(&b, SECOND));

        // And back: what stands for good is the engine's again.
        let mut at_a = start(&a);
        at_a.want(wants(1, wanted("a")));
        let home = || has(&a, VIP) && !has(&b, VIP);
        time_until("its home has it", Duration::from_secs(5), home);
        at_a.want(Wants { staying, ..wants(2, Vec::new()) });
        at_b.want(wants(4, Vec::new()));
        reported(&at_a, "it is none of the thread's", |it| it.number == 2 && it.held.is_empty());
        sleep(2 * LIFETIME);
        assert!(has(&a, VIP), "it has no lifetime any more");
    });
}

#[test]
fn what_stood_for_good_before_a_restart_is_ours_until_another_one_carries_it() {
    in_guest(Guest::kernel().virtual_time(), || {
        let Lan { a, b, .. } = lan();
        let ours = BTreeSet::from([held(VIP, "eth0")]);
        let wanted = |own| wants(1, vec![("one", group(own, 10, &["a", "b"], held(VIP, "eth0")))]);
        let restarted = || {
            b.ip("addr add 10.0.0.100/24 dev eth0");
            let mut at_b = b.run(|| Handle::start(&ours, || ())).expect("a thread");
            at_b.want(wanted("b"));
            at_b
        };
        let at_b = restarted();
        reported(&at_b, "it is its own", |it| it.held == ours && it.foreign.is_empty());
        assert!(has(&b, VIP));
        let mut at_a = start(&a);
        at_a.want(wanted("a"));
        time_until("its home has it", Duration::from_secs(5), || has(&a, VIP) && !has(&b, VIP));

        // Away while another one took it over.
        at_b.stop();
        let at_b = restarted();
        time_until("it lets go", Duration::from_secs(1), || !has(&b, VIP));
        reported(&at_b, "it stands by", |it| it.held.is_empty() && it.foreign.is_empty());
        assert!(has(&a, VIP));
    });
}

#[test]
fn what_somebody_takes_from_a_director_without_others_comes_back() {
    in_guest(Guest::kernel().virtual_time(), || {
        let Lan { a, .. } = lan();
        let mut at_a = start(&a);
        at_a.want(wants(1, vec![("one", group("a", 10, &["a", "b"], held(VIP, "eth0")))]));
        time_until("it is alone", Duration::from_secs(1), || has(&a, VIP));
        // Nothing that stands for ever is renewed.
        for round in 0..5 {
            a.ip("addr del 10.0.0.100/24 dev eth0");
            let took = time_until("it is put back", Duration::from_secs(11), || has(&a, VIP));
            println!("round {round}: put back after {took:?}");
            assert!(took <= Duration::from_millis(200), "{took:?}");
        }
        reported(&at_a, "it is its own", |it| it.held.len() == 1 && it.foreign.is_empty());
        // A manager of networks takes away all that it does not know, the node's own address too, and puts that back.
        a.ip("addr flush dev eth0\naddr add 10.0.0.1/24 dev eth0");
        let took = time_until("it is put back", Duration::from_secs(11), || has(&a, VIP));
        assert!(took <= Duration::from_millis(200), "{took:?}");
        sleep(Duration::from_secs(1));
        assert!(has(&a, VIP));
        reported(&at_a, "all is well", |it| it.problems.is_empty() && it.held.len() == 1);
    });
}
