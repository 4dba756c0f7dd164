//! Acting: the one place that changes the node, and that looks at it.
//!
//! Calls block: they belong on a thread of their own, never on a runtime's worker. [`Linux`] is the real
//! kernel, [`fake::Fake`] one in memory for tests of what calls it.

pub(crate) mod address;
mod changes;
mod error;
mod execute;
pub mod fake;
mod fixture_error;
mod linux;
pub(crate) mod netlink;
mod nftables;
mod ports;
mod privilege;
pub mod table;
mod tunnels;

pub(crate) use address::own as own_address;
pub use changes::changes;
pub use error::KernelError;
pub use fixture_error::FixtureError;
pub use linux::Linux;
pub use nftables::{Nftables, removals};
pub use ports::Direction;
pub use privilege::require_net_admin;
pub use tunnels::Tunnels;
pub(crate) use tunnels::name as tunnel_name;

use crate::journal::Journal;
use crate::state::{Facts, Fixture, FixtureKind, Made, NodeState, Observed, Op, Ours, Packets};
use lvs_ipvs::{Forwarding, Operation, ServiceKey, Stats};
use std::collections::{BTreeMap, BTreeSet};

/// What the agent asks of a kernel.
pub trait Kernel: Send {
    /// Interfaces and routes; [`Facts::node`] is left empty. Addresses in `ours` are left out.
    ///
    /// # Errors
    /// When the kernel does not answer.
    fn facts(&mut self, ours: &Ours) -> Result<Facts, KernelError>;

    /// [`Facts::drops_invalid`], which [`Kernel::facts`] leaves at its default: nobody tells when others change their rules, so
    /// it is asked for at audits alone.
    fn drops_invalid(&mut self) -> bool;

    /// Reads what `scope` asks for, foreign things too. What was not asked for is empty in the answer.
    ///
    /// # Errors
    /// When the kernel does not answer. That it has no IPVS is no error: [`Observed::services`] is `None`.
    fn observe(&mut self, scope: &Scope) -> Result<Observed, KernelError>;

    /// Carries out `ops` in order, and gives each its own result, in the same order. What is to be made is in the
    /// journal before the kernel is changed; what is undone leaves it afterwards.
    ///
    /// One that fails stops no other, but for those that would do harm without it ([`KernelError::Withheld`]).
    fn execute(&mut self, ops: &[Op], journal: &mut Journal) -> Vec<Result<Done, KernelError>>;

    /// What the kernel is.
    ///
    /// # Errors
    /// When the kernel does not answer. That it has no IPVS is no error.
    fn about(&mut self) -> Result<About, KernelError>;

    /// How many packets were dropped because an answer to them would leave by another interface (`rp_filter`).
    fn reverse_path_drops(&mut self) -> Option<u64> {
        None
    }

    /// What others do with these firewall marks, as far as the kernel tells; a failure to look is no news.
    fn marks(&mut self, marks: &BTreeSet<u32>) -> MarkReport;

    /// What has arrived for the services of this director since each one's counter was made, by what it was for
    /// ([`Fixture::Arrivals`]): of TCP and SCTP what begins a connection, of UDP each packet. It costs six listings, whatever
    /// the number of services; nothing where there are no counters.
    ///
    /// # Errors
    /// When the kernel does not answer.
    fn arrivals(&mut self) -> Result<BTreeMap<Packets, u64>, KernelError>;

    /// IPVS's counters of all services, as of when [`Kernel::observe`] listed them last; `None` where it does not count (sysctl
    /// `run_estimation`).
    fn balanced(&self) -> Option<&BTreeMap<ServiceKey, Stats>>;

    /// Requests sent so far.
    fn requests(&self) -> Requests;
}

/// How an operation that did not fail has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// As asked.
    Changed,
    /// It stands already and is somebody else's: it serves, and it will not be removed.
    Foreign,
    /// Somebody has changed the sysctl since: it stays as it is, and is no longer ours.
    TakenOver {
        /// Its value now.
        value: String,
    },
    /// The sysctl stays as the agent set it, for others may need it by now; it is no longer ours.
    Left {
        /// What would miss it.
        because: String,
    },
}

/// What to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Which services.
    pub services: Services,
    /// Whether to read the addresses of all interfaces.
    pub addresses: bool,
    /// Sysctls, by their paths below `/proc/sys`.
    pub sysctls: BTreeSet<String>,
    /// Sorts of fixtures. A node that wants and has none of a sort is not asked for it.
    pub fixtures: BTreeSet<FixtureKind>,
    /// Of nftables only these, each by a request of its own: there are one or two for each port of each service.
    pub elements: BTreeSet<Fixture>,
}

