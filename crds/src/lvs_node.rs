//! LVSNode: what one node's agent reports. Its size does not grow with the table.

use crate::DirectorRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most entries of any list in an LVSNode's status; the counts beside them are exact.
pub const MAX_REPORTED: usize = 100;
/// The most real servers that an LVSNode says are down; the count beside them is exact.
pub const MAX_DOWN: usize = 500;

/// An LVSNode tells what the agent of the node of the same name has made of its kernel. That agent alone writes it.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "kube-lvs.io",
    version = "v1alpha1",
    kind = "LVSNode",
    plural = "lvsnodes",
    singular = "lvsnode",
    shortname = "lvsn",
    category = "lvs",
    status = "LVSNodeStatus",
    doc = "An LVSNode tells what the agent of the node of the same name has made of that node's kernel. Only the agent writes it.",
    printcolumn = r#"{"name": "ROLES", "type": "string", "jsonPath": ".status.display", "description": "What the node is"}"#,
    printcolumn = r#"{"name": "SERVICES", "type": "integer", "jsonPath": ".status.table.services", "description": "IPVS services of ours in its kernel"}"#,
    printcolumn = r#"{"name": "DESTINATIONS", "type": "integer", "jsonPath": ".status.table.destinations", "description": "Their real servers"}"#,
    printcolumn = r#"{"name": "VIPS", "type": "integer", "jsonPath": ".status.table.vips", "description": "VIPs that stand on it"}"#,
    printcolumn = r#"{"name": "FAILURES", "type": "integer", "jsonPath": ".status.failureCount", "description": "What could not be programmed"}"#,
    printcolumn = r#"{"name": "KERNEL", "type": "string", "jsonPath": ".status.kernel.release", "description": "Its kernel", "priority": 1}"#,
    printcolumn = r#"{"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Time since creation"}"#,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct LVSNodeSpec {}

/// What the agent reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LVSNodeStatus {
    /// The agent's version.
    #[serde(default)]
    pub agent_version: String,
    /// When this report was written, to the microsecond and by the node's own clock, by which nothing is decided. An agent that
    /// lives writes one at least every 30 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_time: Option<MicroTime>,
    /// The kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelReport>,
    /// The node's own addresses: those that the agent did not make, loopback and link-local left out, and so is what stands as /32
    /// or /128 on `lo` or a dummy interface, as other load balancers' VIPs do, if the node has another address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub addresses: Vec<String>,
    /// The MAC addresses of its interfaces, the first 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub macs: Vec<String>,
    /// The smallest MTU of those interfaces, in bytes; 68 to 65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 68, max = 65535))]
    pub mtu: Option<i32>,
    /// The virtual routers of its DirectorGroups, and which of them it carries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub virtual_routers: Vec<CarriedRouter>,
    /// Virtual router ids under which others than directors of its groups were heard, the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub strangers: Vec<Stranger>,
    /// The DirectorGroups that this node is a director of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub director_of: Vec<DirectorOf>,
    /// The VIPs that stand on this node, the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub vips: Vec<HeldVip>,
    /// Sizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableReport>,
    /// Up to where the kernel has been read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programmed: Option<Programmed>,
    /// What could not be programmed and why, the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub failures: Vec<Failure>,
    /// How many failures there are.
    #[serde(default)]
    pub failure_count: i32,
    /// What works, but not as well as it should, or not for long, the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub warnings: Vec<Failure>,
    /// What it met at VIPs of others, which it asks as a client does; none where there is nothing that it can ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub probes: Vec<Probes>,
    /// What its checks of real servers found; absent where it checks none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthReport>,
    /// Drift that was repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftReport>,
    /// The roles as a text, for `kubectl get`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display: String,
}

/// The kernel an agent found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KernelReport {
    /// As `uname -r` says.
    pub release: String,
    /// IPVS's version, where there is IPVS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipvs: Option<String>,
    /// Buckets of the connection table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_table_size: Option<i32>,
}

