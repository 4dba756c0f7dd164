//! What a VirtualService occupies, so that nobody else may have it too.

mod contest;

pub(crate) use contest::{Conflict, by_age, contest};

use crate::ranges::Ranges;
use ipnet::IpNet;
use lvs_crds::{MarkRules, Protocol, VirtualService, VirtualServiceSliceSpec};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// What a VirtualService occupies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// Ports of one protocol.
    Ports {
        /// Where.
        place: Place,
        /// The protocol.
        protocol: Protocol,
        /// The first port. Port 0 of a service without mark stands for itself: IPVS looks for the exact port before it
        /// (`ip_vs_service_find`), so that it takes nothing from another service's port 80.
        first: i32,
        /// The last port.
        last: i32,
    },
    /// A VIP whose ports are not looked at. Somebody else's rules decide which packets get the mark of a service with
    /// `rules: External`, and they may well give it to some ports and leave others to other services; but the VIP
    /// stands on the directors like any other, and belongs to one namespace.
    Vip(IpAddr),
    /// A firewall mark, of both address families: rules that set it seldom tell them apart. It is one of the whole
    /// cluster, since a node may be a director of several groups.
    Mark(i64),
}

/// Where ports are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// At a VIP.
    Vip(IpAddr),
    /// At whatever is in a network and passes through the directors of a group. It takes no VIP's ports: those do not
    /// pass through. Of two networks that overlap, neither can come first: the kernel's set holds only one, whichever
    /// group it is for.
    Passing {
        /// The DirectorGroup.
        group: String,
        /// The network.
        network: IpNet,
    },
}

impl Claim {
    /// The VIP that it is about.
    pub fn vip(&self) -> Option<IpAddr> {
        match self {
            Self::Ports { place: Place::Vip(address), .. } | Self::Vip(address) => Some(*address),
            Self::Ports { place: Place::Passing { .. }, .. } | Self::Mark(_) => None,
        }
    }

    /// Whether two services cannot have both, as far as what passes through is on common directors
    /// ([`Snapshot::meet`](crate::Snapshot::meet)).
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self.grounds(), other.grounds()) {
            (Some((own, (first, last))), Some((theirs, (from, to)))) => {
                own == theirs && first <= to && from <= last && self.meets(other)
            }
            _ => false,
        }
    }

    /// Whether two of one ground are about a common address.
    fn meets(&self, other: &Self) -> bool {
        match (self.network(), other.network()) {
            (Some(own), Some(theirs)) => own.contains(theirs) || theirs.contains(own),
            _ => true,
        }
    }

    /// Of what passes through, through whose directors.
    pub fn passes(&self) -> Option<&str> {
        match self {
            Self::Ports { place: Place::Passing { group, .. }, .. } => Some(group),
            _ => None,
        }
    }

    fn network(&self) -> Option<&IpNet> {
        match self {
            Self::Ports { place: Place::Passing { network, .. }, .. } => Some(network),
            _ => None,
        }
    }

    fn grounds(&self) -> Option<(Ground, (i32, i32))> {
        match self {
            Self::Ports { place, protocol, first, last } => {
                let ground = match place {
                    Place::Vip(address) => Ground::Vip(*address, *protocol),
                    Place::Passing { .. } => Ground::Passing(*protocol),
                };
                Some((ground, (*first, *last)))
            }
            Self::Mark(mark) => Some((Ground::Mark(*mark), (0, 0))),
            Self::Vip(_) => None,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports { place, protocol, first, last } => {
                match place {
                    Place::Vip(address) => write!(f, "{address} ")?,
                    Place::Passing { network, .. } => write!(f, "{network} ")?,
                }
                match (first, last) {
                    (0, _) => write!(f, "{protocol}/*"),
                    (first, last) if first == last => write!(f, "{protocol}/{first}"),
                    (first, last) => write!(f, "{protocol}/{first}-{last}"),
                }
            }
            Self::Vip(address) => write!(f, "{address}"),
            Self::Mark(mark) => write!(f, "firewall mark {mark}"),
        }
    }
}

/// The greatest port.
const LAST_PORT: i32 = 65_535;

/// First and last port of what a firewall mark covers. IPVS looks for a packet's mark before its address and port, so
/// with a mark port 0 is not what others leave over: it is every port.
fn marked(port: i32, end: Option<i32>) -> (i32, i32) {
    match port {
        0 => (0, LAST_PORT),
        _ => (port, end.unwrap_or(port).max(port)),
    }
}

