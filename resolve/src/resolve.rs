//! One VirtualService against the cluster.

use crate::claim::{Conflict, contest, held};
use crate::listing::listing;
use crate::place::place;
use crate::real_server::{Selection, select};
use crate::services::{prefix_of, services};
use crate::status::settled;
use crate::{DesiredSlice, Key, Resolution, Snapshot, Verdict, group, mark, reason, selector};
use ipnet::IpNet;
use lvs_crds::{VirtualService, VirtualServiceSlice, VirtualServiceSliceSpec};
use std::net::IpAddr;
use std::sync::Arc;

/// What is to be made of one VirtualService; nothing if there is none of this name, or if it is being deleted: then
/// every slice of that name is to go.
pub fn resolve(key: &Key, snapshot: &Snapshot) -> Option<Resolution> {
    let vs = snapshot.virtual_service(key)?;
    if vs.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let vips: Vec<IpAddr> = vs.spec.addresses.iter().filter_map(|a| a.parse().ok()).collect();
    let group = snapshot.director_group(&vs.spec.director_group);
    let selection = select(key, vs, &vips, group, snapshot);
    let resolved = resolved(vs, &selection);
    let refusal = own_refusal(key, vs, snapshot).map_or_else(
        || {
            let eligible = |k: &Key, vs: &VirtualService| own_refusal(k, vs, snapshot).is_none();
            contest(key, vs, snapshot, eligible).map(Refusal::Conflict)
        },
        Some,
    );
    let mark = vs.spec.firewall_mark.as_ref().and_then(|_| mark::mark(key, vs, snapshot));
    let refusal = refusal.or_else(|| no_mark(vs, mark));
    let slices = match &refusal {
        None => fresh(key, vs, &vips, mark, selection.servers, snapshot),
        Some(refusal) if refusal.withdraws(key, snapshot) => Vec::new(),
        Some(_) => kept(key, snapshot),
    };
    let director_group = match slices.first() {
        Some(slice) if refusal.is_some() => slice.spec.director_group.clone(),
        _ => vs.spec.director_group.clone(),
    };
    let carrier = snapshot.director_group(&director_group);
    Some(Resolution {
        accepted: match refusal {
            None => Verdict::yes(reason::ACCEPTED, "The spec clashes with nothing."),
            Some(refusal) => refusal.verdict(),
        },
        resolved,
        slices,
        real_servers: selection.counts,
        selected: selection.selected,
        left_out: selection.left_out,
        director_group,
        directors: carrier.map(|g| group::directors(g)).unwrap_or_default(),
        addresses: vips,
    })
}

/// Why a spec is not accepted.
enum Refusal {
    Own(&'static str, String),
    Conflict(Conflict),
}

impl Refusal {
    /// Whether the slices go too. Those of an edit that went wrong stay, so that the kernel keeps its last good state.
    fn withdraws(&self, key: &Key, snapshot: &Snapshot) -> bool {
        match self {
            Self::Own(reason, _) => *reason == reason::NAMESPACE_NOT_ALLOWED,
            // Two have slices with one claim: a successor that had not seen the last writes of its predecessor.
            Self::Conflict(conflict) => snapshot
                .slices_of(key)
                .any(|(_, slice)| conflict.hits(&held(&slice.spec), snapshot)),
        }
    }

