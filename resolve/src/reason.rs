//! The reasons that conditions carry.

/// Nothing is wrong.
pub const ACCEPTED: &str = "Accepted";
/// Nothing is wrong.
pub const RESOLVED: &str = "Resolved";
/// Every director has been read back.
pub const PROGRAMMED: &str = "Programmed";
/// Clients on directors and real servers are served too.
pub const REACHABLE: &str = "Reachable";
/// Clients are served.
pub const AVAILABLE: &str = "Available";
/// Somebody asked as a client does, and was answered.
pub const SERVED: &str = "Served";
/// Nothing needs an eye.
pub const AS_EXPECTED: &str = "AsExpected";
/// The group has its director.
pub const READY: &str = "Ready";

/// A field holds something that no object may hold (an API server with our CRDs would have refused it).
pub const INVALID: &str = "Invalid";
/// A label selector that cannot be evaluated.
pub const INVALID_SELECTOR: &str = "InvalidSelector";
/// Another VirtualService has the VIP and port, or the VIP belongs to another namespace.
pub const ADDRESS_CONFLICT: &str = "AddressConflict";
/// Another VirtualService has the firewall mark.
pub const MARK_CONFLICT: &str = "MarkConflict";
/// All the firewall marks that we choose from are in use.
pub const NO_FREE_MARK: &str = "NoFreeMark";
/// A VIP is a node's own address.
pub const NODE_ADDRESS: &str = "AddressOfNode";
/// The DirectorGroup does not exist.
pub const NO_SUCH_DIRECTOR_GROUP: &str = "NoSuchDirectorGroup";
/// The DirectorGroup does not admit the namespace.
pub const NAMESPACE_NOT_ALLOWED: &str = "NamespaceNotAllowed";
/// The spec was not accepted.
pub const NOT_ACCEPTED: &str = "NotAccepted";

/// No real server that new connections may go to.
pub const NO_REAL_SERVERS: &str = "NoRealServers";
/// Every real server that the selector matches was left out.
pub const NO_USABLE_REAL_SERVERS: &str = "NoUsableRealServers";
/// `nodeName` names no node.
pub const NO_SUCH_NODE: &str = "NoSuchNode";
/// The node has no address of a VIP's family.
pub const NO_NODE_ADDRESS: &str = "NoNodeAddress";
/// The server's address is of another family than every VIP.
pub const ADDRESS_FAMILY_MISMATCH: &str = "AddressFamilyMismatch";
/// The server's address is outside the DirectorGroup's realServerCIDRs.
pub const OUTSIDE_REAL_SERVER_CIDRS: &str = "OutsideRealServerCIDRs";
/// The server's address is the VIP.
pub const ADDRESS_IS_VIP: &str = "AddressIsVIP";
/// The server has none of the service's ports.
pub const NO_PORT: &str = "NoPort";
/// The server's port differs, and nothing can translate it.
pub const PORT_MISMATCH: &str = "PortMismatch";
/// Every real server that new connections could go to is down.
pub const NO_HEALTHY_REAL_SERVERS: &str = "NoHealthyRealServers";
/// Checks find a real server down.
pub const REAL_SERVER_DOWN: &str = "RealServerDown";
/// A director finds a real server down and another one up.
pub const VIEWS_DIFFER: &str = "ViewsDiffer";
/// Checks of the server fail.
pub const PROBE_FAILED: &str = "ProbeFailed";
/// Checks of the server pass.
pub const HEALTHY: &str = "Healthy";
/// Nobody has the server checked.
pub const NOT_CHECKED: &str = "NotChecked";
/// Another RealServer stands for the same address and port.
pub const DUPLICATE_ADDRESS: &str = "DuplicateAddress";

/// The server is to be reached by NAT, and the service balances each datagram for itself.
pub const ONE_PACKET_WITH_NAT: &str = "OnePacketWithNAT";

/// Somebody asked as a client does, and was not answered.
pub const NO_ANSWER: &str = "NoAnswer";
/// Whoever asked met different things.
pub const PROBERS_DISAGREE: &str = "ProbersDisagree";
/// There is nobody who could ask.
pub const NOBODY_ASKS: &str = "NobodyAsks";
/// There is nothing that can be asked by a connection.
pub const NOT_ASKABLE: &str = "NotAskable";
/// Clients' packets arrive at a director, and a filter there drops them before IPVS.
pub const DROPPED_BEFORE_IPVS: &str = "DroppedBeforeIPVS";
/// Clients' connections are balanced, and no reply comes back by a director that would have to see it.
pub const NO_REPLIES: &str = "NoReplies";
/// What agents say of places where clients' packets stop.
pub(crate) const STOPS: [&str; 2] = [DROPPED_BEFORE_IPVS, NO_REPLIES];
/// All is programmed, and clients are not served.
pub const NOT_SERVED: &str = "NotServed";

/// The group has no director.
pub const NO_DIRECTOR: &str = "NoDirector";
/// More nodes match a group's selector than a group may have.
pub const TOO_MANY_DIRECTORS: &str = "TooManyDirectors";
/// There are fewer virtual router ids than a group needs.
pub const TOO_FEW_VIRTUAL_ROUTER_IDS: &str = "TooFewVirtualRouterIDs";
/// Another group fixes the same id of the sync daemons.
pub const SYNC_ID_CONFLICT: &str = "SyncIDConflict";
/// Every id of sync daemons is another group's.
pub const NO_FREE_SYNC_ID: &str = "NoFreeSyncID";
/// A director cannot carry what it should.
pub const DIRECTOR_OUT: &str = "DirectorOut";
/// Several directors carry the same at once.
pub const SPLIT_BRAIN: &str = "SplitBrain";
/// A report is awaited.
pub const PENDING: &str = "Pending";
/// An agent could not program it.
pub const NOT_PROGRAMMED: &str = "NotProgrammed";
/// An agent has not been heard of for long.
pub const AGENT_SILENT: &str = "AgentSilent";
/// A node failed as a real server.
pub const REAL_SERVER_FAILED: &str = "RealServerFailed";
/// A node's agent says that something works, but not as it should.
pub const NODE_WARNING: &str = "NodeWarning";
/// A setting is another group's to decide.
pub const SETTINGS_CONFLICT: &str = "SettingsConflict";
/// The VIP is an address of the directors' and real servers' own.
pub const VIP_IS_LOCAL: &str = "VIPIsLocal";
/// Replies to real servers do not come through the director.
pub const REPLIES_BYPASS_DIRECTOR: &str = "RepliesBypassDirector";
/// No VirtualService selects the RealServer.
pub const NOT_SELECTED: &str = "NotSelected";

/// Nobody carries the VIP.
pub const NO_ACTIVE_DIRECTOR: &str = "NoActiveDirector";
/// Another group has the same NAT gateway, or a VIP is one.
pub const GATEWAY_CONFLICT: &str = "GatewayConflict";

/// Connections survive their director.
pub const CONNECTIONS_SYNCED: &str = "ConnectionsSynced";
/// There are no connections that could end.
pub const ONE_PACKET: &str = "OnePacket";
/// Nobody could take over.
pub const ONE_DIRECTOR: &str = "OneDirector";
/// Connections are not synced, since the group says so.
pub const SYNC_DISABLED: &str = "SyncDisabled";
/// Connections are not synced, since a real server is of another address family than its service.
pub const MIXED_FAMILIES: &str = "MixedFamilies";
/// Connections end, since their addresses are the director's own.
pub const MASQUERADE: &str = "Masquerade";
/// Connections end, since their replies go to one director.
pub const NO_FLOATING_GATEWAY: &str = "NoFloatingGateway";
