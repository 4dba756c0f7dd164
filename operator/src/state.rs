//! What the operator knows and what it has to look at. Pure: changes come in, decisions come out.

mod decide;
mod event;
mod health;
mod liveness;
mod mark;
mod queue;
mod report;
mod takeover;
#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic)]
mod tests;

pub use decide::Decision;
pub use liveness::Liveness;
pub use queue::{Queue, Target};

use health::Views;
use report::Router;

use crate::api::{Doomed, Written};
use crate::watch::Delta;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::events::v1::Event;
use kube::{Resource, ResourceExt};
use lvs_crds::{DirectorGroup, LVSNode, RealServer, VirtualService, VirtualServiceSlice};
use lvs_resolve::{Key, LeftOut, NodeFacts, ServerHealth, Snapshot};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Something that a watch saw.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Change {
    VirtualService(Delta<VirtualService>),
    RealServer(Delta<RealServer>),
    DirectorGroup(Delta<DirectorGroup>),
    Slice(Delta<VirtualServiceSlice>),
    LvsNode(Delta<LVSNode>),
    Node(Delta<Node>),
    Namespace(Delta<Namespace>),
}

/// The kinds that are watched.
const KINDS: usize = 7;

/// How many ended slices are remembered.
const MAX_ENDED: usize = 1024;

/// What one VirtualService makes of the real servers that it selects.
type Judgement = BTreeMap<String, (Option<LeftOut>, Option<ServerHealth>)>;

/// What the operator knows, and what it has to look at.
#[derive(Debug, Default)]
pub struct State {
    snapshot: Snapshot,
    /// What is to be looked at.
    pub queue: Queue,
    /// Which agents still report.
    pub liveness: Liveness,
    synced: BTreeSet<&'static str>,
    judgements: HashMap<Key, Judgement>,
    /// VirtualServices that are not Programmed: a report may change that.
    pending: BTreeSet<Key>,
    /// VirtualServices of which it is not known whether they serve: that all was asked may change that.
    unasked: BTreeSet<Key>,
    /// Slices that we deleted and whose end the watch has not shown yet, with their uids.
    deleted: HashMap<Key, Option<String>>,
    /// Slices that the watch saw go, with their uids: the answer to a write of ours may come after that.
    ended: HashMap<Key, Option<String>>,
    /// Who was last seen to carry each virtual router.
    carriers: HashMap<Router, Vec<String>>,
    /// What directors say of real servers.
    views: Views,
    events: Vec<Event>,
}

impl State {
    /// Whether every kind has been listed once: before that, what is missing may only not have been seen.
    pub fn is_synced(&self) -> bool {
        self.synced.len() == KINDS
    }

    /// The cluster.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Events to publish since this was last asked.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Marks everything, for a replica that becomes the active one.
    pub fn mark_all(&mut self) {
        let groups = self.snapshot.director_groups().map(|(name, _)| Target::Group(name.clone()));
        let services =
            self.snapshot.virtual_services().map(|(key, _)| Target::VirtualService(key.clone()));
        let orphans = self.snapshot.slices().map(|(key, slice)| {
            Target::VirtualService(Key::new(&key.namespace, &slice.spec.virtual_service))
        });
        let servers = self.snapshot.real_servers().map(|(key, _)| Target::RealServer(key.clone()));
        let nodes = self.snapshot.lvs_nodes().map(|(name, _)| Target::LvsNode(name.clone()));
        let all: Vec<_> =
            groups.chain(services).chain(orphans).chain(servers).chain(nodes).collect();
        all.into_iter().for_each(|target| self.queue.mark(target));
    }

    /// Takes in what a watch saw. `now` is the monotonic clock's.
    pub fn change(&mut self, change: Change, now: Duration) {
        match change {
            Change::VirtualService(delta) => {
                let known = |key: &Key| self.snapshot.virtual_service(key).map(|o| version(&**o));
                match news(delta, known) {
                    News::Set(object) => self.set_virtual_service(object),
                    News::Gone(key) => self.remove_virtual_service(&key),
                    News::Synced => drop(self.synced.insert("VirtualService")),
                    News::Old => {}
                }
            }
            Change::RealServer(delta) => {
                let known = |key: &Key| self.snapshot.real_server(key).map(|o| version(&**o));
                match news(delta, known) {
                    News::Set(object) => self.set_real_server(object),
                    News::Gone(key) => self.remove_real_server(&key),
                    News::Synced => drop(self.synced.insert("RealServer")),
                    News::Old => {}
                }
            }
            Change::DirectorGroup(delta) => {
                let known = |k: &Key| self.snapshot.director_group(&k.name).map(|o| version(&**o));
                match news(delta, known) {
                    News::Set(object) => self.set_group(object),
                    News::Gone(key) => self.remove_group(&key.name),
                    News::Synced => drop(self.synced.insert("DirectorGroup")),
                    News::Old => {}
                }
            }
            Change::Slice(delta) => self.slice(delta),
            Change::LvsNode(delta) => {
                let known = |key: &Key| self.snapshot.lvs_node(&key.name).map(|o| version(&**o));
                match news(delta, known) {
                    News::Set(object) => self.set_lvs_node(object, now),
                    News::Gone(key) => self.remove_lvs_node(&key.name, now),
                    News::Synced => drop(self.synced.insert("LVSNode")),
                    News::Old => {}
                }
            }
            Change::Node(Delta::Seen { object, .. }) => {
                self.set_node(&object.name_any(), NodeFacts::from(&*object));
            }
            Change::Node(Delta::Gone { key, .. }) => self.remove_node(&key.name),
            Change::Node(Delta::Synced) => drop(self.synced.insert("Node")),
            Change::Namespace(Delta::Seen { object, .. }) => {
                self.set_namespace(&object.name_any(), Some(object.labels().clone()));
            }
            Change::Namespace(Delta::Gone { key, .. }) => self.set_namespace(&key.name, None),
            Change::Namespace(Delta::Synced) => drop(self.synced.insert("Namespace")),
        }
    }

