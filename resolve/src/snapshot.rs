//! The cluster as one VirtualService's resolve sees it.

mod index;

use crate::testimony::Testimony;
use crate::{Claim, Key, NodeFacts};
use index::Index;
pub use index::reported_addresses;
use lvs_crds::{
    DirectorGroup, LVSNode, RealServer, RealServerStatus, VirtualService, VirtualServiceSlice,
    VirtualServiceStatus,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The cluster: every object that [`resolve`](crate::resolve) may ask for, with the reverse look-ups that let it cost
/// as much as the VirtualService is large, not as the cluster is.
///
/// `set_*` puts an object in place of the one of the same name and returns that one; `remove_*` takes one out.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    virtual_services: BTreeMap<Key, Arc<VirtualService>>,
    real_servers: BTreeMap<Key, Arc<RealServer>>,
    groups: BTreeMap<String, Arc<DirectorGroup>>,
    nodes: BTreeMap<String, NodeFacts>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    lvs_nodes: BTreeMap<String, Arc<LVSNode>>,
    silent: BTreeSet<String>,
    disputed: BTreeSet<Key>,
    testimony: Testimony,
    only: Option<String>,
    slices: BTreeMap<Key, Arc<VirtualServiceSlice>>,
    reserved: BTreeMap<Key, BTreeSet<Claim>>,
    index: Index,
}

impl Snapshot {
    /// Puts a VirtualService in.
    pub fn set_virtual_service(&mut self, object: VirtualService) -> Option<Arc<VirtualService>> {
        let key = Key::of(&object);
        let old = self.remove_virtual_service(&key);
        self.index.add_virtual_service(&key, &object);
        self.virtual_services.insert(key, Arc::new(object));
        old
    }

    /// Gives a VirtualService another status, which no look-up depends on.
    pub fn set_virtual_service_status(&mut self, key: &Key, status: Option<VirtualServiceStatus>) {
        if let Some(object) = self.virtual_services.get_mut(key) {
            Arc::make_mut(object).status = status;
        }
    }

    /// Takes a VirtualService out. Its slices stay until they are removed too.
    pub fn remove_virtual_service(&mut self, key: &Key) -> Option<Arc<VirtualService>> {
        let old = self.virtual_services.remove(key)?;
        self.index.remove_virtual_service(key, &old);
        Some(old)
    }

    /// Puts a RealServer in.
    pub fn set_real_server(&mut self, object: RealServer) -> Option<Arc<RealServer>> {
        let key = Key::of(&object);
        let old = self.remove_real_server(&key);
        self.index.add_real_server(&key, &object);
        self.real_servers.insert(key, Arc::new(object));
        old
    }

    /// Gives a RealServer another status, which no look-up depends on.
    pub fn set_real_server_status(&mut self, key: &Key, status: RealServerStatus) {
        if let Some(object) = self.real_servers.get_mut(key) {
            Arc::make_mut(object).status = Some(status);
        }
    }

    /// Takes a RealServer out.
    pub fn remove_real_server(&mut self, key: &Key) -> Option<Arc<RealServer>> {
        let old = self.real_servers.remove(key)?;
        self.index.remove_real_server(key, &old);
        Some(old)
    }

    /// Puts a DirectorGroup in. Its `status.members` say who its directors are.
    pub fn set_director_group(&mut self, object: DirectorGroup) -> Option<Arc<DirectorGroup>> {
        let name = object.metadata.name.clone().unwrap_or_default();
        self.groups.insert(name, Arc::new(object))
    }

    /// Takes a DirectorGroup out.
    pub fn remove_director_group(&mut self, name: &str) -> Option<Arc<DirectorGroup>> {
        self.groups.remove(name)
    }

    /// Puts a node in.
    pub fn set_node(&mut self, name: &str, facts: NodeFacts) -> Option<NodeFacts> {
        let old = self.remove_node(name);
        self.index.add_node(name, &facts);
        self.nodes.insert(name.to_owned(), facts);
        old
    }

    /// Takes a node out.
    pub fn remove_node(&mut self, name: &str) -> Option<NodeFacts> {
        let old = self.nodes.remove(name)?;
        self.index.remove_node(name, &old);
        Some(old)
    }

    /// Puts a namespace's labels in.
    pub fn set_namespace(
        &mut self,
        name: &str,
        labels: BTreeMap<String, String>,
    ) -> Option<BTreeMap<String, String>> {
        self.namespaces.insert(name.to_owned(), labels)
    }

    /// Takes a namespace out.
    pub fn remove_namespace(&mut self, name: &str) -> Option<BTreeMap<String, String>> {
        self.namespaces.remove(name)
    }

    /// Puts an agent's report in.
    pub fn set_lvs_node(&mut self, object: LVSNode) -> Option<Arc<LVSNode>> {
        let name = object.metadata.name.clone().unwrap_or_default();
        let old = self.take_lvs_node(&name);
        self.index.add_lvs_node(&name, &object);
        self.lvs_nodes.insert(name, Arc::new(object));
        old
    }

    /// Takes an agent's report out.
    pub fn remove_lvs_node(&mut self, name: &str) -> Option<Arc<LVSNode>> {
        self.testimony.forget(name);
        self.take_lvs_node(name)
    }

    fn take_lvs_node(&mut self, name: &str) -> Option<Arc<LVSNode>> {
        let old = self.lvs_nodes.remove(name)?;
        self.index.remove_lvs_node(name, &old);
        Some(old)
    }

