//! Which DirectorGroups hold on a machine without a cluster. Without any it is a director alone, and has every VIP at once: so
//! that is believed only where nothing says that there are others.

use crate::input::files::{Doubt, FileError};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use lvs_crds::{DEFAULT_GROUP, DirectorGroup, DirectorGroupSpec};
use lvs_resolve::{Snapshot, matches};
use std::collections::{BTreeMap, BTreeSet};

/// What held at some time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InForce {
    /// The groups that files had.
    pub groups: Vec<DirectorGroup>,
    /// There was none, and this machine has served alone.
    pub alone: bool,
}

/// What holds, and why not more.
#[derive(Debug, Default)]
pub(super) struct Groups {
    before: InForce,
    /// Files that keep groups from being known.
    withheld: BTreeSet<Doubt>,
    /// Groups that hold although no file has them any more.
    lost: BTreeSet<String>,
}

impl Groups {
    pub(super) fn new(before: InForce) -> Self {
        Self { before, ..Self::default() }
    }

    /// The groups that are to hold. `written`: those that files have.
    ///
    /// - A group of which a file that cannot be read tells, and nothing else is known, does not hold yet.
    /// - Where there is none, those go on that held before and have other directors than `node`.
    /// - Else `node` is alone, if no file may have a group, or if it was alone before.
    pub(super) fn settle(
        &mut self,
        node: &str,
        mut written: BTreeMap<String, DirectorGroup>,
        doubts: &BTreeSet<Doubt>,
        snapshot: &Snapshot,
    ) -> BTreeMap<String, DirectorGroup> {
        self.withheld.clear();
        self.lost.clear();
        let held = |name: &str| {
            self.before.groups.iter().any(|group| group.metadata.name.as_deref() == Some(name))
        };
        for doubt in doubts {
            if let Some(name) = &doubt.group
                && !held(name)
                && written.remove(name).is_some()
            {
                self.withheld.insert(doubt.clone());
            }
        }
        if !written.is_empty() || !self.withheld.is_empty() {
            return written;
        }
        for group in &self.before.groups {
            if let Some(name) = group.metadata.name.clone()
                && !is_alone(node, group, snapshot)
            {
                self.lost.insert(name.clone());
                written.insert(name, group.clone());
            }
        }
        if !written.is_empty() {
            return written;
        }
        if !doubts.is_empty() && !self.before.alone {
            self.withheld.clone_from(doubts);
            return written;
        }
        BTreeMap::from([(DEFAULT_GROUP.to_owned(), implicit())])
    }

    /// Notes what holds now.
    pub(super) fn note(&mut self, node: &str, snapshot: &Snapshot) {
        let all = || snapshot.director_groups().map(|(_, group)| group);
        if !self.withheld.is_empty() && all().next().is_none() {
            return;
        }
        let is_implicit = |group: &DirectorGroup| group.spec == implicit().spec;
        let alone = all().all(|group| is_implicit(group) && is_alone(node, group, snapshot));
        let groups = all().filter(|_| !alone).map(|group| {
            let mut group = DirectorGroup::clone(group);
            group.status = None;
            group
        });
        // A machine that has never had anything to serve has not been alone: its files are only just coming.
        let served = snapshot.virtual_services().next().is_some();
        self.before = InForce { groups: groups.collect(), alone: alone && served };
    }

    pub(super) fn withheld(&self) -> &BTreeSet<Doubt> {
        &self.withheld
    }

    pub(super) fn in_force(&self) -> &InForce {
        &self.before
    }

    pub(super) fn errors(&self, node: &str) -> Vec<FileError> {
        let withheld = self.withheld.iter().map(|doubt| {
            let group = doubt.group.as_ref().map_or_else(
                || "it may have the DirectorGroup".to_owned(),
                |name| format!("it has DirectorGroup {name}"),
            );
            let message = format!(
                "{group} that says who else is a director, and no earlier state of it is known: until it can be read, no VIP is \
                 claimed, for another machine may have it. Correct the file; if {node} is the only director, delete it"
            );
            FileError { file: doubt.file.clone(), message }
        });
        let lost = self.lost.iter().map(|name| {
            let message = format!(
                "DirectorGroup {name} is in no file any more: it goes on as it was, for others are its directors, and {node} \
                 alone would claim every VIP beside them. To make {node} the only director, write a DirectorGroup {name} with \
                 spec.members: [{{node: {node}}}]"
            );
            FileError { file: String::new(), message }
        });
        withheld.chain(lost).collect()
    }
}

/// As the chart makes one; here it selects the only node.
fn implicit() -> DirectorGroup {
    let spec = DirectorGroupSpec {
        node_selector: LabelSelector::default(),
        ..DirectorGroupSpec::default()
    };
    let mut group = DirectorGroup::new(DEFAULT_GROUP, spec);
    group.metadata.generation = Some(1);
    group
}

/// Whether `node` is its only director.
fn is_alone(node: &str, group: &DirectorGroup, snapshot: &Snapshot) -> bool {
    match group.spec.members.as_slice() {
        [] => snapshot
            .node(node)
            .is_some_and(|facts| matches(&group.spec.node_selector, &facts.labels)),
        [only] => only.node == node,
        _ => false,
    }
}
