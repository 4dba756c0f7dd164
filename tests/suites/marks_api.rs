//! Firewall marks, settings of groups and the examples through a real API server, an operator and agents.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use lvs_crds::{VirtualService, VirtualServiceSlice};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{Cluster, director_group, real_server, virtual_service};
use lvs_tests::table::NodeState;
use lvs_tests::wait_for;

const PATIENCE: Duration = Duration::from_secs(60);
/// The marks that are chosen from.
const CHOSEN: std::ops::RangeInclusive<i64> = 4096..=8191;

fn guest() -> Guest {
    Guest::control_plane().virtual_time().limit(Duration::from_secs(400))
}

#[test]
fn marks_are_chosen_once_and_groups_that_disagree_are_told() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let director = Node::new("director").on(&lan, "eth0", "10.0.0.1/24");
        let mut cluster = Cluster::start();
        let before = cluster.add_director(&director);
        cluster.apply(&director_group("default", "networks: [{cidr: 10.0.0.0/24}]"));
        cluster.apply(&real_server("rs", "web", "address: 10.0.0.101"));
        let marks = two_at_once_get_different_marks(&cluster, &director)?;
        a_mark_stays_over_edits_and_a_restart(&mut cluster, &director, &marks)?;
        a_fixed_mark_is_whose_it_was_first(&cluster, &director)?;
        the_older_group_has_the_say(&cluster, &director)?;
        cluster.plane.delete_all()?;
        wait_until_it_was_as(&director, &before);
        cluster.clean_up(&director);
        NodeState::of(&director).assert_same_as(&before);
        Ok(())
    });
}

fn marked(name: &str, address: &str, mark: &str) -> String {
    let ports = "ports: [{name: http, port: 80}, {name: https, port: 443}]";
    virtual_service(name, &format!("addresses: [{address}], {ports}, firewallMark: {{{mark}}}"))
        .replace(&format!("app: {name}}}"), "app: web}")
}

/// The mark in a VirtualService's slices.
fn mark_in_slice(cluster: &Cluster, name: &str) -> anyhow::Result<i64> {
    let slice: VirtualServiceSlice = cluster.plane.get("default", &format!("{name}-0"))?;
    let mut marks = slice.spec.services.iter().filter_map(|service| service.firewall_mark.as_ref());
    let mark = marks.next().ok_or_else(|| anyhow::anyhow!("no mark in the slice of {name}"))?.mark;
    anyhow::ensure!(marks.all(|other| other.mark == mark), "several marks in one slice");
    Ok(mark)
}

fn mark_in_status(cluster: &Cluster, name: &str) -> anyhow::Result<Option<i64>> {
    let service: VirtualService = cluster.plane.get("default", name)?;
    Ok(service.status.and_then(|status| status.firewall_mark))
}

/// The marks in the kernel's IPVS table.
fn marks_in_kernel(director: &Node) -> BTreeSet<i64> {
    let services = director.services().into_iter().filter(|service| service.protocol == "FWM");
    services.map(|service| service.address.parse().expect("a mark")).collect()
}

fn two_at_once_get_different_marks(
    cluster: &Cluster,
    director: &Node,
) -> anyhow::Result<BTreeMap<String, i64>> {
    let names = ["one", "two", "three"];
    let all: Vec<_> = names
        .iter()
        .zip(["10.0.0.11", "10.0.0.12", "10.0.0.13"])
        .map(|(name, address)| marked(name, address, ""))
        .collect();
    cluster.apply(&all.join("---\n"));
    let mut marks = BTreeMap::new();
    for name in names {
        cluster.wait_for(&format!("virtualservice/{name}"), "Programmed");
        let mark = mark_in_slice(cluster, name)?;
        assert!(CHOSEN.contains(&mark), "{name}: {mark}");
        assert_eq!(mark_in_status(cluster, name)?, Some(mark));
        let shown = cluster.kubectl(&format!("get lvsvs {name} -o wide"))?;
        assert!(shown.contains(&mark.to_string()), "{mark} in {shown}");
        marks.insert(name.to_owned(), mark);
    }
    let different: BTreeSet<i64> = marks.values().copied().collect();
    assert_eq!(different.len(), 3, "{marks:?}");
    assert_eq!(marks_in_kernel(director), different);
    let rules = director.sh("nft list table inet kube-lvs")?;
    for mark in &different {
        let shown = format!("{mark:#010x}");
        assert!(rules.contains(&shown), "{shown} in {rules}");
    }
    Ok(marks)
}

