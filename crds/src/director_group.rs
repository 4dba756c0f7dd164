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
    /// The nodes that are directors, by their labels, 1 to 32; an empty selector, `{}`, selects every node. The VIPs spread over
    /// all of them, and when one dies the others take its VIPs over.
    ///
    /// Example: `{matchLabels: {kube-lvs.io/director: "true"}}`.
    #[serde(default)]
    pub node_selector: LabelSelector,

    /// Directors by name, 1 to 32, instead of `nodeSelector`: for agents that run without a cluster (`lvs-agent --manifests`),
    /// each of which must have the same list. In a cluster `nodeSelector` is simpler, and no list has to be kept up to date.
    ///
    /// Example: `[{node: lvs1, addresses: [10.0.0.1]}, {node: lvs2, addresses: [10.0.0.2]}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub members: Vec<Member>,

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

    /// How directors notice that one of them is gone, and take its VIPs over (VRRPv3, RFC 9568). Of no effect with one
    /// director. Default: within 300 ms.
    ///
    /// Example: `{profile: Fast}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<Failover>,

    /// How directors tell each other of connections, so that established ones go on when a director dies (IPVS's sync daemon,
    /// ipvsadm `--start-daemon`). Default: on in a group of several directors.
    ///
    /// Example: `{interface: eth1}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_sync: Option<ConnectionSync>,
}

/// How directors take over from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failover {
    /// How fast. `Default`: an advertisement every 90 ms, a take-over within 300 ms of a director's death. `Fast`: every 30 ms,
    /// within 100 ms, for machines whose CPUs are never all busy. Default: Default. Example: Fast.
    #[serde(default, skip_serializing_if = "is_default")]
    pub profile: FailoverProfile,
    /// Milliseconds between advertisements, 10 to 40950, in steps of 10, instead of the profile's; a director counts as gone after
    /// three of them. keepalived's `advert_int`. Example: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub advertisement_interval_milliseconds: Option<i32>,
    /// Whether a director that comes back takes its VIPs back. keepalived's `nopreempt`, the other way round. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preempt: Option<bool>,
    /// Seconds that a director waits before it takes VIPs back, 0 to 1000, so that it hears of the connections that are in use
    /// first. keepalived's `preempt_delay`. Default: 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub preempt_delay_seconds: Option<i32>,
    /// NAT: whether what a real server answers for a TCP connection that the director does not know is dropped, instead of
    /// passed on with the real server's own address, for which its client resets it. It comes again, and is known by then:
    /// part of hand-overs that lose no request. For services with ports, not for all of them. A client that asks a real
    /// server itself has to do so by way of the director that answers come back through. Directors track connections then.
    /// Default: false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub drop_unknown_replies: bool,
    /// How advertisements travel. `Unicast`: to each other director's address. `Multicast`: to 224.0.0.18 or ff02::12.
    /// Default: Unicast.
    #[serde(default, skip_serializing_if = "is_default")]
    pub transport: VrrpTransport,
    /// The interface of advertisements. Default: the one that routes to the other directors. Example: eth1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub interface: Option<String>,
    /// Which virtual router ids (VRIDs) may be used, where other VRRP routers are on the link; a group of n directors needs
    /// `n * min(n-1, 7) + 1`: 3 for two, 7 for three, 13 for four. Ids that others are heard to use are left out in any case, as
    /// far as there is a cluster. Default: 1 to 255. Example: `{first: 100, last: 199}`.
    #[serde(default, rename = "virtualRouterIDs", skip_serializing_if = "Option::is_none")]
    pub virtual_router_ids: Option<VirtualRouterIds>,
}

/// How fast directors notice that one of them is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum FailoverProfile {
    #[default]
    Default,
    Fast,
}

/// How advertisements travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum VrrpTransport {
    #[default]
    Unicast,
    Multicast,
}

/// A range of virtual router ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualRouterIds {
    /// The first id that may be used, 1 to 255. Example: 100.
    #[schemars(range(min = 1, max = 255))]
    pub first: i32,
    /// The last id that may be used, 1 to 255. Example: 199.
    #[schemars(range(min = 1, max = 255))]
    pub last: i32,
}