    fn slice(&mut self, delta: Delta<VirtualServiceSlice>) {
        match &delta {
            Delta::Seen { object, .. } => {
                let key = Key::of(&**object);
                if self.deleted.get(&key).is_some_and(|uid| *uid == object.metadata.uid) {
                    return;
                }
            }
            Delta::Gone { key, uid } => {
                if uid.is_none() || self.deleted.get(key) == Some(uid) {
                    self.deleted.remove(key);
                } else {
                    // Of use for as long as a write takes; the bound only keeps it small.
                    if self.ended.len() >= MAX_ENDED {
                        self.ended.clear();
                    }
                    self.ended.insert(key.clone(), uid.clone());
                }
            }
            Delta::Synced => {}
        }
        let known = |key: &Key| self.snapshot.slice(key).map(|o| version(&**o));
        match news(delta, known) {
            News::Set(object) => self.set_slice(object),
            News::Gone(key) => self.remove_slice(&key),
            News::Synced => drop(self.synced.insert("VirtualServiceSlice")),
            News::Old => {}
        }
    }

    /// Takes in what the API server has after a write of ours, ahead of the watch. Where the watch is ahead and has
    /// shown the object's end, the answer must not bring it back: nothing would ever take it away again.
    pub fn written(&mut self, written: Written, now: Duration) {
        fn seen<K>(object: Box<K>) -> Delta<K> {
            Delta::Seen { object, listed: false }
        }
        match written {
            Written::Slice(slice) => {
                let key = Key::of(&*slice);
                if self.ended.remove(&key).is_none_or(|uid| uid != slice.metadata.uid) {
                    self.change(Change::Slice(seen(slice)), now);
                }
            }
            Written::SliceGone(Doomed { key, uid, .. }) => {
                self.deleted.insert(key.clone(), uid);
                self.remove_slice(&key);
            }
            Written::VirtualService(object)
                if self.snapshot.virtual_service(&Key::of(&*object)).is_some() =>
            {
                self.change(Change::VirtualService(seen(object)), now);
            }
            Written::RealServer(object)
                if self.snapshot.real_server(&Key::of(&*object)).is_some() =>
            {
                self.change(Change::RealServer(seen(object)), now);
            }
            Written::DirectorGroup(object)
                if self.snapshot.director_group(&object.name_any()).is_some() =>
            {
                self.change(Change::DirectorGroup(seen(object)), now);
            }
            Written::VirtualService(_)
            | Written::RealServer(_)
            | Written::DirectorGroup(_)
            | Written::Other => {}
        }
    }
}

enum News<K> {
    Set(K),
    Gone(Key),
    Synced,
    Old,
}

/// Uid and resourceVersion. Resource versions of one kind compare as integers.
type Version = (Option<String>, u64);

fn version(object: &impl Resource) -> Version {
    let meta = object.meta();
    let version = meta.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0);
    (meta.uid.clone(), version)
}

/// Leaves out what is no news: our own writes, whose answers were taken in before the watch showed them, must not be
/// undone by what the watch saw before.
fn news<K: Resource>(delta: Delta<K>, known: impl Fn(&Key) -> Option<Version>) -> News<K> {
    match delta {
        Delta::Synced => News::Synced,
        Delta::Gone { key, uid } => match known(&key) {
            Some((known, _)) if uid.is_some() && known != uid => News::Old,
            Some(_) => News::Gone(key),
            None => News::Old,
        },
        Delta::Seen { object, listed } => {
            let meta = object.meta();
            let key = Key::new(
                meta.namespace.clone().unwrap_or_default(),
                meta.name.clone().unwrap_or_default(),
            );
            let (uid, version) = version(&*object);
            match known(&key) {
                Some((known_uid, known)) if known_uid == uid => match (version == known, listed) {
                    (true, false) => News::Old,
                    // In another history one version was another state.
                    (_, true) => News::Set(*object),
                    (false, false) if version > known => News::Set(*object),
                    (false, false) => News::Old,
                },
                // Another object of the same name: the newer one counts.
                Some((_, known)) if !listed && version < known => News::Old,
                _ => News::Set(*object),
            }
        }
    }
}
