//! Who of several directors carries what, by their reports.

use crate::place::version;
use crate::spread::{Floating, Spread};
use crate::{Key, Snapshot, reason};
use lvs_crds::{
    CarriedRouter, DEGRADED, DirectorGroup, DirectorRole, Forwarding, VirtualRouter,
    VirtualServiceSlice,
};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The VirtualServices of a DirectorGroup with a VIP that floats with one of these virtual routers.
pub fn services_floating_with(group: &str, ids: &BTreeSet<i32>, snapshot: &Snapshot) -> Vec<Key> {
    let Some(object) = snapshot.director_group(group) else { return Vec::new() };
    let Some(spread) = Spread::new(object) else { return Vec::new() };
    let floats = |key: &&Key| {
        let Some(vs) = snapshot.virtual_service(key) else { return false };
        let slice = snapshot.slices_of(key).next().map(|(_, slice)| &**slice);
        let vips: Vec<IpAddr> = match slice {
            Some(slice) => vips(slice).collect(),
            None => vs.spec.addresses.iter().filter_map(|a| a.parse().ok()).collect(),
        };
        let floating = floating(&vips, object, snapshot).into_iter();
        let mut routers = floating.filter_map(|floating| spread.router_of(floating));
        routers.any(|router| ids.contains(&router.id))
    };
    snapshot.services_of_group(group).filter(floats).cloned().collect()
}

/// Who carries a virtual router of a DirectorGroup, by the directors' reports: more than one where they say so for longer
/// than any move takes.
pub fn carriers_of(group: &str, id: i32, snapshot: &Snapshot) -> Vec<String> {
    let spread = snapshot.director_group(group).and_then(|group| Spread::new(group));
    let Some(spread) = spread else { return Vec::new() };
    let Some(router) = spread.routers().iter().find(|router| router.id == id) else {
        return Vec::new();
    };
    carriers(group, &spread, router, snapshot).into_iter().map(str::to_owned).collect()
}

/// What VIPs float with, in their order. Where a VirtualService has no VIP, what it balances comes in by the gateways.
pub(crate) fn floating(
    vips: &[IpAddr],
    group: &DirectorGroup,
    snapshot: &Snapshot,
) -> Vec<Floating> {
    let gateways = !group.spec.nat_gateways.is_empty();
    if vips.is_empty() {
        return if gateways { vec![Floating::NatGateway] } else { Vec::new() };
    }
    let with = |vip: &IpAddr| match gateways && answers_by_gateway(*vip, snapshot) {
        true => Floating::NatGateway,
        false => Floating::Vip(*vip),
    };
    vips.iter().map(with).collect()
}

/// Whether a real server of any service at the VIP answers through the NAT gateways.
fn answers_by_gateway(vip: IpAddr, snapshot: &Snapshot) -> bool {
    let owners: BTreeSet<&Key> = snapshot.holders_of_address(vip).collect();
    let mut slices = owners.into_iter().flat_map(|owner| snapshot.slices_of(owner));
    slices.any(|(_, slice)| {
        let servers = &slice.spec.real_servers;
        !slice.spec.masquerade && servers.iter().any(|r| r.forwarding == Forwarding::NAT)
    })
}

fn vips(slice: &VirtualServiceSlice) -> impl Iterator<Item = IpAddr> {
    let services = slice.spec.services.iter();
    let texts = services.flat_map(|service| match &service.firewall_mark {
        Some(mark) => mark.addresses.as_slice(),
        None => std::slice::from_ref(&service.address),
    });
    texts.filter_map(|text| text.parse().ok())
}

/// Who carries a virtual router, by the directors' reports. One that died says no more than that it carries it, and what its
/// clock said says nothing. Of several that say so the last one to begin counts, with those that have repeated it since; where
/// it has not repeated it itself though it is time to, they count alone. None that has been silent for long counts beside one
/// that has not.
pub(crate) fn carriers<'a>(
    group: &str,
    spread: &Spread<'a>,
    router: &VirtualRouter,
    snapshot: &Snapshot,
) -> Vec<&'a str> {
    let mut claims: Vec<&str> = spread.order(router);
    claims.retain(|node| {
        let carried = carried(group, router.id, node, snapshot);
        carried.is_some_and(|carried| carried.role == DirectorRole::Active)
    });
    if claims.iter().any(|node| !snapshot.is_silent(node)) {
        claims.retain(|node| !snapshot.is_silent(node));
    }
    if claims.len() < 2 {
        return claims;
    }
    let key = (group.to_owned(), router.id);
    let standing = |node: &str| snapshot.testimony().standing(&key, node);
    // In the order in which they are written; that holds across objects, and for reports that were there before anybody listened.
    let written = |node: &str| {
        let report = snapshot.lvs_node(node);
        report.map(|report| version(&report.metadata)).unwrap_or_default()
    };
    let newest = claims.iter().rev().max_by_key(|node| (standing(node).since, written(node)));
    let Some(newest) = newest.copied() else { return claims };
    let last = standing(newest);
    let was_split = is_split(group, snapshot);
    let lives = |node: &&str| {
        let standing = standing(node);
        standing.outlives(&last) || (was_split && standing.found)
    };
    let living: Vec<&str> = claims.into_iter().filter(lives).collect();
    match living.as_slice() {
        [] => vec![newest],
        [one] if !standing(one).leaves_overdue(&last) => vec![newest],
        _ => living,
    }
}

/// Whether the group's status says that several carry the same: who has only begun to listen believes it.
fn is_split(group: &str, snapshot: &Snapshot) -> bool {
    let status = snapshot.director_group(group).and_then(|group| group.status.as_ref());
    let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
    conditions.any(|it| it.type_ == DEGRADED && it.reason == reason::SPLIT_BRAIN)
}

/// What a director reports of a virtual router.
pub(crate) fn carried<'a>(
    group: &str,
    id: i32,
    node: &str,
    snapshot: &'a Snapshot,
) -> Option<&'a CarriedRouter> {
    let report = snapshot.lvs_node(node)?.status.as_ref()?;
    report.virtual_routers.iter().find(|router| router.group == group && router.id == id)
}
