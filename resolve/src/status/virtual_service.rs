//! The status of a VirtualService.

mod active;
mod degraded;
pub(super) mod health;
mod served;
mod survives;

use self::active::Active;
use super::director::{Progress, progress};
use super::{reach, ready, set};
use crate::health::{ServerHealth, server_health};
use crate::listing::listing;
use crate::place::version;
use crate::{Key, Resolution, Snapshot, Verdict, reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lvs_crds::{
    ACCEPTED, AVAILABLE, DEGRADED, DirectorRole, DirectorStatus, Forwarding, PROGRAMMED,
    REACHABLE_FROM_NODES, READY, RESOLVED, SERVED, SURVIVES_FAILOVER, ServicePort, Truth,
    VirtualService, VirtualServiceDisplay, VirtualServiceSlice, VirtualServiceStatus,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The status of a VirtualService: what [`resolve`](crate::resolve) said of it, and what the reports say of the
/// slices that it has now. Transition times are kept from the status that it has. `None` if it is gone.
pub fn virtual_service_status(
    key: &Key,
    resolution: &Resolution,
    snapshot: &Snapshot,
    now: &Time,
) -> Option<VirtualServiceStatus> {
    let vs = snapshot.virtual_service(key)?;
    let slices: Vec<_> = snapshot.slices_of(key).map(|(_, slice)| slice).collect();
    let addresses = addresses(resolution, &slices);
    let view = View {
        key,
        vs,
        resolution,
        snapshot,
        progress: progresses(key, resolution, &slices, snapshot),
        active: Active::of(resolution, &addresses, snapshot),
        health: server_health(key, resolution, snapshot),
        slices,
        addresses: &addresses,
    };
    let counts = view.counts();
    let generation = vs.metadata.generation;
    let mut conditions = vs.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    let mut put = |type_, verdict: &Verdict| set(&mut conditions, type_, verdict, generation, now);
    put(ACCEPTED, &resolution.accepted);
    put(RESOLVED, &resolution.resolved);
    let served = view.evidence();
    let (programmed, available) = (view.programmed(), view.available(&served));
    put(PROGRAMMED, &programmed);
    put(AVAILABLE, &available);
    put(SERVED, &served);
    put(DEGRADED, &view.degraded());
    put(REACHABLE_FROM_NODES, &view.reachable_from_nodes());
    put(SURVIVES_FAILOVER, &view.survives_failover());
    put(READY, &ready::of_service(&resolution.accepted, &programmed, &available));
    Some(VirtualServiceStatus {
        observed_generation: generation,
        conditions,
        display: Some(VirtualServiceDisplay {
            addresses: view.display_addresses(),
            ports: ports(vs),
            active: view.active.nodes.join(","),
            real_servers: format!("{}/{}", counts.healthy, counts.total),
        }),
        addresses: addresses.clone(),
        firewall_mark: view.firewall_mark(),
        directors: view.directors(),
        real_servers: Some(counts),
    })
}

struct View<'a> {
    key: &'a Key,
    vs: &'a VirtualService,
    resolution: &'a Resolution,
    snapshot: &'a Snapshot,
    progress: Vec<(&'a str, Progress)>,
    active: Active<'a>,
    /// How the real servers are that are checked.
    health: BTreeMap<String, ServerHealth>,
    slices: Vec<&'a Arc<VirtualServiceSlice>>,
    /// The VIPs in use.
    addresses: &'a [String],
}

fn progresses<'a>(
    key: &Key,
    resolution: &'a Resolution,
    slices: &[&Arc<VirtualServiceSlice>],
    snapshot: &Snapshot,
) -> Vec<(&'a str, Progress)> {
    let newest = slices.iter().map(|slice| version(&slice.metadata)).max().unwrap_or(0);
    let group = &resolution.director_group;
    let of = |node: &'a String| (node.as_str(), progress(key, node, group, newest, snapshot));
    resolution.directors.iter().filter(|node| snapshot.sees(node)).map(of).collect()
}

/// The VIPs in use: a spec that is not accepted leaves the earlier ones in use.
fn addresses(resolution: &Resolution, slices: &[&Arc<VirtualServiceSlice>]) -> Vec<String> {
    if resolution.accepted.is_true() {
        return resolution.addresses.iter().map(ToString::to_string).collect();
    }
    let services = slices.iter().take(1).flat_map(|s| &s.spec.services);
    let mut addresses: Vec<String> = services
        .flat_map(|s| match &s.firewall_mark {
            Some(mark) => mark.addresses.clone(),
            None => vec![s.address.clone()],
        })
        .collect();
    addresses.dedup();
    addresses
}

impl View<'_> {
    fn programmed(&self) -> Verdict {
        if !self.resolution.accepted.is_true() {
            let stays = match self.slices.first() {
                Some(slice) => {
                    format!(" Generation {} stays programmed meanwhile.", slice.spec.generation)
                }
                None => String::new(),
            };
            return Verdict::no(
                reason::NOT_ACCEPTED,
                format!("The spec is not accepted, see Accepted.{stays}"),
            );
        }
        if self.progress.is_empty() {
            return self.no_director();
        }
        if !self.slices_stand() {
            return Verdict::no(reason::PENDING, "The slices are being written.");
        }
        let mut verdict =
            Verdict::yes(reason::PROGRAMMED, "The kernel of every director was read back.");
        for (_, progress) in &self.progress {
            match progress {
                Progress::Failed(text) => return Verdict::no(reason::NOT_PROGRAMMED, text),
                Progress::Silent(text) => verdict = Verdict::no(reason::AGENT_SILENT, text),
                Progress::Pending(text) if verdict.is_true() => {
                    verdict = Verdict::no(reason::PENDING, text);
                }
                Progress::Pending(_) | Progress::Programmed => {}
            }
        }
        verdict
    }

    fn available(&self, served: &Verdict) -> Verdict {
        let weighted =
            |s: &&Arc<VirtualServiceSlice>| s.spec.real_servers.iter().any(|r| r.weight > 0);
        if self.slices.is_empty() && !self.resolution.accepted.is_true() {
            let accepted = &self.resolution.accepted;
            return Verdict::no(&accepted.reason, &accepted.message);
        }
        if self.progress.is_empty() {
            return self.no_director();
        }
        if !self.slices.iter().any(weighted) {
            return Verdict::no(reason::NO_REAL_SERVERS, self.no_real_servers());
        }
        if self.healthy().is_empty() {
            return self.all_down();
        }
        let verdict = self.by_reports();
        match served.status {
            Truth::False if verdict.is_true() => {
                let text = format!(
                    "Clients are not served, although all is programmed: {}",
                    served.message
                );
                Verdict::no(reason::NOT_SERVED, text)
            }
            Truth::True if verdict.is_true() => {
                Verdict::yes(reason::AVAILABLE, "Clients are served.")
            }
            _ => verdict,
        }
    }

    fn no_real_servers(&self) -> String {
        let resolved = &self.resolution.resolved;
        match (self.resolution.real_servers.total, resolved.is_true()) {
            (0, _) | (_, false) => resolved.message.clone(),
            _ => "No real server has a weight above 0 and is Enabled; raise a RealServer's spec.weight".to_owned(),
        }
    }

    /// An edit of real servers or of the scheduler leaves a service serving while it is on its way; a new address or
    /// port is nothing that anybody has been served at.
    fn served_before(&self) -> bool {
        let Some(status) = &self.vs.status else { return false };
        let was = status.conditions.iter().any(|c| c.type_ == AVAILABLE && c.status == "True");
        let display = status.display.as_ref();
        was && display.is_some_and(|d| d.ports == ports(self.vs))
            && self.addresses.iter().all(|a| status.addresses.contains(a))
    }

    fn no_director(&self) -> Verdict {
        let group = &self.resolution.director_group;
        let text = match self.resolution.directors.as_slice() {
            [] => format!("DirectorGroup {group} has no director; see its condition Ready"),
            others => format!(
                "This machine is none of the directors of DirectorGroup {group}: {}",
                listing(others, 8)
            ),
        };
        Verdict::no(reason::NO_DIRECTOR, text)
    }

    /// Whether the slices that there are are the slices to have.
    fn slices_stand(&self) -> bool {
        let desired: BTreeMap<_, _> =
            self.resolution.slices.iter().map(|s| (s.name.as_str(), &s.spec)).collect();
        desired.len() == self.slices.len()
            && self.slices.iter().all(|slice| {
                let name = slice.metadata.name.as_deref().unwrap_or_default();
                desired.get(name).is_some_and(|spec| **spec == slice.spec)
            })
    }

    fn firewall_mark(&self) -> Option<i64> {
        let mut services = self.slices.iter().take(1).flat_map(|s| &s.spec.services);
        services.find_map(|s| s.firewall_mark.as_ref()).map(|m| m.mark)
    }

    /// For `kubectl get`: the VIPs, and the networks that are balanced besides.
    fn display_addresses(&self) -> String {
        let mark = self.vs.spec.firewall_mark.as_ref();
        let networks = mark.map(|m| m.destinations.as_slice()).unwrap_or_default();
        let all: Vec<&str> = self.addresses.iter().chain(networks).map(String::as_str).collect();
        all.join(",")
    }

    fn reachable_from_nodes(&self) -> Verdict {
        let servers = self.slices.iter().flat_map(|s| &s.spec.real_servers);
        let mut forwarding: BTreeSet<Forwarding> = servers.map(|r| r.forwarding).collect();
        if forwarding.is_empty() {
            forwarding.insert(self.vs.spec.forwarding);
        }
        let masquerade = match self.slices.first() {
            Some(slice) => slice.spec.masquerade,
            None => self.vs.spec.nat.as_ref().is_some_and(|nat| nat.masquerade),
        };
        reach::from_nodes(&forwarding, masquerade)
    }

    fn directors(&self) -> Vec<DirectorStatus> {
        let of = |(node, progress): &(&str, Progress)| DirectorStatus {
            node: (*node).to_owned(),
            role: match self.active.nodes.contains(node) {
                true => DirectorRole::Active,
                false => DirectorRole::Standby,
            },
            problem: progress.problem().map(str::to_owned),
        };
        self.progress.iter().map(of).collect()
    }
}

/// `TCP/80, TCP/20000-20999` and, for all ports, `TCP/*`.
fn ports(vs: &VirtualService) -> String {
    let text = |port: &ServicePort| match (port.port, port.end_port) {
        (0, _) => format!("{}/*", port.protocol),
        (first, Some(last)) if last != first => format!("{}/{first}-{last}", port.protocol),
        (first, _) => format!("{}/{first}", port.protocol),
    };
    let texts: Vec<String> = vs.spec.ports.iter().map(text).collect();
    listing(&texts, 4)
}
