//! The snapshot's reverse look-ups: kept by [`Snapshot`], asked by `resolve` and by whoever must know whom a change
//! concerns.

use super::Snapshot;
use crate::claim::{Claims, held, wanted};
use crate::lookup::Lookup;
use crate::{Claim, Key, NodeFacts, directors, selector};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use lvs_crds::{IpFamily, LVSNode, RealServer, VirtualService, VirtualServiceSlice, serves};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// A label in a namespace.
type Label = (String, String, String);

#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    wanting: Claims<Key>,
    using_address: Lookup<IpAddr, Key>,
    by_group: Lookup<String, Key>,
    /// VirtualServices by one label that a real server must have, so that a real server finds who may select it.
    by_selector: Lookup<Label, Key>,
    by_no_label: Lookup<String, Key>,
    real_servers_by_label: Lookup<Label, Key>,
    real_servers_by_node: Lookup<String, Key>,
    nodes_by_address: Lookup<IpAddr, String>,
    reports_by_address: Lookup<IpAddr, String>,
    telling_of: Lookup<Key, String>,
    slices_of: Lookup<Key, Key>,
    holders: Claims<(Key, Origin)>,
    holders_by_address: Lookup<IpAddr, (Key, Claim, Origin)>,
    slices_on_node: Lookup<String, (Key, Key)>,
    /// Slices with real servers of another family than their services', by DirectorGroup: owner and slice.
    mixed_families: Lookup<String, (Key, Key)>,
}

/// What a claim is held by: a slice of this name, or (empty) a reservation.
type Origin = String;

impl Index {
    pub(super) fn add_virtual_service(&mut self, key: &Key, object: &VirtualService) {
        for claim in wanted(object) {
            if let Some(vip) = claim.vip() {
                self.using_address.add(vip, key.clone());
            }
            self.wanting.add(&claim, key.clone());
        }
        self.by_group.add(object.spec.director_group.clone(), key.clone());
        match first_label(key, &object.spec.real_servers.selector) {
            Some(label) => self.by_selector.add(label, key.clone()),
            None => self.by_no_label.add(key.namespace.clone(), key.clone()),
        }
    }

    pub(super) fn remove_virtual_service(&mut self, key: &Key, object: &VirtualService) {
        for claim in wanted(object) {
            if let Some(vip) = claim.vip() {
                self.using_address.remove(&vip, key);
            }
            self.wanting.remove(&claim, key.clone());
        }
        self.by_group.remove(&object.spec.director_group, key);
        match first_label(key, &object.spec.real_servers.selector) {
            Some(label) => self.by_selector.remove(&label, key),
            None => self.by_no_label.remove(&key.namespace, key),
        }
    }

    pub(super) fn add_real_server(&mut self, key: &Key, object: &RealServer) {
        for label in labels(key, object) {
            self.real_servers_by_label.add(label, key.clone());
        }
        if let Some(node) = &object.spec.node_name {
            self.real_servers_by_node.add(node.clone(), key.clone());
        }
    }

    pub(super) fn remove_real_server(&mut self, key: &Key, object: &RealServer) {
        for label in labels(key, object) {
            self.real_servers_by_label.remove(&label, key);
        }
        if let Some(node) = &object.spec.node_name {
            self.real_servers_by_node.remove(node, key);
        }
    }

    pub(super) fn add_node(&mut self, name: &str, facts: &NodeFacts) {
        for address in facts.addresses.iter().chain(&facts.other_addresses) {
            self.nodes_by_address.add(*address, name.to_owned());
        }
    }

    pub(super) fn remove_node(&mut self, name: &str, facts: &NodeFacts) {
        for address in facts.addresses.iter().chain(&facts.other_addresses) {
            self.nodes_by_address.remove(address, &name.to_owned());
        }
    }

    pub(super) fn add_lvs_node(&mut self, name: &str, object: &LVSNode) {
        for address in reported_addresses(object) {
            self.reports_by_address.add(address, name.to_owned());
        }
        for service in told_of(object) {
            self.telling_of.add(service, name.to_owned());
        }
    }

    pub(super) fn remove_lvs_node(&mut self, name: &str, object: &LVSNode) {
        for address in reported_addresses(object) {
            self.reports_by_address.remove(&address, &name.to_owned());
        }
        for service in told_of(object) {
            self.telling_of.remove(&service, &name.to_owned());
        }
    }

