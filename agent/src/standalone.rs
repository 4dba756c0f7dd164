//! One node without a cluster: from objects in files to slices, with the operator's own `resolve`, and back from the
//! agent's report to statuses. [`Standalone`] decides; [`watch`] watches the folder and writes the status file.

mod groups;
pub mod status;
#[cfg(test)]
mod tests;
pub mod watch;

use crate::input::Update;
use crate::input::files::{Doubt, FileError, ObjectName};
use groups::Groups;
pub use groups::InForce;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use kube::ResourceExt;
use kube::core::object::{HasSpec, HasStatus};
use lvs_crds::manifest::Object;
use lvs_crds::{
    DirectorGroup, LVSNode, LVSNodeSpec, LVSNodeStatus, RealServer, VirtualService,
    VirtualServiceSlice,
};
use lvs_resolve::{
    Key, NodeFacts, RealServerReport, Resolution, Snapshot, director_group_status,
    real_server_status, resolve, resolve_group, server_health, virtual_service_status,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// The label that every Kubernetes node carries, so that one manifest fits both ways of running.
const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";
/// The label that the examples and the chart give directors: an agent without a cluster is one.
const DIRECTOR_LABEL: &str = "kube-lvs.io/director";

/// The cluster of one node that files describe.
pub struct Standalone {
    node: String,
    snapshot: Snapshot,
    generations: BTreeMap<ObjectName, i64>,
    resolutions: BTreeMap<Key, Resolution>,
    concerned: Concerned,
    version: u64,
    groups: Groups,
}

/// Whose resolution may not be what it would be now.
enum Concerned {
    All,
    /// These alone.
    Some(BTreeSet<Key>),
}

impl Standalone {
    /// An empty cluster whose one node is this one. `before`: the groups that held at the end of an earlier run.
    pub fn new(node: &str, before: InForce) -> Self {
        let mut snapshot = Snapshot::default();
        snapshot.set_only_node(node);
        Self {
            node: node.to_owned(),
            snapshot,
            generations: BTreeMap::new(),
            resolutions: BTreeMap::new(),
            concerned: Concerned::All,
            version: 0,
            groups: Groups::new(before),
        }
    }

    /// Takes in what the files hold now, and which of them leave it in doubt what groups there are. Returns what the engine
    /// must know.
    pub fn take(
        &mut self,
        objects: &BTreeMap<&ObjectName, &Object>,
        doubts: &BTreeSet<Doubt>,
        now: &Time,
    ) -> Update {
        let mut update = Update { slices_synced: true, groups_synced: true, ..Update::default() };
        self.take_namespaced(objects);
        self.take_groups(objects, doubts, now, &mut update);
        self.generations.retain(|name, _| objects.contains_key(name));
        self.resolve(&mut update);
        update
    }

    /// Takes in what the engine reports: statuses may change, and the node's addresses decide which VIPs clash.
    /// Returns what the engine must know of that, if anything.
    pub fn report(&mut self, status: &LVSNodeStatus, now: &Time) -> Update {
        let addresses: Vec<IpAddr> =
            status.addresses.iter().filter_map(|address| address.parse().ok()).collect();
        let labels = BTreeMap::from([
            (HOSTNAME_LABEL.to_owned(), self.node.clone()),
            (DIRECTOR_LABEL.to_owned(), "true".to_owned()),
        ]);
        let facts = NodeFacts { labels, addresses, other_addresses: Vec::new() };
        let moved = self.snapshot.node(&self.node) != Some(&facts);
        let mut status = status.clone();
        status.report_time = Some(MicroTime(now.0));
        let mut node = LVSNode::new(&self.node, LVSNodeSpec {});
        node.status = Some(status);
        self.snapshot.set_lvs_node(node);
        let mut update = Update::default();
        if moved {
            let node = self.node.clone();
            self.snapshot.set_node(&node, facts);
            self.update_groups(now, &mut update);
            self.concerned = Concerned::All;
            self.resolve(&mut update);
        }
        update
    }

    fn take_namespaced(&mut self, objects: &BTreeMap<&ObjectName, &Object>) {
        let has = |kind: &'static str, key: &Key| {
            objects.contains_key(&(kind, key.namespace.clone(), key.name.clone()))
        };
        let gone: Vec<Key> = self
            .snapshot
            .virtual_services()
            .map(|(key, _)| key.clone())
            .filter(|key| !has("VirtualService", key))
            .collect();
        for key in gone {
            self.snapshot.remove_virtual_service(&key);
            self.resolutions.remove(&key);
            self.concerned = Concerned::All;
        }
        let gone: Vec<Key> = self
            .snapshot
            .real_servers()
            .map(|(key, _)| key.clone())
            .filter(|key| !has("RealServer", key))
            .collect();
        for key in gone {
            if let Some(old) = self.snapshot.remove_real_server(&key) {
                self.concern_selecting(&old);
            }
        }
        for (name, object) in objects {
            match object {
                Object::VirtualService(new) => self.take_virtual_service(name, new),
                Object::RealServer(new) => self.take_real_server(name, new),
                Object::DirectorGroup(_) => {}
            }
        }
    }

    fn take_virtual_service(&mut self, name: &ObjectName, new: &VirtualService) {
        let old = self.snapshot.virtual_service(&Key::of(new));
        let Some((mut new, same)) = changed(old.map(Arc::as_ref), new) else { return };
        new.metadata.generation = Some(self.generation(name, same));
        self.concerned = Concerned::All;
        self.snapshot.set_virtual_service(new);
    }

    fn take_real_server(&mut self, name: &ObjectName, new: &RealServer) {
        let old = self.snapshot.real_server(&Key::of(new));
        let Some((mut new, same)) = changed(old.map(Arc::as_ref), new) else { return };
        if let Some(old) = old.cloned() {
            self.concern_selecting(&old);
        }
        new.metadata.generation = Some(self.generation(name, same));
        self.concern_selecting(&new);
        self.snapshot.set_real_server(new);
    }

    /// A RealServer concerns those that select it, and nobody else.
    fn concern_selecting(&mut self, server: &RealServer) {
        if let Concerned::Some(keys) = &mut self.concerned {
            let namespace = server.metadata.namespace.as_deref().unwrap_or_default();
            keys.extend(self.snapshot.selecting(namespace, server.labels()).cloned());
        }
    }

    /// Takes in the groups of the files, and what stands in for them where there is none.
    fn take_groups(
        &mut self,
        objects: &BTreeMap<&ObjectName, &Object>,
        doubts: &BTreeSet<Doubt>,
        now: &Time,
        update: &mut Update,
    ) {
        let mut written: BTreeMap<String, DirectorGroup> = BTreeMap::new();
        for (name, object) in objects {
            if let Object::DirectorGroup(group) = object {
                let old = self.snapshot.director_group(&name.2).cloned();
                let same = old.is_some_and(|old| old.spec == group.spec);
                if !same {
                    self.concerned = Concerned::All;
                }
                let mut group = DirectorGroup::clone(group);
                group.metadata.generation = Some(self.generation(name, same));
                written.insert(name.2.clone(), group);
            }
        }
        let wanted = self.groups.settle(&self.node, written, doubts, &self.snapshot);
        if !self.groups.withheld().is_empty() {
            // Nothing is claimed, and of what stands nothing is taken away: it may be what is meant.
            update.groups_synced = false;
        }
        let known: Vec<String> =
            self.snapshot.director_groups().map(|(name, _)| name.clone()).collect();
        for name in known.into_iter().filter(|name| !wanted.contains_key(name)) {
            self.snapshot.remove_director_group(&name);
            self.concerned = Concerned::All;
            update.groups.push((name, None));
        }
        for (name, mut group) in wanted {
            group.status =
                self.snapshot.director_group(&name).and_then(|group| group.status.clone());
            self.snapshot.set_director_group(group);
        }
        self.update_groups(now, update);
        self.groups.note(&self.node, &self.snapshot);
    }

    /// What is wrong with the files' groups, and what that means for this machine.
    pub fn group_errors(&self) -> Vec<FileError> {
        self.groups.errors(&self.node)
    }

    /// The groups that hold, for [`Standalone::new`] of the next run.
    pub fn groups_in_force(&self) -> &InForce {
        self.groups.in_force()
    }

    /// Members come from the node's labels; agents read them in the group's status.
    fn update_groups(&mut self, now: &Time, update: &mut Update) {
        let groups = self.groups_now(now);
        update.groups.extend(groups.into_iter().map(|(name, group)| (name, Some(group))));
    }

    /// Every group with its status as of now. Statuses speak of each other and of the node's report, so they change more
    /// often than what the engine need know.
    fn groups_now(&mut self, now: &Time) -> Vec<(String, DirectorGroup)> {
        let names: Vec<String> =
            self.snapshot.director_groups().map(|(name, _)| name.clone()).collect();
        let mut groups = Vec::new();
        for name in names {
            let Some(resolution) = resolve_group(&name, &self.snapshot) else { continue };
            let status = director_group_status(&name, &resolution, &self.snapshot, now);
            let Some(group) = self.snapshot.director_group(&name) else { continue };
            let mut group = DirectorGroup::clone(group);
            group.status = Some(status);
            self.snapshot.set_director_group(group.clone());
            groups.push((name, group));
        }
        groups
    }

    fn generation(&mut self, name: &ObjectName, same: bool) -> i64 {
        let generation = self.generations.entry(name.clone()).or_insert(0);
        if !same || *generation == 0 {
            *generation += 1;
        }
        *generation
    }

    /// Whatever may have changed anew, and then, for as long as slices change, whoever is kept out: a clash that is over
    /// must be seen by all it kept out.
    fn resolve(&mut self, update: &mut Update) {
        let concerned = std::mem::replace(&mut self.concerned, Concerned::Some(BTreeSet::new()));
        let (mut keys, mut gone) = match concerned {
            Concerned::Some(keys) => (keys, Vec::new()),
            Concerned::All => {
                let keys = self.snapshot.virtual_services().map(|(key, _)| key.clone()).collect();
                let owned = |(name, slice): (&Key, &Arc<VirtualServiceSlice>)| {
                    let owner = Key::new(&name.namespace, &slice.spec.virtual_service);
                    self.snapshot.virtual_service(&owner).is_none().then(|| name.clone())
                };
                (keys, self.snapshot.slices().filter_map(owned).collect())
            }
        };
        loop {
            let before = (update.slices.len(), self.resolutions.len());
            for name in gone.drain(..) {
                self.remove_slice(name, update);
            }
            for key in &keys {
                self.resolve_one(key, update);
            }
            if before == (update.slices.len(), self.resolutions.len()) {
                break;
            }
            let kept_out = self.resolutions.iter().filter(|(_, it)| !it.accepted.is_true());
            keys = kept_out.map(|(key, _)| key.clone()).collect();
        }
        update.version = self.version;
    }

    fn resolve_one(&mut self, key: &Key, update: &mut Update) {
        let Some(resolution) = resolve(key, &self.snapshot) else { return };
        for slice in &resolution.slices {
            let name = Key::new(&key.namespace, &slice.name);
            if self.snapshot.slice(&name).is_none_or(|old| old.spec != slice.spec) {
                self.version += 1;
                let slice = VirtualServiceSlice {
                    metadata: ObjectMeta {
                        namespace: Some(name.namespace.clone()),
                        name: Some(name.name.clone()),
                        resource_version: Some(self.version.to_string()),
                        ..ObjectMeta::default()
                    },
                    spec: slice.spec.clone(),
                };
                update.slices.push(((name.namespace, name.name), Some(slice.clone())));
                self.snapshot.set_slice(slice);
            }
        }
        let wanted = |name: &Key| resolution.slices.iter().any(|slice| slice.name == name.name);
        let has = self.snapshot.slices_of(key).map(|(name, _)| name);
        for name in has.filter(|name| !wanted(name)).cloned().collect::<Vec<_>>() {
            self.remove_slice(name, update);
        }
        self.resolutions.insert(key.clone(), resolution);
    }

    fn remove_slice(&mut self, name: Key, update: &mut Update) {
        self.snapshot.remove_slice(&name);
        self.version += 1;
        update.slices.push(((name.namespace, name.name), None));
    }

    /// Every object with its status as of now.
    pub fn statuses(&mut self, now: &Time) -> status::Objects {
        // Conditions are kept in the snapshot, so that transition times stand.
        for (key, resolution) in &self.resolutions {
            let status = virtual_service_status(key, resolution, &self.snapshot, now);
            if self.snapshot.virtual_service(key).is_some_and(|old| old.status != status) {
                self.snapshot.set_virtual_service_status(key, status);
            }
        }
        let mut reports: BTreeMap<Key, Vec<RealServerReport>> = BTreeMap::new();
        for (key, resolution) in &self.resolutions {
            let mut health = server_health(key, resolution, &self.snapshot);
            for name in &resolution.selected {
                let server = Key::new(&key.namespace, name);
                let left_out =
                    resolution.left_out.iter().find(|left| left.real_server == *name).cloned();
                let health = health.remove(name);
                let report =
                    RealServerReport { virtual_service: key.name.clone(), left_out, health };
                reports.entry(server).or_default().push(report);
            }
        }
        let mut changed = Vec::new();
        for (key, server) in self.snapshot.real_servers() {
            let reports = reports.get(key).map(Vec::as_slice).unwrap_or_default();
            let status = real_server_status(key, reports, &self.snapshot, now);
            if server.status.as_ref() != Some(&status) {
                changed.push((key.clone(), status));
            }
        }
        for (key, status) in changed {
            self.snapshot.set_real_server_status(&key, status);
        }
        status::Objects {
            groups: self.groups_now(now).into_iter().map(|(_, group)| group).collect(),
            virtual_services: self.snapshot.virtual_services().map(|(_, it)| it.clone()).collect(),
            real_servers: self.snapshot.real_servers().map(|(_, it)| it.clone()).collect(),
            node: self.snapshot.lvs_node(&self.node).cloned(),
        }
    }
}

/// What a file says anew, with the status that the object has already, and whether its spec is as it was; `None` where nothing
/// has changed: a file is read as a whole, most of it as before.
fn changed<K>(old: Option<&K>, new: &K) -> Option<(K, bool)>
where
    K: HasSpec + HasStatus + ResourceExt + Clone,
    K::Spec: PartialEq,
    K::Status: Clone,
{
    let same = old.is_some_and(|old| old.spec() == new.spec());
    let has_its_words = |old: &K| {
        let (old, new) = (old.meta(), new.meta());
        old.labels == new.labels && old.annotations == new.annotations
    };
    if same && old.is_some_and(has_its_words) {
        return None;
    }
    let mut new = new.clone();
    *new.status_mut() = old.and_then(|old| old.status().cloned());
    Some((new, same))
}
