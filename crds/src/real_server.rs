//! RealServer: a machine that serves what a VirtualService balances.

use crate::{Forwarding, HealthCheck, Tunnel};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the machine is, and what it can carry.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "kube-lvs.io",
    version = "v1alpha1",
    kind = "RealServer",
    plural = "realservers",
    singular = "realserver",
    shortname = "lvsrs",
    category = "lvs",
    namespaced,
    status = "RealServerStatus",
    doc = "A RealServer is a machine, in the cluster or outside it, that answers for the VirtualServices that select it by its labels. It is what `ipvsadm -a` adds.",
    printcolumn = r#"{"name": "ADDRESS", "type": "string", "jsonPath": ".status.display.addresses", "description": "The address or addresses that directors send to"}"#,
    printcolumn = r#"{"name": "WEIGHT", "type": "integer", "jsonPath": ".spec.weight", "description": "Share of new connections"}"#,
    printcolumn = r#"{"name": "FORWARDING", "type": "string", "jsonPath": ".spec.forwarding", "description": "Overrides the VirtualService's, where given"}"#,
    printcolumn = r#"{"name": "STATE", "type": "string", "jsonPath": ".spec.state", "description": "Whether it takes part"}"#,
    printcolumn = r#"{"name": "SERVICES", "type": "string", "jsonPath": ".status.display.services", "description": "The VirtualServices that select it"}"#,
    printcolumn = r#"{"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Time since creation"}"#,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct RealServerSpec {
    /// The server's IP address, without prefix length: the one that the director sends to (ipvsadm `-r`). It need not be in
    /// the cluster, nor run Linux. It serves the VIPs of its own address family; by TUN those of the other one too, where a
    /// VirtualService has none of its own. Give either `address` or `nodeName`.
    ///
    /// Example: 192.168.0.101.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub address: Option<String>,

    /// The Kubernetes node that is the server, by its name; its InternalIP of each family is used. With DR and TUN the
    /// agent on that node puts the VIP on `lo` and sets the ARP sysctls, and for TUN makes the tunnel device. Give either
    /// `address` or `nodeName`.
    ///
    /// Example: worker-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node_name: Option<String>,

    /// Ports of this server that differ from the VirtualService's `targetPort` or `port`, by the name of the VirtualService's
    /// port. Only where it is reached by NAT, and not by VirtualServices with `firewallMark`. Default: none differ.
    ///
    /// Example: `[{name: http, port: 8080}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub ports: Vec<RealServerPort>,

    /// Share of new connections relative to the other real servers' weights (ipvsadm `-w`), 0 to 65535: weight 10 gets
    /// twice as many as weight 5. 0: no new connections, existing ones go on. The schedulers rr and lc use it for that only.
    /// Default: 1.
    #[serde(default = "crate::terms::one")]
    #[schemars(range(min = 0, max = 65535))]
    pub weight: i32,

    /// Overrides, for this server, how VirtualServices forward: NAT, DR or TUN; see `virtualservice.spec.forwarding`. One
    /// service may have real servers of all three. Not NAT where the VirtualService has `onePacket`. Default: as the
    /// VirtualService says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<Forwarding>,

    /// Overrides, for this server, what its packets are wrapped in where it is reached by TUN, as a whole: what is left out
    /// here has its default, not the VirtualService's value. Default: as the VirtualService says.
    ///
    /// Example: `{type: gre}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,

    /// No new connections once the server has this many (ipvsadm `-x`), whatever its weight; again below `lowerThreshold`.
    /// Default: no limit. Example: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2147483647))]
    pub upper_threshold: Option<i32>,

    /// After `upperThreshold` was reached, new connections again once the server has fewer than this many (ipvsadm `-y`). At
    /// most `upperThreshold`, and only with it. Default: the kernel's, three quarters of `upperThreshold`. Example: 800.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2147483647))]
    pub lower_threshold: Option<i32>,

    /// Overrides, for this server, how directors find out whether it works, as a whole: what is left out here has its default, not
    /// the VirtualService's value. Default: as the VirtualService says.
    ///
    /// Example: `{http: {path: /healthz, port: 8080}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,

    /// Enabled, or Disabled: taken out of the kernel's table, as if the object were not there; its connections end. To let
    /// them finish, set `weight: 0` first. Default: Enabled.
    #[serde(default)]
    pub state: RealServerState,
}

/// A port of a real server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RealServerPort {
    /// The name of the VirtualService's port; left out for a port that has none. Example: http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub name: Option<String>,
    /// The port on which this server listens, 1 to 65535. Example: 8080.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// Whether a real server takes part.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[allow(missing_docs)]
pub enum RealServerState {
    #[default]
    Enabled,
    Disabled,
}

/// What the operator found out about a RealServer. The operator alone writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RealServerStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Resolved: an address is known and may be balanced to. Healthy: its checks pass. Ready: as Resolved, for tools that know no
    /// other condition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The addresses that directors send to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// The VirtualServices of this namespace that select it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub virtual_services: Vec<String>,
    /// The texts of `kubectl get`'s columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<RealServerDisplay>,
}

/// Texts for `kubectl get`: a column can show a text, not a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RealServerDisplay {
    /// The address or addresses in use.
    pub addresses: String,
    /// The VirtualServices that select this server.
    pub services: String,
}