/// What a VirtualService wants to occupy. Addresses that are none are passed over. A firewall mark of our choice is not
/// among it: any that is free will do.
pub fn wanted(vs: &VirtualService) -> BTreeSet<Claim> {
    let spec = &vs.spec;
    let vips = spec.addresses.iter().filter_map(|a| a.parse::<IpAddr>().ok());
    let Some(mark) = &spec.firewall_mark else {
        return vips
            .flat_map(|vip| spec.ports.iter().map(move |p| (vip, p)))
            .map(|(vip, p)| Claim::Ports {
                place: Place::Vip(vip),
                protocol: p.protocol,
                first: p.port,
                last: p.port,
            })
            .collect();
    };
    let networks = mark.destinations.iter().filter_map(|n| n.parse().ok());
    let ports: Vec<_> = spec.ports.iter().map(|p| (p.protocol, p.port, p.end_port)).collect();
    let mut claims = marked_claims(mark.rules, vips, networks, &spec.director_group, &ports);
    claims.extend(mark.mark.map(Claim::Mark));
    claims
}

/// What a slice occupies.
pub fn held(slice: &VirtualServiceSliceSpec) -> BTreeSet<Claim> {
    let mut claims = BTreeSet::new();
    for service in &slice.services {
        match &service.firewall_mark {
            None => claims.extend(service.address.parse().ok().map(|vip| Claim::Ports {
                place: Place::Vip(vip),
                protocol: service.protocol,
                first: service.port,
                last: service.port,
            })),
            Some(mark) => {
                let vips = mark.addresses.iter().filter_map(|a| a.parse().ok());
                let networks = mark.destinations.iter().filter_map(|n| n.parse().ok());
                let ports: Vec<_> =
                    mark.ports.iter().map(|p| (p.protocol, p.port, p.end_port)).collect();
                let group = &slice.director_group;
                claims.extend(marked_claims(mark.rules, vips, networks, group, &ports));
                claims.insert(Claim::Mark(mark.mark));
            }
        }
    }
    claims
}

fn marked_claims(
    rules: MarkRules,
    vips: impl Iterator<Item = IpAddr>,
    networks: impl Iterator<Item = IpNet>,
    group: &str,
    ports: &[(Protocol, i32, Option<i32>)],
) -> BTreeSet<Claim> {
    if rules == MarkRules::External {
        return vips.map(Claim::Vip).collect();
    }
    let vips = vips.map(Place::Vip);
    let passing = networks.map(|network| match network.trunc() {
        // One address is looked up as VIPs are.
        host if host.prefix_len() == host.max_prefix_len() => Place::Vip(host.addr()),
        network => Place::Passing { group: group.to_owned(), network },
    });
    vips.chain(passing)
        .flat_map(|place| ports.iter().map(move |port| (place.clone(), *port)))
        .map(|(place, (protocol, port, end))| {
            let (first, last) = marked(port, end);
            Claim::Ports { place, protocol, first, last }
        })
        .collect()
}

/// Claims and whose they are, by what they overlap with.
#[derive(Clone, Debug)]
pub(crate) struct Claims<V>(Ranges<Ground, (Claim, V)>);

/// Claims of one ground overlap if their ranges do, and their networks. Of networks that few services have, each is
/// looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Ground {
    Vip(IpAddr, Protocol),
    Passing(Protocol),
    Mark(i64),
}

impl<V> Default for Claims<V> {
    fn default() -> Self {
        Self(Ranges::default())
    }
}

impl<V: Ord> Claims<V> {
    pub(crate) fn add(&mut self, claim: &Claim, value: V) {
        if let Some((ground, range)) = claim.grounds() {
            self.0.add(ground, range, (claim.clone(), value));
        }
    }

    pub(crate) fn remove(&mut self, claim: &Claim, value: V) {
        if let Some((ground, range)) = claim.grounds() {
            self.0.remove(&ground, range, &(claim.clone(), value));
        }
    }

    pub(crate) fn overlapping<'a>(
        &'a self,
        claim: &Claim,
    ) -> impl Iterator<Item = (&'a Claim, &'a V)> + use<'a, V> {
        let mut found = Vec::new();
        if let Some((ground, range)) = claim.grounds() {
            let all = self.0.overlapping(&ground, range).map(|(_, (other, value))| (other, value));
            found.extend(all.filter(|(other, _)| claim.meets(other)));
        }
        found.into_iter()
    }
}

#[cfg(test)]
mod tests;
