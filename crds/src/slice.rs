//! VirtualServiceSlice: the resolved program of one VirtualService. The operator alone writes slices; agents program
//! them and read nothing else of users'.

use crate::virtual_service::is_false;
use crate::{
    Forwarding, HealthCheck, IpFamily, MarkRules, PersistenceEngine, Protocol, Scheduler,
    SchedulerFlag, Tunnel,
};
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
    /// NAT real servers see the director's address instead of the client's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub masquerade: bool,
    /// How directors check the real servers that have no check of their own; the same in every slice of a VirtualService.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// This slice's share of the real servers.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub real_servers: Vec<SliceRealServer>,
}

/// One IPVS service: a protocol and port of a VIP, or a firewall mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SliceService {
    /// The VIP; empty with a firewall mark.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// The protocol; without meaning with a firewall mark.
    pub protocol: Protocol,
    /// The port at the VIP; 0 for all ports, and with a firewall mark.
    pub port: i32,
    /// The firewall mark that is balanced instead of address, protocol and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall_mark: Option<SliceMark>,
    /// The scheduler.
    pub scheduler: Scheduler,
    /// The scheduler's options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scheduler_flags: Vec<SchedulerFlag>,
    /// Persistence, if wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<SlicePersistence>,
    /// Whether each datagram is balanced for itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub one_packet: bool,
}

/// A firewall mark of one address family, and the packets that get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SliceMark {
    /// The mark, 1 to 4294967295.
    pub mark: i64,
    /// The address family: IPVS keeps a service for each.
    pub family: IpFamily,
    /// Whether directors set the mark.
    pub rules: MarkRules,
    /// The VIPs of this family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Networks of this family that are not the directors', and balanced all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<String>,
    /// The ports.
    pub ports: Vec<SliceMarkPorts>,
}

/// Ports of one protocol that get a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SliceMarkPorts {
    /// The protocol.
    pub protocol: Protocol,
    /// The first port; 0: all ports.
    pub port: i32,
    /// The last port, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_port: Option<i32>,
}

/// Persistence of one IPVS service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlicePersistence {
    /// Seconds.
    pub timeout_seconds: i32,
    /// Prefix length under which clients count as one: 0 to 32, or 1 to 128 for IPv6.
    pub prefix_length: i32,
    /// What besides the address makes a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<PersistenceEngine>,
}

/// One real server and the services it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SliceRealServer {
    /// The RealServer's name.
    pub name: String,
    /// The address to send to. Which services it serves: [`serves`].
    pub address: String,
    /// The node that it is, where the user named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// How to send to it.
    pub forwarding: Forwarding,
    /// What to wrap packets in, with TUN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,
    /// IPVS weight.
    pub weight: i32,
    /// IPVS upper threshold; 0: none.
    #[serde(default)]
    pub upper_threshold: i32,
    /// IPVS lower threshold; 0: none.
    #[serde(default)]
    pub lower_threshold: i32,
    /// How directors check it, where that is another way than the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Which ports of the services it serves, and with which of its own; none with a firewall mark, which it serves on the
    /// ports that clients ask for.
    pub ports: Vec<SlicePort>,
}

impl SliceService {
    /// The address family of its clients; `None` where the address is none.
    pub fn family(&self) -> Option<IpFamily> {
        match &self.firewall_mark {
            Some(mark) => Some(mark.family),
            None => self.address.parse().ok().map(|address| IpFamily::of(&address)),
        }
    }
}

/// Whether a real server serves a service, as far as address families go: those of its own family; and through a tunnel
/// those of the other one, if the VirtualService has none of its own.
pub fn serves(services: &[SliceService], server: &SliceRealServer, service: &SliceService) -> bool {
    let Some(own) = server.address.parse().ok().map(|address| IpFamily::of(&address)) else {
        return false;
    };
    service.family() == Some(own)
        || (server.forwarding == Forwarding::TUN
            && services.iter().all(|other| other.family() != Some(own)))
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
