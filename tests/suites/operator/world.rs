//! Operators and the agents' reports, played by the test.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, Patch, PatchParams, PostParams};
use lvs_crds::{DirectorGroup, LVSNode, LVSNodeSpec, VirtualService, VirtualServiceSlice};
use lvs_tests::control_plane::ControlPlane;
use lvs_tests::net::{Daemon, Node};
use lvs_tests::wait_for;
use serde_json::{Value, json};

/// How long something may take that happens by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A control plane with the node `d1`, director of the group `default`.
pub(crate) struct World {
    pub(crate) plane: ControlPlane,
}

impl World {
    pub(crate) fn new() -> World {
        let plane = ControlPlane::start();
        let world = World { plane };
        world.node("d1", "10.0.0.1", "director");
        world.apply(&json!({
            "apiVersion": "kube-lvs.io/v1alpha1", "kind": "DirectorGroup", "metadata": {"name": "default"},
            "spec": {"nodeSelector": {"matchLabels": {"role": "director"}}},
        }));
        world
    }

    #[track_caller]
    pub(crate) fn apply(&self, object: &Value) {
        self.plane.apply(&object.to_string()).unwrap_or_else(|e| panic!("{e:#}, of\n{object}"));
    }

    #[track_caller]
    pub(crate) fn delete(&self, kind: &str, name: &str) {
        let version = if kind == "Node" { "v1" } else { "kube-lvs.io/v1alpha1" };
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
        self.plane.delete(&object.to_string()).unwrap_or_else(|e| panic!("{kind} {name}: {e:#}"));
    }

    /// A Node object with no machine behind it.
    pub(crate) fn node(&self, name: &str, address: &str, role: &str) {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"role": role}},
        }));
        let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": address}]}});
        let api = Api::<k8s_openapi::api::core::v1::Node>::all(self.plane.client());
        let (params, patch) = (PatchParams::default(), Patch::Merge(&status));
        let patched = api.patch_status(name, &params, &patch);
        self.plane.block_on(patched).unwrap_or_else(|e| panic!("node {name}: {e}"));
    }

    /// A VirtualService at an address, port 80, that selects `app: NAME`.
    pub(crate) fn service(&self, name: &str, address: &str, extra: Value) {
        let mut spec = json!({
            "addresses": [address], "ports": [{"port": 80}],
            "realServers": {"selector": {"matchLabels": {"app": name}}},
        });
        for (field, value) in extra.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        self.apply(&json!({
            "apiVersion": "kube-lvs.io/v1alpha1", "kind": "VirtualService", "metadata": {"name": name}, "spec": spec,
        }));
    }

    /// A RealServer of a VirtualService.
    pub(crate) fn server(&self, name: &str, service: &str, spec: Value) {
        self.apply(&json!({
            "apiVersion": "kube-lvs.io/v1alpha1", "kind": "RealServer",
            "metadata": {"name": name, "labels": {"app": service}}, "spec": spec,
        }));
    }

    /// What the agent of a node would report, beside its role as director of `default`.
    pub(crate) fn report(&self, node: &str, extra: Value) {
        let api = Api::<LVSNode>::all(self.plane.client());
        let mut status = json!({"directorOf": [{"group": "default", "role": "Active"}]});
        for (field, value) in extra.as_object().into_iter().flatten() {
            status[field] = value.clone();
        }
        let reported = self.plane.block_on(async {
            if api.get_opt(node).await?.is_none() {
                api.create(&PostParams::default(), &LVSNode::new(node, LVSNodeSpec {})).await?;
            }
            let mut object = api.get(node).await?;
            object.status = serde_json::from_value(status).ok();
            api.replace_status(node, &PostParams::default(), &object).await
        });
        reported.unwrap_or_else(|e: kube::Error| panic!("report of {node}: {e}"));
    }

    /// A report of d1 that it has read back everything up to the newest slice.
    pub(crate) fn read_back(&self) {
        let newest = self.slices().values().map(version).max().unwrap_or(0);
        self.report("d1", json!({"programmed": {"resourceVersion": newest.to_string()}}));
    }

    /// All slices by name.
    pub(crate) fn slices(&self) -> BTreeMap<String, VirtualServiceSlice> {
        let slices = self.plane.list::<VirtualServiceSlice>().unwrap_or_else(|e| panic!("{e:#}"));
        slices.into_iter().map(|s| (s.metadata.name.clone().unwrap_or_default(), s)).collect()
    }

    /// `name address weight` of the real servers in a VirtualService's slices.
    pub(crate) fn placed(&self, service: &str) -> Vec<String> {
        let slices = self.slices();
        let own = slices.values().filter(|slice| slice.spec.virtual_service == service);
        let servers = own.flat_map(|slice| &slice.spec.real_servers);
        servers.map(|s| format!("{} {} {}", s.name, s.address, s.weight)).collect()
    }

    #[track_caller]
    pub(crate) fn wait_for_placed(&self, service: &str, expected: &[&str]) {
        wait_for(&format!("the real servers of {service} are {expected:?}"), PATIENCE, || {
            let placed = self.placed(service);
            if placed == expected { Ok(()) } else { Err(placed) }
        });
    }

    pub(crate) fn condition(&self, service: &str, type_: &str) -> anyhow::Result<Condition> {
        let service: VirtualService = self.plane.get("default", service)?;
        let status = service.status.context("no status")?;
        let generation = status.observed_generation;
        anyhow::ensure!(generation == service.metadata.generation, "observed {generation:?}");
        let found = status.conditions.into_iter().find(|c| c.type_ == type_);
        found.with_context(|| format!("no condition {type_}"))
    }

    pub(crate) fn group_condition(&self, group: &str) -> anyhow::Result<Condition> {
        let group: DirectorGroup = self.plane.get_cluster(group)?;
        let ready =
            group.status.and_then(|s| s.conditions.into_iter().find(|c| c.type_ == "Ready"));
        ready.context("no condition Ready")
    }

    /// Waits until a condition is `status/reason`, and returns its message.
    #[track_caller]
    pub(crate) fn wait_until(&self, service: &str, type_: &str, expected: &str) -> String {
        wait_for(&format!("{type_} of {service} is {expected}"), PATIENCE, || {
            says(self.condition(service, type_), expected)
        })
    }

    /// `reason object` of every event.
    pub(crate) fn events(&self) -> Vec<String> {
        let events = self.plane.list::<Event>().unwrap_or_else(|e| panic!("{e:#}"));
        let of = |event: Event| {
            let regarding = event.regarding.unwrap_or_default();
            let (kind, name) = (regarding.kind, regarding.name);
            format!(
                "{} {}/{}",
                event.reason.unwrap_or_default(),
                kind.unwrap_or_default(),
                name.unwrap_or_default()
            )
        };
        events.into_iter().map(of).collect()
    }
}

