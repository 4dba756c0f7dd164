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

    /// How long IPVS remembers a connection on which nothing happens, in seconds (ipvsadm `--set`). There is one set for the
    /// whole node: of two groups with a common director the older one's counts. A change holds for connections from their next
    /// packet on. Default: the kernel's own, tcp 900, tcpFin 120 and udp 300.
    ///
    /// Example: `{tcp: 7200}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,

    /// Settings of IPVS (`net.ipv4.vs.*`) on the directors. They hold for the whole node: of two groups with a common director
    /// the older one's count. What is left out stays as it is, but for those with a default of ours.
    ///
    /// Example: `{sloppyTcp: true}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sysctls: Option<Sysctls>,
}

/// IPVS's timeouts, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// An established TCP connection, in seconds, 1 to 2147483. Longer than the applications' keep-alive, or idle connections
    /// break. Default: the kernel's, 900. Example: 7200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub tcp: Option<i32>,
    /// A TCP connection after one side's FIN, in seconds, 1 to 2147483. Default: the kernel's, 120. Example: 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub tcp_fin: Option<i32>,
    /// UDP datagrams of one client address and port, in seconds, 1 to 2147483. Default: the kernel's, 300. Example: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub udp: Option<i32>,
}

/// IPVS's sysctls, below `net.ipv4.vs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sysctls {
    /// `conntrack`: netfilter tracks balanced connections too, so that firewall rules by connection state see them; it costs
    /// memory and time. Default: on where it is needed (`nat.masquerade`, FTP with NAT), else untouched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conntrack: Option<bool>,
    /// `conn_reuse_mode`: where a new connection (SYN) goes that comes from a client's address and port whose former
    /// connection is still in the table. 0: to the former one's real server. 1: to one scheduled anew, if the former is closed
    /// (TIME_WAIT; by DR and TUN the director never sees it get there). 2: anew also if the former is closing (FIN_WAIT) by DR
    /// or TUN, so that new real servers fill up under many short connections of few clients. Connections by `persistence` stay
    /// where they are. Default: untouched (the kernel's is 1), but 0 on kernels older than 5.9 with `conntrack`, where 1 delays
    /// such a connection by a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2))]
    pub conn_reuse_mode: Option<i32>,
    /// `expire_nodest_conn`: a connection whose real server was taken out ends with its next packet, so that the client
    /// connects anew; otherwise its packets vanish until a timeout. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_nodest_conn: Option<bool>,
    /// `expire_quiescent_template`: a client that is bound by `persistence` to a real server of weight 0 goes to another one
    /// with its next connection; otherwise it keeps coming, and the server never drains. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_quiescent_template: Option<bool>,
    /// `sloppy_tcp`: a TCP packet of no known connection, SYN or not, is scheduled: with scheduler mh directors can then take
    /// over connections without knowing them. Default: untouched (the kernel's is off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sloppy_tcp: Option<bool>,
    /// `sloppy_sctp`: the same for SCTP. Default: untouched (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sloppy_sctp: Option<bool>,
    /// `schedule_icmp`: ICMP errors about connections that are not known are scheduled too, for tunnels and anycast. Default:
    /// untouched (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_icmp: Option<bool>,
    /// `nat_icmp_send`: with NAT, a real server whose packet belongs to no known connection is told by ICMP (port unreachable),
    /// so that it can end its side. Default: untouched (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat_icmp_send: Option<bool>,
    /// `pmtu_disc`: a packet with DF that does not fit into the path to the real server, tunnel headers included, is answered by
    /// ICMP "fragmentation needed", so that the client sends smaller ones. Off, TUN sends such packets in fragments. Default:
    /// untouched (on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pmtu_disc: Option<bool>,
    /// `drop_entry`: defence against SYN floods, which drops random half-open connections from the table. 0: never. 1: when
    /// memory is short; the kernel itself then turns it to 2, and back. 3: always. Default: untouched (0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3))]
    pub drop_entry: Option<i32>,
    /// `drop_packet`: defence against floods, which drops a part of all packets before they are balanced. 0 to 3 as with
    /// `dropEntry`. Default: untouched (0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3))]
    pub drop_packet: Option<i32>,
    /// `secure_tcp`: defence against SYN floods by a stricter table of TCP states with shorter timeouts. 0 to 3 as with
    /// `dropEntry`. Default: untouched (0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3))]
    pub secure_tcp: Option<i32>,
    /// `run_estimation`: the kernel computes rates (connections, packets and bytes a second) for each service and real server.
    /// Off spares CPU with tens of thousands of them; the rates then stand still, the totals go on. Default: untouched (on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_estimation: Option<bool>,
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
