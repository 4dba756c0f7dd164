//! The real kernel.

mod daemons;
mod fixtures;
mod settings;

use super::execute::execute;
use super::netlink::Rtnetlink;
use super::ports::{Direction, Listed, Ports, Standing};
use super::{
    About, Done, FixtureError, Kernel, KernelError, MarkReport, Requests, Scope, Services, address,
    table,
};
use crate::facts;
use crate::journal::Journal;
use crate::plan::settings::is_timeout;
use crate::state::{
    Facts, Fixture, FixtureKind, HeldAddress, Observed, Op, Ours, Packets, ServiceState,
};
use lvs_ipvs::{Client, Destination, Error, Operation, Service, ServiceKey, Stats};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The kernel below the calling thread, in that thread's network namespace: use it on the thread that opened it.
#[derive(Debug)]
pub struct Linux {
    route: Rtnetlink,
    /// Opened when it is first needed: a module may be loaded later.
    ipvs: Option<Client>,
    sysctls: PathBuf,
    requests: Requests,
    fixtures: fixtures::Fixtures,
    /// As of the last [`Ports::standing`], which comes first in a batch.
    links: Vec<LinkMessage>,
    addresses: Vec<AddressMessage>,
    /// The counters of the last listing of all services.
    counted: BTreeMap<ServiceKey, Stats>,
}

/// Not `/proc/net`, which is the namespace of the process's first thread.
const TABLE: &str = "/proc/thread-self/net/ip_vs";
/// There where IPVS's tables grow and shrink by themselves: ip_vs_status_show in net/netfilter/ipvs/ip_vs_ctl.c.
const STATUS: &str = "/proc/thread-self/net/ip_vs_status";
/// Packets dropped by `rp_filter` are counted there.
const COUNTERS: &str = "/proc/thread-self/net/netstat";
const SYSCTLS: &str = "/proc/sys";
/// From how many services on existence is asked by one listing of all.
const FEW: usize = 16;

impl Linux {
    /// Opens the sockets. That the kernel has no IPVS is no error: it is asked again each time.
    ///
    /// # Errors
    /// [`KernelError::NoNetAdmin`], or when rtnetlink cannot be used.
    pub fn open() -> Result<Self, KernelError> {
        Self::open_with(SYSCTLS)
    }

    /// As [`Linux::open`], with another place for `/proc/sys`, such as where a pod has the host's mounted.
    ///
    /// # Errors
    /// As [`Linux::open`].
    pub fn open_with(sysctls: impl Into<PathBuf>) -> Result<Self, KernelError> {
        super::require_net_admin()?;
        let route = Rtnetlink::open()
            .map_err(|source| KernelError::Route { operation: "open a socket", source })?;
        let requests = Requests::default();
        let sysctls = sysctls.into();
        let (links, addresses) = (Vec::new(), Vec::new());
        let fixtures = fixtures::Fixtures::default();
        let counted = BTreeMap::new();
        Ok(Self { route, ipvs: None, sysctls, requests, fixtures, links, addresses, counted })
    }

    /// Asks IPVS something; a connection that has become useless is opened anew next time.
    fn ipvs<T>(&mut self, ask: impl FnOnce(&mut Client) -> Result<T, Error>) -> Result<T, Error> {
        let client = match &mut self.ipvs {
            Some(client) => client,
            closed => closed.insert(Client::open()?),
        };
        let before = client.requests();
        let answer = ask(client);
        self.requests.ipvs += client.requests() - before;
        if let Err(Error::Io { .. } | Error::NoReply { .. }) = answer {
            self.ipvs = None;
        }
        answer
    }

    fn state(
        service: Service,
        destinations: impl IntoIterator<Item = Destination>,
    ) -> (ServiceKey, ServiceState) {
        (service.key, ServiceState::found(service, destinations))
    }

    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<Destination>, Error> {
        let entries = self.ipvs(|client| client.destinations(key))?;
        Ok(entries.into_iter().map(|entry| entry.destination).collect())
    }

    fn some_services(
        &mut self,
        keys: &BTreeSet<ServiceKey>,
    ) -> Result<BTreeMap<ServiceKey, ServiceState>, Error> {
        let mut services = BTreeMap::new();
        for key in keys {
            if let Some(entry) = self.ipvs(|client| client.service(key))? {
                let destinations = self.destinations(key)?;
                services.extend([Self::state(entry.service, destinations)]);
            }
        }
        Ok(services)
    }

    fn all_services(
        &mut self,
        exact: &BTreeSet<ServiceKey>,
        connections: &mut Option<u64>,
    ) -> Result<BTreeMap<ServiceKey, ServiceState>, Error> {
        let entries = self.ipvs(Client::services)?;
        self.counted = entries.iter().map(|entry| (entry.service.key, entry.stats)).collect();
        // Where the file is hidden, netlink tells the same, a listing a service.
        let mut table = fs::read_to_string(TABLE).map(|text| table::parse(&text)).ok();
        self.requests.table_reads += 1;
        *connections = table.as_ref().map(|table| table.connections);
        let mut services = BTreeMap::new();
        for entry in entries {
            let key = entry.service.key;
            let shown = match &mut table {
                Some(table) if !exact.contains(&key) && !table.doubtful.contains(&key) => {
                    table.destinations.remove(&key)
                }
                _ => None,
            };
            let destinations = match shown {
                Some(destinations) => destinations,
                None => self.destinations(&key)?,
            };
            services.extend([Self::state(entry.service, destinations)]);
        }
        Ok(services)
    }

