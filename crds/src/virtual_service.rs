//! VirtualService: what a user wants balanced, in an LVS admin's words.

use crate::{
    Forwarding, HealthCheck, MarkRules, PersistenceEngine, Protocol, Scheduler, SchedulerFlag,
    Tunnel,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to balance, and how.
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
    printcolumn = r#"{"name": "ADDRESS", "type": "string", "jsonPath": ".spec['addresses','firewallMark.destinations'][0]", "description": "The first VIP, or where there is none the first network that is balanced"}"#,
    printcolumn = r#"{"name": "PORTS", "type": "string", "jsonPath": ".status.display.ports", "description": "Protocols and ports at the VIPs"}"#,
    printcolumn = r#"{"name": "SCHEDULER", "type": "string", "jsonPath": ".spec.scheduler", "description": "How a real server is picked"}"#,
    printcolumn = r#"{"name": "FORWARDING", "type": "string", "jsonPath": ".spec.forwarding", "description": "How packets reach the real servers"}"#,
    printcolumn = r#"{"name": "ACTIVE", "type": "string", "jsonPath": ".status.display.active", "description": "The director that carries the VIPs"}"#,
    printcolumn = r#"{"name": "REALSERVERS", "type": "string", "jsonPath": ".status.display.realServers", "description": "Healthy and all real servers"}"#,
    printcolumn = r#"{"name": "AVAILABLE", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Available\")].status", "description": "Whether a client that connects now is served"}"#,
    printcolumn = r#"{"name": "SERVED", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Served\")].status", "description": "Whether somebody who asked as a client does was answered"}"#,
    printcolumn = r#"{"name": "ADDRESSES", "type": "string", "jsonPath": ".status.display.addresses", "description": "All VIPs in use", "priority": 1}"#,
    printcolumn = r#"{"name": "MARK", "type": "integer", "jsonPath": ".status.firewallMark", "description": "The firewall mark in use", "priority": 1}"#,
    printcolumn = r#"{"name": "GROUP", "type": "string", "jsonPath": ".spec.directorGroup", "description": "The DirectorGroup", "priority": 1}"#,
    printcolumn = r#"{"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Time since creation"}"#,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceSpec {
    /// The virtual IPs (VIPs) that clients connect to: one IPv4 address, one IPv6 address, or one of each, without prefix
    /// length. The active director holds them on its interface; with which prefix, and on which interface, is the
    /// DirectorGroup's `networks`. A VIP is an address of its own: no node may have it.
    ///
    /// With `firewallMark` there may be more, at most 16, which are one service; and none at all where its `destinations` say
    /// what is balanced. Without it, at least one is needed.
    ///
    /// Example: `[192.168.0.10]`, or `[192.168.0.10, "2001:db8::10"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 64)))]
    pub addresses: Vec<String>,

    /// The ports to balance at the VIPs. Each protocol and port is an IPVS service of its own in the kernel (ipvsadm
    /// `-A -t VIP:port`); all of them share scheduler, persistence and real servers. With `firewallMark` all ports together
    /// are one service. No two entries of a protocol may have a port in common.
    ///
    /// Example: `[{port: 80}]`, or `[{name: http, port: 80}, {name: https, port: 443}]`.
    #[schemars(length(min = 1, max = 64))]
    pub ports: Vec<ServicePort>,

    /// Makes one service of all addresses and ports (ipvsadm `-f`): the director marks their packets, and IPVS balances the
    /// mark. With `persistence` a client then meets one real server on all ports: HTTP and HTTPS together, FTP with its
    /// passive ports. Also for what IPVS has no other word for: a range of ports (`endPort`), several VIPs as one, and
    /// transparent caches (`destinations`). It cannot translate ports. The two address families stay two services.
    /// Default: off, each protocol and port is a service of its own. `firewallMark: {}` turns it on with a mark of our
    /// choice.
    ///
    /// Example: `{}`, or `{mark: 80}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall_mark: Option<FirewallMark>,

    /// How the director picks a real server for a new connection (ipvsadm `-s`); packets of a known connection go where it
    /// went before. Default: wlc. It may be changed in place: existing connections stay where they are.
    ///
    /// - rr: round robin, one after the other, whatever their weights. A server of weight 0 gets none, here as everywhere.
    /// - wrr: weighted round robin; weight 2 gets two connections for each one of weight 1.
    /// - lc: least-connection, the server with the fewest connections.
    /// - wlc: weighted least-connection, the fewest connections relative to its weight. Good where connections differ in length.
    /// - lblc: locality-based least-connection: one server for one destination address, until it is overloaded. For clusters
    ///   of transparent proxy caches.
    /// - lblcr: as lblc, with a set of servers for a destination address; the set grows under load and shrinks again.
    /// - dh: destination hashing, by the destination address. For clusters of transparent proxy caches.
    /// - sh: source hashing, by the client's address: a client meets the same server with nothing remembered.
    /// - mh: Maglev hashing, by the client's address; a server that comes or goes moves few clients of the others.
    /// - sed: shortest expected delay, the smallest (connections + 1) / weight.
    /// - nq: never queue: an idle server if there is one, else as sed.
    /// - fo: failover: all to the server of the highest weight.
    /// - ovf: overflow: to the server of the highest weight until it has more active connections than its weight, then to the
    ///   next.
    /// - twos: the less loaded, relative to weight, of two servers picked at random.
    ///
    /// A director needs the kernel module `ip_vs_<scheduler>`; where it is missing, the condition Programmed says so.
    #[serde(default)]
    pub scheduler: Scheduler,

    /// Options of the scheduler (ipvsadm `--sched-flags`). Default: none.
    ///
    /// - shFallback, mhFallback (for sh, mh): when the hash leads to a server that takes no new connections (weight 0, or at
    ///   its upperThreshold), go to another one. Without it that client's connections are refused.
    /// - shPort, mhPort (for sh, mh): hash the client's port too, so that one client's connections are spread.
    ///
    /// A flag belongs to the scheduler that its name begins with, and is refused with another.
    ///
    /// Example: `scheduler: mh` with `schedulerFlags: [mhFallback]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub scheduler_flags: Vec<SchedulerFlag>,

    /// How the director hands packets to the real servers (ipvsadm `-g`, `-m`, `-i`); a RealServer may override it for itself.
    /// Default: DR.
    ///
    /// - DR: direct routing. The director rewrites nothing but the destination MAC address, and the real server answers the
    ///   client itself, past the director. So the two share a link (layer 2); the real server holds the VIP on its `lo`
    ///   without answering ARP for it (sysctls arp_ignore=1, arp_announce=2), which our agent sees to on nodes that it runs
    ///   on and an admin elsewhere; and it listens on the service's own port: DR cannot translate ports.
    /// - NAT: masquerading. The director rewrites destination address and port, and replies have to pass it again: the real
    ///   server's default gateway is the director (DirectorGroup `natGateways`). Ports may differ (`targetPort`), and a real
    ///   server needs nothing special, whatever its system. The director carries the traffic of both directions. With
    ///   `nat.masquerade` the real servers need not route through the director.
    /// - TUN: tunnelling. The director wraps the packet, unchanged, in another one to the real server (`tunnel`), which
    ///   unwraps it and answers the client itself. Real servers may be in other networks than the director, even in those of
    ///   the other address family; they hold the VIP as with DR, and need a tunnel device, which our agent makes on nodes
    ///   that it runs on. TUN cannot translate ports either, and the wrapping takes room: see `tunnel`.
    #[serde(default)]
    pub forwarding: Forwarding,

    /// What packets to TUN real servers are wrapped in (ipvsadm `--tun-type`); a RealServer may override it for itself. It
    /// concerns only those, whether TUN by `forwarding` here or by their own. Default: `{type: ipip}`.
    ///
    /// Example: `{type: gue, port: 6080, checksum: csum}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,

    /// How NAT real servers are reached. It concerns only those, whether NAT by `forwarding` here or by their own; DR and TUN
    /// real servers always see the client. Default: they see the client's address, and route their replies through the
    /// director.
    ///
    /// Example: `{masquerade: true}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat: Option<Nat>,

    /// Balances each UDP datagram for itself (ipvsadm `--ops`), where otherwise those of one client address and port go to
    /// one real server: for DNS, RADIUS and the like, where a few clients send much. No connection is kept in the table. All
    /// ports have to be UDP; and not with NAT, since the replies would leave with the real server's address. With
    /// `persistence` a datagram goes where its client (or, with the engine sip, its call) went before. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub one_packet: bool,

    /// Sends a client that comes back within a time window to the same real server, past the scheduler (ipvsadm `-p`).
    /// Default: off, each connection is scheduled anew. `persistence: {}` turns it on with 300 seconds.
    ///
    /// Example: `{timeoutSeconds: 600, ipv4Netmask: 255.255.255.0}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,

    /// Who the real servers are.
    ///
    /// Example: `{selector: {matchLabels: {app: web}}}`.
    pub real_servers: RealServers,

    /// How directors find out whether real servers work, and what becomes of those that do not; a RealServer may override it for
    /// itself. Every director that may carry the VIPs checks, by itself and without the API server. With port 0 or `firewallMark`
    /// each kind but icmp needs its `port`. Default: none, real servers get connections whether they work or not.
    ///
    /// Example: `{http: {path: /healthz}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,

    /// The DirectorGroup whose active director holds the VIPs and balances. It must admit this namespace
    /// (`allowedNamespaces`). Default: default.
    #[serde(default = "default_group")]
    #[schemars(length(max = 253))]
    pub director_group: String,
}