    pub(super) fn add_slice(&mut self, key: &Key, object: &VirtualServiceSlice) {
        let owner = owner(key, object);
        for claim in held(&object.spec) {
            self.hold_as(&owner, &claim, &key.name);
        }
        for node in object.spec.real_servers.iter().filter_map(|r| r.node_name.clone()) {
            self.slices_on_node.add(node, (owner.clone(), key.clone()));
        }
        if is_mixed(object) {
            let group = object.spec.director_group.clone();
            self.mixed_families.add(group, (owner.clone(), key.clone()));
        }
        self.slices_of.add(owner, key.clone());
    }

    pub(super) fn remove_slice(&mut self, key: &Key, object: &VirtualServiceSlice) {
        let owner = owner(key, object);
        for claim in held(&object.spec) {
            self.release_as(&owner, &claim, &key.name);
        }
        for node in object.spec.real_servers.iter().filter_map(|r| r.node_name.as_ref()) {
            self.slices_on_node.remove(node, &(owner.clone(), key.clone()));
        }
        self.mixed_families.remove(&object.spec.director_group, &(owner.clone(), key.clone()));
        self.slices_of.remove(&owner, key);
    }

    pub(super) fn hold(&mut self, key: &Key, claim: &Claim) {
        self.hold_as(key, claim, "");
    }

    pub(super) fn release(&mut self, key: &Key, claim: &Claim) {
        self.release_as(key, claim, "");
    }

    fn hold_as(&mut self, key: &Key, claim: &Claim, origin: &str) {
        self.holders.add(claim, (key.clone(), origin.to_owned()));
        if let Some(vip) = claim.vip() {
            let entry = (key.clone(), claim.clone(), origin.to_owned());
            self.holders_by_address.add(vip, entry);
        }
    }

    fn release_as(&mut self, key: &Key, claim: &Claim, origin: &str) {
        self.holders.remove(claim, (key.clone(), origin.to_owned()));
        if let Some(vip) = claim.vip() {
            let entry = (key.clone(), claim.clone(), origin.to_owned());
            self.holders_by_address.remove(&vip, &entry);
        }
    }
}

/// Looking up.
impl Snapshot {
    /// Whether two claims that overlap do so somewhere: what passes through the directors of two groups does where they
    /// have one in common.
    pub fn meet(&self, one: &Claim, other: &Claim) -> bool {
        match (one.passes(), other.passes()) {
            (Some(one), Some(other)) if one != other => self.common_director(one, other).is_some(),
            _ => true,
        }
    }

    /// The first node that is a director of both groups.
    pub(crate) fn common_director(&self, one: &str, other: &str) -> Option<String> {
        let of = |group| self.director_group(group).map(|group| directors(group));
        let theirs = of(other)?;
        of(one)?.into_iter().find(|node| theirs.contains(node))
    }

