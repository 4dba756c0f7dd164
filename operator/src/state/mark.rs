//! Whom a change concerns. Each `set` or `remove` takes one object in and marks what may come out differently for it.

use super::report::{Met, Report, reported};
use super::{State, Target, event, version};
use jiff::Timestamp;
use kube::ResourceExt;
use lvs_crds::{DirectorGroup, LVSNode, RealServer, VirtualService, VirtualServiceSlice};
use lvs_resolve::{Claim, Key, NodeFacts, directors, gateways};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

impl State {
    pub(super) fn set_virtual_service(&mut self, object: VirtualService) {
        let key = Key::of(&object);
        let wanted: BTreeSet<Claim> = self.wanted(&key);
        let spec = object.spec.clone();
        let old = self.snapshot.set_virtual_service(object);
        self.mark_service(&key);
        if old.is_none_or(|old| old.spec != spec) {
            let wanted: BTreeSet<Claim> = wanted.union(&self.wanted(&key)).cloned().collect();
            self.mark_rivals(&key, &wanted);
        }
    }

    pub(super) fn remove_virtual_service(&mut self, key: &Key) {
        let wanted = self.wanted(key);
        self.snapshot.remove_virtual_service(key);
        self.mark_service(key);
        self.mark_rivals(key, &wanted);
    }

    pub(super) fn set_real_server(&mut self, object: RealServer) {
        let key = Key::of(&object);
        let (spec, labels) = (object.spec.clone(), object.labels().clone());
        let old = self.snapshot.set_real_server(object);
        self.queue.mark(Target::RealServer(key.clone()));
        if old.as_ref().is_none_or(|old| old.spec != spec || *old.labels() != labels) {
            if let Some(old) = old {
                self.mark_selecting(&key, old.labels());
            }
            self.mark_selecting(&key, &labels);
        }
    }

    pub(super) fn remove_real_server(&mut self, key: &Key) {
        if let Some(old) = self.snapshot.remove_real_server(key) {
            self.mark_selecting(key, old.labels());
        }
    }

    pub(super) fn set_group(&mut self, object: DirectorGroup) {
        let name = object.name_any();
        let old = self.snapshot.set_director_group(object);
        self.queue.mark(Target::Group(name.clone()));
        let Some(new) = self.snapshot.director_group(&name).cloned() else { return };
        let old = old.as_deref();
        let spec = old.is_none_or(|old| old.spec != new.spec);
        let numbers = old.is_none_or(|old| numbers(old) != numbers(&new));
        let moved = old.is_none_or(|old| directors(old) != directors(&new));
        let probers = |group: &DirectorGroup| group.status.as_ref().map(|it| it.probers.clone());
        let asked = old.is_none_or(|old| probers(old) != probers(&new));
        if spec || numbers || moved || asked {
            self.mark_group(&name);
            self.mark_groups();
        }
        if moved {
            self.mark_passing(&name);
        }
        if spec {
            self.mark_gateways(old, Some(&new));
        }
    }

    pub(super) fn remove_group(&mut self, name: &str) {
        let old = self.snapshot.remove_director_group(name);
        self.carriers.retain(|(group, _), _| group != name);
        self.mark_group(name);
        self.mark_groups();
        self.mark_passing(name);
        self.mark_gateways(old.as_deref(), None);
    }

    /// Who wants what passes through this group's directors: some may be another group's too, or are no longer.
    fn mark_passing(&mut self, name: &str) {
        let services: Vec<Key> = self.snapshot.services_of_group(name).cloned().collect();
        for service in services {
            let mut claims = self.wanted(&service);
            claims.retain(|claim| claim.passes().is_some());
            self.mark_rivals(&service, &claims);
        }
    }

    /// No VIP is a gateway, of whatever group.
    fn mark_gateways(&mut self, old: Option<&DirectorGroup>, new: Option<&DirectorGroup>) {
        let of = |group: Option<&DirectorGroup>| -> BTreeSet<IpAddr> {
            group.into_iter().flat_map(gateways).collect()
        };
        self.mark_addresses(of(old).symmetric_difference(&of(new)));
    }

    pub(super) fn set_node(&mut self, name: &str, facts: NodeFacts) {
        let old = self.snapshot.set_node(name, facts.clone());
        if old.as_ref() != Some(&facts) {
            self.mark_node(name, old.as_ref(), Some(&facts));
        }
    }

    pub(super) fn remove_node(&mut self, name: &str) {
        if let Some(old) = self.snapshot.remove_node(name) {
            self.mark_node(name, Some(&old), None);
        }
    }

