//! VirtualServiceSlice: the resolved program of one VirtualService. The operator alone writes slices; agents program
//! them and read nothing else of users'.

use crate::{Forwarding, Protocol, Scheduler, SchedulerFlag};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most real servers in one slice, so that one real server's change is one small write.
pub const MAX_REAL_SERVERS: usize = 100;

/// A VirtualServiceSlice is what directors and real-server nodes program for one VirtualService, every default filled
/// in. The operator writes it; do not edit it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "kube-lvs.io",
    version = "v1alpha1",
    kind = "VirtualServiceSlice",
    plural = "virtualserviceslices",
    singular = "virtualserviceslice",
    shortname = "lvsslice",
    namespaced,
    doc = "A VirtualServiceSlice is what directors and real-server nodes program for one VirtualService, every default filled in. The operator writes it; do not edit it.",
    printcolumn = r#"{"name": "SERVICE", "type": "string", "jsonPath": ".spec.virtualService", "description": "The VirtualService that it is a part of"}"#,
    printcolumn = r#"{"name": "GENERATION", "type": "integer", "jsonPath": ".spec.generation", "description": "The generation of it that was resolved"}"#,
    printcolumn = r#"{"name": "GROUP", "type": "string", "jsonPath": ".spec.directorGroup", "description": "The DirectorGroup that carries it"}"#,
    printcolumn = r#"{"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Time since creation"}"#,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceSliceSpec {
    /// The VirtualService, of this namespace, that this slice is a part of.
    pub virtual_service: String,
    /// The VirtualService's generation that was resolved.
    pub generation: i64,
    /// The DirectorGroup that carries it.
    pub director_group: String,
    /// The services; the same in every slice of a VirtualService.
    #[schemars(length(max = 128))]
    pub services: Vec<SliceService>,
    /// This slice's share of the real servers.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub real_servers: Vec<SliceRealServer>,
}

/// One IPVS service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SliceService {
    /// The VIP.
    pub address: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The port at the VIP.
    pub port: i32,
    /// The scheduler.
    pub scheduler: Scheduler,
    /// The scheduler's options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scheduler_flags: Vec<SchedulerFlag>,
    /// Persistence, if wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<SlicePersistence>,
}

/// Persistence of one IPVS service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlicePersistence {
    /// Seconds.
    pub timeout_seconds: i32,
    /// Prefix length under which clients count as one: 1 to 32, or to 128 for IPv6.
    pub prefix_length: i32,
}

/// One real server and the services it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SliceRealServer {
    /// The RealServer's name.
    pub name: String,
    /// The address to send to. It serves the services of its own address family.
    pub address: String,
    /// The node that it is, where the user named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// How to send to it.
    pub forwarding: Forwarding,
    /// IPVS weight.
    pub weight: i32,
    /// IPVS upper threshold; 0: none.
    #[serde(default)]
    pub upper_threshold: i32,
    /// IPVS lower threshold; 0: none.
    #[serde(default)]
    pub lower_threshold: i32,
    /// Which ports of the services it serves, and with which of its own.
    pub ports: Vec<SlicePort>,
}

/// A service's port and a real server's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlicePort {
    /// The protocol.
    pub protocol: Protocol,
    /// The port at the VIP.
    pub port: i32,
    /// The port at the real server.
    pub target_port: i32,
}