fn a_mark_stays_over_edits_and_a_restart(
    cluster: &mut Cluster,
    director: &Node,
    marks: &BTreeMap<String, i64>,
) -> anyhow::Result<()> {
    let same = |cluster: &Cluster, after: &str| -> anyhow::Result<()> {
        for (name, mark) in marks {
            cluster.wait_for(&format!("virtualservice/{name}"), "Programmed");
            assert_eq!(mark_in_slice(cluster, name)?, *mark, "{name} after {after}");
        }
        assert_eq!(marks_in_kernel(director), marks.values().copied().collect(), "{after}");
        Ok(())
    };
    let edited = marked("one", "10.0.0.11", "").replace("spec: {", "spec: {scheduler: rr, ");
    cluster.apply(&edited);
    same(cluster, "another scheduler")?;
    cluster.apply(&edited.replace("10.0.0.11]", "10.0.0.11, 10.0.0.14]"));
    same(cluster, "one more address")?;
    cluster.kill_operator();
    cluster.delete("virtualservice/three");
    cluster.start_operator();
    wait_for("the third mark is out of the kernel", PATIENCE, || {
        let left = marks_in_kernel(director);
        if left.len() == 2 { Ok(()) } else { Err(left) }
    });
    cluster.apply(&marked("three", "10.0.0.13", ""));
    same(cluster, "a restart of the operator, and made anew")
}

fn a_fixed_mark_is_whose_it_was_first(cluster: &Cluster, director: &Node) -> anyhow::Result<()> {
    cluster.apply(&marked("fixed", "10.0.0.15", "mark: 77"));
    cluster.wait_for("virtualservice/fixed", "Programmed");
    assert!(marks_in_kernel(director).contains(&77));
    cluster.apply(&marked("late", "10.0.0.16", "mark: 77"));
    cluster.wait_for("virtualservice/late", "Accepted=False");
    let told = cluster.condition("virtualservice/late", "Accepted");
    assert_eq!(told.reason, "MarkConflict");
    for part in ["spec.firewallMark.mark", "77", "default/fixed"] {
        assert!(told.message.contains(part), "{part}: {}", told.message);
    }
    assert_eq!(cluster.condition("virtualservice/fixed", "Programmed").status, "True");
    // One that is fixed to what was chosen for another.
    let chosen = mark_in_slice(cluster, "two")?;
    cluster.apply(&marked("late", "10.0.0.16", &format!("mark: {chosen}")));
    wait_for("late is told of two", PATIENCE, || {
        let told = cluster.condition("virtualservice/late", "Accepted");
        let is = told.reason == "MarkConflict" && told.message.contains("default/two");
        if is { Ok(()) } else { Err(told.message) }
    });
    cluster.apply(&marked("late", "10.0.0.16", "mark: 77"));
    cluster.delete("virtualservice/fixed");
    cluster.wait_for("virtualservice/late", "Programmed");
    assert_eq!(mark_in_slice(cluster, "late")?, 77);
    Ok(())
}

