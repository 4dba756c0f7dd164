//! VirtualService: what a user wants balanced, in an LVS admin's words.

use crate::{Forwarding, Protocol, Scheduler, SchedulerFlag};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A VirtualService balances the connections that clients open to a virtual IP over real servers.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "kube-lvs.io",
    version = "v1alpha1",
    kind = "VirtualService",
    plural = "virtualservices",
    singular = "virtualservice",
    shortname = "lvsvs",
    category = "lvs",
    namespaced,
    status = "VirtualServiceStatus",
    doc = "A VirtualService balances the connections that clients open to a virtual IP (VIP) over real servers, by Linux Virtual Server (IPVS) in the kernel of a director. It is what `ipvsadm -A` adds.",
    printcolumn(name = "ADDRESS", type_ = "string", json_path = ".spec.addresses[0]", description = "The first VIP"),
    printcolumn(name = "PORTS", type_ = "string", json_path = ".status.display.ports", description = "Protocols and ports at the VIPs"),
    printcolumn(name = "SCHEDULER", type_ = "string", json_path = ".spec.scheduler", description = "How a real server is picked"),
    printcolumn(name = "FORWARDING", type_ = "string", json_path = ".spec.forwarding", description = "How packets reach the real servers"),
    printcolumn(name = "ACTIVE", type_ = "string", json_path = ".status.display.active", description = "The director that carries the VIPs"),
    printcolumn(name = "REALSERVERS", type_ = "string", json_path = ".status.display.realServers", description = "Healthy and all real servers"),
    printcolumn(name = "AVAILABLE", type_ = "string", json_path = r#".status.conditions[?(@.type=="Available")].status"#, description = "Whether a client that connects now is served"),
    printcolumn(name = "ADDRESSES", type_ = "string", json_path = ".status.display.addresses", description = "All VIPs in use", priority = "1"),
    printcolumn(name = "GROUP", type_ = "string", json_path = ".spec.directorGroup", description = "The DirectorGroup", priority = "1"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Time since creation"),
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceSpec {
    /// The virtual IPs (VIPs): one IPv4 address, one IPv6 address, or one of each.
    #[schemars(length(min = 1, max = 2))]
    pub addresses: Vec<String>,

    /// The ports to balance.
    #[schemars(length(min = 1, max = 64))]
    pub ports: Vec<ServicePort>,

    /// How the director picks a real server for a new connection.
    #[serde(default)]
    pub scheduler: Scheduler,

    /// Options of the scheduler.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub scheduler_flags: Vec<SchedulerFlag>,

    /// How packets reach the real servers; a RealServer may override it.
    #[serde(default)]
    pub forwarding: Forwarding,

    /// Sends a client that comes back within a time window to the same real server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,

    /// Who the real servers are.
    pub real_servers: RealServers,

    /// The DirectorGroup whose director carries the VIPs.
    #[serde(default = "default_group")]
    pub director_group: String,
}

/// The DirectorGroup that the chart creates, and that standalone agents assume.
pub const DEFAULT_GROUP: &str = "default";

fn default_group() -> String {
    DEFAULT_GROUP.to_owned()
}

/// One port of a VirtualService.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Name by which a RealServer's `ports` refer to this port; needed when there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// TCP, UDP or SCTP.
    #[serde(default)]
    pub protocol: Protocol,

    /// The port at which clients reach the VIP.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,

    /// The real servers' port, if it is another one. Only NAT can translate ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub target_port: Option<i32>,
}

/// Persistence (ipvsadm `-p`): a client sticks to its real server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Persistence {
    /// How long after its last connection has ended a client still meets the same real server, in seconds.
    #[serde(default = "default_persistence")]
    #[schemars(range(min = 1, max = 2678400))]
    pub timeout_seconds: i32,

    /// Clients that are equal under this mask count as one (ipvsadm `-M`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4_netmask: Option<String>,
}

const fn default_persistence() -> i32 {
    300
}

/// Where a VirtualService's real servers come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RealServers {
    /// Selects RealServers of the same namespace by their labels.
    pub selector: LabelSelector,
}

/// What the operator found out about a VirtualService. The operator alone writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Accepted, Resolved, Programmed, Available and Degraded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,

    /// The VIPs in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,

    /// The directors of the group and what each does for this service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directors: Vec<DirectorStatus>,

    /// How many real servers there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_servers: Option<RealServerCounts>,

    /// The texts of `kubectl get`'s columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<VirtualServiceDisplay>,
}

/// One director, seen from one VirtualService.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorStatus {
    /// The node's name.
    pub node: String,
    /// Whether this director carries the VIP now.
    pub role: DirectorRole,
    /// What keeps this director from serving, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whether a director carries the VIPs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[allow(missing_docs)]
pub enum DirectorRole {
    Active,
    Standby,
}

/// Counts of real servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RealServerCounts {
    /// All that the service refers to.
    pub total: i32,
    /// Those that new connections may go to.
    pub healthy: i32,
    /// Those that only finish what they have.
    pub draining: i32,
}

/// Texts for `kubectl get`: a column can show a text, not a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceDisplay {
    /// `192.168.0.10,2001:db8::10`
    pub addresses: String,
    /// `TCP/80,TCP/443`
    pub ports: String,
    /// The node that carries the VIP.
    pub active: String,
    /// `healthy/total`
    pub real_servers: String,
}
