//! What is wanted, and the node as it is -> what the machine is told, and the way its advertisements go. Pure.

use super::links::Links;
use super::{Want, WantedRouter};
use crate::state::HeldAddress;
use lvs_crds::Member;
use lvs_resolve::spread::{ILL_BELOW, priority};
use lvs_vrrp::{Config, Held, Mac, Peer, RouterConfig, Vrid};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How long an address stays that is not renewed.
pub(super) const LIFETIME: Duration = lvs_resolve::LIFETIME;

/// The way of advertisements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// Where they come from.
    pub(super) own: IpAddr,
    /// The other members.
    pub(super) peers: Vec<IpAddr>,
    /// To the multicast group, not to the peers.
    pub(super) multicast: bool,
    /// Through this interface; 0: as the routes say.
    pub(super) interface: u32,
    /// The interface of the own address.
    pub(super) near: u32,
    /// The interface that they come by.
    pub(super) by: u32,
    /// How often that one came up: there may be nobody to be heard yet.
    pub(super) ups: u32,
}

/// Why a group cannot take part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error(
        "there is no interface {0}: name one of this node's in DirectorGroup.spec.failover.interface"
    )]
    NoInterface(String),
    #[error(
        "no IP version in which each director has an address: {no_ipv4} has no IPv4 and {no_ipv6} no IPv6 address in DirectorGroup.status.members"
    )]
    NoCommonFamily { no_ipv4: String, no_ipv6: String },
    #[error(
        "{0}, the first address of this director, is on no interface of this node: advertisements cannot come from it"
    )]
    NotHere(IpAddr),
    #[error("{0} is not among the directors of its own group")]
    NoMember(String),
    #[error("the virtual router id of presence is 0")]
    NoPresence,
    #[error("no VRRP socket: {0}. The agent needs the capability NET_RAW")]
    Socket(String),
}

impl Problem {
    /// One word.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NoInterface(_) => "NoInterface",
            Self::NoCommonFamily { .. } | Self::NotHere(_) => "NoAddress",
            Self::NoMember(_) | Self::NoPresence => "Invalid",
            Self::Socket(_) => "SocketFailed",
        }
    }
}

/// The node as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    pub(super) links: &'a Links,
    /// All its addresses, with their interfaces.
    pub(super) own: &'a BTreeMap<IpAddr, String>,
    /// Addresses that could not be added, and why.
    pub(super) failed: &'a BTreeMap<HeldAddress, String>,
}

/// What one group's machine is told.
pub(super) fn plan(want: &Want, node: Node<'_>) -> Result<(Config, Path), Problem> {
    let mut addresses = addresses(want)?;
    let own = addresses.remove(&want.own).ok_or_else(|| Problem::NoMember(want.own.clone()))?;
    let named = want.interface.as_ref();
    let is_link_local = |it: &IpAddr| matches!(it, IpAddr::V6(it) if it.is_unicast_link_local());
    let found = node.own.get(&own).ok_or(Problem::NotHere(own))?;
    // Several interfaces may have one link-local address, as VLANs of one port do.
    let near = named.filter(|_| is_link_local(&own)).unwrap_or(found);
    let index = |name: &String| {
        let link = node.links.get(name).ok_or_else(|| Problem::NoInterface(name.clone()))?;
        Ok((link.index, link.ups, link.running.then_some(()).ok_or_else(|| is_down(name))))
    };
    let (interface, ups, runs) = index(named.unwrap_or(near))?;
    let (near, ..) = index(near)?;
    let local = is_link_local(&own) || addresses.values().any(is_link_local);
    let bound = named.is_some() || want.multicast || local;
    let path = Path {
        own,
        peers: addresses.values().copied().collect(),
        multicast: want.multicast,
        interface: if bound { interface } else { 0 },
        near,
        by: interface,
        ups,
    };
    let config = Config {
        own,
        name: want.own.clone(),
        peers: peers(want, &addresses),
        interval: want.interval,
        preempt: want.preempt,
        ill_below: ILL_BELOW,
        lifetime: LIFETIME,
        presence: Vrid::new(want.presence).ok_or(Problem::NoPresence)?,
        routers: (want.routers.iter())
            .filter_map(|(id, router)| {
                Some((Vrid::new(*id)?, self::router(&want.own, router, node, runs.as_ref().err())))
            })
            .collect(),
    };
    Ok((config, path))
}

/// The same with no part in anything.
pub(super) fn shut_down(config: &Config, problem: &Problem) -> Config {
    let mut config = config.clone();
    for router in config.routers.values_mut() {
        router.down = Some(problem.to_string());
    }
    config
}

/// Each member's first address of the IP version that all have, IPv4 rather than IPv6.
fn addresses(want: &Want) -> Result<BTreeMap<String, IpAddr>, Problem> {
    let no_ipv4 = match all_have(want, false) {
        Ok(found) => return Ok(found),
        Err(lacking) => lacking,
    };
    all_have(want, true).map_err(|no_ipv6| Problem::NoCommonFamily { no_ipv4, no_ipv6 })
}

/// The first address of that version of each, or who has none.
fn all_have(want: &Want, ipv6: bool) -> Result<BTreeMap<String, IpAddr>, String> {
    let first = |member: &Member| {
        let mut parsed = member.addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok());
        let found = parsed.find(|address| address.is_ipv6() == ipv6);
        found.map(|it| (member.node.clone(), it)).ok_or_else(|| member.node.clone())
    };
    want.members.iter().map(first).collect()
}

fn peers(want: &Want, addresses: &BTreeMap<String, IpAddr>) -> BTreeMap<String, Peer> {
    let peer = |(name, address): (&String, &IpAddr)| {
        let member = want.members.iter().find(|member| member.node == *name);
        let macs = member.map(|member| member.macs.as_slice()).unwrap_or_default();
        let macs = macs.iter().filter_map(|text| mac(text)).collect();
        (name.clone(), Peer { address: *address, macs })
    };
    addresses.iter().map(peer).collect()
}

fn router(own: &str, router: &WantedRouter, node: Node<'_>, down: Option<&String>) -> RouterConfig {
    let rank = router.order.iter().position(|name| name == own);
    let failed = || router.addresses.iter().any(|held| node.failed.contains_key(held));
    let well = router.ill.is_none() && !failed();
    let interfaces: BTreeSet<&String> = router.addresses.iter().map(|it| &it.interface).collect();
    let broken = interfaces.into_iter().find_map(|name| match node.links.get(name) {
        Some(link) if link.running => None,
        Some(_) => Some(is_down(name)),
        None => Some(format!("there is no interface {name}")),
    });
    let outside = || format!("{own} is not among those who carry it");
    RouterConfig {
        name: router.name.clone(),
        priority: priority(rank.unwrap_or(usize::MAX), well),
        addresses: router.addresses.iter().map(told).collect(),
        down: down.cloned().or(broken).or_else(|| rank.is_none().then(outside)),
    }
}

fn is_down(interface: &String) -> String {
    format!("interface {interface} is down")
}

/// As the machine calls it.
pub(super) fn told(held: &HeldAddress) -> Held {
    Held { interface: held.interface.clone(), address: held.address }
}

/// As the agent calls it.
pub(super) fn held(held: Held) -> HeldAddress {
    HeldAddress { interface: held.interface, address: held.address }
}

/// As `02:00:00:00:00:01`.
pub(super) fn mac(text: &str) -> Option<Mac> {
    let mut bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok());
    let mut mac = Mac::default();
    for byte in &mut mac {
        *byte = bytes.next()??;
    }
    bytes.next().is_none().then_some(mac)
}

/// As [`mac`] reads it.
pub(super) fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests;