    pub(super) fn set_namespace(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) {
        let before = self.snapshot.namespace_labels(name);
        match labels {
            Some(labels) => drop(self.snapshot.set_namespace(name, labels)),
            None => drop(self.snapshot.remove_namespace(name)),
        }
        if before != self.snapshot.namespace_labels(name) {
            let services: Vec<Key> = self.snapshot.services_in(name).cloned().collect();
            services.iter().for_each(|key| self.mark_service(key));
        }
    }

    pub(super) fn set_slice(&mut self, object: VirtualServiceSlice) {
        let key = Key::of(&object);
        let owner = Key::new(&key.namespace, &object.spec.virtual_service);
        let group = object.spec.director_group.clone();
        let mixed = self.is_mixed(&group);
        let old = self.snapshot.set_slice(object);
        if mixed != self.is_mixed(&group) {
            self.mark_unsynced(&group);
        }
        self.mark_service(&owner);
        self.mark_released(old.as_deref(), &key);
        self.mark_twins(old.as_deref(), &key, &owner);
    }

    pub(super) fn remove_slice(&mut self, key: &Key) {
        let group = self.snapshot.slice(key).map(|slice| slice.spec.director_group.clone());
        let mixed = group.as_ref().is_some_and(|group| self.is_mixed(group));
        if let Some(old) = self.snapshot.remove_slice(key) {
            if let Some(group) = group.filter(|group| mixed != self.is_mixed(group)) {
                self.mark_unsynced(&group);
            }
            self.mark_service(&Key::new(&key.namespace, &old.spec.virtual_service));
            self.mark_released(Some(&old), key);
        }
    }

    pub(super) fn set_lvs_node(&mut self, object: LVSNode, now: Duration) {
        let name = object.name_any();
        // A list shows it again, whether its agent lives or not.
        let known = self.snapshot.lvs_node(&name).map(|node| version(&**node));
        let is_news = known != Some(version(&object));
        if is_news {
            self.liveness.heard(&name, now);
        }
        let before = Report::of(self.snapshot.lvs_node(&name).map(|node| &**node));
        let after = Report::of(Some(&object));
        self.carriers_before(&before, &after);
        let old = self.snapshot.set_lvs_node(object);
        if is_news {
            self.snapshot.hear(&name, now);
        }
        let new = self.snapshot.lvs_node(&name).cloned();
        self.mark_report(&name, &before, &after, now);
        if old.is_none() {
            self.queue.mark(Target::LvsNode(name.clone()));
        }
        if let (Some(old), Some(new)) = (old, new) {
            self.tell_repairs(&old, &new);
        }
    }

    pub(super) fn remove_lvs_node(&mut self, name: &str, now: Duration) {
        self.liveness.forget(name);
        self.snapshot.set_silent(name, false);
        let before = Report::of(self.snapshot.lvs_node(name).map(|node| &**node));
        if self.snapshot.remove_lvs_node(name).is_some() {
            self.mark_report(name, &before, &Report::default(), now);
        }
    }

    /// Notes which agents have fallen silent or are heard of again.
    pub fn look_at_clock(&mut self, now: Duration) {
        for (node, silent) in self.liveness.turned(now) {
            self.snapshot.set_silent(&node, silent);
            if silent {
                tracing::warn!(node, "the agent is silent");
            } else {
                tracing::info!(node, "the agent is heard of again");
            }
            self.queue.mark(Target::LvsNode(node.clone()));
            self.mark_services_of_node(&node);
            // It may ask VIPs, or somebody else in its place.
            self.mark_groups();
        }
        self.look_at_views(now);
    }

    pub(super) fn mark_service(&mut self, key: &Key) {
        self.queue.mark(Target::VirtualService(key.clone()));
    }

    /// Everybody else who wants any of this, or is of another namespace and wants such a VIP.
    fn mark_rivals(&mut self, key: &Key, claims: &BTreeSet<Claim>) {
        let mut rivals = BTreeSet::new();
        for claim in claims {
            rivals.extend(self.snapshot.wanting(claim).cloned());
            let users = claim.vip().into_iter().flat_map(|vip| self.snapshot.using_address(vip));
            rivals.extend(users.filter(|k| k.namespace != key.namespace).cloned());
        }
        rivals.iter().filter(|rival| *rival != key).for_each(|rival| self.mark_service(rival));
    }

    fn is_mixed(&self, group: &str) -> bool {
        self.snapshot.mixed_families(group).next().is_some()
    }

    /// One service's real servers decide whether any connection of the group is synced.
    fn mark_unsynced(&mut self, group: &str) {
        self.queue.mark(Target::Group(group.to_owned()));
        self.mark_group(group);
    }