/// A condition's message if it is `status/reason`, else what it is.
pub(crate) fn says(condition: anyhow::Result<Condition>, expected: &str) -> Result<String, String> {
    match condition {
        Ok(c) if format!("{}/{}", c.status, c.reason) == expected => Ok(c.message),
        Ok(c) => Err(format!("{}/{}: {}", c.status, c.reason, c.message)),
        Err(error) => Err(format!("{error:#}")),
    }
}

pub(crate) fn version(slice: &VirtualServiceSlice) -> u64 {
    let version = slice.metadata.resource_version.as_deref();
    version.and_then(|v| v.parse().ok()).unwrap_or_default()
}

/// A running operator.
pub(crate) struct Operator(pub(crate) Daemon);

impl Operator {
    /// Starts one, and waits until it has listed everything.
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Operator {
        let operator = Operator(Node::here().spawn(&mut command));
        wait_for("the operator is ready", PATIENCE, || match operator.get("/readyz") {
            Ok(page) if page.contains("200 OK") => Ok(()),
            other => Err(other),
        });
        operator
    }

    /// The answer, head and all, to a GET.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<String> {
        let log = self.0.log();
        let address = log.split("\"address\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let mut stream = TcpStream::connect(address.context("it has not said where it listens")?)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    }

    /// Writes by `kind operation result`, and other metrics by name.
    pub(crate) fn metrics(&self) -> BTreeMap<String, u64> {
        let page = self.get("/metrics").unwrap_or_else(|e| panic!("/metrics: {e:#}"));
        let line = |line: &str| {
            let (name, value) = line.strip_prefix("lvs_operator_")?.rsplit_once(' ')?;
            let name = match name.strip_prefix("api_writes_total{") {
                Some(labels) => labels.split('"').skip(1).step_by(2).collect::<Vec<_>>().join(" "),
                None => name.to_owned(),
            };
            Some((name, value.parse::<f64>().ok()? as u64))
        };
        page.lines().filter_map(line).collect()
    }

    pub(crate) fn metric(&self, name: &str) -> u64 {
        self.metrics().get(name).copied().unwrap_or(0)
    }

    pub(crate) fn leads(&self) -> bool {
        self.metric("leader") == 1
    }

    /// Writes that were tried, without those of the Lease.
    pub(crate) fn writes(&self) -> BTreeMap<String, u64> {
        let is_write = |name: &str| name.split(' ').count() == 3 && !name.starts_with("Lease");
        self.metrics().into_iter().filter(|(name, _)| is_write(name)).collect()
    }

    /// No write of it was forbidden, and no watch.
    #[track_caller]
    pub(crate) fn assert_rights_suffice(&self) {
        let refused: Vec<_> =
            self.metrics().into_keys().filter(|name| name.ends_with(" 403")).collect();
        assert!(refused.is_empty(), "{refused:?}");
        assert!(!self.0.log().contains("orbidden"), "{}", self.0.log());
    }
}