/// The DirectorGroup that the chart creates, and that standalone agents assume.
pub const DEFAULT_GROUP: &str = "default";

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
pub(crate) const fn is_false(value: &bool) -> bool {
    !*value
}

fn default_group() -> String {
    DEFAULT_GROUP.to_owned()
}

/// One port of a VirtualService.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Name by which a RealServer's `ports` refer to this port: lower-case letters, digits and `-`, at most 63. Needed, and
    /// unique, when there are several ports. Example: http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub name: Option<String>,

    /// TCP, UDP or SCTP. Default: TCP.
    #[serde(default)]
    pub protocol: Protocol,

    /// The port at which clients reach the VIP, 1 to 65535. 0 stands for every port of the VIP that no other service has, and
    /// each reaches the real server as it is; it needs `persistence`, or `firewallMark`. Example: 80.
    #[schemars(range(min = 0, max = 65535))]
    pub port: i32,

    /// The last port of a range that begins with `port`, 1 to 65535 and at least `port`; only with `firewallMark`. Default:
    /// `port` alone. Example: 20999, with `port: 20000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub end_port: Option<i32>,

    /// The port on which the real servers listen, 1 to 65535, if it is another one; a RealServer may name its own. Only
    /// `forwarding: NAT` can translate ports; not with `firewallMark`, where a real server is asked on the port that the
    /// client asked for. Default: `port`. Example: 8080.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub target_port: Option<i32>,
}

