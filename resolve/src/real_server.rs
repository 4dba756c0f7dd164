//! Which of the selected real servers are balanced to, and how.

use crate::listing::listing;
use crate::{Key, LeftOut, Snapshot, reason};
use ipnet::IpNet;
use kube::ResourceExt;
use lvs_crds::{
    DirectorGroup, Forwarding, RealServer, RealServerCounts, RealServerState, ServicePort,
    SlicePort, SliceRealServer, VirtualService,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

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
    let context = Context { vs, vips, cidrs, group: group.map(|g| g.name_any()), snapshot };
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

/// IPVS knows a destination of one service by address and port alone.
fn occupy(
    occupied: &mut HashMap<(String, Place), String>,
    candidate: &SliceRealServer,
) -> Result<(), LeftOut> {
    let places: Vec<_> = candidate
        .ports
        .iter()
        .map(|p| (candidate.address.clone(), (p.protocol.as_str(), p.port, p.target_port)))
        .collect();
    let taken = places.iter().find_map(|p| Some((p, occupied.get(p)?)));
    if let Some(((address, (protocol, _, port)), by)) = taken {
        return Err(LeftOut {
            real_server: candidate.name.clone(),
            reason: reason::DUPLICATE_ADDRESS,
            message: format!(
                "spec.address: {address} {protocol}/{port} is RealServer {by} already, which this service selects \
                 too; delete one of the two or give it labels that the selector does not match"
            ),
        });
    }
    occupied.extend(places.into_iter().map(|place| (place, candidate.name.clone())));
    Ok(())
}

/// Protocol, port at the VIP, port at the server.
type Place = (&'static str, i32, i32);

struct Context<'a> {
    vs: &'a VirtualService,
    vips: &'a [IpAddr],
    cidrs: Option<Vec<IpNet>>,
    group: Option<String>,
    snapshot: &'a Snapshot,
}

impl Context<'_> {
    /// What stands in a slice for one real server, one entry an address family, and what is wrong with it.
    fn candidates(&self, name: &str, server: &RealServer) -> (Vec<SliceRealServer>, Vec<LeftOut>) {
        let problem = |(reason, message)| LeftOut { real_server: name.to_owned(), reason, message };
        let forwarding = server.spec.forwarding.unwrap_or(self.vs.spec.forwarding);
        let ports = match self.ports(server, forwarding) {
            Ok(ports) => ports,
            Err(found) => return (Vec::new(), vec![problem(found)]),
        };
        let addresses = match self.addresses(server) {
            Ok(addresses) => addresses,
            Err(found) => return (Vec::new(), vec![problem(found)]),
        };
        let mut candidates = Vec::new();
        let mut left_out = Vec::new();
        for address in addresses {
            match self.admit(address) {
                Ok(()) => candidates.push(SliceRealServer {
                    name: name.to_owned(),
                    address: address.to_string(),
                    node_name: server.spec.node_name.clone(),
                    forwarding,
                    tunnel: None,
                    weight: server.spec.weight,
                    upper_threshold: server.spec.upper_threshold.unwrap_or(0),
                    lower_threshold: server.spec.lower_threshold.unwrap_or(0),
                    ports: ports.clone(),
                }),
                Err(found) => left_out.push(problem(found)),
            }
        }
        (candidates, left_out)
    }

    /// The server's addresses of the VIPs' families, one a family.
    fn addresses(&self, server: &RealServer) -> Result<Vec<IpAddr>, Problem> {
        let of_family = |v6: bool, addresses: &[IpAddr]| {
            let wanted = self.vips.iter().any(|vip| vip.is_ipv6() == v6);
            addresses.iter().copied().find(|a| wanted && a.is_ipv6() == v6)
        };
        let matching = |addresses: &[IpAddr]| -> Vec<IpAddr> {
            [false, true].into_iter().filter_map(|v6| of_family(v6, addresses)).collect()
        };
        if let Some(node) = &server.spec.node_name {
            let Some(facts) = self.snapshot.node(node) else {
                let message = format!(
                    "spec.nodeName: there is no node {node}; correct the name, or give spec.address for a server \
                     outside the cluster"
                );
                return Err((reason::NO_SUCH_NODE, message));
            };
            let found = matching(&facts.addresses);
            if found.is_empty() {
                let message = format!(
                    "spec.nodeName: node {node} has no InternalIP of the family of {}; give spec.address instead",
                    texts(self.vips)
                );
                return Err((reason::NO_NODE_ADDRESS, message));
            }
            return Ok(found);
        }
        let written = server.spec.address.as_deref().unwrap_or_default();
        let Ok(address) = written.parse::<IpAddr>() else {
            let message =
                format!("spec.address: {written:?} is no IP address; write one like 192.0.2.7");
            return Err((reason::INVALID, message));
        };
        let found = matching(&[address]);
        if found.is_empty() {
            let message = format!(
                "spec.address: {address} is of another address family than the VIP {}; use an address of its family",
                texts(self.vips)
            );
            return Err((reason::ADDRESS_FAMILY_MISMATCH, message));
        }
        Ok(found)
    }

    fn admit(&self, address: IpAddr) -> Result<(), Problem> {
        if self.vips.contains(&address) {
            let message =
                format!("spec.address: {address} is the VIP itself; give the server's own address");
            return Err((reason::ADDRESS_IS_VIP, message));
        }
        match &self.cidrs {
            Some(cidrs) if !cidrs.iter().any(|cidr| cidr.contains(&address)) => {
                let cidrs: Vec<String> = cidrs.iter().map(ToString::to_string).collect();
                let group = self.group.as_deref().unwrap_or_default();
                let message = format!(
                    "spec.address: {address} is outside the realServerCIDRs of DirectorGroup {group} ({}); use an \
                     address within, or have the group's admin add it",
                    listing(&cidrs, 4)
                );
                Err((reason::OUTSIDE_REAL_SERVER_CIDRS, message))
            }
            _ => Ok(()),
        }
    }

    /// The service's ports that the server serves, and with which of its own.
    fn ports(
        &self,
        server: &RealServer,
        forwarding: Forwarding,
    ) -> Result<Vec<SlicePort>, Problem> {
        let mut ports = Vec::new();
        for port in &self.vs.spec.ports {
            let Some(target_port) = target(server, port) else { continue };
            if forwarding == Forwarding::DR && target_port != port.port {
                let message = format!(
                    "spec.ports: port {target_port} for the service's {}/{}: DR does not translate ports; let the \
                     server listen on {}, or use forwarding NAT",
                    port.protocol, port.port, port.port
                );
                return Err((reason::PORT_MISMATCH, message));
            }
            ports.push(SlicePort { protocol: port.protocol, port: port.port, target_port });
        }
        if ports.is_empty() {
            let names: Vec<&str> = self
                .vs
                .spec
                .ports
                .iter()
                .map(|p| p.name.as_deref().unwrap_or("(no name)"))
                .collect();
            let message = format!(
                "spec.ports: none is named like a port of the service ({}); name them alike, or leave spec.ports out",
                listing(&names, 4)
            );
            return Err((reason::NO_PORT, message));
        }
        Ok(ports)
    }
}

/// Reason and message.
type Problem = (&'static str, String);

/// The server's port for a service's port: its own entry of that name, else the service's target; none where it has
/// entries and none of that name.
fn target(server: &RealServer, port: &ServicePort) -> Option<i32> {
    if server.spec.ports.is_empty() {
        return Some(port.target_port.unwrap_or(port.port));
    }
    server.spec.ports.iter().find(|p| p.name == port.name).map(|p| p.port)
}

fn texts(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    listing(&texts, 4)
}
