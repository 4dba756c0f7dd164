//! Over which directors of a group its VIPs spread, and who takes over from whom. Pure and the same everywhere: the
//! operator and every director compute it from the group's status, so that nobody has to be asked when one dies.

#[cfg(test)]
mod tests;

use lvs_crds::{DirectorGroup, VirtualRouter};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The most directors of a group.
pub const MAX_MEMBERS: usize = 32;

/// To how many virtual routers a director is home at most: so many others share what it leaves. With 32 directors and the
/// one id for presence that makes 225 of 255 ids.
const MAX_ROUTERS: usize = 7;

/// The first priority: RFC 9568 keeps 255 for a router that owns the address.
const HIGHEST: u8 = 254;
/// Between one rank and the next: skew time, by which two heirs do not both come forward.
const STEP: u8 = 4;
/// By how much an ill director's priority is lower: below that of the last of 32 that are well.
const ILL: u8 = 129;
/// Every priority below is that of a director that cannot serve all of its VIPs; no other is.
pub const ILL_BELOW: u8 = HIGHEST - STEP * (MAX_MEMBERS as u8 - 1);

/// What a virtual router is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Floating {
    /// A VIP whose real servers answer by themselves, or see the director's address.
    Vip(IpAddr),
    /// All NAT gateways of the group, and all VIPs whose real servers answer through them: these move together.
    NatGateway,
}

/// A group's virtual routers, as its status has them.
#[derive(Clone, Debug)]
pub struct Spread<'a> {
    members: Vec<&'a str>,
    routers: &'a [VirtualRouter],
    /// By home, in the order of their numbers.
    homes: BTreeMap<&'a str, Vec<&'a VirtualRouter>>,
}

impl<'a> Spread<'a> {
    /// `None` where nothing moves: with one director, or before ids are allocated.
    pub fn new(group: &'a DirectorGroup) -> Option<Self> {
        let status = group.status.as_ref()?;
        let members: Vec<&str> = status.members.iter().map(|member| member.node.as_str()).collect();
        let routers = &status.virtual_routers;
        if members.len() < 2 || routers.is_empty() {
            return None;
        }
        let mut homes: BTreeMap<&str, Vec<&VirtualRouter>> = BTreeMap::new();
        for router in routers {
            homes.entry(&router.home).or_default().push(router);
        }
        homes.values_mut().for_each(|routers| routers.sort_by_key(|router| router.number));
        Some(Self { members, routers, homes })
    }

    /// The group's virtual routers.
    pub fn routers(&self) -> &'a [VirtualRouter] {
        self.routers
    }

    /// The virtual router that something floats with. `None` only while the list of them does not fit the members.
    pub fn router_of(&self, floating: Floating) -> Option<&'a VirtualRouter> {
        let key = match floating {
            Floating::Vip(address) => address.to_string(),
            Floating::NatGateway => "nat-gateway".to_owned(),
        };
        // Homes first, so that a change of their number of routers moves nothing to another director.
        let best = self.homes.iter().max_by_key(|(home, _)| (hash(&[&key, home]), **home));
        let (_, routers) = best?;
        let number = hash(&[&key]) % u64::try_from(routers.len()).ok()?;
        routers.get(usize::try_from(number).ok()?).copied()
    }

    /// The directors in the order in which they carry a virtual router: its home first.
    pub fn order(&self, router: &VirtualRouter) -> Vec<&'a str> {
        let mut heirs: Vec<&str> =
            self.members.iter().copied().filter(|member| *member != router.home).collect();
        heirs.sort_by_key(|heir| (std::cmp::Reverse(hash(&[&router.home, heir])), *heir));
        if !heirs.is_empty() {
            let first = usize::try_from(router.number).unwrap_or(0) % heirs.len();
            heirs.rotate_left(first);
        }
        let home = self.members.iter().copied().find(|member| *member == router.home);
        home.into_iter().chain(heirs).collect()
    }
}

/// The VRRP priority of the director at `rank` in a virtual router's order; `well`: it can serve all of its VIPs.
pub fn priority(rank: usize, well: bool) -> u8 {
    let rank = u8::try_from(rank.min(MAX_MEMBERS - 1)).unwrap_or(0);
    let priority = HIGHEST - STEP * rank;
    if well { priority } else { priority - ILL }
}

/// The virtual routers that a group of these members is to have: (home, number).
pub fn wanted<'a>(members: &[&'a str]) -> Vec<(&'a str, i32)> {
    let each = members.len().saturating_sub(1).min(MAX_ROUTERS);
    let numbers = || (0..each).filter_map(|number| i32::try_from(number).ok());
    members.iter().flat_map(|home| numbers().map(|number| (*home, number))).collect()
}

/// 64-bit FNV-1a, its bits then mixed (MurmurHash3's finalizer): FNV alone leaves names that differ at their ends in the
/// order of their ends.
pub(crate) fn hash(parts: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