    fn verdict(self) -> Verdict {
        match self {
            Self::Own(reason, message) => Verdict::no(reason, message),
            Self::Conflict(conflict) => Verdict::no(conflict.reason(), conflict.message()),
        }
    }
}

/// What is wrong with a VirtualService whatever other VirtualServices there are.
fn own_refusal(key: &Key, vs: &VirtualService, snapshot: &Snapshot) -> Option<Refusal> {
    if let Some(bad) = vs.spec.addresses.iter().find(|a| a.parse::<IpAddr>().is_err()) {
        let message =
            format!("spec.addresses: {bad:?} is no IP address; write one like 192.0.2.10");
        return Some(Refusal::Own(reason::INVALID, message));
    }
    let destinations = vs.spec.firewall_mark.iter().flat_map(|m| &m.destinations);
    if let Some(bad) = destinations.clone().find(|n| n.parse::<IpNet>().is_err()) {
        let message = format!(
            "spec.firewallMark.destinations: {bad:?} is no network; write one like 198.51.100.0/24"
        );
        return Some(Refusal::Own(reason::INVALID, message));
    }
    if vs.spec.addresses.is_empty() && destinations.count() == 0 {
        let message = "spec.addresses: there is none; give a VIP, or firewallMark.destinations";
        return Some(Refusal::Own(reason::INVALID, message.to_owned()));
    }
    if let Some(netmask) = vs.spec.persistence.as_ref().and_then(|p| p.ipv4_netmask.as_ref())
        && prefix_of(netmask).is_none()
    {
        let message = format!(
            "spec.persistence.ipv4Netmask: {netmask:?} is no netmask; write one like 255.255.255.0"
        );
        return Some(Refusal::Own(reason::INVALID, message));
    }
    let name = &vs.spec.director_group;
    let Some(group) = snapshot.director_group(name) else {
        let message = format!(
            "spec.directorGroup: there is no DirectorGroup {name}; correct the name or create the group"
        );
        return Some(Refusal::Own(reason::NO_SUCH_DIRECTOR_GROUP, message));
    };
    let labels = snapshot.namespace_labels(&key.namespace);
    let admits = group.spec.allowed_namespaces.as_ref();
    if admits.is_some_and(|selector| !selector::matches(selector, &labels)) {
        let message = format!(
            "spec.directorGroup: DirectorGroup {name} does not admit namespace {} (its allowedNamespaces does not \
             match the namespace's labels); use another group, or have its admin admit the namespace",
            key.namespace
        );
        return Some(Refusal::Own(reason::NAMESPACE_NOT_ALLOWED, message));
    }
    if let Some(refusal) = is_gateway(vs, snapshot) {
        return Some(refusal);
    }
    vs.spec.addresses.iter().find_map(|written| {
        let nodes: Vec<&str> = snapshot.nodes_with(written.parse().ok()?).collect();
        let node = nodes.first()?;
        let message = format!(
            "spec.addresses: {written} is an address of node {node} itself; use an address that no machine has"
        );
        Some(Refusal::Own(reason::NODE_ADDRESS, message))
    })
}

/// A NAT gateway is at one director of its group, whoever carries the VIP.
fn is_gateway(vs: &VirtualService, snapshot: &Snapshot) -> Option<Refusal> {
    let vips: Vec<IpAddr> = vs.spec.addresses.iter().filter_map(|a| a.parse().ok()).collect();
    let mut groups = snapshot.director_groups();
    let (name, vip) = groups.find_map(|(name, group)| {
        let vip = group::gateways(group).find(|gateway| vips.contains(gateway))?;
        Some((name, vip))
    })?;
    let message = format!(
        "spec.addresses: {vip} is a natGateway of DirectorGroup {name}; use another address"
    );
    Some(Refusal::Own(reason::GATEWAY_CONFLICT, message))
}

/// Every mark of ours is in use: more services with marks than anybody has had yet.
fn no_mark(vs: &VirtualService, mark: Option<i64>) -> Option<Refusal> {
    (vs.spec.firewall_mark.is_some() && mark.is_none()).then(|| {
        let message =
            "spec.firewallMark: every mark that is chosen from is in use; set firewallMark.mark";
        Refusal::Own(reason::NO_FREE_MARK, message.to_owned())
    })
}

fn resolved(vs: &VirtualService, selection: &Selection) -> Verdict {
    if let Err(error) = selector::check(&vs.spec.real_servers.selector) {
        let message = format!("spec.realServers.selector.{error}");
        return Verdict::no(reason::INVALID_SELECTOR, message);
    }
    if selection.selected.is_empty() {
        let message = "spec.realServers.selector matches no RealServer of this namespace; correct it, or label the \
                       RealServers";
        return Verdict::yes(reason::NO_REAL_SERVERS, message);
    }
    let left_out: Vec<&str> = selection.left_out.iter().map(|l| l.real_server.as_str()).collect();
    match selection.left_out.first() {
        None => Verdict::yes(reason::RESOLVED, "Every real server is known."),
        Some(_) if !selection.servers.is_empty() => {
            let message = format!("Left out: {}; see Degraded.", listing(&left_out, 4));
            Verdict::yes(reason::RESOLVED, message)
        }
        Some(first) => {
            let message = format!(
                "Every real server is left out: {}. RealServer {}: {}",
                listing(&left_out, 4),
                first.real_server,
                first.message
            );
            Verdict::no(reason::NO_USABLE_REAL_SERVERS, message)
        }
    }
}

fn fresh(
    key: &Key,
    vs: &VirtualService,
    vips: &[IpAddr],
    mark: Option<i64>,
    servers: Vec<lvs_crds::SliceRealServer>,
    snapshot: &Snapshot,
) -> Vec<DesiredSlice> {
    let services = services(vs, vips, mark);
    let settled = settled(vs, snapshot);
    let placed = place(key, servers, snapshot.slices_of(key), settled);
    let desired = placed.into_iter().map(|(name, real_servers)| DesiredSlice {
        name,
        spec: VirtualServiceSliceSpec {
            virtual_service: key.name.clone(),
            generation: vs.metadata.generation.unwrap_or(0),
            director_group: vs.spec.director_group.clone(),
            services: services.clone(),
            masquerade: vs.spec.nat.as_ref().is_some_and(|nat| nat.masquerade),
            health_check: vs.spec.health_check.clone(),
            real_servers,
        },
    });
    desired.collect()
}

fn kept(key: &Key, snapshot: &Snapshot) -> Vec<DesiredSlice> {
    let keep = |(name, slice): (&Key, &Arc<VirtualServiceSlice>)| DesiredSlice {
        name: name.name.clone(),
        spec: slice.spec.clone(),
    };
    snapshot.slices_of(key).map(keep).collect()
}
