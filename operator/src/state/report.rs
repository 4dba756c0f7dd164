//! What of an agent's report concerns others.

use lvs_crds::{CarriedRouter, DirectorRole, DownServer, LVSNode, Probes, Unanswered};
use lvs_resolve::Key;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What of a report concerns others.
#[derive(Default)]
pub(super) struct Report {
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) programmed: Option<u64>,
    /// VirtualServices that it says failed, with what it says.
    pub(super) failing: BTreeSet<Key>,
    /// What it warns of, by the VirtualService that it names; `None` is the whole node.
    pub(super) warnings: BTreeMap<Option<Key>, Vec<(String, String)>>,
    /// What holds for every VirtualService of the node.
    pub(super) whole_node: WholeNode,
    /// What its DirectorGroups' members, virtual router ids and reasons come from.
    pub(super) link: Link,
    /// What it met at VIPs, by DirectorGroup.
    pub(super) probes: BTreeMap<String, Met>,
    /// The real servers that it finds down, by VirtualService.
    pub(super) down: BTreeMap<Key, BTreeSet<DownServer>>,
    /// Whether it checks any.
    pub(super) checks: bool,
    /// The virtual routers of its DirectorGroups.
    pub(super) routers: BTreeMap<Router, Carried>,
}

/// What a node met at the VIPs of one DirectorGroup.
#[derive(Default, PartialEq)]
pub(super) struct Met {
    /// Up to which slice all was asked.
    pub(super) asked: Option<u64>,
    /// What holds for every VirtualService: none was answered, some of those that were not are not listed.
    pub(super) whole: (bool, bool),
    /// The VIPs with something that was not answered, and what.
    pub(super) unanswered: BTreeMap<IpAddr, BTreeSet<Unanswered>>,
}

/// DirectorGroup and id of a virtual router.
pub(super) type Router = (String, i32);

#[derive(PartialEq)]
pub(super) struct Carried {
    here: bool,
    problem: Option<String>,
}

#[derive(Default, PartialEq)]
pub(super) struct Link {
    macs: Vec<String>,
    mtu: Option<i32>,
    strangers: Vec<(i32, String)>,
    /// Of each of its DirectorGroups, whom it hears.
    hears: Vec<Option<Vec<String>>>,
}

#[derive(Default, PartialEq)]
pub(super) struct WholeNode {
    pub(super) there: bool,
    director_of: Vec<String>,
    failures: Vec<(String, String)>,
    unlisted: bool,
}

impl WholeNode {
    /// The DirectorGroups that it is a director of.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        self.director_of.iter().map(String::as_str)
    }
}

impl Report {
    pub(super) fn of(node: Option<&LVSNode>) -> Self {
        let Some((node, status)) = node.and_then(|n| Some((n, n.status.as_ref()?))) else {
            return Self::default();
        };
        let mut report = Self {
            addresses: reported(node),
            programmed: status.programmed.as_ref().and_then(|p| p.resource_version.parse().ok()),
            ..Self::default()
        };
        for failure in &status.failures {
            match (&failure.namespace, &failure.virtual_service) {
                (Some(namespace), Some(name)) => {
                    report.failing.insert(Key::new(namespace, name));
                }
                _ => report
                    .whole_node
                    .failures
                    .push((failure.reason.clone(), failure.message.clone())),
            }
        }
        for warning in &status.warnings {
            let named = warning.namespace.as_ref().zip(warning.virtual_service.as_ref());
            let named = named.map(|(namespace, name)| Key::new(namespace, name));
            let text = (warning.reason.clone(), warning.message.clone());
            report.warnings.entry(named).or_default().push(text);
        }
        report.probes = status.probes.iter().map(|it| (it.group.clone(), met(it))).collect();
        report.routers = status.virtual_routers.iter().map(carried).collect();
        report.checks = status.health.is_some();
        for it in status.health.iter().flat_map(|health| &health.down) {
            let service = Key::new(&it.namespace, &it.virtual_service);
            report.down.entry(service).or_default().insert(it.clone());
        }
        report.link.macs.clone_from(&status.macs);
        report.link.mtu = status.mtu;
        report.link.strangers =
            status.strangers.iter().map(|s| (s.id, s.address.clone())).collect();
        report.link.hears = status.director_of.iter().map(|it| it.hears.clone()).collect();
        let listed = i32::try_from(status.failures.len()).unwrap_or(i32::MAX);
        report.whole_node.there = true;
        report.whole_node.unlisted = status.failure_count > listed;
        report.whole_node.director_of =
            status.director_of.iter().map(|d| d.group.clone()).collect();
        report
    }
}

fn met(probes: &Probes) -> Met {
    let mut met = Met {
        asked: probes.resource_version.as_ref().and_then(|version| version.parse().ok()),
        whole: (probes.unanswered_count >= probes.services, probes.unlisted > 0),
        ..Met::default()
    };
    for it in &probes.unanswered {
        if let Ok(address) = it.address.parse() {
            met.unanswered.entry(address).or_default().insert(it.clone());
        }
    }
    met
}

fn carried(router: &CarriedRouter) -> (Router, Carried) {
    let here = router.role == DirectorRole::Active;
    let carried = Carried { here, problem: router.problem.clone() };
    ((router.group.clone(), router.id), carried)
}

/// The virtual routers of which a report says something new.
pub(super) fn changed(before: &Report, after: &Report) -> BTreeSet<Router> {
    let routers = before.routers.keys().chain(after.routers.keys());
    routers.filter(|r| before.routers.get(*r) != after.routers.get(*r)).cloned().collect()
}

/// The addresses that a node reports as its own.
pub(super) fn reported(node: &LVSNode) -> BTreeSet<IpAddr> {
    lvs_resolve::reported_addresses(node).into_iter().collect()
}
