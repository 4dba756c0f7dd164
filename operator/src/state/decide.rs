//! What to write about one target. Nothing is decided that is so already: a steady cluster sees no writes.

use super::event::{seconds, transitions};
use super::{Judgement, State, Target};
use crate::api::{Doomed, Write};
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference};
use kube::{Resource, ResourceExt};
use lvs_crds::{HEALTHY, PROGRAMMED, SERVED, VirtualService, VirtualServiceSlice};
use lvs_resolve::{
    DesiredSlice, Key, RealServerReport, Resolution, director_group_status, held,
    real_server_status, reason, resolve, resolve_group, server_health, virtual_service_status,
};
use std::collections::{BTreeMap, BTreeSet};

/// What to write about one target: in this order, until one fails. What else there is to write shows when the target
/// is looked at again after that.
#[derive(Debug, Default)]
pub struct Decision {
    /// The writes.
    pub writes: Vec<Write>,
    /// What to tell once they have happened.
    pub events: Vec<Event>,
}

impl State {
    /// Decides about a target.
    pub fn decide(&mut self, target: &Target, now: Timestamp) -> Decision {
        match target {
            Target::VirtualService(key) => self.decide_virtual_service(key, now),
            Target::Group(name) => self.decide_group(name, now),
            Target::RealServer(key) => self.decide_real_server(key, now),
            Target::LvsNode(name) => self.decide_lvs_node(name),
        }
    }

    /// Slices first; the status when they stand.
    fn decide_virtual_service(&mut self, key: &Key, now: Timestamp) -> Decision {
        let resolution = resolve(key, &self.snapshot);
        self.judge(key, resolution.as_ref());
        let writes = self.slice_writes(key, resolution.as_ref());
        if !writes.is_empty() {
            let desired = resolution.iter().flat_map(|r| &r.slices);
            let claims: BTreeSet<_> = desired.flat_map(|slice| held(&slice.spec)).collect();
            self.snapshot.reserve(key, claims);
            return Decision { writes, events: Vec::new() };
        }
        self.snapshot.reserve(key, BTreeSet::new());
        match resolution {
            Some(resolution) => self.service_status(key, &resolution, now),
            None => {
                self.pending.remove(key);
                self.unasked.remove(key);
                Decision::default()
            }
        }
    }

    fn service_status(&mut self, key: &Key, resolution: &Resolution, now: Timestamp) -> Decision {
        let Some(vs) = self.snapshot.virtual_service(key) else { return Decision::default() };
        let status = virtual_service_status(key, resolution, &self.snapshot, &seconds(now));
        let Some(status) = status else { return Decision::default() };
        let programmed =
            status.conditions.iter().any(|c| c.type_ == PROGRAMMED && c.status == "True");
        if programmed {
            self.pending.remove(key);
        } else {
            self.pending.insert(key.clone());
        }
        if status.conditions.iter().any(|c| c.type_ == SERVED && c.status != "Unknown") {
            self.unasked.remove(key);
        } else {
            self.unasked.insert(key.clone());
        }
        if vs.status.as_ref() == Some(&status) {
            return Decision::default();
        }
        let events = transitions(
            &**vs,
            before(vs.status.as_ref().map(|s| &s.conditions)),
            &status.conditions,
            now,
        );
        let object = VirtualService { status: Some(status), ..VirtualService::clone(vs) };
        Decision { writes: vec![Write::VirtualServiceStatus(Box::new(object))], events }
    }

    /// Keeps what a VirtualService makes of its real servers, and marks those for which that changed.
    fn judge(&mut self, key: &Key, resolution: Option<&Resolution>) {
        let mut judgement = Judgement::new();
        if let Some(resolution) = resolution {
            let mut health = server_health(key, resolution, &self.snapshot);
            for name in &resolution.selected {
                let left_out = resolution.left_out.iter().find(|l| l.real_server == *name);
                judgement.insert(name.clone(), (left_out.cloned(), health.remove(name)));
            }
        }
        let old = self.judgements.get(key);
        let empty = Judgement::new();
        let old = old.unwrap_or(&empty);
        let names: BTreeSet<&String> = old.keys().chain(judgement.keys()).collect();
        let changed = names.into_iter().filter(|name| old.get(*name) != judgement.get(*name));
        let changed: Vec<Target> =
            changed.map(|name| Target::RealServer(Key::new(&key.namespace, name))).collect();
        changed.into_iter().for_each(|target| self.queue.mark(target));
        if judgement.is_empty() {
            self.judgements.remove(key);
        } else {
            self.judgements.insert(key.clone(), judgement);
        }
    }

