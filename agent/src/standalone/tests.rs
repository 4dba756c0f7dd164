use super::*;
use crate::input::files::name;
use k8s_openapi::jiff::Timestamp;
use lvs_crds::{DEFAULT_GROUP, Programmed, manifest};

fn objects(text: &str) -> Vec<Object> {
    manifest::parse(text).into_iter().map(Result::unwrap).collect()
}

const WEB: &str = "
apiVersion: kube-lvs.io/v1alpha1
kind: VirtualService
metadata: {name: web}
spec: {addresses: [192.168.0.10], ports: [{port: 80}], realServers: {selector: {matchLabels: {app: web}}}}
---
apiVersion: kube-lvs.io/v1alpha1
kind: RealServer
metadata: {name: a, labels: {app: web}}
spec: {address: 192.168.0.101}
";

struct Bench(Standalone);

impl Bench {
    fn new() -> Self {
        let mut bench = Self(Standalone::new("d", InForce::default()));
        bench.report(&["10.0.0.1"], None);
        bench
    }

    fn take(&mut self, text: &str) -> Update {
        self.take_doubting(text, &[])
    }

    fn take_doubting(&mut self, text: &str, doubts: &[(&str, Option<&str>)]) -> Update {
        let objects = objects(text);
        let names: Vec<ObjectName> = objects.iter().map(name).collect();
        let doubt = |(file, group): &(&str, Option<&str>)| Doubt {
            file: (*file).to_owned(),
            group: group.map(str::to_owned),
        };
        let doubts = doubts.iter().map(doubt).collect();
        self.0.take(&names.iter().zip(&objects).collect(), &doubts, &Time(Timestamp::UNIX_EPOCH))
    }

    /// The members of each group that holds.
    fn members(&mut self) -> Vec<(String, Vec<String>)> {
        let groups = self.0.statuses(&Time(Timestamp::UNIX_EPOCH)).groups;
        groups
            .iter()
            .map(|group| {
                let members = group.status.iter().flat_map(|status| &status.members);
                let members = members.map(|member| member.node.clone()).collect();
                (group.metadata.name.clone().unwrap_or_default(), members)
            })
            .collect()
    }

    /// Which file is told of what.
    fn told(&self, file: &str, part: &str) -> bool {
        self.0.group_errors().iter().any(|it| it.file == file && it.message.contains(part))
    }

    /// The agent starts anew.
    fn restart(self) -> Self {
        let mut bench = Self(Standalone::new("d", self.0.groups_in_force().clone()));
        bench.report(&["10.0.0.1"], None);
        bench
    }

    fn report(&mut self, addresses: &[&str], programmed: Option<u64>) -> Update {
        let status = LVSNodeStatus {
            addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
            director_of: vec![lvs_crds::DirectorOf {
                group: "default".to_owned(),
                role: lvs_crds::DirectorRole::Active,
                hears: None,
            }],
            programmed: programmed.map(|v| Programmed { resource_version: v.to_string() }),
            ..LVSNodeStatus::default()
        };
        self.0.report(&status, &Time(Timestamp::UNIX_EPOCH))
    }

    /// `Programmed=True` and the like, of the only VirtualService.
    fn conditions(&mut self) -> Vec<String> {
        let objects = self.0.statuses(&Time(Timestamp::UNIX_EPOCH));
        let status = objects.virtual_services[0].status.clone().unwrap();
        status.conditions.iter().map(|c| format!("{}={}", c.type_, c.status)).collect()
    }
}

#[test]
fn files_become_slices_of_a_group_that_selects_this_node() {
    let mut bench = Bench::new();
    let update = bench.take(WEB);
    assert!(update.slices_synced && update.groups_synced);
    let [(_, Some(slice))] = update.slices.as_slice() else { panic!("{update:?}") };
    assert_eq!(slice.spec.real_servers.len(), 1);
    let [(name, Some(group))] = update.groups.as_slice() else { panic!("{update:?}") };
    let members = &group.status.as_ref().unwrap().members;
    assert_eq!((name.as_str(), members[0].node.as_str()), (DEFAULT_GROUP, "d"));
}

#[test]
fn programmed_is_true_only_once_the_engine_has_read_back_what_the_files_say_now() {
    let mut bench = Bench::new();
    let version = bench.take(WEB).version;
    assert!(bench.conditions().contains(&"Programmed=False".to_owned()));
    bench.report(&["10.0.0.1"], Some(version));
    assert!(bench.conditions().contains(&"Programmed=True".to_owned()));
    let next = bench.take(&WEB.replace("192.168.0.101", "192.168.0.102")).version;
    assert!(next > version);
    assert!(bench.conditions().contains(&"Programmed=False".to_owned()));
    bench.report(&["10.0.0.1"], Some(next));
    assert!(bench.conditions().contains(&"Programmed=True".to_owned()));
}

