//! What the engine reports: small, whatever the table's size.

use super::engine::Engine;
use super::faults::Fault;
use super::withhold::WITHHELD;
use crate::director::Part;
use crate::input::Unreadable;
use crate::kernel::Kernel;
use crate::plan::{LOOPBACK, Owner, settings};
use crate::state::{Fixture, Interface, Made};
use ipnet::IpNet;
use lvs_crds::{
    CarriedRouter, DirectorOf, DirectorRole, FailedRole, Failure, HeldVip, KernelReport,
    LVSNodeStatus, MAX_REPORTED, Programmed, Stranger, TableReport,
};
use lvs_ipvs::ServiceKey;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// How many MAC addresses are reported.
const MAX_MACS: usize = 16;

impl<K: Kernel> Engine<K> {
    /// The LVSNode's status, but for the time of the report.
    pub(super) fn status(&self) -> LVSNodeStatus {
        let union = self.fragments.union();
        let (failures, failure_count) = self.failures();
        let carried = &self.floating.report;
        let foreign = self.foreign_vips();
        let outward = self.outward();
        let carries = |group: &str| {
            carried.routers.iter().any(|((of, _), router)| of == group && router.active)
        };
        let director_of: Vec<DirectorOf> = (self.world.director_of(&self.facts.node))
            .map(|(group, part)| {
                let active = part == Part::Alone || carries(group);
                let role = if active { DirectorRole::Active } else { DirectorRole::Standby };
                let hears = carried.hears.get(group);
                let hears = hears.map(|peers| peers.iter().cloned().collect());
                DirectorOf { group: group.clone(), role, hears }
            })
            .collect();
        let failed =
            |is: fn(&Made) -> bool| self.faults.iter().filter(|(made, _)| is(made)).count();
        let vips = union
            .addresses
            .iter()
            .filter(|address| self.mirror.addresses.contains(address))
            .chain(&carried.held)
            .chain(&foreign)
            .take(MAX_REPORTED)
            .map(|held| HeldVip {
                address: held.address.to_string(),
                interface: held.interface.clone(),
            });
        let mut roles: Vec<String> = director_of
            .iter()
            .map(|of| match of.role {
                DirectorRole::Active => format!("director of {}", of.group),
                DirectorRole::Standby => format!("standby of {}", of.group),
            })
            .collect();
        if union.addresses.iter().any(|address| address.interface == LOOPBACK) {
            roles.push("real server".to_owned());
        }
        let table = TableReport {
            services: count(
                union.services.len()
                    - failed(|made| matches!(made, Made::Service(_))).min(union.services.len()),
            ),
            destinations: count(self.fragments.destinations()),
            vips: count(
                union.addresses.len()
                    - failed(|made| matches!(made, Made::Address(_))).min(union.addresses.len())
                    + carried.held.len()
                    + foreign.len(),
            ),
            connections: i64::try_from(self.fill.connections()).unwrap_or(i64::MAX),
        };
        LVSNodeStatus {
            probes: self.probing.status(),
            health: self.health(),
            warnings: self.warnings(),
            macs: own_macs(&outward),
            mtu: own_mtu(&outward),
            virtual_routers: self.virtual_routers(),
            strangers: self.strangers(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            report_time: None,
            kernel: Some(KernelReport {
                release: self.about.release.clone(),
                ipvs: self.about.ipvs.as_ref().map(|info| info.version.to_string()),
                connection_table_size: self
                    .about
                    .ipvs
                    .as_ref()
                    .and_then(|info| i32::try_from(info.connection_table_size).ok()),
            }),
            addresses: self.own_addresses(),
            director_of: director_of.into_iter().take(MAX_REPORTED).collect(),
            vips: vips.collect(),
            table: Some(table),
            programmed: self
                .programmed()
                .map(|version| Programmed { resource_version: version.to_string() }),
            failures,
            failure_count: count(failure_count),
            drift: (self.drift.repairs > 0).then(|| self.drift.clone()),
            display: roles.join(", "),
        }
    }

    fn virtual_routers(&self) -> Vec<CarriedRouter> {
        let routers = self.floating.report.routers.iter().map(|((group, id), router)| {
            let role = if router.active { DirectorRole::Active } else { DirectorRole::Standby };
            let problem = router.problem.clone();
            CarriedRouter { group: group.clone(), id: i32::from(*id), role, problem }
        });
        routers.collect()
    }

    fn strangers(&self) -> Vec<Stranger> {
        let strangers = self.floating.report.strangers.iter().take(MAX_REPORTED);
        strangers
            .map(|(id, address)| Stranger { id: i32::from(*id), address: address.clone() })
            .collect()
    }

    fn own_addresses(&self) -> Vec<String> {
        let is_reported = |address: &IpAddr| match address {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
        };
        let all = || {
            let interfaces = self.facts.interfaces.values();
            interfaces.flat_map(|it| it.addresses.iter().map(move |own| (it, own)))
        };
        let is_reported = |(_, own): &(&Interface, &IpNet)| is_reported(&own.addr());
        let (held, own): (Vec<_>, Vec<_>) =
            all().filter(is_reported).partition(|(interface, own)| is_held(interface, own));
        // Where a whole network is routed to hosts, a machine's only address stands so.
        let lacks = |held: &IpNet| {
            !own.iter().any(|(_, own)| own.addr().is_ipv4() == held.addr().is_ipv4())
        };
        let only = held.into_iter().filter(|(_, held)| lacks(held));
        let reported = own.iter().copied().chain(only).map(|(_, own)| own.addr().to_string());
        reported.take(MAX_REPORTED).collect()
    }

    /// Interfaces by which packets to other nodes leave: a network or a gateway is behind them, not this node's own pods
    /// alone, whose interfaces come and go.
    fn outward(&self) -> Vec<&Interface> {
        let behind = self.facts.routes.iter().filter(|route| leads_away(&route.destination));
        let behind: BTreeSet<&str> = behind.map(|route| route.interface.as_str()).collect();
        // An interface that is down has no routes for the moment.
        let has_network = |interface: &Interface| interface.addresses.iter().any(leads_away);
        let counts = |(name, interface): &(&String, &Interface)| {
            !interface.loopback && (behind.contains(name.as_str()) || has_network(interface))
        };
        self.facts.interfaces.iter().filter(counts).map(|(_, interface)| interface).collect()
    }

    /// The first failures, and how many there are.
    fn failures(&self) -> (Vec<Failure>, usize) {
        // First: they must be among those that are listed.
        let unreadable =
            self.world.unreadable().filter(|object| object.virtual_service.is_some()).map(unread);
        let planned = self.fragments.problems().map(|(owner, problem)| {
            failure(Some(owner), problem.role, &problem.reason, problem.message.clone())
        });
        let claims = self.fragments.lost_claims().map(|(key, holder, loser)| {
            let message = format!("service {key} is {holder}'s: choose another address or port");
            failure(Some(loser), FailedRole::Director, "AddressConflict", message)
        });
        // Marks sort last.
        let last = self.fragments.union().services.last_key_value();
        let directs_marks = matches!(last, Some((ServiceKey::Mark { .. }, _)));
        let failed = self.faults.iter().filter(|(made, fault)| self.lacking(made, fault).is_none());
        // The cause before what waits for it: of a service's failures the first is told.
        let (waiting, causes): (Vec<_>, Vec<_>) =
            failed.partition(|(_, fault)| fault.reason == WITHHELD);
        let faults = causes.into_iter().chain(waiting).flat_map(|(made, fault)| {
            let owners = self.fragments.owners(made);
            let owners =
                if owners.is_empty() { vec![None] } else { owners.into_iter().map(Some).collect() };
            owners.into_iter().map(move |owner| {
                let role =
                    if owner.is_none() { FailedRole::Node } else { role(made, directs_marks) };
                failure(owner, role, &fault.reason, fault.message.clone())
            })
        });
        let mut all = unreadable.chain(planned).chain(claims).chain(faults);
        let first: Vec<Failure> = all.by_ref().take(MAX_REPORTED).collect();
        let rest = all.count();
        let total = first.len() + rest;
        (first, total)
    }
}

impl<K: Kernel> Engine<K> {
    /// The first of what works, but not as it should.
    fn warnings(&self) -> Vec<Failure> {
        let planned = self.fragments.warnings().map(|(owner, warning)| {
            failure(Some(owner), warning.role, &warning.reason, warning.message.clone())
        });
        let lacking = self.faults.iter().filter_map(|(made, fault)| self.lacking(made, fault));
        let unreadable =
            self.world.unreadable().filter(|object| object.virtual_service.is_none()).map(unread);
        let unsynced = self.fragments.excludes_sync().map(|key| {
            let message = format!(
                "directors tell each other of no connections: service {key} has a real server of the other address family, \
                 beside which IPVS runs no sync daemon; established connections end when another director takes over"
            );
            failure(None, FailedRole::Director, "NoConnectionSync", message)
        });
        let whole_node = self.fill.warning().into_iter().chain(self.marks.warnings());
        let whole_node = whole_node.chain(self.rival.warning()).chain(unsynced);
        let whole_node = whole_node.chain(self.reverse_path.warning(&self.facts));
        let carried = &self.floating.report;
        let groups = carried.problems.iter().map(|(group, (reason, message))| {
            let message = format!("DirectorGroup {group}: {message}");
            failure(None, FailedRole::Director, reason, message)
        });
        let conflicts = carried.conflicts.iter().flat_map(|(held, mac)| {
            let message = format!(
                "{} on {}: {mac} answers for it, which is none of the directors; take the address away there, or choose \
                 another one",
                held.address, held.interface
            );
            let owners = self.fragments.owners(&Made::Address(held.clone())).into_iter();
            owners.map(move |owner| {
                failure(Some(owner), FailedRole::Director, "Conflicted", message.clone())
            })
        });
        let foreign = self.foreign_vips();
        let foreign = foreign.iter().flat_map(|held| {
            let message = format!(
                "{} stood on {} before the agent put it there: it serves, and stays on this node whoever else takes it over; \
                 take it away (ip address del {} dev {}) and it moves",
                held.address, held.interface, held.address, held.interface
            );
            let owners = self.fragments.owners(&Made::Address(held.clone())).into_iter();
            owners.map(move |owner| {
                failure(Some(owner), FailedRole::Director, "ForeignVIP", message.clone())
            })
        });
        let stopping = self.passing.told().flat_map(|(key, place, lost)| {
            let owners = self.fragments.owners(&Made::Service(*key)).into_iter();
            owners.map(move |owner| {
                let message = place.text(key, lost);
                failure(Some(owner), FailedRole::Director, place.reason(), message)
            })
        });
        let unseen = self.mirror.unseen.values().map(|why| {
            let message = format!("{}; what was known of them stays", why.message);
            failure(None, FailedRole::Node, why.reason, message)
        });
        let all = unreadable
            .chain(unseen)
            .chain(whole_node)
            .chain(groups)
            .chain(conflicts)
            .chain(foreign)
            .chain(stopping)
            .chain(lacking)
            .chain(planned);
        all.take(MAX_REPORTED).collect()
    }