    /// What a slice had and has no more is free for others.
    fn mark_released(&mut self, old: Option<&VirtualServiceSlice>, key: &Key) {
        let Some(old) = old else { return };
        let now: BTreeSet<Claim> = self.snapshot.slice(key).map(|s| held(s)).unwrap_or_default();
        let released: BTreeSet<Claim> = held(old).difference(&now).cloned().collect();
        let owner = Key::new(&key.namespace, &old.spec.virtual_service);
        self.mark_rivals(&owner, &released);
    }

    /// Two that have slices with one claim got it before either was seen: one of them has to give way.
    fn mark_twins(&mut self, old: Option<&VirtualServiceSlice>, key: &Key, owner: &Key) {
        let before = old.map(held).unwrap_or_default();
        let now = self.snapshot.slice(key).map(|s| held(s)).unwrap_or_default();
        let twins: BTreeSet<Key> = now
            .difference(&before)
            .flat_map(|claim| self.snapshot.holders(claim))
            .map(|(_, holder)| holder.clone())
            .filter(|holder| holder != owner)
            .collect();
        twins.iter().for_each(|twin| self.mark_service(twin));
    }

    /// The groups that these nodes are directors of: one may have the say on what another sets.
    fn mark_groups_with(&mut self, nodes: impl IntoIterator<Item = String>) {
        let nodes: BTreeSet<String> = nodes.into_iter().collect();
        let groups: BTreeSet<String> = nodes.iter().flat_map(|n| self.groups_of(n)).collect();
        groups.into_iter().for_each(|group| self.queue.mark(Target::Group(group)));
    }

    /// Every group: one may have the say on what another sets, and no two have one number or gateway.
    fn mark_groups(&mut self) {
        let groups: Vec<String> =
            self.snapshot.director_groups().map(|(name, _)| name.clone()).collect();
        groups.into_iter().for_each(|group| self.queue.mark(Target::Group(group)));
    }

    fn mark_selecting(&mut self, key: &Key, labels: &BTreeMap<String, String>) {
        let services: Vec<Key> = self.snapshot.selecting(&key.namespace, labels).cloned().collect();
        services.iter().for_each(|service| self.mark_service(service));
    }

    fn mark_group(&mut self, name: &str) {
        let services: Vec<Key> = self.snapshot.services_of_group(name).cloned().collect();
        services.iter().for_each(|service| self.mark_service(service));
    }

    fn mark_node(&mut self, name: &str, old: Option<&NodeFacts>, new: Option<&NodeFacts>) {
        self.mark_groups();
        self.queue.mark(Target::LvsNode(name.to_owned()));
        let addresses = |facts: Option<&NodeFacts>| -> BTreeSet<IpAddr> {
            let all = facts.iter().flat_map(|f| f.addresses.iter().chain(&f.other_addresses));
            all.copied().collect()
        };
        let (old, new) = (addresses(old), addresses(new));
        self.mark_addresses(old.symmetric_difference(&new));
        // A report counts only while its node is there.
        if let Some(report) = self.snapshot.lvs_node(name).cloned() {
            self.mark_addresses(&reported(&report));
        }
        let servers: Vec<Key> = self.snapshot.real_servers_on(name).cloned().collect();
        for server in servers {
            let labels = self.snapshot.real_server(&server).map(|s| s.labels().clone());
            self.mark_selecting(&server, &labels.unwrap_or_default());
            self.queue.mark(Target::RealServer(server));
        }
    }