    /// Notes that the report of a node has just come; the caller has the clock, one that only goes forward.
    pub fn hear(&mut self, node: &str, now: Duration) {
        if let Some(report) = self.lvs_nodes.get(node).and_then(|node| node.status.as_ref()) {
            self.testimony.hear(node, report, now);
        }
    }

    /// Makes it a snapshot of one machine without a cluster: nobody tells it of other nodes, and nobody hands out numbers.
    pub fn set_only_node(&mut self, node: &str) {
        self.only = Some(node.to_owned());
    }

    /// Notes whether a node's agent has been silent for too long; the caller has the clock. Returns whether that is
    /// news.
    pub fn set_silent(&mut self, node: &str, silent: bool) -> bool {
        if silent { self.silent.insert(node.to_owned()) } else { self.silent.remove(node) }
    }

    /// Notes whether directors differ about a real server of a VirtualService for longer than their reports take; the caller has
    /// the clock.
    pub fn set_disputed(&mut self, service: &Key, disputed: bool) {
        if disputed {
            self.disputed.insert(service.clone());
        } else {
            self.disputed.remove(service);
        }
    }

    pub(crate) fn is_disputed(&self, service: &Key) -> bool {
        self.disputed.contains(service)
    }

    /// Puts a slice in.
    pub fn set_slice(&mut self, object: VirtualServiceSlice) -> Option<Arc<VirtualServiceSlice>> {
        let key = Key::of(&object);
        let old = self.remove_slice(&key);
        self.index.add_slice(&key, &object);
        self.slices.insert(key, Arc::new(object));
        old
    }

    /// Takes a slice out.
    pub fn remove_slice(&mut self, key: &Key) -> Option<Arc<VirtualServiceSlice>> {
        let old = self.slices.remove(key)?;
        self.index.remove_slice(key, &old);
        Some(old)
    }

    /// Counts what a VirtualService's slices will occupy as occupied while they are being written; an empty set ends
    /// that. Without it, two writes under way at once could both take one VIP and port.
    pub fn reserve(&mut self, key: &Key, claims: BTreeSet<Claim>) {
        for claim in self.reserved.remove(key).unwrap_or_default() {
            self.index.release(key, &claim);
        }
        if !claims.is_empty() {
            claims.iter().for_each(|claim| self.index.hold(key, claim));
            self.reserved.insert(key.clone(), claims);
        }
    }
}

/// Reading.
impl Snapshot {
    /// A VirtualService.
    pub fn virtual_service(&self, key: &Key) -> Option<&Arc<VirtualService>> {
        self.virtual_services.get(key)
    }

    /// All VirtualServices, by key.
    pub fn virtual_services(&self) -> impl Iterator<Item = (&Key, &Arc<VirtualService>)> {
        self.virtual_services.iter()
    }

    /// The VirtualServices of a namespace.
    pub fn services_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Key> {
        let from = self.virtual_services.range(Key::new(namespace, "")..);
        from.map(|(key, _)| key).take_while(move |key| key.namespace == namespace)
    }

    /// A RealServer.
    pub fn real_server(&self, key: &Key) -> Option<&Arc<RealServer>> {
        self.real_servers.get(key)
    }

    /// All RealServers, by key.
    pub fn real_servers(&self) -> impl Iterator<Item = (&Key, &Arc<RealServer>)> {
        self.real_servers.iter()
    }

    /// A DirectorGroup.
    pub fn director_group(&self, name: &str) -> Option<&Arc<DirectorGroup>> {
        self.groups.get(name)
    }

    /// All DirectorGroups, by name.
    pub fn director_groups(&self) -> impl Iterator<Item = (&String, &Arc<DirectorGroup>)> {
        self.groups.iter()
    }

    /// A node.
    pub fn node(&self, name: &str) -> Option<&NodeFacts> {
        self.nodes.get(name)
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = (&String, &NodeFacts)> {
        self.nodes.iter()
    }

    /// An agent's report.
    pub fn lvs_node(&self, name: &str) -> Option<&Arc<LVSNode>> {
        self.lvs_nodes.get(name)
    }

    /// All agents' reports, by node.
    pub fn lvs_nodes(&self) -> impl Iterator<Item = (&String, &Arc<LVSNode>)> {
        self.lvs_nodes.iter()
    }

    /// Whether a node's agent has been silent for too long.
    pub fn is_silent(&self, node: &str) -> bool {
        self.silent.contains(node)
    }

    pub(crate) fn testimony(&self) -> &Testimony {
        &self.testimony
    }

    /// The virtual routers that a node's report says it carries, and another's too: DirectorGroup and id.
    pub fn contested(&self, node: &str) -> impl Iterator<Item = &(String, i32)> {
        self.testimony.contested(node)
    }

    /// Whether it is of a cluster, not of one machine.
    pub fn is_cluster(&self) -> bool {
        self.only.is_none()
    }

    /// Whether this node's reports would be here, if it made any.
    pub fn sees(&self, node: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == node)
    }

    /// A slice.
    pub fn slice(&self, key: &Key) -> Option<&Arc<VirtualServiceSlice>> {
        self.slices.get(key)
    }

    /// All slices, by key.
    pub fn slices(&self) -> impl Iterator<Item = (&Key, &Arc<VirtualServiceSlice>)> {
        self.slices.iter()
    }

    /// A namespace's labels. A namespace that is not known has the one that every namespace has.
    pub fn namespace_labels(&self, name: &str) -> BTreeMap<String, String> {
        self.namespaces.get(name).cloned().unwrap_or_else(|| {
            BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), name.to_owned())])
        })
    }
}