    /// What this kernel does not have and the data path does without: a warning. What a VirtualService cannot do without
    /// stays a failure.
    pub(super) fn lacking(&self, made: &Made, fault: &Fault) -> Option<Failure> {
        let owners = self.fragments.owners(made);
        let path = match made {
            Made::Sysctl(path) => path,
            Made::Fixture(Fixture::SegmentSize { .. })
                if matches!(fault.reason.as_str(), "NoNftables" | "ModuleMissing") =>
            {
                let message = format!(
                    "{}; until then large packets through the tunnel need path MTU discovery, so ICMP must reach the clients",
                    fault.message
                );
                let owner = owners.first().copied();
                return Some(failure(owner, FailedRole::RealServer, &fault.reason, message));
            }
            _ => return None,
        };
        let only_groups = owners.iter().all(|owner| matches!(owner, Owner::Group(_)));
        if fault.reason != "NoSuchSysctl" || !only_groups {
            return None;
        }
        let field = settings::field(path)?;
        let group = owners.first().map_or_else(String::new, |owner| format!(" of {owner}"));
        let message = if self.about.ipvs.is_none() {
            format!("{field}{group}: this kernel ({}) has no IPVS to set it in", self.about.release)
        } else {
            format!(
                "{field}{group}: this kernel ({}) has no {path}; it stays without effect on this node: take a kernel that \
                 has it, or leave the field out",
                self.about.release
            )
        };
        Some(failure(None, FailedRole::Director, "NoSuchSysctl", message))
    }
}

/// Whether a network is meant, and one that others can be in.
fn leads_away(network: &ipnet::IpNet) -> bool {
    let address = network.addr();
    let local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !local && !address.is_multicast() && network.prefix_len() < network.max_prefix_len()
}

/// Whether the address is one that the machine holds for others, as VIPs stand on `lo` of a DR real server, on `kube-ipvs0` or
/// `kube-dummy-if`: it makes the machine nobody's rival, for no network leads to it there.
fn is_held(interface: &Interface, address: &IpNet) -> bool {
    (interface.loopback || interface.dummy) && address.prefix_len() == address.max_prefix_len()
}

/// In which role a node needs a thing; `directs_marks`: it is the director of a firewall-mark service.
fn role(made: &Made, directs_marks: bool) -> FailedRole {
    match made {
        Made::Fixture(
            Fixture::Tunnel { .. } | Fixture::Gue { .. } | Fixture::SegmentSize { .. },
        ) => FailedRole::RealServer,
        Made::Fixture(Fixture::LocalDelivery { .. }) if !directs_marks => FailedRole::RealServer,
        Made::Address(held) if held.interface == LOOPBACK => FailedRole::RealServer,
        Made::Sysctl(path) if path.contains("/arp_") => FailedRole::RealServer,
        _ => FailedRole::Director,
    }
}

/// Its VirtualService is as it was known last; a DirectorGroup that is not understood goes on as well, and is no failure.
fn unread(object: &Unreadable) -> Failure {
    let Unreadable { kind, name: (namespace, name), virtual_service, error } = object;
    let named = format!("{namespace}/{name}");
    let message = format!(
        "{kind} {} is not understood, and what was known of it stays: {error}; if a newer version wrote it, update the \
         agent of this node",
        named.trim_start_matches('/')
    );
    Failure {
        namespace: virtual_service.as_ref().map(|_| namespace.clone()),
        virtual_service: virtual_service.clone(),
        role: FailedRole::Director,
        reason: "Unreadable".to_owned(),
        message,
    }
}

/// The MAC addresses, in the order of the interfaces' numbers.
fn own_macs(outward: &[&Interface]) -> Vec<String> {
    let mut found: Vec<_> = outward.iter().filter_map(|it| Some((it.index, it.mac?))).collect();
    found.sort_unstable();
    let mut macs: Vec<String> = Vec::new();
    for (_, mac) in found {
        let mac = mac.to_string();
        if macs.len() < MAX_MACS && !macs.contains(&mac) {
            macs.push(mac);
        }
    }
    macs
}

/// The smallest MTU, of those that are known.
fn own_mtu(outward: &[&Interface]) -> Option<i32> {
    let known = outward.iter().map(|interface| interface.mtu.min(65535)).filter(|mtu| *mtu >= 68);
    known.min().and_then(|mtu| i32::try_from(mtu).ok())
}

fn failure(owner: Option<&Owner>, role: FailedRole, reason: &str, message: String) -> Failure {
    let (namespace, virtual_service) = match owner {
        Some(Owner::VirtualService { namespace, name }) => {
            (Some(namespace.clone()), Some(name.clone()))
        }
        Some(Owner::Group(_)) | None => (None, None),
    };
    Failure { namespace, virtual_service, role, reason: reason.to_owned(), message }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
