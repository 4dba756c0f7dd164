use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::control_plane::{ControlPlane, program, state_dir};
use crate::net::{Daemon, Node};
use crate::table::NodeState;
use crate::wait_for;

/// How long an object may take to reach a condition.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where an agent serves /readyz and /metrics.
pub const AGENT: &str = "127.0.0.1:9809";

/// A control plane with the operator and an agent on each node. Objects are of the namespace `default`.
pub struct Cluster {
    /// The control plane.
    pub plane: ControlPlane,
    operator: Option<Daemon>,
    agents: BTreeMap<String, Daemon>,
    agent_arguments: Vec<String>,
}

impl Cluster {
    /// Starts all but the agents.
    #[track_caller]
    pub fn start() -> Cluster {
        Cluster::start_with(&[])
    }

    /// As [`Cluster::start`], with further arguments for the agents.
    #[track_caller]
    pub fn start_with(agent_arguments: &[&str]) -> Cluster {
        let plane = ControlPlane::start();
        let agent_arguments = agent_arguments.iter().map(|&word| word.to_owned()).collect();
        let operator = Some(plane.start_operator());
        Cluster { plane, operator, agents: BTreeMap::new(), agent_arguments }
    }

    /// Makes a machine a Kubernetes node, with its first address on `eth0`, and starts its agent. Returns what the
    /// machine was before that.
    #[track_caller]
    pub fn add_node(&mut self, node: &Node) -> NodeState {
        self.add(node, &[])
    }

    /// As [`Cluster::add_node`], labelled `kube-lvs.io/director=true`.
    #[track_caller]
    pub fn add_director(&mut self, node: &Node) -> NodeState {
        self.add(node, &[("kube-lvs.io/director", "true")])
    }

    #[track_caller]
    fn add(&mut self, node: &Node, labels: &[(&str, &str)]) -> NodeState {
        let shown = node.sh("ip -4 -o addr show dev eth0").unwrap_or_else(|e| panic!("{e:#}"));
        let address = shown.split_whitespace().nth(3).and_then(|address| address.split('/').next());
        self.plane.add_node(node, address.expect("an IPv4 address on eth0"), labels);
        let before = NodeState::of(node);
        self.start_agent(node);
        before
    }

    /// Starts the agent of a node that has none running.
    #[track_caller]
    pub fn start_agent(&mut self, node: &Node) {
        let mut command = self.plane.agent_command(node);
        let daemon = node.spawn(command.args(&self.agent_arguments));
        self.agents.insert(node.name().to_owned(), daemon);
    }

    /// The agent of a node.
    #[track_caller]
    pub fn agent(&self, node: &Node) -> &Daemon {
        self.agents.get(node.name()).unwrap_or_else(|| panic!("no agent on {}", node.name()))
    }

    /// SIGKILL for a node's agent.
    pub fn kill_agent(&mut self, node: &Node) {
        self.agents.remove(node.name());
    }

    /// SIGTERM for a node's agent; it has to end well.
    #[track_caller]
    pub fn stop_agent(&mut self, node: &Node) {
        let Some(mut daemon) = self.agents.remove(node.name()) else { return };
        daemon.term();
        let status = daemon.wait(Duration::from_secs(10)).unwrap_or_else(|e| panic!("{e:#}"));
        assert!(status.success(), "the agent ended with {status}:\n{}", daemon.log());
    }

    /// Ends a node's agent and gives the node back as it was.
    #[track_caller]
    pub fn clean_up(&mut self, node: &Node) {
        self.stop_agent(node);
        let (agent, state) = (program("lvs-agent"), state_dir(node));
        node.sh(&format!("'{}' cleanup --state-dir {}", agent.display(), state.display()))
            .unwrap_or_else(|e| panic!("{e:#}"));
    }

    /// Waits until a node's agent says that it is ready.
    #[track_caller]
    pub fn wait_until_ready(&self, node: &Node) {
        wait_for(&format!("the agent of {} is ready", node.name()), PATIENCE, || {
            node.http_get(AGENT, "/readyz").map_err(|e| format!("{e:#}"))
        });
    }

    /// Starts the operator.
    #[track_caller]
    pub fn start_operator(&mut self) {
        self.operator = Some(self.plane.start_operator());
    }

    /// SIGKILL for the operator: its Lease stays.
    pub fn kill_operator(&mut self) {
        self.operator = None;
    }

    /// kubectl with all rights, words separated by spaces: what it prints.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub fn kubectl(&self, words: &str) -> anyhow::Result<String> {
        self.plane.kubectl(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// Applies a manifest.
    #[track_caller]
    pub fn apply(&self, manifest: &str) {
        self.plane.apply(manifest).unwrap_or_else(|e| panic!("{e:#}, of\n{manifest}"));
    }

    /// Applies a file of `examples/`.
    #[track_caller]
    pub fn apply_example(&self, file: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(file);
        self.apply(
            &fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
        );
    }

    /// Applies a manifest that the API server must refuse: what the user is told.
    #[track_caller]
    pub fn refused(&self, manifest: &str) -> String {
        match self.plane.apply(manifest) {
            Ok(()) => panic!("not refused:\n{manifest}"),
            Err(error) => format!("{error:#}"),
        }
    }

    /// Changes `KIND/NAME` by a JSON patch.
    #[track_caller]
    pub fn patch(&self, object: &str, patch: &str) {
        self.plane.patch(object, patch).unwrap_or_else(|e| panic!("{object}: {e:#}"));
    }

    /// Deletes `KIND/NAME`, and waits until it is gone.
    #[track_caller]
    pub fn delete(&self, object: &str) {
        self.plane.delete_named(object).unwrap_or_else(|e| panic!("{object}: {e:#}"));
    }

    /// Waits, as a user would, until `KIND/NAME` has a condition for its current generation: `Programmed`, or
    /// `Accepted=False`.
    #[track_caller]
    pub fn wait_for(&self, object: &str, condition: &str) {
        let waited = self.plane.wait_for_condition(object, condition, PATIENCE);
        waited.unwrap_or_else(|e| {
            let seen = self.kubectl("get lvs,lvsslice -o yaml");
            panic!("{e:#}\n{}", seen.unwrap_or_else(|e| e.to_string()))
        });
    }

    /// A condition of `KIND/NAME` as it is now.
    #[track_caller]
    pub fn condition(&self, object: &str, type_: &str) -> Condition {
        let read = || {
            let status = self.plane.read(object)?.context("it is not there")?.data["status"].take();
            let mut conditions: Vec<Condition> =
                serde_json::from_value(status["conditions"].clone())?;
            conditions.retain(|condition| condition.type_ == type_);
            conditions.pop().with_context(|| format!("no condition {type_} in {status}"))
        };
        read().unwrap_or_else(|e: anyhow::Error| panic!("{object}: {e:#}"))
    }
}

/// The sum of a metric of a node's agent over all its labels.
#[track_caller]
pub fn metric(node: &Node, name: &str) -> f64 {
    let text = node.http_get(AGENT, "/metrics");
    let text = text.unwrap_or_else(|e| panic!("{e:#}"));
    let of_name =
        |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let values = text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next());
    let values: Vec<f64> = values.filter_map(|value| value.parse().ok()).collect();
    assert!(!values.is_empty(), "no metric {name} in:\n{text}");
    values.iter().sum()
}