/// Which services to read, with their destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Services {
    /// None.
    #[default]
    None,
    /// These; each costs two requests.
    These(BTreeSet<ServiceKey>),
    /// All: the services by one listing, their destinations by one read of `/proc/net/ip_vs`. That file shows neither
    /// thresholds nor tunnels, which are then read as none; so the destinations of services in `exact` are listed one by
    /// one.
    All {
        /// Services whose destinations are wanted with thresholds or tunnels.
        exact: BTreeSet<ServiceKey>,
    },
}

/// From how many services on [`Scope::touched`] reads the whole table: two requests a service cost more then. Likewise of our
/// table in nftables.
const MANY: usize = 64;

impl Scope {
    /// Everything, for the audit: all that is wanted and all that is ours must be seen.
    pub fn audit(wanted: &NodeState, ours: &Ours) -> Self {
        let mut sysctls: BTreeSet<_> = wanted.sysctls.keys().cloned().collect();
        sysctls.extend(ours.iter().filter_map(|made| match made {
            Made::Sysctl(path) => Some(path.clone()),
            _ => None,
        }));
        let ours = ours.iter().filter_map(|made| match made {
            Made::Fixture(fixture) => Some(fixture.kind()),
            _ => None,
        });
        let fixtures = wanted.fixtures.iter().map(Fixture::kind).chain(ours).collect();
        let services = Services::All { exact: exact(wanted) };
        Self { services, addresses: true, sysctls, fixtures, elements: BTreeSet::new() }
    }

    /// What `ops` have touched, for reading back after them.
    pub fn touched(ops: &[Op], wanted: &NodeState) -> Self {
        let mut scope = Self::default();
        let mut services = BTreeSet::new();
        for op in ops {
            match op {
                Op::SetSysctl { path, .. } | Op::RestoreSysctl { path } => {
                    scope.sysctls.insert(path.clone());
                }
                Op::AddAddress(_) | Op::DelAddress(_) => scope.addresses = true,
                Op::AddFixture(fixture) | Op::DelFixture(fixture) => match fixture.kind() {
                    FixtureKind::Nftables => drop(scope.elements.insert(*fixture)),
                    kind => drop(scope.fixtures.insert(kind)),
                },
                Op::Ipvs(operation) => services.extend(subject(operation)),
            }
        }
        scope.services = match services.len() {
            0 => Services::None,
            n if n < MANY => Services::These(services),
            _ => Services::All { exact: exact(wanted) },
        };
        if scope.elements.len() >= MANY {
            scope.fixtures.insert(FixtureKind::Nftables);
            scope.elements.clear();
        }
        scope
    }
}

/// Services whose destinations `/proc/net/ip_vs` does not show in full.
fn exact(wanted: &NodeState) -> BTreeSet<ServiceKey> {
    let partly_shown = |state: &&crate::state::ServiceState| {
        state.destinations.values().any(|destination| {
            // A lower threshold comes with an upper one: the kernel refuses it above (ERANGE).
            destination.upper_threshold != 0 || destination.forwarding == Forwarding::Tunnel
        })
    };
    wanted.services.values().filter(partly_shown).map(|state| state.service.key).collect()
}

/// The service that an operation is about.
fn subject(operation: &Operation) -> Option<ServiceKey> {
    match operation {
        Operation::NewService(service) | Operation::SetService(service) => Some(service.key),
        Operation::DelService(key)
        | Operation::NewDestination { service: key, .. }
        | Operation::SetDestination { service: key, .. }
        | Operation::DelDestination { service: key, .. }
        | Operation::ZeroService(key) => Some(*key),
        _ => None,
    }
}

/// What others do with the marks that we set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarkReport {
    /// Packets came with another mark and lost it to ours.
    pub foreign: bool,
    /// A rule of others that uses a mark of ours, for people.
    pub clashes: BTreeMap<u32, String>,
}

/// What the kernel is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Release, as `uname -r` prints it.
    pub release: String,
    /// IPVS, where the kernel has it.
    pub ipvs: Option<lvs_ipvs::Info>,
    /// Whether IPVS fits the number of its buckets to that of the connections, so that it has to be asked again: kernels of
    /// 2026 on.
    pub resizes: bool,
}

/// Requests sent to the kernel since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// IPVS over generic netlink.
    pub ipvs: u64,
    /// Addresses, links and routes over rtnetlink.
    pub route: u64,
    /// Reads of `/proc/net/ip_vs`.
    pub table_reads: u64,
    /// Reads and writes of sysctls.
    pub sysctls: u64,
    /// Messages to nftables: one that asks for our table, two more for its rules and the names of its sets, and one a set;
    /// one a change, besides the two that frame a transaction.
    pub nftables: u64,
    /// Tunnel devices and GUE ports.
    pub links: u64,
    /// Policy rules and their routes.
    pub rules: u64,
}