/// Persistence (ipvsadm `-p`): a client sticks to its real server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Persistence {
    /// How long a client is remembered, in seconds, 1 to 2678400 (31 days). The time begins anew with each connection, and
    /// does not run out while one is open. Default: 300.
    #[serde(default = "default_persistence")]
    #[schemars(range(min = 1))]
    pub timeout_seconds: i32,

    /// IPv4 clients whose addresses are equal under this mask count as one (ipvsadm `-M`), so that a crowd behind several
    /// proxies of one network stays together. Only where an IPv4 address is balanced. Default: 255.255.255.255, each address
    /// for itself. 0.0.0.0, everybody as one, goes with an `engine` only. Example: 255.255.255.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub ipv4_netmask: Option<String>,

    /// IPv6 clients whose addresses agree in this many leading bits count as one, 1 to 128 (ipvsadm `-M` with `-6`). Only where
    /// an IPv6 address is balanced. Default: 128, each address for itself. Example: 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 128))]
    pub ipv6_prefix_length: Option<i32>,

    /// What besides the address makes a client (ipvsadm `--pe`). Default: nothing.
    ///
    /// - sip: the Call-ID of a SIP message. Each call of a client address (or network, by `ipv4Netmask`) is balanced for
    ///   itself, and its messages meet one real server, whatever port they come from. All ports have to be UDP, usually 5060;
    ///   a datagram that begins a connection and has no Call-ID is dropped. With `ipv4Netmask: 0.0.0.0` the Call-ID alone counts,
    ///   wherever a message comes from; IPv6 has no such mask. Where a proxy sends many calls from one port, set
    ///   `onePacket` too, or they all follow the first. A director needs the kernel module ip_vs_pe_sip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<PersistenceEngine>,
}

/// A firewall mark (ipvsadm `-f`) and what gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirewallMark {
    /// The mark, 1 to 4294967295. IPVS compares the whole of it, so it cannot share a packet's mark with anybody else's bits.
    /// Default: one that no other VirtualService of the DirectorGroup has, the same on all its directors; status.firewallMark
    /// shows it. Example: 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub mark: Option<i64>,

    /// Managed: directors mark packets to the addresses (or `destinations`) and ports by a rule of their own in nftables, and
    /// take it back with the service. External: somebody else sets `mark`, which then has to be given, by whatever rules, on
    /// each director and before IPVS sees the packet; addresses and ports then only say what the VIPs are. Default: Managed.
    #[serde(default)]
    pub rules: MarkRules,

    /// Networks whose packets, passing through the director, are balanced too, whoever they are meant for: for a cluster of
    /// transparent caches. The director takes what goes to these ports there as its own, and clients have to route through
    /// it. Each without bits beyond its prefix length. Default: none.
    ///
    /// Example: `[0.0.0.0/0]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 64)))]
    pub destinations: Vec<String>,
}

/// How NAT real servers are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nat {
    /// The director puts its own address in place of the client's, so that replies come back to it whatever the real servers'
    /// routes are, and a real server can be a client of its own VIP. Real servers then do not see who the client is. Only NAT
    /// real servers are concerned. Default: false.
    #[serde(default)]
    pub masquerade: bool,
}

const fn default_persistence() -> i32 {
    300
}

/// Where a VirtualService's real servers come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RealServers {
    /// Selects RealServers of the VirtualService's namespace by their labels; an empty selector, `{}`, selects all of them.
    /// One that matches nothing is no error: the service is then not Available, and says why.
    ///
    /// Example: `{matchLabels: {app: web}}`.
    pub selector: LabelSelector,
}

/// What the operator found out about a VirtualService. The operator alone writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Accepted, Resolved, Programmed, Available, Degraded, ReachableFromNodes, SurvivesFailover and Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,

    /// The VIPs in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,

    /// The firewall mark in use; absent without `spec.firewallMark`. Directors set it on the packets of the service, or with
    /// `rules: External` expect it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall_mark: Option<i64>,

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