fn the_older_group_has_the_say(cluster: &Cluster, director: &Node) -> anyhow::Result<()> {
    let udp = || {
        let shown = director.sh("ipvsadm -L --timeout").unwrap_or_default();
        shown.split_whitespace().last().unwrap_or_default().to_owned()
    };
    let until = |wanted: &str| {
        wait_for(&format!("the timeout is {wanted}"), PATIENCE, || {
            let is = udp();
            if is == wanted { Ok(()) } else { Err(is) }
        });
    };
    let networks = "networks: [{cidr: 10.0.0.0/24}]";
    cluster.apply(&director_group("default", &format!("{networks}, timeouts: {{udp: 40}}")));
    until("40");
    // Older ones come first, and creation times are of whole seconds.
    std::thread::sleep(Duration::from_secs(2));
    let younger = "timeouts: {udp: 50, tcp: 500}, sysctls: {expireNodestConn: false}";
    cluster.apply(&director_group("another", younger));
    cluster.wait_for("directorgroup/another", "Conflicted");
    let told = cluster.condition("directorgroup/another", "Conflicted");
    for part in ["spec.timeouts.udp", "50", "node director", "DirectorGroup default", "40"] {
        assert!(told.message.contains(part), "{part}: {}", told.message);
    }
    assert_eq!(cluster.condition("directorgroup/default", "Conflicted").status, "False");
    wait_for("what only the younger one sets is in force", PATIENCE, || {
        let shown = director.sh("ipvsadm -L --timeout").map_err(|e| e.to_string())?;
        let nodest = director.read_sysctl("net.ipv4.vs.expire_nodest_conn");
        if shown.contains(": 500 ") && shown.trim().ends_with(" 40") && nodest == "0" {
            Ok(())
        } else {
            Err(format!("{shown} {nodest}"))
        }
    });
    cluster.apply(&director_group("default", networks));
    until("50");
    cluster.wait_for("directorgroup/another", "Conflicted=False");
    cluster.delete("directorgroup/another");
    until("300");
    wait_for("our default is back", PATIENCE, || {
        let nodest = director.read_sysctl("net.ipv4.vs.expire_nodest_conn");
        if nodest == "1" { Ok(()) } else { Err(nodest) }
    });
    Ok(())
}

#[track_caller]
fn wait_until_it_was_as(node: &Node, before: &NodeState) {
    wait_for("the node is as it was", PATIENCE, || {
        let changes = NodeState::of(node).changes_since(before);
        // A fallback device comes with the first tunnel of its kind, and stays.
        if changes.is_empty() { Ok(()) } else { Err(changes) }
    });
}

#[test]
fn each_example_is_programmed_alone_and_leaves_nothing_behind() {
    in_guest(guest(), || -> anyhow::Result<()> {
        // The networks that the examples speak of.
        let [outside, inside] = ["outside", "inside"].map(Link::new);
        let director = Node::new("director")
            .on(&outside, "eth1", "192.168.0.1/24 211.47.13.2/24 2001:db8::1/64")
            .on(&inside, "eth0", "10.0.0.1/24 fd00::1/64")
            .route("default via 192.168.0.254")
            .route("default via 2001:db8::fe");
        let worker = Node::new("worker-1").on(&outside, "eth0", "192.168.0.103/24");
        let mut cluster = Cluster::start();
        let before = [cluster.add_director(&director), cluster.add_node(&worker)];
        cluster.kubectl("label namespace default kube-lvs.io/edge=allowed")?;
        let mut left = Vec::new();
        for file in examples() {
            let text = fs::read_to_string(folder().join(&file))?;
            let label = text.split("matchLabels: {kube-lvs.io/director: ").nth(1);
            let label = label.and_then(|rest| rest.split('}').next()).unwrap_or("true");
            let label = label.trim_matches('"');
            cluster.plane.label_node(&director, &[("kube-lvs.io/director", label)]);
            if !text.contains("kind: DirectorGroup") {
                cluster.apply(&director_group("default", "networks: []"));
            }
            cluster.apply(&text);
            for name in services(&text) {
                let object = format!("virtualservice/{name}");
                let waited = cluster.plane.wait_for_condition(&object, "Programmed", PATIENCE);
                if waited.is_err() {
                    let told = cluster.condition(&object, "Programmed");
                    left.push(format!("{file}: {object}: {}: {}", told.reason, told.message));
                }
            }
            cluster.plane.delete_all()?;
            for (node, before) in [&director, &worker].into_iter().zip(&before) {
                let mut changes = Vec::new();
                for _ in 0..100 {
                    changes = NodeState::of(node).changes_since(before);
                    if changes.is_empty() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
                if !changes.is_empty() {
                    left.push(format!("{file}: {}: {changes:#?}", node.name()));
                }
            }
        }
        assert!(left.is_empty(), "{}", left.join("\n"));
        Ok(())
    });
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn examples() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("examples/").flatten();
    let mut files: Vec<_> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    files.retain(|file| file.ends_with(".yaml"));
    files.sort();
    assert!(files.len() > 20, "{files:?}");
    files
}

/// The names of a manifest's VirtualServices.
fn services(text: &str) -> Vec<String> {
    let documents = text.split("\n---").filter(|one| one.contains("kind: VirtualService"));
    let names = documents.filter_map(|one| one.split("\n  name: ").nth(1)?.lines().next());
    names.map(str::to_owned).collect()
}
