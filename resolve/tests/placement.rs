//! Real servers keep their slice: one change is one small write.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, NS};
use lvs_crds::MAX_REAL_SERVERS;
use lvs_resolve::{Key, slice_name};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

fn add(cluster: &mut Cluster, number: u16) {
    let address = format!("10.{}.{}.1", number / 256, number % 256);
    cluster.server(&format!("s{number}"), json!({"address": address}));
}

fn remove(cluster: &mut Cluster, number: u16) {
    cluster.snapshot.remove_real_server(&Key::new(NS, format!("s{number}")));
}

fn cluster_of(numbers: impl IntoIterator<Item = u16>) -> Cluster {
    let mut cluster = Cluster::default();
    cluster.group("default", json!({}));
    cluster.service("web", json!({}));
    numbers.into_iter().for_each(|number| add(&mut cluster, number));
    cluster.write(NS, "web");
    cluster
}

fn sizes(cluster: &Cluster) -> Vec<usize> {
    let slices = cluster.snapshot.slices_of(&Key::new(NS, "web"));
    slices.map(|(_, slice)| slice.spec.real_servers.len()).collect()
}

fn names(cluster: &Cluster) -> BTreeSet<String> {
    let slices = cluster.snapshot.slices_of(&Key::new(NS, "web"));
    slices.flat_map(|(_, s)| s.spec.real_servers.iter().map(|r| r.name.clone())).collect()
}

#[test]
fn a_service_without_real_servers_has_one_empty_slice() {
    let mut cluster = cluster_of([]);
    assert_eq!(sizes(&cluster), [0]);
    add(&mut cluster, 1);
    assert_eq!(cluster.write(NS, "web"), ["web-0"]);
    assert_eq!(sizes(&cluster), [1]);
}

#[test]
fn an_emptied_slice_goes_once_it_has_been_read_back_empty() {
    let mut cluster = cluster_of(0..101);
    assert_eq!(sizes(&cluster), [100, 1]);
    cluster.read_back();
    let last: Vec<u16> = (0..101)
        .filter(|n| {
            let slice = cluster.snapshot.slice(&Key::new(NS, "web-1")).unwrap();
            slice.spec.real_servers[0].name == format!("s{n}")
        })
        .collect();
    remove(&mut cluster, last[0]);
    assert_eq!(cluster.write(NS, "web"), ["web-1"], "emptied");
    assert_eq!(cluster.write(NS, "web"), Vec::<String>::new(), "the report is awaited");
    assert_eq!(sizes(&cluster), [100, 0]);
    cluster.read_back();
    assert_eq!(cluster.write(NS, "web"), ["web-1"], "deleted");
    assert_eq!(sizes(&cluster), [100]);
}

#[test]
fn slice_names_fit_and_differ() {
    assert_eq!(slice_name("web", 3), "web-3");
    let long = |end: &str| format!("{}{end}", "x".repeat(252));
    let (a, b) = (slice_name(&long("a"), 0), slice_name(&long("b"), 0));
    assert_ne!(a, b);
    assert!(a.len() <= 253 && a.ends_with("-0"), "{a}");
    assert_ne!(slice_name(&long("a"), 1), a);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u16),
    Remove(u16),
    Weigh(u16, u8),
    ReadBack,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u16..400).prop_map(Step::Add),
        4 => (0u16..400).prop_map(Step::Remove),
        2 => ((0u16..400), 2u8..9).prop_map(|(n, w)| Step::Weigh(n, w)),
        1 => Just(Step::ReadBack),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn one_change_touches_one_slice_and_no_slice_grows_too_large(
        start in proptest::collection::btree_set(0u16..400, 0..260),
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut there = start.clone();
        let mut cluster = cluster_of(start);
        for step in steps {
            let (before, expected) = (names(&cluster), match step {
                Step::Add(number) if !there.insert(number) => 0,
                Step::Add(number) => { add(&mut cluster, number); 1 }
                Step::Remove(number) if !there.remove(&number) => 0,
                Step::Remove(number) => { remove(&mut cluster, number); 1 }
                Step::Weigh(number, _) if !there.contains(&number) => 0,
                Step::Weigh(number, weight) => {
                    let address = format!("10.{}.{}.1", number / 256, number % 256);
                    let name = format!("s{number}");
                    cluster.server(&name, json!({"address": address, "weight": weight}));
                    1
                }
                // Empty slices go now, which is no real server's change.
                Step::ReadBack => { cluster.read_back(); usize::MAX }
            });
            let touched = cluster.write(NS, "web").len();
            if expected == usize::MAX {
                prop_assert_eq!(before, names(&cluster));
            } else {
                prop_assert!(touched <= expected, "touched {}", touched);
                // A weight may be set to what it is.
                prop_assert!(touched == expected || matches!(step, Step::Weigh(..)));
            }
            let expected: BTreeSet<String> = there.iter().map(|n| format!("s{n}")).collect();
            prop_assert_eq!(names(&cluster), expected);
            let sizes = sizes(&cluster);
            prop_assert!(sizes.iter().all(|size| *size <= MAX_REAL_SERVERS));
            prop_assert_eq!(sizes.iter().sum::<usize>(), there.len(), "each once");
            prop_assert_eq!(cluster.write(NS, "web").len(), 0, "nothing to do twice");
        }
    }
}
