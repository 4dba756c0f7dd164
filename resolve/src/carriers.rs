//! Who of several directors carries what, by their reports.

use crate::spread::{Floating, Spread};
use crate::{Key, Snapshot};
use lvs_crds::{
    CarriedRouter, DirectorGroup, DirectorRole, Forwarding, VirtualRouter, VirtualServiceSlice,
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

/// Who carries a virtual router of a DirectorGroup, by the directors' reports.
pub fn carrier_of(group: &str, id: i32, snapshot: &Snapshot) -> Option<String> {
    let spread = Spread::new(snapshot.director_group(group)?)?;
    let router = spread.routers().iter().find(|router| router.id == id)?;
    carrier(group, &spread, router, snapshot).map(str::to_owned)
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

/// Who carries a virtual router, by the directors' reports. One that died says so no more than that it carries it: of two
/// that say they do, whose report is the newer counts, and none that has been silent for long.
pub(crate) fn carrier<'a>(
    group: &str,
    spread: &Spread<'a>,
    router: &VirtualRouter,
    snapshot: &Snapshot,
) -> Option<&'a str> {
    let claims = spread.order(router).into_iter().rev().filter(|node| {
        let carried = carried(group, router.id, node, snapshot);
        carried.is_some_and(|carried| carried.role == DirectorRole::Active)
    });
    claims.max_by_key(|node| {
        let report = snapshot.lvs_node(node).and_then(|n| n.status.as_ref());
        (!snapshot.is_silent(node), report.and_then(|report| report.report_time.clone()))
    })
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