#[test]
fn what_is_the_same_is_no_news() {
    let mut bench = Bench::new();
    let version = bench.take(WEB).version;
    let again = bench.take(WEB);
    assert_eq!((again.slices.len(), again.version), (0, version));
}

#[test]
fn what_leaves_the_files_leaves_the_slices() {
    let mut bench = Bench::new();
    bench.take(WEB);
    let update = bench.take(
        "apiVersion: kube-lvs.io/v1alpha1\nkind: DirectorGroup\nmetadata: {name: edge}\nspec: {}\n",
    );
    assert!(matches!(update.slices.as_slice(), [(_, None)]), "{update:?}");
    let names: Vec<_> = update.groups.iter().map(|(n, g)| (n.as_str(), g.is_some())).collect();
    assert!(names.contains(&("default", false)) && names.contains(&("edge", true)), "{names:?}");
}

#[test]
fn a_vip_that_is_an_address_of_this_node_is_not_accepted() {
    let mut bench = Bench::new();
    bench.take(WEB);
    assert!(bench.conditions().contains(&"Accepted=True".to_owned()));
    bench.report(&["192.168.0.10"], None);
    assert!(bench.conditions().contains(&"Accepted=False".to_owned()));
}

#[test]
fn the_examples_of_a_cluster_select_this_node_too() {
    let mut bench = Bench::new();
    let update = bench.take(
        "apiVersion: kube-lvs.io/v1alpha1\nkind: DirectorGroup\nmetadata: {name: default}\nspec: {nodeSelector: \
         {matchLabels: {kube-lvs.io/director: \"true\", kubernetes.io/hostname: d}}}\n",
    );
    let group = update.groups[0].1.as_ref().unwrap();
    assert_eq!(group.status.as_ref().unwrap().members.len(), 1);
}

#[test]
fn an_edit_counts_up_the_generation_and_nothing_else_does() {
    let mut bench = Bench::new();
    bench.take(WEB);
    bench.take(WEB);
    bench.take(&WEB.replace("port: 80", "port: 81"));
    let objects = bench.0.statuses(&Time(Timestamp::UNIX_EPOCH));
    assert_eq!(objects.virtual_services[0].metadata.generation, Some(2));
    assert_eq!(objects.real_servers[0].metadata.generation, Some(1));
}

#[test]
fn an_address_that_becomes_free_is_whose_it_was_refused_at_once() {
    let mut bench = Bench::new();
    let first = WEB.replace("name: web}", "name: zoo}");
    bench.take(&first);
    let both = format!("{first}---{}", WEB.replace("name: a,", "name: b,"));
    bench.take(&both);
    let accepted = |bench: &mut Bench| {
        let objects = bench.0.statuses(&Time(Timestamp::UNIX_EPOCH));
        let of = |vs: &VirtualService| vs.status.clone().unwrap().conditions[0].status == "True";
        objects.virtual_services.iter().map(|vs| of(vs)).collect::<Vec<_>>()
    };
    assert_eq!(accepted(&mut bench), [false, true]);
    // web comes before zoo, whose address it wants.
    bench.take(&both.replacen("192.168.0.10]", "192.168.0.11]", 1));
    assert_eq!(accepted(&mut bench), [true, true]);
    bench.take(&both.replacen("192.168.0.10]", "192.168.0.11]", 1).replacen(
        "192.168.0.10]",
        "192.168.0.11]",
        1,
    ));
    assert_eq!(accepted(&mut bench), [false, true]);
    bench.take(WEB);
    assert_eq!(accepted(&mut bench), [true]);
}

#[test]
fn a_real_servers_change_reaches_whoever_selects_it_or_did() {
    let mut bench = Bench::new();
    let other = WEB.replace("name: web}", "name: api}").replace("192.168.0.10]", "192.168.0.11]");
    let other = other.replace("app: web", "app: api").replace("name: a,", "name: b,");
    let other = other.replace("192.168.0.101", "192.168.0.103");
    let both = format!("{WEB}---{other}");
    bench.take(&both);
    let servers = |update: &Update| {
        let of = |(name, slice): &(_, Option<VirtualServiceSlice>)| {
            let (_, name): &(String, String) = name;
            (name.clone(), slice.as_ref().unwrap().spec.real_servers.len())
        };
        update.slices.iter().map(of).collect::<Vec<_>>()
    };
    let moved = both.replace("name: a, labels: {app: web}", "name: a, labels: {app: api}");
    let told = servers(&bench.take(&moved));
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told.iter().map(|(_, servers)| servers).sum::<usize>(), 2, "{told:?}");
    let told = servers(&bench.take(&moved.replace("192.168.0.101", "192.168.0.102")));
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn what_has_not_changed_is_told_once() {
    let mut bench = Bench::new();
    bench.take(WEB);
    let mut told = status::Transitions::default();
    let now = Time(Timestamp::UNIX_EPOCH);
    assert!(told.log(bench.0.statuses(&now), Vec::new()));
    assert!(!told.log(bench.0.statuses(&now), Vec::new()));
    bench.take(&WEB.replace("192.168.0.101", "192.168.0.102"));
    assert!(told.log(bench.0.statuses(&now), Vec::new()));
}

