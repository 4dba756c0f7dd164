//! The two pictures that everything turns on: what a node should be ([`NodeState`]) and what was found ([`Observed`]).
//! Plain values; no clock, no I/O.

mod daemon;
mod fixture;
mod mac;
mod made;

pub use daemon::{InterfaceName, SyncDaemon, SyncRole};
pub use fixture::{Fixture, FixtureKind, Packets, TunnelDevice};
pub use mac::{Mac, NotMac};
pub use made::Made;

use ipnet::IpNet;
use lvs_ipvs::{Destination, DestinationKey, Service, ServiceKey};
use lvs_resolve::spread::Floating;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What the node should be: exactly the things the agent is to make, nothing of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeState {
    /// IPVS services with their destinations.
    pub services: BTreeMap<ServiceKey, ServiceState>,
    /// Addresses that are to stand on interfaces: VIPs and NAT gateways.
    pub addresses: BTreeSet<HeldAddress>,
    /// Addresses that stand on one of several directors. Who has them is not the diff's to decide.
    pub floating: BTreeMap<HeldAddress, Floats>,
    /// Sysctls that are to have a value, by their path below `/proc/sys`, e.g. `net/ipv4/ip_forward`.
    pub sysctls: BTreeMap<String, String>,
    /// Tunnels, marks and whatever else stands whole or not at all.
    pub fixtures: BTreeSet<Fixture>,
}

/// One IPVS service and its destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceState {
    /// The service.
    pub service: Service,
    /// Its destinations.
    pub destinations: BTreeMap<DestinationKey, Destination>,
    /// Whether they stand in the kernel in the order that every director has, where the scheduler's table depends on it.
    pub ordered: bool,
}

impl ServiceState {
    /// A service as it is to be.
    pub fn new(service: Service, destinations: BTreeMap<DestinationKey, Destination>) -> Self {
        Self { service, destinations, ordered: true }
    }

    /// A service as it was found, its destinations in the kernel's order.
    pub fn found(service: Service, listed: impl IntoIterator<Item = Destination>) -> Self {
        let listed: Vec<Destination> = listed.into_iter().collect();
        let ordered =
            !goes_by_order(&service) || listed.is_sorted_by(|one, next| one.key > next.key);
        Self { service, destinations: listed.into_iter().map(|it| (it.key, it)).collect(), ordered }
    }
}

/// Whether the scheduler fills its table in the order of the destinations (`ip_vs_sh_reassign`, `ip_vs_dh_reassign`), so that
/// two directors send a client to one server only if they have them in one order. The kernel puts a new one before the others
/// (`__ip_vs_update_dest`); ours come in ascending order. mh's table does not depend on it.
pub fn goes_by_order(service: &Service) -> bool {
    matches!(service.scheduler.as_str(), "sh" | "dh")
}

/// An address on an interface. Its identity in the kernel is all three: address, prefix length, interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldAddress {
    /// The interface's name.
    pub interface: String,
    /// The address with its prefix length, host bits set: `192.168.0.10/24`.
    pub address: IpNet,
}

/// What an address floats with. Where two users of one address disagree, the greater counts: the NAT gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Floats {
    /// The DirectorGroup.
    pub group: String,
    /// By what its virtual router is chosen.
    pub with: Floating,
}

/// What was found in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Every IPVS service, foreign ones too; `None` where the kernel has no IPVS.
    pub services: Option<BTreeMap<ServiceKey, ServiceState>>,
    /// Every address, foreign ones too.
    pub addresses: BTreeSet<HeldAddress>,
    /// The sysctls that the wanted state or the journal names; absent where the kernel has no such file.
    pub sysctls: BTreeMap<String, String>,
    /// Fixtures of the kinds that were asked for, foreign ones too where the kernel does not tell them apart.
    pub fixtures: BTreeSet<Fixture>,
    /// Connections in IPVS's table, of foreign services too; `None` where the whole table was not read.
    pub connections: Option<u64>,
    /// Sorts of fixtures that could not be listed: what stands of them is not known.
    pub unseen: BTreeMap<FixtureKind, Unseen>,
}

/// Why something could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// A stable word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// What the node is, besides what the agent makes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The node's name.
    pub node: String,
    /// Interfaces by name.
    pub interfaces: BTreeMap<String, Interface>,
    /// Unicast routes of the main table, most specific first.
    pub routes: Vec<Route>,
    /// The kernel's major and minor version, where its release names them.
    pub kernel_version: Option<(u32, u32)>,
    /// Whether the kernel's nftables has what counters of arrivals and what is not tracked are made of.
    pub nftables: bool,
    /// Whether IPVS can translate FTP's commands (ip_vs_ftp).
    pub ftp_helper: bool,
    /// Whether somebody filters what is forwarded, and may drop what belongs to no connection that netfilter tracks.
    pub drops_invalid: bool,
    /// The settings of `net.ipv4.conf.all`.
    pub all_ipv4: Ipv4Settings,
}

/// Settings of an interface (`net.ipv4.conf.*`) by which packets are answered, taken and sent on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ipv4Settings {
    /// `arp_ignore`: for which addresses ARP is answered.
    pub arp_ignore: i32,
    /// `rp_filter`: 1, what comes from where the routes do not lead back to is dropped.
    pub rp_filter: i32,
    /// `forwarding` is 0: what comes in here is not sent on.
    pub forwarding_off: bool,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's index.
    pub index: u32,
    /// Whether it is up.
    pub up: bool,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Whether it is a dummy, which only holds addresses.
    pub dummy: bool,
    /// Whether it can send to multicast groups.
    pub multicast: bool,
    /// Its Ethernet address, if it has one.
    pub mac: Option<Mac>,
    /// Largest packet, in bytes; 0 where it is not known.
    pub mtu: u32,
    /// Its IPv4 settings.
    pub ipv4: Ipv4Settings,
    /// Addresses that the agent did not make, with prefix lengths.
    pub addresses: Vec<IpNet>,
}

/// A unicast route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to; the default route has prefix length 0.
    pub destination: IpNet,
    /// Through which interface.
    pub interface: String,
    /// The next hop, if there is one.
    pub gateway: Option<IpAddr>,
    /// Smaller wins.
    pub metric: u32,
}

/// One change of the kernel. [`crate::diff`] puts them in order; [`crate::kernel`] carries them out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Give a sysctl a value; its previous value goes to the journal first.
    SetSysctl {
        /// Path below `/proc/sys`.
        path: String,
        /// The value.
        value: String,
    },
    /// Put a sysctl back to its value from the journal.
    RestoreSysctl {
        /// Path below `/proc/sys`.
        path: String,
    },
    /// Put an address on an interface.
    AddAddress(HeldAddress),
    /// Take an address of ours off an interface.
    DelAddress(HeldAddress),
    /// Make a fixture.
    AddFixture(Fixture),
    /// Take a fixture of ours away.
    DelFixture(Fixture),
    /// Change the IPVS table.
    Ipvs(lvs_ipvs::Operation),
}

/// What the journal says is ours, in the form that [`crate::diff`] asks for.
pub type Ours = BTreeSet<Made>;