    /// The VirtualServices that want this, or something that overlaps with it, wherever.
    pub fn wanting<'a>(&'a self, claim: &Claim) -> impl Iterator<Item = &'a Key> + use<'a> {
        self.index.wanting.overlapping(claim).map(|(_, key)| key)
    }

    /// The VirtualServices whose slices have this, or something that overlaps with it wherever, and what they have.
    pub fn holders<'a>(
        &'a self,
        claim: &Claim,
    ) -> impl Iterator<Item = (&'a Claim, &'a Key)> + use<'a> {
        self.index.holders.overlapping(claim).map(|(claim, (key, _))| (claim, key))
    }

    /// The VirtualServices whose slices have this address.
    pub(crate) fn holders_of_address(
        &self,
        address: IpAddr,
    ) -> impl Iterator<Item = &Key> + use<'_> {
        self.index.holders_by_address.get(&address).map(|(key, _, _)| key)
    }

    /// The VirtualServices that want this VIP.
    pub fn using_address(&self, address: IpAddr) -> impl Iterator<Item = &Key> {
        self.index.using_address.get(&address)
    }

    /// Two of the namespaces that want or have this VIP, if there are two.
    pub(crate) fn namespaces_of(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        // Both look-ups are sorted by namespace, so the first and the last differ if any two do.
        let wanting = self.index.using_address.ends(&address);
        let holding = self.index.holders_by_address.ends(&address);
        let holding = holding.into_iter().map(|(key, _, _)| key);
        wanting.into_iter().chain(holding).map(|key| key.namespace.as_str())
    }

    /// The VirtualServices of a DirectorGroup.
    pub fn services_of_group<'a>(&'a self, group: &str) -> impl Iterator<Item = &'a Key> + use<'a> {
        self.index.by_group.get(&group.to_owned())
    }

    /// The VirtualServices whose selectors match these labels of a real server.
    pub fn selecting<'a>(
        &'a self,
        namespace: &str,
        labels: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a Key> {
        let labelled = labels.iter().flat_map(|(key, value)| {
            self.index.by_selector.get(&(namespace.to_owned(), key.clone(), value.clone()))
        });
        let all = self.index.by_no_label.get(&namespace.to_owned());
        labelled.chain(all).filter(|key| {
            self.virtual_service(key)
                .is_some_and(|vs| selector::matches(&vs.spec.real_servers.selector, labels))
        })
    }

    /// The RealServers of a namespace that a selector matches, by name.
    pub(crate) fn selected(
        &self,
        namespace: &str,
        selector: &LabelSelector,
    ) -> BTreeMap<&Key, &Arc<RealServer>> {
        let labels = selector.match_labels.iter().flatten();
        let labels = labels.map(|(k, v)| (namespace.to_owned(), k.clone(), v.clone()));
        let rarest = labels.min_by_key(|label| self.index.real_servers_by_label.count(label));
        let matching = |(key, object): &(&Key, &Arc<RealServer>)| {
            key.namespace == namespace && selector::matches(selector, object.labels())
        };
        match rarest {
            Some(label) => {
                let keys = self.index.real_servers_by_label.get(&label);
                keys.filter_map(|key| self.real_servers.get_key_value(key))
                    .filter(matching)
                    .collect()
            }
            None => {
                let from = Key::new(namespace, "");
                let all = self.real_servers.range(from..);
                all.take_while(|(key, _)| key.namespace == namespace).filter(matching).collect()
            }
        }
    }

    /// The RealServers that are this node.
    pub fn real_servers_on<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a Key> + use<'a> {
        self.index.real_servers_by_node.get(&node.to_owned())
    }

    /// The VirtualServices with a real server that is this node.
    pub fn services_on(&self, node: &str) -> BTreeSet<&Key> {
        self.index.slices_on_node.get(&node.to_owned()).map(|(owner, _)| owner).collect()
    }

    /// The nodes that have this address, by their Node or by their agent's report. A report of a node that is gone
    /// does not count.
    pub fn nodes_with(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        let reported = self.index.reports_by_address.get(&address);
        let reported = reported.filter(|name| self.nodes.contains_key(*name));
        self.index.nodes_by_address.get(&address).chain(reported).map(String::as_str)
    }

    /// The nodes whose reports list a failure of this VirtualService, or a warning about it.
    pub fn telling_of<'a>(&'a self, key: &Key) -> impl Iterator<Item = &'a str> + use<'a> {
        self.index.telling_of.get(key).map(String::as_str)
    }

    /// The VirtualServices of a DirectorGroup with a tunnel to a real server of another address family than their clients'.
    pub fn mixed_families<'a>(&'a self, group: &str) -> impl Iterator<Item = &'a Key> + use<'a> {
        self.index.mixed_families.get(&group.to_owned()).map(|(owner, _)| owner)
    }

    /// The slices of a VirtualService, whether it exists or not, by name.
    pub fn slices_of<'a>(
        &'a self,
        key: &Key,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<VirtualServiceSlice>)> + use<'a> {
        self.index.slices_of.get(key).filter_map(|slice| self.slices.get_key_value(slice))
    }
}

/// Whether a tunnel leads to a real server of a family that no service of the slice has.
fn is_mixed(slice: &VirtualServiceSlice) -> bool {
    let services = &slice.spec.services;
    slice.spec.real_servers.iter().any(|server| {
        let serves = |service| serves(services, server, service);
        let family = server.address.parse().ok().map(|address| IpFamily::of(&address));
        services.iter().any(|service| serves(service) && service.family() != family)
    })
}

fn first_label(key: &Key, selector: &LabelSelector) -> Option<Label> {
    let (label, value) = selector.match_labels.as_ref()?.first_key_value()?;
    Some((key.namespace.clone(), label.clone(), value.clone()))
}

fn labels(key: &Key, object: &RealServer) -> impl Iterator<Item = Label> {
    object.labels().iter().map(|(k, v)| (key.namespace.clone(), k.clone(), v.clone()))
}

fn owner(key: &Key, slice: &VirtualServiceSlice) -> Key {
    Key::new(&key.namespace, &slice.spec.virtual_service)
}

/// The addresses that an agent reports as its node's own.
pub fn reported_addresses(object: &LVSNode) -> Vec<IpAddr> {
    let status = object.status.as_ref();
    status.iter().flat_map(|s| &s.addresses).filter_map(|a| ip_of(a)).collect()
}

/// Agents report addresses with or without a prefix length.
fn ip_of(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

fn told_of(object: &LVSNode) -> BTreeSet<Key> {
    let failures = object.status.iter().flat_map(|s| s.failures.iter().chain(&s.warnings));
    failures
        .filter_map(|f| Some(Key::new(f.namespace.clone()?, f.virtual_service.clone()?)))
        .collect()
}
