//! DirectorGroup: which nodes are directors, and what they may do.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which nodes are directors, and what they may do.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "kube-lvs.io",
    version = "v1alpha1",
    kind = "DirectorGroup",
    plural = "directorgroups",
    singular = "directorgroup",
    shortname = "lvsdg",
    category = "lvs",
    status = "DirectorGroupStatus",
    doc = "A DirectorGroup names the nodes that are directors: they carry the VIPs of VirtualServices and balance. It also says in which networks they stand and whom they serve.",
    printcolumn = r#"{"name": "DIRECTORS", "type": "string", "jsonPath": ".status.display", "description": "The nodes of the group"}"#,
    printcolumn = r#"{"name": "READY", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "description": "Whether it has a director"}"#,
    printcolumn = r#"{"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Time since creation"}"#,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct DirectorGroupSpec {
    /// The nodes that are directors, by their labels; an empty selector, `{}`, selects every node. It has to select one node:
    /// with two, the condition Ready says so.
    ///
    /// Example: `{matchLabels: {kube-lvs.io/director: "true"}}`.
    #[serde(default)]
    pub node_selector: LabelSelector,

    /// The namespaces whose VirtualServices may use this group, by the namespaces' labels. Every namespace has the label
    /// `kubernetes.io/metadata.name`. Default: all namespaces.
    ///
    /// Example: `{matchLabels: {kubernetes.io/metadata.name: web}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<LabelSelector>,

    /// On which interface, and with which prefix length, a VIP stands on the director; of several networks that contain it,
    /// the one with the longest prefix counts. Default: a VIP stands as a host address (/32 or /128) on the interface that
    /// routes to it.
    ///
    /// Example: `[{cidr: 192.168.0.0/24, interface: eth0}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub networks: Vec<Network>,

    /// Floating addresses on the inside network that the active director holds besides the VIPs. With NAT they are the real
    /// servers' default gateway, so that replies come back through the director, whichever node that is. Default: none.
    ///
    /// Example: `[{address: 10.0.0.234/24, interface: eth0}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub nat_gateways: Vec<NatGateway>,

    /// Networks in which real servers may be: a RealServer elsewhere is left out, and a condition says so. It keeps users from
    /// sending traffic to what is not theirs. Default: no restriction.
    ///
    /// Example: `[10.0.0.0/24]`.
    #[serde(default, rename = "realServerCIDRs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 64)))]
    pub real_server_cidrs: Vec<String>,
}

/// A network in which VIPs stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// VIPs within this network stand with its prefix length. Example: 192.168.0.0/24.
    #[schemars(length(max = 64))]
    pub cidr: String,
    /// The interface they stand on. Default: the one that has, or routes to, this network. Example: eth0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub interface: Option<String>,
}

/// A floating address on the inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatGateway {
    /// The address with its network's prefix length. Example: 10.0.0.234/24.
    #[schemars(length(max = 64))]
    pub address: String,
    /// The interface it stands on. Default: the one that has, or routes to, its network. Example: eth0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub interface: Option<String>,
}

/// What the operator found out about a DirectorGroup. The operator alone writes it; agents read it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorGroupStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The group's directors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// The members' names, for `kubectl get`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display: String,
}

/// A node of a DirectorGroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The node's name.
    pub node: String,
    /// The node's addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}
