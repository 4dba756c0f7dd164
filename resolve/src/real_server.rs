//! Which of the selected real servers are balanced to, and how.

mod candidate;
mod ports;

use crate::services::families;
use crate::{Key, LeftOut, Snapshot, reason};
use candidate::Context;
use ipnet::IpNet;
use kube::ResourceExt;
use lvs_crds::{
    DirectorGroup, RealServer, RealServerCounts, RealServerState, SliceRealServer, VirtualService,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// Why a real server is not balanced to: reason and message.
type Problem = (&'static str, String);

/// The real servers of one VirtualService.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) servers: Vec<SliceRealServer>,
    pub(crate) counts: RealServerCounts,
    pub(crate) selected: Vec<String>,
    pub(crate) left_out: Vec<LeftOut>,
}

pub(crate) fn select(
    key: &Key,
    vs: &VirtualService,
    vips: &[IpAddr],
    group: Option<&Arc<DirectorGroup>>,
    snapshot: &Snapshot,
) -> Selection {
    let selected = snapshot.selected(&key.namespace, &vs.spec.real_servers.selector);
    let cidrs = group.map(|g| cidrs(g)).unwrap_or_default();
    let group = group.map(|g| g.name_any());
    let context = Context { vs, vips, families: families(vs), cidrs, group, snapshot };
    let mut selection = Selection {
        selected: selected.keys().map(|key| key.name.clone()).collect(),
        ..Selection::default()
    };
    let mut occupied = HashMap::new();
    for (key, server) in in_order(key, selected, snapshot) {
        if server.spec.state == RealServerState::Disabled {
            continue;
        }
        let (candidates, mut left_out) = context.candidates(&key.name, server);
        let mut served = false;
        for candidate in candidates {
            match occupy(&mut occupied, &candidate) {
                Ok(()) => {
                    served = true;
                    selection.servers.push(candidate);
                }
                Err(problem) => left_out.push(problem),
            }
        }
        match (served, server.spec.weight > 0) {
            (true, true) => selection.counts.healthy += 1,
            (true, false) => selection.counts.draining += 1,
            (false, _) => {}
        }
        selection.left_out.append(&mut left_out);
    }
    selection.counts.total = i32::try_from(selection.selected.len()).unwrap_or(i32::MAX);
    selection.servers.sort_by(|a, b| (&a.name, &a.address).cmp(&(&b.name, &b.address)));
    selection.left_out.sort_by(|a, b| a.real_server.cmp(&b.real_server));
    selection
}

/// Those that serve already first, then by age, then by name: of two with one address, the first stays.
fn in_order<'a>(
    key: &Key,
    selected: BTreeMap<&'a Key, &'a Arc<RealServer>>,
    snapshot: &Snapshot,
) -> Vec<(&'a Key, &'a Arc<RealServer>)> {
    let serving: BTreeSet<&str> = snapshot
        .slices_of(key)
        .flat_map(|(_, slice)| slice.spec.real_servers.iter().map(|r| r.name.as_str()))
        .collect();
    let mut order: Vec<_> = selected.into_iter().collect();
    order.sort_by_key(|(key, server)| {
        let created = server.creation_timestamp();
        (!serving.contains(key.name.as_str()), created.is_none(), created)
    });
    order
}

/// A group's realServerCIDRs. One that cannot be read admits nothing.
fn cidrs(group: &DirectorGroup) -> Option<Vec<IpNet>> {
    let written = &group.spec.real_server_cidrs;
    (!written.is_empty()).then(|| written.iter().filter_map(|cidr| cidr.parse().ok()).collect())
}

/// IPVS knows a destination of one service by address and port alone; of one with a firewall mark by its address.
fn occupy(
    occupied: &mut HashMap<(String, Option<Place>), String>,
    candidate: &SliceRealServer,
) -> Result<(), LeftOut> {
    let at = |place| (candidate.address.clone(), place);
    let ports = candidate.ports.iter();
    let mut places: Vec<_> =
        ports.map(|p| at(Some((p.protocol.as_str(), p.port, p.target_port)))).collect();
    if places.is_empty() {
        places.push(at(None));
    }
    let taken = places.iter().find_map(|p| Some((p, occupied.get(p)?)));
    if let Some(((address, place), by)) = taken {
        let port = match place {
            Some((protocol, _, port)) => format!(" {protocol}/{port}"),
            None => String::new(),
        };
        return Err(LeftOut {
            real_server: candidate.name.clone(),
            reason: reason::DUPLICATE_ADDRESS,
            message: format!(
                "spec.address: {address}{port} is RealServer {by} already, which this service selects too; delete one \
                 of the two or give it labels that the selector does not match"
            ),
        });
    }
    occupied.extend(places.into_iter().map(|place| (place, candidate.name.clone())));
    Ok(())
}

/// Protocol, port at the VIP, port at the server.
type Place = (&'static str, i32, i32);