/// A DirectorGroup that a node is a director of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorOf {
    /// The DirectorGroup.
    pub group: String,
    /// What the node is in it now.
    pub role: DirectorRole,
    /// The group's other directors whose advertisements (VRRP) it hears. Absent in a group of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub hears: Option<Vec<String>>,
}

/// A virtual router as one of its directors sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CarriedRouter {
    /// The DirectorGroup.
    pub group: String,
    /// Its id.
    pub id: i32,
    /// Whether this node carries it.
    pub role: DirectorRole,
    /// What keeps this node from carrying it, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Somebody else's VRRP router on a link of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stranger {
    /// The virtual router id.
    pub id: i32,
    /// Where its advertisement came from.
    pub address: String,
}

/// An address that the agent holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldVip {
    /// The address with its prefix length.
    pub address: String,
    /// The interface it stands on.
    pub interface: String,
}

/// Sizes of what the agent programmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableReport {
    /// IPVS services of ours.
    pub services: i32,
    /// Their destinations.
    pub destinations: i32,
    /// Addresses that the agent holds.
    pub vips: i32,
    /// Connections in the kernel's table when it was last looked at, every minute at least.
    #[serde(default)]
    pub connections: i64,
}

/// Up to where the kernel has been read back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Programmed {
    /// The newest VirtualServiceSlice resourceVersion that the kernel has been read back against. Resource versions of
    /// one kind compare as integers.
    pub resource_version: String,
}

/// Something that could not be programmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Namespace of the VirtualService that it belongs to; absent for what concerns the whole node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The VirtualService that it belongs to; absent for what concerns the whole node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_service: Option<String>,
    /// In which role the node failed.
    pub role: FailedRole,
    /// One CamelCase word.
    pub reason: String,
    /// What failed, on which object, and what to do.
    pub message: String,
}

/// What a node met at the VIPs of one DirectorGroup, as of the last change: not samples, transitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// The DirectorGroup.
    pub group: String,
    /// Everything that the node asks has been asked as of this VirtualServiceSlice resourceVersion, and was answered but for
    /// what stands in `unanswered`. Absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// How many services, a VIP and port each, the node asks.
    pub services: i32,
    /// How many of them were not answered.
    #[serde(default)]
    pub unanswered_count: i32,
    /// Those that were not answered or cannot be asked from here, the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub unanswered: Vec<Unanswered>,
    /// How many are not in that list, although they belong there.
    #[serde(default)]
    pub unlisted: i32,
    /// How long an answer took, in microseconds: the middle one of those that had come when this was first told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub microseconds: Option<i64>,
}

/// What a director's checks of real servers found, as of the last change: not samples, transitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthReport {
    /// How many real servers of VirtualServices the node checks, one that several select as often as these.
    pub checked: i32,
    /// How many of them are down.
    #[serde(default)]
    pub down_count: i32,
    /// Those that are down, the first 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub down: Vec<DownServer>,
}

/// A real server that is down, seen from one VirtualService.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DownServer {
    /// The namespace of both.
    pub namespace: String,
    /// The VirtualService.
    pub virtual_service: String,
    /// The RealServer.
    pub real_server: String,
    /// The VirtualService's ports that it gets no connections of, as `TCP/80`; absent: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub ports: Vec<String>,
    /// By what it was found, such as `HTTP 503 in 4 ms, 3 of 3`.
    pub reason: String,
}

/// A service that was not answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unanswered {
    /// The VIP.
    pub address: String,
    /// Protocol and port, as `TCP/80`; absent: all that is asked at the VIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// One CamelCase word. `CannotAsk`: it is not known whether clients are served.
    pub reason: String,
    /// What was met, and where.
    pub message: String,
}

/// The reason of what cannot be asked from a node.
pub const CANNOT_ASK: &str = "CannotAsk";

/// In which role a node failed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[allow(missing_docs)]
pub enum FailedRole {
    Director,
    RealServer,
    Node,
}

/// Drift: somebody else changed what the agent had made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftReport {
    /// How many times the agent found drift and repaired it since it started.
    pub repairs: i64,
    /// What was found last.
    pub last: String,
}