const PAIR: &str = "---
apiVersion: kube-lvs.io/v1alpha1
kind: DirectorGroup
metadata: {name: default}
spec: {members: [{node: d, addresses: [10.0.0.1]}, {node: e, addresses: [10.0.0.2]}]}
";

fn pair() -> Vec<(String, Vec<String>)> {
    vec![("default".to_owned(), vec!["d".to_owned(), "e".to_owned()])]
}

fn alone() -> Vec<(String, Vec<String>)> {
    vec![("default".to_owned(), vec!["d".to_owned()])]
}

#[test]
fn a_group_that_cannot_be_read_and_was_never_known_makes_nobody_a_lone_director() {
    for doubt in [("group.yaml", Some("default")), ("group.yaml", None)] {
        let mut bench = Bench::new();
        let update = bench.take_doubting(WEB, &[doubt]);
        assert!(update.slices.is_empty() && update.groups.is_empty(), "{update:?}");
        assert!(!update.groups_synced, "what stands may be what is meant");
        assert!(bench.told("group.yaml", "no VIP is claimed"));
        // As little after a restart.
        let mut bench = bench.restart();
        assert!(bench.take_doubting(WEB, &[doubt]).slices.is_empty());
        let update = bench.take(&format!("{WEB}{PAIR}"));
        assert!(update.groups_synced && update.slices.len() == 1, "{update:?}");
        assert_eq!(bench.members(), pair());
        assert!(bench.0.group_errors().is_empty());
    }
}

#[test]
fn a_machine_that_serves_alone_goes_on_beside_a_file_that_cannot_be_read() {
    let mut bench = Bench::new();
    bench.take(WEB);
    for _ in 0..2 {
        let update = bench.take_doubting(WEB, &[("group.yaml", None)]);
        assert!(update.groups_synced);
        assert_eq!(bench.members(), alone());
        bench = bench.restart();
    }
}

#[test]
fn a_group_of_others_goes_on_when_no_file_has_it_any_more() {
    let mut bench = Bench::new();
    bench.take(&format!("{WEB}{PAIR}"));
    for _ in 0..2 {
        let update = bench.take(WEB);
        assert!(update.groups_synced);
        assert_eq!(bench.members(), pair());
        assert!(bench.told("", "spec.members: [{node: d}]"), "{:?}", bench.0.group_errors());
        bench = bench.restart();
    }
    // Also when it comes again under another name of a file, and cannot be read.
    bench.take_doubting(WEB, &[("new.yaml", Some("default"))]);
    assert_eq!(bench.members(), pair());
    // One that says so is alone, and stays it when that goes.
    let only = PAIR.replace(", {node: e, addresses: [10.0.0.2]}", "");
    bench.take(&format!("{WEB}{only}"));
    assert_eq!(bench.members(), alone());
    bench.take(WEB);
    assert_eq!(bench.members(), alone());
    assert!(bench.0.group_errors().is_empty());
}

#[test]
fn who_is_no_director_of_the_files_groups_does_not_become_one_without_them() {
    let mut bench = Bench::new();
    let others = PAIR.replace("node: d", "node: f");
    bench.take(&format!("{WEB}{others}"));
    bench.take(WEB);
    assert_eq!(bench.members()[0].1, ["e", "f"]);
}

#[test]
fn of_two_files_with_one_group_a_bad_one_keeps_the_other_from_counting_until_one_was_good() {
    let mut bench = Bench::new();
    let both = format!("{WEB}{PAIR}");
    let update = bench.take_doubting(&both, &[("a.yaml", Some("default"))]);
    assert!(update.slices.is_empty(), "{update:?}");
    assert!(bench.told("a.yaml", "DirectorGroup default"));
    bench.take(&both);
    let update = bench.take_doubting(&both, &[("a.yaml", Some("default"))]);
    assert!(update.groups_synced);
    assert_eq!(bench.members(), pair());
    // One of another name keeps none of the others from counting.
    let mut bench = Bench::new();
    bench.take_doubting(&both, &[("edge.yaml", Some("edge"))]);
    assert_eq!(bench.members(), pair());
}
