//! Nodes, and our own programs with the chart's ServiceAccounts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::Context as _;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, PostParams};
use serde_json::json;

use super::objects::plain;
use super::server::CERTIFICATE;
use super::{ADDRESS, ControlPlane, NAMESPACE};
use crate::net::{Daemon, Node};

/// A node's interface on the management network. Snapshots of a node leave it out.
pub(crate) const MANAGEMENT: &str = "mgmt0";
/// Longer than any test in virtual time.
const TOKEN_SECONDS: i64 = 365 * 24 * 60 * 60;

impl ControlPlane {
    /// Makes a machine a node of the cluster: connects it to the management network and creates its Node object, with
    /// `address` as InternalIP.
    #[track_caller]
    pub fn add_node(&self, node: &Node, address: &str, labels: &[(&str, &str)]) {
        let mut nodes = self.nodes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let management = format!("10.70.0.{}/24", 11 + nodes.len());
        nodes.insert(node.name().to_owned(), node.clone().on(&self.net, MANAGEMENT, &management));
        drop(nodes);
        self.label_node(node, labels);
        let status = json!({ "status": {
            "addresses": [
                { "type": "InternalIP", "address": address },
                { "type": "Hostname", "address": node.name() },
            ],
            "conditions": [{ "type": "Ready", "status": "True" }],
        } });
        let api = Api::<k8s_openapi::api::core::v1::Node>::all(self.client());
        let patch = kube::api::Patch::Merge(&status);
        self.block_on(api.patch_status(node.name(), &kube::api::PatchParams::default(), &patch))
            .unwrap_or_else(|e| panic!("node {}: {e}", node.name()));
    }

    /// Gives a node exactly these labels (besides what others gave it).
    #[track_caller]
    pub fn label_node(&self, node: &Node, labels: &[(&str, &str)]) {
        let labels: serde_json::Map<_, _> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let object = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": node.name(), "labels": labels },
        });
        self.apply(&object.to_string()).unwrap_or_else(|e| panic!("node {}: {e:#}", node.name()));
    }

    /// Cuts a node off the API server; its other networks stay.
    #[track_caller]
    pub fn cut(&self, node: &Node) {
        self.managed(node).unplug(MANAGEMENT);
    }

    /// Lets a node reach the API server again.
    #[track_caller]
    pub fn heal(&self, node: &Node) {
        self.managed(node).plug(MANAGEMENT);
    }

    #[track_caller]
    fn managed(&self, node: &Node) -> Node {
        let nodes = self.nodes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let managed = nodes.get(node.name()).cloned();
        managed.unwrap_or_else(|| panic!("{} is no node of the cluster: add_node", node.name()))
    }

    /// Starts an operator as the chart's ServiceAccount, beside the API server.
    #[track_caller]
    pub fn start_operator(&self) -> Daemon {
        Node::here().spawn(&mut self.operator_command())
    }

    /// The command of [`ControlPlane::start_operator`], for a suite that adds to it.
    #[track_caller]
    pub fn operator_command(&self) -> Command {
        let kubeconfig = self.account_kubeconfig("kube-lvs-operator", None);
        let mut command = Command::new(program("lvs-operator"));
        command.arg("--kubeconfig").arg(kubeconfig).args(["--namespace", NAMESPACE]);
        command.args(["--listen", "127.0.0.1:0"]);
        command
    }

    /// Starts an agent on a node of the cluster, as the chart's ServiceAccount.
    #[track_caller]
    pub fn start_agent(&self, node: &Node) -> Daemon {
        node.spawn(&mut self.agent_command(node))
    }

    /// The command of [`ControlPlane::start_agent`], for a suite that adds to it: start it with `node.spawn`.
    #[track_caller]
    pub fn agent_command(&self, node: &Node) -> Command {
        self.managed(node);
        let kubeconfig = self.account_kubeconfig("kube-lvs-agent", Some(node));
        let mut command = Command::new(program("lvs-agent"));
        command.arg("--kubeconfig").arg(kubeconfig).args(["--node-name", node.name()]);
        command.arg("--state-dir").arg(state_dir(node)).args(["--listen", "127.0.0.1:9809"]);
        command
    }

    /// A kubeconfig file with a token of a ServiceAccount of the chart; bound to a pod on `node`, as the kubelet's are.
    #[track_caller]
    pub fn account_kubeconfig(&self, account: &str, node: Option<&Node>) -> PathBuf {
        let on = node.map_or(String::new(), |node| format!("-{}", node.name()));
        let file = PathBuf::from(format!("/tmp/{account}{on}.kubeconfig"));
        self.token(account, node)
            .and_then(|token| write_kubeconfig(&file, &token))
            .unwrap_or_else(|e| panic!("a token for {account}: {e:#}"));
        file
    }

    /// A kubeconfig file of a node's kubelet.
    pub(crate) fn node_kubeconfig(&self, name: &str) -> anyhow::Result<PathBuf> {
        let file = PathBuf::from(format!("/tmp/{name}.kubeconfig"));
        write_kubeconfig(&file, &node_token(name))?;
        Ok(file)
    }

    fn token(&self, account: &str, node: Option<&Node>) -> anyhow::Result<String> {
        let mut spec = json!({ "audiences": [], "expirationSeconds": TOKEN_SECONDS });
        if let Some(node) = node {
            let name = format!("{account}-{}", node.name());
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": name, "namespace": NAMESPACE },
                "spec": {
                    "serviceAccountName": account, "nodeName": node.name(), "hostNetwork": true,
                    "containers": [{ "name": "agent", "image": "agent" }],
                },
            });
            let uid = match self.get::<Pod>(NAMESPACE, &name) {
                Ok(known) => known.metadata.uid,
                Err(_) => {
                    self.apply(&pod.to_string())?;
                    self.get::<Pod>(NAMESPACE, &name)?.metadata.uid
                }
            };
            spec["boundObjectRef"] =
                json!({ "apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid });
        }
        let request: TokenRequest =
            serde_json::from_value(json!({ "metadata": {}, "spec": spec }))?;
        let api = Api::<ServiceAccount>::namespaced(self.client(), NAMESPACE);
        let params = PostParams::default();
        let made = api.create_subresource::<_, TokenRequest>("token", account, &params, &request);
        let status = self.block_on(made).map_err(plain)?.status;
        Ok(status.context("the server gave no token")?.token)
    }
}

