//! One real server as a destination: its addresses, how it is reached, and what keeps it out.

use super::Problem;
use super::ports::ports;
use crate::listing::listing;
use crate::{LeftOut, Snapshot, reason};
use ipnet::IpNet;
use lvs_crds::{
    Forwarding, GUE_PORT, IpFamily, RealServer, SliceRealServer, Tunnel, TunnelType, VirtualService,
};
use std::net::IpAddr;

pub(super) struct Context<'a> {
    pub(super) vs: &'a VirtualService,
    pub(super) vips: &'a [IpAddr],
    /// The families that clients come in.
    pub(super) families: Vec<IpFamily>,
    pub(super) cidrs: Option<Vec<IpNet>>,
    pub(super) group: Option<String>,
    pub(super) snapshot: &'a Snapshot,
}

impl Context<'_> {
    /// What stands in a slice for one real server, one entry an address family, and what is wrong with it.
    pub(super) fn candidates(
        &self,
        name: &str,
        server: &RealServer,
    ) -> (Vec<SliceRealServer>, Vec<LeftOut>) {
        let problem = |(reason, message)| LeftOut { real_server: name.to_owned(), reason, message };
        let forwarding = server.spec.forwarding.unwrap_or(self.vs.spec.forwarding);
        if self.vs.spec.one_packet && forwarding == Forwarding::NAT {
            return (Vec::new(), vec![problem((reason::ONE_PACKET_WITH_NAT, one_packet(server)))]);
        }
        let ports = match ports(self.vs, server, forwarding) {
            Ok(ports) => ports,
            Err(found) => return (Vec::new(), vec![problem(found)]),
        };
        if let Some(found) = self.unasked(server) {
            return (Vec::new(), vec![problem(found)]);
        }
        let addresses = match self.addresses(server, forwarding) {
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
                    tunnel: tunnel(self.vs, server, forwarding),
                    weight: server.spec.weight,
                    upper_threshold: server.spec.upper_threshold.unwrap_or(0),
                    lower_threshold: server.spec.lower_threshold.unwrap_or(0),
                    health_check: server.spec.health_check.clone(),
                    ports: ports.clone(),
                }),
                Err(found) => left_out.push(problem(found)),
            }
        }
        (candidates, left_out)
    }

    /// The server's addresses of the clients' families, one a family; through a tunnel one of the other family, where it
    /// has none of those ([`lvs_crds::serves`]).
    fn addresses(
        &self,
        server: &RealServer,
        forwarding: Forwarding,
    ) -> Result<Vec<IpAddr>, Problem> {
        let matching = |addresses: &[IpAddr]| -> Vec<IpAddr> {
            let of = |family: &IpFamily| addresses.iter().find(|a| IpFamily::of(a) == *family);
            let own: Vec<IpAddr> = self.families.iter().filter_map(of).copied().collect();
            if own.is_empty() && forwarding == Forwarding::TUN {
                return addresses.first().copied().into_iter().collect();
            }
            own
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
                    "spec.nodeName: node {node} has no InternalIP of the family of {}; give spec.address instead, or \
                     use forwarding TUN, which carries one family in the other",
                    self.clients()
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
                "spec.address: {address} is of another address family than {}; use an address of its family, or \
                 forwarding TUN, which carries one family in the other",
                self.clients()
            );
            return Err((reason::ADDRESS_FAMILY_MISMATCH, message));
        }
        Ok(found)
    }

    /// What clients ask for, in a message.
    fn clients(&self) -> String {
        let vips = self.vips.iter().map(ToString::to_string);
        let marks = self.vs.spec.firewall_mark.iter();
        let all: Vec<String> =
            vips.chain(marks.flat_map(|m| m.destinations.iter().cloned())).collect();
        let what = if self.vips.is_empty() { "the destinations" } else { "the VIP" };
        format!("{what} {}", listing(&all, 4))
    }

    /// A check of the server's own that cannot know which port to ask.
    fn unasked(&self, server: &RealServer) -> Option<Problem> {
        let asks = server.spec.health_check.as_ref().is_some_and(|check| !check.names_its_ports());
        let portless =
            self.vs.spec.firewall_mark.is_some() || self.vs.spec.ports.iter().any(|p| p.port == 0);
        let message = "spec.healthCheck: the service has no port of its own to ask, since it has firewallMark or port 0; give \
                       each kind of check its port, such as tcp: {port: 80}";
        (asks && portless).then(|| (reason::NO_PORT, message.to_owned()))
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
}

fn one_packet(server: &RealServer) -> String {
    let at = if server.spec.forwarding.is_some() { "spec.forwarding: " } else { "" };
    format!(
        "{at}NAT does not go with the VirtualService's onePacket: no director would give the replies the VIP back; use DR \
         or TUN, or turn onePacket off"
    )
}

/// What packets to the server are wrapped in, with every default written out; nothing unless by TUN.
fn tunnel(vs: &VirtualService, server: &RealServer, forwarding: Forwarding) -> Option<Tunnel> {
    if forwarding != Forwarding::TUN {
        return None;
    }
    let wanted = server.spec.tunnel.as_ref().or(vs.spec.tunnel.as_ref());
    let Tunnel { kind, port, checksum } = wanted.cloned().unwrap_or_default();
    Some(Tunnel {
        kind,
        port: (kind == TunnelType::Gue).then(|| port.unwrap_or(GUE_PORT)),
        checksum: (kind != TunnelType::Ipip).then(|| checksum.unwrap_or_default()),
    })
}