    fn slice_writes(&self, key: &Key, resolution: Option<&Resolution>) -> Vec<Write> {
        let mut existing: BTreeMap<&str, &VirtualServiceSlice> = self
            .snapshot
            .slices_of(key)
            .map(|(name, slice)| (name.name.as_str(), &**slice))
            .collect();
        let mut writes = Vec::new();
        if let Some(resolution) = resolution
            && let Some(vs) = self.snapshot.virtual_service(key)
        {
            for desired in &resolution.slices {
                let slice = existing.remove(desired.name.as_str());
                let owner = owner(vs);
                match slice {
                    None => {
                        writes.push(Write::CreateSlice(Box::new(object(key, desired, owner, None))))
                    }
                    Some(slice) if slice.spec == desired.spec && owned(slice, &owner) => {}
                    Some(slice) => {
                        writes.push(Write::ApplySlice(Box::new(object(
                            key,
                            desired,
                            owner,
                            Some(slice),
                        ))));
                    }
                }
            }
        }
        writes.extend(existing.into_values().map(|slice| Write::DeleteSlice(doomed(slice))));
        writes
    }

    fn decide_group(&self, name: &str, now: Timestamp) -> Decision {
        let (Some(resolution), Some(group)) =
            (resolve_group(name, &self.snapshot), self.snapshot.director_group(name))
        else {
            return Decision::default();
        };
        let status = director_group_status(name, &resolution, &self.snapshot, &seconds(now));
        if group.status.as_ref() == Some(&status) {
            return Decision::default();
        }
        let old = before(group.status.as_ref().map(|s| &s.conditions));
        let events = transitions(&**group, old, &status.conditions, now);
        let object = lvs_crds::DirectorGroup { status: Some(status), ..(**group).clone() };
        Decision { writes: vec![Write::DirectorGroupStatus(Box::new(object))], events }
    }

    fn decide_real_server(&self, key: &Key, now: Timestamp) -> Decision {
        let Some(server) = self.snapshot.real_server(key) else { return Decision::default() };
        let services: BTreeSet<&Key> =
            self.snapshot.selecting(&key.namespace, server.labels()).collect();
        let report = |service: &&Key| {
            let judgement = self.judgements.get(*service).and_then(|it| it.get(&key.name).cloned());
            let (left_out, health) = judgement.unwrap_or_default();
            RealServerReport { virtual_service: service.name.clone(), left_out, health }
        };
        let reports: Vec<_> = services.iter().map(report).collect();
        let status = real_server_status(key, &reports, &self.snapshot, &seconds(now));
        if server.status.as_ref() == Some(&status) {
            return Decision::default();
        }
        // What else there is to say of it its VirtualServices tell.
        let healthy: Vec<Condition> =
            status.conditions.iter().filter(|c| c.type_ == HEALTHY).cloned().collect();
        let old = before(server.status.as_ref().map(|s| &s.conditions));
        let known =
            |c: &&Condition| ![reason::NOT_CHECKED, reason::PENDING].contains(&c.reason.as_str());
        let first = !old.iter().filter(known).any(|c| c.type_ == HEALTHY);
        let mut events = transitions(&**server, old, &healthy, now);
        events.retain(|event| !first || event.type_.as_deref() == Some("Warning"));
        let object = lvs_crds::RealServer { status: Some(status), ..(**server).clone() };
        Decision { writes: vec![Write::RealServerStatus(Box::new(object))], events }
    }

    /// The report of a node that is gone goes too, once its agent is silent: while it reports, it would only come
    /// back.
    fn decide_lvs_node(&self, name: &str) -> Decision {
        let Some(report) = self.snapshot.lvs_node(name) else { return Decision::default() };
        if self.snapshot.node(name).is_some() || !self.snapshot.is_silent(name) {
            return Decision::default();
        }
        Decision { writes: vec![Write::DeleteLvsNode(doomed(&**report))], events: Vec::new() }
    }
}

fn before(conditions: Option<&Vec<Condition>>) -> &[Condition] {
    conditions.map(Vec::as_slice).unwrap_or_default()
}

fn doomed(object: &impl ResourceExt) -> Doomed {
    Doomed { key: Key::of(object), uid: object.uid(), version: object.resource_version() }
}

/// The owner makes `kubectl describe` and the garbage collector see whose it is. It does not block the owner's
/// deletion, which would need rights on its finalizers, and does not claim to be the only one: an owner that was made
/// anew under its old name takes its slices over.
fn owner(vs: &VirtualService) -> OwnerReference {
    OwnerReference {
        api_version: VirtualService::api_version(&()).into_owned(),
        kind: VirtualService::kind(&()).into_owned(),
        name: vs.name_any(),
        uid: vs.uid().unwrap_or_default(),
        controller: None,
        block_owner_deletion: None,
    }
}

fn owned(slice: &VirtualServiceSlice, owner: &OwnerReference) -> bool {
    slice.owner_references().iter().any(|o| o.uid == owner.uid)
}

/// A slice as it is to be. With the uid and resourceVersion of the one that the decision was computed from, so that
/// nobody else's later decision is undone.
fn object(
    key: &Key,
    desired: &DesiredSlice,
    owner: OwnerReference,
    existing: Option<&VirtualServiceSlice>,
) -> VirtualServiceSlice {
    let mut slice = VirtualServiceSlice::new(&desired.name, desired.spec.clone());
    slice.metadata.namespace = Some(key.namespace.clone());
    slice.metadata.owner_references = Some(vec![owner]);
    slice.metadata.uid = existing.and_then(ResourceExt::uid);
    slice.metadata.resource_version = existing.and_then(ResourceExt::resource_version);
    slice
}
