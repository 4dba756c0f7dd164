//! A cluster in a few words, for scenario tables.
#![allow(dead_code, missing_docs)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use lvs_crds::{DirectorGroup, LVSNode, RealServer, VirtualService, VirtualServiceSlice};
use lvs_resolve::{
    DesiredSlice, Key, NodeFacts, Resolution, Snapshot, resolve, virtual_service_status,
};
use serde_json::{Value, json};

/// A namespace that the scenarios use.
pub const NS: &str = "shop";

#[derive(Clone, Default)]
pub struct Cluster {
    pub snapshot: Snapshot,
    version: u64,
    /// Of reports.
    reported: u64,
}

/// One director, `d1`, in the group `default`; a VirtualService `web` at 192.0.2.10 TCP/80 with the real servers `a`
/// and `b` at 10.0.0.1 and 10.0.0.2.
pub fn cluster() -> Cluster {
    let mut cluster = Cluster::default();
    cluster.node("d1", &["10.0.0.100"]);
    cluster.group("default", json!({}));
    cluster.service("web", json!({}));
    cluster.server("a", json!({"address": "10.0.0.1"}));
    cluster.server("b", json!({"address": "10.0.0.2"}));
    cluster
}

fn merged(mut base: Value, over: Value) -> Value {
    let (Some(base_map), Value::Object(over)) = (base.as_object_mut(), over) else { return base };
    for (key, value) in over {
        if value.is_null() {
            base_map.remove(&key);
        } else {
            base_map.insert(key, value);
        }
    }
    base
}

impl Cluster {
    pub fn node(&mut self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let facts = NodeFacts { addresses, ..NodeFacts::default() };
        self.snapshot.set_node(name, facts);
    }

    /// A group with the director d1.
    pub fn group(&mut self, name: &str, spec: Value) {
        self.group_of(name, &["d1"], spec);
    }

    pub fn group_of(&mut self, name: &str, nodes: &[&str], spec: Value) {
        let members: Vec<Value> = nodes.iter().map(|node| json!({"node": node})).collect();
        let group: DirectorGroup = serde_json::from_value(json!({
            "apiVersion": "kube-lvs.io/v1alpha1", "kind": "DirectorGroup",
            "metadata": {"name": name, "generation": 1},
            "spec": spec, "status": {"members": members},
        }))
        .unwrap();
        self.snapshot.set_director_group(group);
    }

    /// A VirtualService of NS; `spec` is laid over the usual one.
    pub fn service(&mut self, name: &str, spec: Value) {
        self.service_in(NS, name, "2026-01-01T00:00:00Z", spec);
    }

    pub fn service_in(&mut self, namespace: &str, name: &str, created: &str, spec: Value) {
        let usual = json!({
            "addresses": ["192.0.2.10"],
            "ports": [{"port": 80}],
            "realServers": {"selector": {"matchLabels": {"app": "web"}}},
        });
        let old = self.snapshot.virtual_service(&Key::new(namespace, name));
        let generation = old.map_or(1, |old| old.metadata.generation.unwrap_or(0) + 1);
        let status = old.and_then(|old| old.status.clone());
        let service: VirtualService = serde_json::from_value(json!({
            "apiVersion": "kube-lvs.io/v1alpha1", "kind": "VirtualService",
            "metadata": {
                "name": name, "namespace": namespace, "creationTimestamp": created, "generation": generation,
            },
            "spec": merged(usual, spec), "status": status,
        }))
        .unwrap();
        self.snapshot.set_virtual_service(service);
    }

    /// A RealServer of NS that `web` selects.
    pub fn server(&mut self, name: &str, spec: Value) {
        self.server_labelled(name, json!({"app": "web"}), spec);
    }

    pub fn server_labelled(&mut self, name: &str, labels: Value, spec: Value) {
        let server: RealServer = serde_json::from_value(json!({
            "apiVersion": "kube-lvs.io/v1alpha1", "kind": "RealServer",
            "metadata": {"name": name, "namespace": NS, "labels": labels, "generation": 1},
            "spec": spec,
        }))
        .unwrap();
        self.snapshot.set_real_server(server);
    }

    /// A node's report.
    pub fn report(&mut self, node: &str, status: Value) {
        let usual = json!({"directorOf": [{"group": "default", "role": "Active"}]});
        self.reported += 1;
        let report: LVSNode = serde_json::from_value(json!({
            "apiVersion": "kube-lvs.io/v1alpha1", "kind": "LVSNode",
            "metadata": {"name": node, "resourceVersion": self.reported.to_string()},
            "spec": {}, "status": merged(usual, status),
        }))
        .unwrap();
        self.snapshot.set_lvs_node(report);
    }

    /// A report of d1 that everything written so far has been read back.
    pub fn read_back(&mut self) {
        let version = self.version.to_string();
        self.report("d1", json!({"programmed": {"resourceVersion": version}}));
    }

    pub fn resolve(&self, name: &str) -> Resolution {
        resolve(&Key::new(NS, name), &self.snapshot).unwrap()
    }

    /// Resolves and writes the slices, as the operator does. Returns the names of those that were written or deleted.
    pub fn write(&mut self, namespace: &str, name: &str) -> Vec<String> {
        let key = Key::new(namespace, name);
        let desired = resolve(&key, &self.snapshot).map(|r| r.slices).unwrap_or_default();
        let mut touched = Vec::new();
        let existing: Vec<_> = self
            .snapshot
            .slices_of(&key)
            .map(|(key, slice)| (key.clone(), slice.clone()))
            .collect();
        for DesiredSlice { name, spec } in &desired {
            if existing.iter().any(|(key, slice)| key.name == *name && slice.spec == *spec) {
                continue;
            }
            self.version += 1;
            let mut slice = VirtualServiceSlice::new(name, spec.clone());
            slice.metadata.namespace = Some(namespace.to_owned());
            slice.metadata.resource_version = Some(self.version.to_string());
            self.snapshot.set_slice(slice);
            touched.push(name.clone());
        }
        for (key, _) in existing {
            if !desired.iter().any(|slice| slice.name == key.name) {
                self.snapshot.remove_slice(&key);
                touched.push(key.name);
            }
        }
        touched
    }

    /// Gives `name` the status that it is to have, and returns a condition of it.
    pub fn condition(&mut self, name: &str, type_: &str) -> Condition {
        let key = Key::new(NS, name);
        let resolution = resolve(&key, &self.snapshot).unwrap();
        let now = Time("2026-01-01T00:00:00Z".parse().unwrap());
        let status = virtual_service_status(&key, &resolution, &self.snapshot, &now).unwrap();
        let found = status.conditions.iter().find(|c| c.type_ == type_).cloned().unwrap();
        let mut service = (**self.snapshot.virtual_service(&key).unwrap()).clone();
        service.status = Some(status);
        self.snapshot.set_virtual_service(service);
        found
    }

    /// `status/reason` of a condition.
    pub fn says(&mut self, name: &str, type_: &str) -> String {
        let condition = self.condition(name, type_);
        format!("{}/{}", condition.status, condition.reason)
    }
}