    fn list<T>(
        &mut self,
        request: RouteNetlinkMessage,
        pick: impl Fn(RouteNetlinkMessage) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        self.route.gather(&request, &mut |message| pick(message))
    }

    fn list_links(&mut self) -> io::Result<Vec<LinkMessage>> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        self.list(request, |message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        })
    }

    fn list_addresses(&mut self) -> io::Result<Vec<AddressMessage>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        self.list(request, |message| match message {
            RouteNetlinkMessage::NewAddress(address) => Some(address),
            _ => None,
        })
    }

    fn routes(&mut self, family: AddressFamily) -> io::Result<Vec<RouteMessage>> {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        self.list(RouteNetlinkMessage::GetRoute(request), |message| match message {
            RouteNetlinkMessage::NewRoute(route) => Some(route),
            _ => None,
        })
    }

    /// Only names below the root: a path comes from our own plan, but a mistake there must not write elsewhere.
    fn sysctl(&self, path: &str) -> io::Result<PathBuf> {
        let names = Path::new(path);
        if names.components().all(|part| matches!(part, std::path::Component::Normal(_))) {
            Ok(self.sysctls.join(names))
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }
}

impl Ports for Linux {
    fn apply(&mut self, operations: &[Operation]) -> Vec<Result<(), Error>> {
        if operations.is_empty() {
            return Vec::new();
        }
        if self.ipvs.is_none()
            && let Err(error) = self.ipvs(|_| Ok(()))
        {
            let again = |operation: &Operation| match &error {
                Error::NoIpvs => Error::NoIpvs,
                _ => Error::NotSent { request: operation.clone().into() },
            };
            tracing::warn!(%error, "IPVS cannot be reached");
            return operations.iter().map(|operation| Err(again(operation))).collect();
        }
        let Ok(results) = self.ipvs(|client| Ok(client.apply(operations))) else {
            return Vec::new();
        };
        let useless = |result: &Result<(), Error>| {
            matches!(result, Err(Error::Io { .. } | Error::NoReply { .. }))
        };
        if results.iter().any(useless) {
            self.ipvs = None;
        }
        results
    }

    fn existing(&mut self, keys: &BTreeSet<ServiceKey>) -> Result<BTreeSet<ServiceKey>, Error> {
        if keys.len() >= FEW {
            return Ok(&Ports::services(self)? & keys);
        }
        let mut existing = BTreeSet::new();
        for key in keys {
            if self.ipvs(|client| client.service(key))?.is_some() {
                existing.insert(*key);
            }
        }
        Ok(existing)
    }

    fn services(&mut self) -> Result<BTreeSet<ServiceKey>, Error> {
        let entries = self.ipvs(Client::services)?;
        Ok(entries.into_iter().map(|entry| entry.service.key).collect())
    }

    fn standing(&mut self) -> io::Result<Vec<Standing>> {
        self.links = self.list_links()?;
        self.addresses = self.list_addresses()?;
        let (names, interfaces) = (facts::names(&self.links), facts::interfaces(&self.links));
        Ok(address::standing(&self.addresses, &names, &interfaces))
    }

    fn change(&mut self, direction: Direction, addresses: &[HeldAddress]) -> Vec<io::Result<()>> {
        let links = facts::interfaces(&self.links);
        let mut requests = Vec::with_capacity(addresses.len());
        let mut known = Vec::with_capacity(addresses.len());
        for held in addresses {
            let interface = links.get(&held.interface);
            known.push(interface.is_some());
            requests.extend(interface.map(|interface| match direction {
                Direction::Add => {
                    let message = address::addition(held, interface.index, &self.addresses);
                    (RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
                }
                Direction::Remove => {
                    (RouteNetlinkMessage::DelAddress(address::removal(held, interface.index)), 0)
                }
            }));
        }
        let mut results = self.route.change(requests).into_iter();
        let missing = || Err(io::Error::from_raw_os_error(lvs_ipvs::Errno::ENODEV.0));
        let result = |known| if known { results.next().unwrap_or_else(missing) } else { missing() };
        known.into_iter().map(result).collect()
    }

    fn read_sysctl(&mut self, path: &str) -> io::Result<String> {
        if is_timeout(path) {
            return self.read_timeout(path);
        }
        self.wake_ipvs(path);
        self.requests.sysctls += 1;
        Ok(fs::read_to_string(self.sysctl(path)?)?.trim_end().to_owned())
    }

    fn write_sysctl(&mut self, path: &str, value: &str) -> io::Result<()> {
        if is_timeout(path) {
            return self.write_timeout(path, value);
        }
        self.wake_ipvs(path);
        self.requests.sysctls += 1;
        let path = self.sysctl(path)?;
        // Never made: where /proc/sys is a mere folder, there is nothing to set.
        let mut file = fs::OpenOptions::new().write(true).open(path)?;
        io::Write::write_all(&mut file, value.as_bytes())
    }

    fn fixtures(&mut self, kinds: &BTreeSet<FixtureKind>) -> Listed {
        let mut listed = self.fixtures.standing(kinds);
        if kinds.contains(&FixtureKind::SyncDaemon) {
            match self.standing_daemons() {
                Ok(daemons) => listed.standing.extend(daemons),
                Err(error) => drop(listed.failed.insert(FixtureKind::SyncDaemon, error)),
            }
        }
        listed
    }

    fn change_fixtures(
        &mut self,
        changes: &[(Direction, Fixture)],
    ) -> Vec<Result<(), FixtureError>> {
        let mut results = self.fixtures.change(changes);
        for ((direction, fixture), result) in changes.iter().zip(&mut results) {
            if let Fixture::SyncDaemon(daemon) = fixture {
                *result = self.change_daemon(*direction, *daemon);
            }
        }
        results
    }
}

fn release() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().to_owned()
}