/// IPVS's sync daemons.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionSync {
    /// Whether directors tell each other of connections. Default: true in a group of several directors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The interface over which they do (`--mcast-interface`): one of a network that is trusted, since nothing in it is
    /// authenticated. Default: that of advertisements. Example: eth1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub interface: Option<String>,
    /// What keeps groups on one network apart (`--syncid`), 1 to 255. Default: one that no other group has.
    #[serde(default, rename = "syncID", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub sync_id: Option<i32>,
    /// The multicast group (`--sync-group`), IPv4 or IPv6. Default: 224.0.0.81. Example: 239.1.1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub multicast_group: Option<String>,
    /// The UDP port (`--sync-port`), 1 to 65535. Default: 8848.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Time to live, or hop limit, of the packets (`--sync-ttl`), 1 to 255. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub ttl: Option<i32>,
    /// The largest packet's payload in bytes (`--sync-maxlen`), 576 to 65507. Default: what the interface's MTU allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 576, max = 65507))]
    pub max_length: Option<i32>,
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
    /// A TCP connection that is closing (FIN_WAIT), in seconds, 1 to 2147483: with DR and TUN from the client's FIN on, with NAT
    /// from the server's FIN to the client's (after the client's alone it is CLOSE_WAIT, which the kernel gives 60). Default: the
    /// kernel's, 120. Example: 60.
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
    /// memory and time. Default: on where it is needed (`nat.masquerade`, FTP with NAT, NAT beside rules that drop what belongs to
    /// no tracked connection, such as kube-proxy's in iptables mode), else untouched.
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
    /// `nat_icmp_send`: with NAT, a packet from the address and port of a destination that belongs to no known connection goes no
    /// further, and the real server is told by ICMP (port unreachable). Neither clients nor the director itself can speak to
    /// destinations by their own addresses any more, of all IPVS services on the node, kube-proxy's too;
    /// `failover.dropUnknownReplies` spares them. Default: untouched (off).
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
    /// What machines of its network send elsewhere by themselves (updates, DNS, mail) leaves with the address of the director that has the
    /// gateway, as by `iptables -t nat -A POSTROUTING -s NETWORK ! -d NETWORK -j MASQUERADE`. Directors do not tell each other of such connections:
    /// at a take-over they end. Default: false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub masquerade: bool,
}

/// What the operator found out about a DirectorGroup. The operator alone writes it; agents read it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorGroupStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Conflicted and Degraded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The group's directors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// The virtual routers over which the VIPs spread: each director is home to some. None with one director.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub virtual_routers: Vec<VirtualRouter>,
    /// The virtual router id under which directors tell each other that they live. None with one director.
    #[serde(default, rename = "presenceID", skip_serializing_if = "Option::is_none")]
    pub presence_id: Option<i32>,
    /// The sync daemons' id. None with one director, or without connection sync.
    #[serde(default, rename = "syncID", skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<i32>,
    /// Nodes that are no directors and ask the VIPs as clients do, where directors cannot: one has nobody to ask it, and directors
    /// that are real servers too deliver what another director sends to themselves. At most 4, those nearest to the directors by address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(max = 253)))]
    pub probers: Vec<String>,
    /// The members' names, for `kubectl get`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display: String,
}

/// A virtual router of a DirectorGroup: VIPs that are at one director, always together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualRouter {
    /// Its id (VRID), 1 to 255.
    pub id: i32,
    /// The director that carries it while all is well.
    pub home: String,
    /// Which of the home's it is, from 0.
    pub number: i32,
}

/// A director of a DirectorGroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The node's name; without a cluster, that of the agent (`--node-name`, by default the host's).
    #[schemars(length(max = 253))]
    pub node: String,
    /// The addresses by which the others reach it, at most 8; needed where there are several directors. The first IPv4 address
    /// is used if each director has one, else the first IPv6 address. That may be the link-local one of `failover.interface` (or of the
    /// only interface that has it), without a zone: beside other VRRP routers it has to be. Example: `[10.0.0.1]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 64)))]
    pub addresses: Vec<String>,
    /// The MAC addresses of its interfaces (`ip link`), at most 16. Needed where directors are real servers too: by them a
    /// director knows what another one has balanced already. Default: in a cluster, those that its agent reports. Example: `["02:00:00:00:00:01"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 17)))]
    pub macs: Vec<String>,
    /// The smallest MTU of its interfaces, in bytes: real servers behind a tunnel ask for segments that fit through it. Default: in a
    /// cluster, what its agent reports; elsewhere the real server's own. Example: `1400`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 68, max = 65535))]
    pub mtu: Option<i32>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