/// The token of a node's kubelet.
pub(super) fn node_token(name: &str) -> String {
    format!("token-of-{name}")
}

/// Where the agent of a node keeps its journal.
pub fn state_dir(node: &Node) -> PathBuf {
    Path::new("/var/lib").join(format!("kube-lvs-{}", node.name()))
}

/// A program of ours, from the folder that this one is in.
///
/// # Panics
/// When it has not been built.
#[track_caller]
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_else(|e| panic!("our own path: {e}"));
    let mut folders = own.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    let found = folders.find(|path| path.exists());
    let found = found
        .unwrap_or_else(|| panic!("no {name} beside {}: cargo build --bin {name}", own.display()));
    // `cargo test` builds the tests' own package only.
    let built = fs::metadata(&found).and_then(|known| known.modified()).ok();
    let sources: &[&str] = match name {
        "lvs-operator" => &["operator", "resolve", "crds"],
        "lvs-agent" => &["agent", "resolve", "crds", "ipvs", "vrrp"],
        _ => &[],
    };
    let sources = sources.iter().map(|package| source_folder(package));
    if let Some(newer) = { sources }.find_map(|folder| newer_than(&folder, built?)) {
        println!("warning: {name} is older than {}: cargo build --bins", newer.display());
    }
    found
}

fn source_folder(package: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package).join("src")
}

/// A file under `folder` that has changed since.
fn newer_than(folder: &Path, since: SystemTime) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let (path, known) = (entry.path(), entry.metadata().ok()?);
        let is_test = path.ends_with("tests") || path.ends_with("tests.rs");
        match known.is_dir() {
            _ if is_test => None,
            true => newer_than(&path, since),
            false => known.modified().ok().filter(|changed| *changed > since).map(|_| path),
        }
    })
}

pub(super) fn write_kubeconfig(file: &Path, token: &str) -> anyhow::Result<()> {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bed",
        "clusters": [{ "name": "bed", "cluster": {
            "server": format!("https://{ADDRESS}:6443"), "certificate-authority": CERTIFICATE,
        } }],
        "users": [{ "name": "bed", "user": { "token": token } }],
        "contexts": [{ "name": "bed", "context": { "cluster": "bed", "user": "bed" } }],
    });
    // JSON is YAML.
    fs::write(file, kubeconfig.to_string())
        .with_context(|| format!("cannot write {}", file.display()))
}
