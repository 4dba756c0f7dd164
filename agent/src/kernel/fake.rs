//! A kernel in memory, for tests of what calls one: it answers as the real one does where that was measured, and
//! ownership, journal and order are the real code. The real kernel is still what proves things.

use super::execute::execute;
use super::fixture_error::DAEMONS_SHOW;
use super::ports::{Direction, Listed, Ports, Standing};
use super::{
    About, Done, FixtureError, Kernel, KernelError, MarkReport, Requests, Scope, Services,
};
use crate::journal::Journal;
use crate::state::{
    Facts, Fixture, FixtureKind, HeldAddress, Made, Observed, Op, Ours, Packets, ServiceState,
};
use lvs_ipvs::{Errno, Error, Info, Operation, ServiceKey, Stats, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// A kernel in memory. Its fields are the kernel's state: tests look at them and change them behind the agent's back.
#[derive(Clone, Debug)]
pub struct Fake {
    /// The IPVS table; `None`: no IPVS.
    pub services: Option<BTreeMap<ServiceKey, ServiceState>>,
    /// The schedulers that it has.
    pub schedulers: BTreeSet<String>,
    /// Addresses on interfaces, in the order in which they came.
    pub addresses: Vec<HeldAddress>,
    /// Sysctls by path.
    pub sysctls: BTreeMap<String, String>,
    /// Interfaces and routes; addresses are added from [`Fake::addresses`].
    pub facts: Facts,
    /// Whether the process has `CAP_NET_ADMIN`.
    pub net_admin: bool,
    /// Whether it acknowledges everything and changes nothing.
    pub lying: bool,
    /// Fixtures.
    pub fixtures: BTreeSet<Fixture>,
    /// What others do with marks.
    pub others_marks: MarkReport,
    /// Sorts of fixtures that it has no modules for.
    pub lacking: BTreeSet<FixtureKind>,
    /// Sorts of fixtures that it does not list.
    pub unlistable: BTreeSet<FixtureKind>,
    /// Each call for fixtures with what was to happen at once: `true` to make, `false` to remove.
    pub fixture_calls: Vec<Vec<(bool, Fixture)>>,
    /// Sysctls that cannot be written.
    pub read_only: BTreeSet<String>,
    /// Connections in the IPVS table.
    pub connections: u64,
    /// What has arrived for services.
    pub arrivals: BTreeMap<Packets, u64>,
    /// IPVS's counters.
    pub balanced: BTreeMap<ServiceKey, Stats>,
    requests: Requests,
}

impl Fake {
    /// A kernel with IPVS, the eight classic schedulers, and these interfaces and routes. `lo` exists always.
    pub fn new(mut facts: Facts) -> Self {
        facts.interfaces.entry("lo".to_owned()).or_insert_with(|| crate::state::Interface {
            index: 1,
            up: true,
            loopback: true,
            mtu: 65536,
            ..crate::state::Interface::default()
        });
        let addresses = facts
            .interfaces
            .iter_mut()
            .flat_map(|(name, interface)| {
                let addresses = std::mem::take(&mut interface.addresses);
                addresses
                    .into_iter()
                    .map(|address| HeldAddress { interface: name.clone(), address })
                    .collect::<Vec<_>>()
            })
            .collect();
        let sysctls = [
            ("net/ipv4/ip_forward", "0"),
            ("net/ipv6/conf/all/forwarding", "0"),
            ("net/ipv4/conf/all/arp_ignore", "0"),
            ("net/ipv4/conf/all/arp_announce", "0"),
            ("net/ipv4/conf/all/accept_local", "0"),
            ("net/ipv4/conf/all/promote_secondaries", "0"),
            ("net/ipv4/vs/conntrack", "0"),
            ("net/ipv4/vs/conn_reuse_mode", "1"),
            ("net/ipv4/vs/expire_nodest_conn", "0"),
            ("net/ipv4/vs/expire_quiescent_template", "0"),
            ("net/ipv4/vs/sloppy_tcp", "0"),
            ("net/ipv4/vs/drop_entry", "0"),
            ("ipvs/timeout-tcp", "900"),
            ("ipvs/timeout-tcp-fin", "120"),
            ("ipvs/timeout-udp", "300"),
        ];
        let schedulers = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh"];
        Self {
            services: Some(BTreeMap::new()),
            schedulers: schedulers.into_iter().map(str::to_owned).collect(),
            addresses,
            sysctls: sysctls.into_iter().map(|(p, v)| (p.to_owned(), v.to_owned())).collect(),
            facts,
            net_admin: true,
            lying: false,
            fixtures: BTreeSet::new(),
            others_marks: MarkReport::default(),
            lacking: BTreeSet::new(),
            unlistable: BTreeSet::new(),
            fixture_calls: Vec::new(),
            read_only: BTreeSet::new(),
            connections: 0,
            arrivals: BTreeMap::new(),
            balanced: BTreeMap::new(),
            requests: Requests::default(),
        }
    }

    fn apply_one(&mut self, operation: &Operation) -> Result<(), Error> {
        self.requests.ipvs += 1;
        let refused =
            |errno| Err(Error::Kernel { request: operation.clone().into(), errno, message: None });
        if !self.net_admin {
            return refused(Errno::EPERM);
        }
        let Some(services) = self.services.as_mut() else { return Err(Error::NoIpvs) };
        if self.lying {
            return Ok(());
        }
        match operation {
            Operation::NewService(service) if services.contains_key(&service.key) => {
                return refused(Errno::EEXIST);
            }
            Operation::NewService(service) | Operation::SetService(service)
                if !self.schedulers.contains(&service.scheduler) =>
            {
                return refused(Errno::ENOENT);
            }
            Operation::NewService(service) => {
                let state = ServiceState::new(service.clone(), BTreeMap::new());
                services.insert(service.key, state);
            }
            Operation::SetService(service) => match services.get_mut(&service.key) {
                Some(state) => state.service = service.clone(),
                None => return refused(Errno::ESRCH),
            },
            Operation::DelService(key) => match services.remove(key) {
                Some(_) => {}
                None => return refused(Errno::ESRCH),
            },
            Operation::NewDestination { service, destination } => {
                let Some(state) = services.get_mut(service) else { return refused(Errno::ESRCH) };
                if state.destinations.contains_key(&destination.key) {
                    return refused(Errno::EEXIST);
                }
                state.destinations.insert(destination.key, *destination);
            }
            Operation::SetDestination { service, destination } => {
                let Some(state) = services.get_mut(service) else { return refused(Errno::ESRCH) };
                match state.destinations.get_mut(&destination.key) {
                    Some(found) => *found = *destination,
                    None => return refused(Errno::ENOENT),
                }
            }
            Operation::DelDestination { service, destination } => {
                let Some(state) = services.get_mut(service) else { return refused(Errno::ESRCH) };
                if state.destinations.remove(destination).is_none() {
                    return refused(Errno::ENOENT);
                }
            }
            _ => return refused(Errno::EOPNOTSUPP),
        }
        Ok(())
    }

    fn change_one(&mut self, direction: Direction, held: &HeldAddress) -> io::Result<()> {
        self.requests.route += 1;
        let refused = |errno: Errno| Err(io::Error::from_raw_os_error(errno.0));
        if !self.net_admin {
            return refused(Errno::EPERM);
        }
        if !self.facts.interfaces.contains_key(&held.interface) {
            return refused(Errno::ENODEV);
        }
        if self.lying {
            return Ok(());
        }
        let found = self.addresses.iter().position(|address| address == held);
        match (direction, found) {
            (Direction::Add, Some(_)) => refused(Errno::EEXIST),
            (Direction::Add, None) => {
                self.addresses.push(held.clone());
                Ok(())
            }
            (Direction::Remove, Some(index)) => {
                let primary = !self.addresses.iter().take(index).any(|first| is_led(held, first));
                self.addresses.remove(index);
                let promotes = |interface: &str| {
                    let path = format!("net/ipv4/conf/{interface}/promote_secondaries");
                    self.sysctls.get(&path).is_some_and(|value| value != "0")
                };
                if primary && !promotes("all") && !promotes(&held.interface) {
                    self.addresses.retain(|other| !is_led(other, held));
                }
                Ok(())
            }
            (Direction::Remove, None) => refused(Errno::EADDRNOTAVAIL),
        }
    }
}

impl Fake {
    /// nftables changes are counted by transaction, the others one by one.
    fn count(&mut self, kind: FixtureKind) {
        match kind {
            FixtureKind::Nftables => self.requests.nftables += 1,
            FixtureKind::Tunnel | FixtureKind::Gue => self.requests.links += 1,
            FixtureKind::LocalDelivery => self.requests.rules += 1,
            FixtureKind::SyncDaemon => self.requests.ipvs += 1,
        }
    }

    fn change_fixture(&mut self, way: Direction, fixture: Fixture) -> Result<(), FixtureError> {
        let kind = fixture.kind();
        if kind != FixtureKind::Nftables {
            self.count(kind);
        }
        if !self.net_admin {
            let operation = format!("{} {fixture}", way.verb());
            return Err(FixtureError::Kernel { operation, errno: Errno::EPERM, message: None });
        }
        if self.lacking.contains(&kind) {
            return Err(match fixture {
                Fixture::Gue { .. } => FixtureError::NoModule { module: "fou".to_owned() },
                Fixture::Tunnel { device, .. } => {
                    FixtureError::NoModule { module: device.as_str().to_owned() }
                }
                _ => FixtureError::NoNftables,
            });
        }
        if self.lying {
            return Ok(());
        }
        if let (Direction::Add, Fixture::SyncDaemon(daemon)) = (way, fixture)
            && let Some(other) = self.fixtures.iter().find(|it| match it {
                Fixture::SyncDaemon(it) => it.role == daemon.role && *it != daemon,
                _ => false,
            })
        {
            return Err(FixtureError::Foreign {
                what: format!("a {other}"),
                shown_by: DAEMONS_SHOW.to_owned(),
            });
        }
        match way {
            Direction::Add => self.fixtures.insert(fixture),
            Direction::Remove => self.fixtures.remove(&fixture),
        };
        Ok(())
    }
}

impl Ports for Fake {
    fn apply(&mut self, operations: &[Operation]) -> Vec<Result<(), Error>> {
        operations.iter().map(|operation| self.apply_one(operation)).collect()
    }

    fn existing(&mut self, keys: &BTreeSet<ServiceKey>) -> Result<BTreeSet<ServiceKey>, Error> {
        self.requests.ipvs += 1;
        let services = self.services.as_ref().ok_or(Error::NoIpvs)?;
        Ok(keys.iter().copied().filter(|key| services.contains_key(key)).collect())
    }

    fn services(&mut self) -> Result<BTreeSet<ServiceKey>, Error> {
        self.requests.ipvs += 1;
        Ok(self.services.as_ref().ok_or(Error::NoIpvs)?.keys().copied().collect())
    }

    fn standing(&mut self) -> io::Result<Vec<Standing>> {
        self.requests.route += 1;
        let standing = |(index, held): (usize, &HeldAddress)| {
            let secondary = self.addresses.iter().take(index).any(|first| is_led(held, first));
            let on = self.facts.interfaces.get(&held.interface);
            let aside = on.is_some_and(|it| it.loopback || it.dummy);
            Standing { held: held.clone(), secondary, aside }
        };
        Ok(self.addresses.iter().enumerate().map(standing).collect())
    }

    fn change(&mut self, direction: Direction, addresses: &[HeldAddress]) -> Vec<io::Result<()>> {
        addresses.iter().map(|held| self.change_one(direction, held)).collect()
    }

    fn read_sysctl(&mut self, path: &str) -> io::Result<String> {
        self.requests.sysctls += 1;
        self.sysctls.get(path).cloned().ok_or(io::ErrorKind::NotFound.into())
    }

    fn write_sysctl(&mut self, path: &str, value: &str) -> io::Result<()> {
        self.requests.sysctls += 1;
        if self.read_only.contains(path) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let sysctl = self.sysctls.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        if !self.lying {
            *sysctl = value.to_owned();
        }
        Ok(())
    }

    fn fixtures(&mut self, kinds: &BTreeSet<FixtureKind>) -> Listed {
        kinds.iter().for_each(|kind| self.count(*kind));
        let asked = |fixture: &&Fixture| {
            kinds.contains(&fixture.kind()) && !self.unlistable.contains(&fixture.kind())
        };
        let failed = |kind: &FixtureKind| {
            let operation = format!("list {kind}");
            (*kind, FixtureError::Kernel { operation, errno: Errno::ENOMEM, message: None })
        };
        Listed {
            standing: self.fixtures.iter().filter(asked).copied().collect(),
            failed: kinds.intersection(&self.unlistable).map(failed).collect(),
        }
    }

    fn change_fixtures(
        &mut self,
        changes: &[(Direction, Fixture)],
    ) -> Vec<Result<(), FixtureError>> {
        let kinds: BTreeSet<_> = changes.iter().map(|(_, fixture)| fixture.kind()).collect();
        if kinds.contains(&FixtureKind::Nftables) {
            self.count(FixtureKind::Nftables);
        }
        let call = changes.iter().map(|(way, fixture)| (*way == Direction::Add, *fixture));
        self.fixture_calls.push(call.collect());
        changes.iter().map(|(way, fixture)| self.change_fixture(*way, *fixture)).collect()
    }
}

impl Kernel for Fake {
    fn drops_invalid(&mut self) -> bool {
        self.facts.drops_invalid
    }

    fn facts(&mut self, ours: &Ours) -> Result<Facts, KernelError> {
        let mut facts = self.facts.clone();
        for held in &self.addresses {
            if let Some(interface) = facts.interfaces.get_mut(&held.interface)
                && !ours.contains(&Made::Address(held.clone()))
            {
                interface.addresses.push(held.address);
            }
        }
        Ok(facts)
    }

    fn observe(&mut self, scope: &Scope) -> Result<Observed, KernelError> {
        let services = match &scope.services {
            Services::None => self.services.as_ref().map(|_| BTreeMap::new()),
            Services::All { .. } => self.services.clone(),
            Services::These(keys) => self.services.clone().map(|mut services| {
                services.retain(|key, _| keys.contains(key));
                services
            }),
        };
        let mut observed = Observed { services, ..Observed::default() };
        Ports::fixtures(self, &scope.fixtures).tell(&mut observed);
        if !scope.elements.is_empty() {
            let mut listed = Ports::fixtures(self, &BTreeSet::from([FixtureKind::Nftables]));
            listed.standing.retain(|fixture| scope.elements.contains(fixture));
            listed.tell(&mut observed);
        }
        if matches!(scope.services, Services::All { .. }) {
            observed.connections = Some(self.connections);
        }
        if scope.addresses {
            observed.addresses = self.addresses.iter().cloned().collect();
        }
        for path in &scope.sysctls {
            if let Some(value) = self.sysctls.get(path) {
                observed.sysctls.insert(path.clone(), value.clone());
            }
        }
        Ok(observed)
    }

    fn execute(&mut self, ops: &[Op], journal: &mut Journal) -> Vec<Result<Done, KernelError>> {
        execute(self, ops, journal)
    }

    fn about(&mut self) -> Result<About, KernelError> {
        let info = Info { version: Version(0x01_02_01), connection_table_size: 4096 };
        let ipvs = self.services.as_ref().map(|_| info);
        Ok(About { release: "6.12.0-fake".to_owned(), ipvs, resizes: false })
    }

    fn marks(&mut self, marks: &BTreeSet<u32>) -> MarkReport {
        let mut report = self.others_marks.clone();
        report.clashes.retain(|mark, _| marks.contains(mark));
        report
    }

    fn arrivals(&mut self) -> Result<BTreeMap<Packets, u64>, KernelError> {
        self.requests.nftables += 1;
        Ok(self.arrivals.clone())
    }

    fn balanced(&self) -> Option<&BTreeMap<ServiceKey, Stats>> {
        Some(&self.balanced)
    }

    fn requests(&self) -> Requests {
        self.requests
    }
}

/// Whether `second` is a secondary address while `first` stands before it.
fn is_led(second: &HeldAddress, first: &HeldAddress) -> bool {
    second.interface == first.interface
        && second.address.addr().is_ipv4()
        && second.address.prefix_len() == first.address.prefix_len()
        && second.address.trunc() == first.address.trunc()
}