fn listing(operation: &'static str) -> impl FnOnce(io::Error) -> KernelError {
    move |source| KernelError::Route { operation, source }
}

impl Kernel for Linux {
    fn facts(&mut self, ours: &Ours) -> Result<Facts, KernelError> {
        let links = self.list_links().map_err(listing("list the links"))?;
        let addresses = self.list_addresses().map_err(listing("list the addresses"))?;
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            match self.routes(family) {
                Ok(found) => routes.extend(found),
                // A kernel without IPv6.
                Err(error) if family == AddressFamily::Inet6 => {
                    tracing::debug!(%error, "no IPv6 routes");
                }
                Err(error) => return Err(listing("list the routes")(error)),
            }
        }
        Ok(Facts {
            kernel_version: facts::version(&release()),
            ftp_helper: settings::has_ftp_helper(),
            nftables: self.fixtures.has_nftables(),
            all_ipv4: self.all_ipv4(),
            ..facts::facts(&links, &addresses, &routes, ours)
        })
    }

    fn reverse_path_drops(&mut self) -> Option<u64> {
        settings::reverse_path_drops(&fs::read_to_string(COUNTERS).ok()?)
    }

    fn drops_invalid(&mut self) -> bool {
        self.fixtures.drops_invalid()
    }

    fn observe(&mut self, scope: &Scope) -> Result<Observed, KernelError> {
        let mut connections = None;
        let services = match &scope.services {
            Services::None => Ok(BTreeMap::new()),
            Services::These(keys) => self.some_services(keys),
            Services::All { exact } => self.all_services(exact, &mut connections),
        };
        let mut observed = Observed {
            services: match services {
                Ok(services) => Some(services),
                Err(Error::NoIpvs) => None,
                Err(error) => return Err(error.into()),
            },
            connections,
            ..Observed::default()
        };
        if scope.addresses {
            let standing = self.standing().map_err(listing("list the addresses"))?;
            observed.addresses = standing.into_iter().map(|address| address.held).collect();
        }
        for path in &scope.sysctls {
            if let Ok(value) = self.read_sysctl(path) {
                observed.sysctls.insert(path.clone(), value);
            }
        }
        if !scope.fixtures.is_empty() {
            self.fixtures(&scope.fixtures).tell(&mut observed);
        }
        if !scope.elements.is_empty() {
            self.fixtures.elements(&scope.elements).tell(&mut observed);
        }
        Ok(observed)
    }

    fn execute(&mut self, ops: &[Op], journal: &mut Journal) -> Vec<Result<Done, KernelError>> {
        execute(self, ops, journal)
    }

    fn about(&mut self) -> Result<About, KernelError> {
        let ipvs = match self.ipvs(Client::info) {
            Ok(info) => Some(info),
            Err(Error::NoIpvs) => None,
            Err(error) => return Err(error.into()),
        };
        let resizes = Path::new(STATUS).exists();
        Ok(About { release: release(), ipvs, resizes })
    }

    fn marks(&mut self, marks: &BTreeSet<u32>) -> MarkReport {
        self.fixtures.marks(marks)
    }

    fn arrivals(&mut self) -> Result<BTreeMap<Packets, u64>, KernelError> {
        let operation = || "read the counters of arrivals".to_owned();
        let arrived = self.fixtures.arrivals();
        arrived.map_err(|source| KernelError::Fixture { operation: operation(), source })
    }

    fn balanced(&self) -> Option<&BTreeMap<ServiceKey, Stats>> {
        // Its counters are those of its estimator (`ip_vs_copy_stats` in net/netfilter/ipvs/ip_vs_ctl.c).
        let estimates = self.sysctl("net/ipv4/vs/run_estimation").and_then(fs::read_to_string);
        let counts = !estimates.is_ok_and(|text| text.trim_end() == "0");
        counts.then_some(&self.counted)
    }

    fn requests(&self) -> Requests {
        Requests { route: self.route.sent(), ..self.fixtures.requests(self.requests) }
    }
}