    fn mark_addresses<'a>(&mut self, addresses: impl IntoIterator<Item = &'a IpAddr>) {
        for address in addresses {
            let users: Vec<Key> = self.snapshot.using_address(*address).cloned().collect();
            users.iter().for_each(|service| self.mark_service(service));
        }
    }

    /// A report concerns the VirtualServices that wait for it, those whose failures come or go, and all of the node's
    /// only if something changed that holds for all.
    fn mark_report(&mut self, node: &str, before: &Report, after: &Report, now: Duration) {
        self.mark_addresses(before.addresses.symmetric_difference(&after.addresses));
        self.mark_warnings(node, before, after);
        self.mark_routers(node, before, after, now);
        self.mark_probes(before, after);
        self.mark_health(before, after, now);
        if before.whole_node.there != after.whole_node.there {
            // It may ask VIPs from now on, or no more.
            self.mark_groups();
        } else if before.link != after.link || before.whole_node != after.whole_node {
            self.mark_groups_with([node.to_owned()]);
        }
        if before.whole_node != after.whole_node || after.programmed < before.programmed {
            self.mark_services_of_node(node);
            return;
        }
        for service in before.failing.union(&after.failing) {
            self.mark_service(service);
        }
        if before.programmed != after.programmed || before.failing != after.failing {
            let groups = self.groups_of(node);
            let waiting = self.pending.iter().filter(|key| {
                let service = self.snapshot.virtual_service(key);
                service.is_some_and(|s| groups.contains(&s.spec.director_group))
            });
            let waiting: Vec<Key> = waiting.cloned().collect();
            waiting.iter().for_each(|service| self.mark_service(service));
        }
    }

    /// What a node met at VIPs concerns the VirtualServices that are there; what it met everywhere, all of the group; and that
    /// it has asked everything by now, those that wait for it.
    fn mark_probes(&mut self, before: &Report, after: &Report) {
        let (old, new) = (&before.probes, &after.probes);
        let groups: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let none = Met::default();
        for group in groups.into_iter().filter(|group| old.get(*group) != new.get(*group)) {
            let of = |probes: &BTreeMap<String, Met>| probes.contains_key(group);
            let (was, is) = (old.get(group).unwrap_or(&none), new.get(group).unwrap_or(&none));
            if of(old) != of(new) || was.whole != is.whole || is.asked < was.asked {
                self.mark_group(group);
                continue;
            }
            let vips: BTreeSet<&IpAddr> =
                was.unanswered.keys().chain(is.unanswered.keys()).collect();
            let changed =
                vips.into_iter().filter(|vip| was.unanswered.get(*vip) != is.unanswered.get(*vip));
            self.mark_addresses(changed);
            if was.asked < is.asked {
                let waits = |key: &&Key| {
                    let service = self.snapshot.virtual_service(key);
                    service.is_some_and(|s| s.spec.director_group == *group)
                };
                let waiting: Vec<Key> = self.unasked.iter().filter(waits).cloned().collect();
                waiting.iter().for_each(|service| self.mark_service(service));
            }
        }
    }

    /// What is warned of concerns the VirtualService that it names, else the groups of the node and what it serves.
    fn mark_warnings(&mut self, node: &str, before: &Report, after: &Report) {
        let (old, new) = (&before.warnings, &after.warnings);
        let names: BTreeSet<&Option<Key>> = old.keys().chain(new.keys()).collect();
        for name in names.into_iter().filter(|name| old.get(*name) != new.get(*name)) {
            match name {
                Some(service) => self.mark_service(service),
                None => {
                    self.mark_groups_with([node.to_owned()]);
                    let served = self.snapshot.services_on(node);
                    let served: Vec<Key> = served.into_iter().cloned().collect();
                    served.iter().for_each(|service| self.mark_service(service));
                }
            }
        }
    }

    /// Everything that the node directs or serves.
    fn mark_services_of_node(&mut self, node: &str) {
        let served: Vec<Key> = self.snapshot.services_on(node).into_iter().cloned().collect();
        served.iter().for_each(|service| self.mark_service(service));
        self.groups_of(node).iter().for_each(|group| self.mark_group(group));
    }

    /// The groups that a node is a director of, or asks the VIPs of.
    fn groups_of(&self, node: &str) -> BTreeSet<String> {
        let groups = self.snapshot.director_groups();
        let of_node = groups.filter(|(_, group)| {
            let asks = group.status.iter().flat_map(|status| &status.probers).any(|it| it == node);
            asks || directors(group).iter().any(|it| it == node)
        });
        of_node.map(|(name, _)| name.clone()).collect()
    }

    fn tell_repairs(&mut self, old: &LVSNode, new: &LVSNode) {
        let repairs = |node: &LVSNode| node.status.as_ref()?.drift.clone();
        let before = repairs(old).map_or(0, |drift| drift.repairs);
        let Some(drift) = repairs(new) else { return };
        // The agent counts from its start.
        let repaired = if drift.repairs < before { drift.repairs } else { drift.repairs - before };
        if repaired > 0 {
            let note = format!(
                "Somebody else changed what the agent had made, and it was put right; the last of {repaired}: {}",
                drift.last
            );
            let now = Timestamp::now();
            let event = event::event(new, "DriftRepaired", "Repair", note, true, now, 0);
            self.events.push(event);
        }
    }

    fn wanted(&self, key: &Key) -> BTreeSet<Claim> {
        self.snapshot.virtual_service(key).map(|vs| lvs_resolve::wanted(vs)).unwrap_or_default()
    }
}

/// What no two groups have.
fn numbers(group: &DirectorGroup) -> (BTreeSet<i32>, Option<i32>) {
    let Some(status) = &group.status else { return Default::default() };
    let routers = status.virtual_routers.iter().map(|router| router.id);
    (routers.chain(status.presence_id).collect(), status.sync_id)
}

fn held(slice: &VirtualServiceSlice) -> BTreeSet<Claim> {
    lvs_resolve::held(&slice.spec)
}
