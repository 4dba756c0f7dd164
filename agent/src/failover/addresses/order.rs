//! The order of a subnet's IPv4 addresses: the kernel takes the first as the source of the node's own packets
//! (`inet_select_addr` in net/ipv4/devinet.c), and that is whichever came first. A VIP that was there before the node's own
//! address (DHCP, a manager of networks) is put behind it.

use super::message::{limited, named};
use super::{Addresses, Failures, Links, names};
use crate::kernel::address;
use crate::state::HeldAddress;
use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The IPv4 addresses that share a subnet on their interface, in the kernel's order.
#[derive(Debug, Default)]
pub(super) struct Order(Vec<HeldAddress>);

impl Order {
    /// Of a listing, which has each subnet's first address before the others.
    pub(super) fn of(messages: &[AddressMessage], names: &BTreeMap<u32, &String>) -> Self {
        let shares = |held: &HeldAddress| subnet(held).is_some();
        let all = messages.iter().filter_map(|message| named(message, names));
        Self(all.filter(shares).collect())
    }

    /// VIPs that stand before the first other address of their subnet, in the kernel's order. Where there is no other, one of
    /// them has to be the first.
    pub(super) fn misplaced(&self, is_vip: impl Fn(&HeldAddress) -> bool) -> Vec<HeldAddress> {
        let (mut before, mut misplaced) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
        let mut settled = BTreeSet::new();
        for held in &self.0 {
            let key = (&held.interface, subnet(held));
            if settled.contains(&key) {
                continue;
            }
            if is_vip(held) {
                before.entry(key).or_default().push(held.clone());
            } else {
                misplaced.extend(before.remove(&key).unwrap_or_default());
                settled.insert(key);
            }
        }
        misplaced
    }
}

/// `None`: it has none to share.
fn subnet(held: &HeldAddress) -> Option<IpNet> {
    let address = held.address;
    let shares = address.addr().is_ipv4() && address.prefix_len() < address.max_prefix_len();
    shares.then(|| address.trunc())
}

/// Whether two addresses are in one subnet of an interface.
pub(in crate::failover) fn is_beside(one: &HeldAddress, other: &HeldAddress) -> bool {
    one.interface == other.interface && subnet(one).is_some() && subnet(one) == subnet(other)
}

impl Addresses {
    /// Those of ours, and of those that stay, that are the source of the node's packets although it has an address of its own in
    /// their subnet; as last listed.
    pub(in crate::failover) fn misplaced(
        &self,
        staying: &BTreeSet<HeldAddress>,
    ) -> Vec<HeldAddress> {
        self.order.misplaced(|held| {
            self.ours.contains_key(held) || self.foreign.contains(held) || staying.contains(held)
        })
    }

    /// Takes these away and adds them again, for as long as `lifetime` says, all in one send, so that they are
    /// away for no longer than the kernel takes for it.
    /// Only where the kernel promotes the next address of a subnet when the first goes: else it would delete that one too.
    pub(in crate::failover) fn put_behind(
        &mut self,
        links: &Links,
        misplaced: &[HeldAddress],
        lifetime: impl Fn(&HeldAddress) -> Option<Duration>,
    ) -> Failures {
        let mut failures = Failures::new();
        let movable =
            |held: &&HeldAddress| promotes(&held.interface) && !self.foreign.contains(*held);
        let moving: Vec<&HeldAddress> = misplaced.iter().filter(movable).collect();
        if moving.is_empty() {
            return failures;
        }
        let beside = match self.list() {
            Ok(all) => {
                let names = names(links);
                let moves = |message: &AddressMessage| {
                    named(message, &names).is_some_and(|held| moving.contains(&&held))
                };
                all.into_iter().filter(|message| !moves(message)).collect::<Vec<_>>()
            }
            Err(error) => {
                tracing::warn!(%error, "addresses cannot be listed");
                return failures;
            }
        };
        let (mut requests, mut about) = (Vec::new(), Vec::new());
        // The first one last: whatever is promoted then is none of these.
        for held in moving.iter().rev() {
            let Some(link) = links.get(&held.interface) else { continue };
            requests.push((RouteNetlinkMessage::DelAddress(address::removal(held, link.index)), 0));
            about.push(*held);
        }
        for held in &moving {
            let Some(link) = links.get(&held.interface) else { continue };
            let message = limited(address::addition(held, link.index, &beside), lifetime(held));
            requests.push((RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL));
            about.push(*held);
        }
        for (held, result) in about.into_iter().zip(self.route.change(requests)) {
            if let Err(error) = result {
                failures.push((held.clone(), error));
            }
        }
        failures
    }
}

/// As the kernel takes it (`IN_DEV_PROMOTE_SECONDARIES`).
fn promotes(interface: &str) -> bool {
    ["all", interface].iter().any(|name| {
        let path = format!("/proc/sys/net/ipv4/conf/{name}/promote_secondaries");
        std::fs::read_to_string(path).is_ok_and(|value| value.trim() != "0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(text: &str) -> HeldAddress {
        let (interface, address) = text.split_once(' ').unwrap();
        HeldAddress { interface: interface.to_owned(), address: address.parse().unwrap() }
    }

    #[test]
    fn vips_before_the_nodes_own_address_are_misplaced_and_no_others() {
        let vips = |held: &HeldAddress| held.address.addr().to_string().starts_with("10.0.0.1");
        for (standing, misplaced) in [
            (vec!["eth0 10.0.0.2/24", "eth0 10.0.0.10/24"], vec![]),
            (vec!["eth0 10.0.0.10/24", "eth0 10.0.0.2/24"], vec!["eth0 10.0.0.10/24"]),
            (
                vec![
                    "eth0 10.0.0.10/24",
                    "eth0 10.0.0.11/24",
                    "eth0 10.0.0.2/24",
                    "eth0 10.0.0.12/24",
                ],
                vec!["eth0 10.0.0.10/24", "eth0 10.0.0.11/24"],
            ),
            // Another interface, another prefix length, nothing to share.
            (vec!["eth0 10.0.0.10/24", "eth1 10.0.0.2/24"], vec![]),
            (vec!["eth0 10.0.0.10/24", "eth0 10.0.0.2/25"], vec![]),
            (vec!["eth0 10.0.0.10/32", "eth0 10.0.0.2/32"], vec![]),
            (vec!["eth0 10.0.0.10/24", "eth0 10.0.0.11/24"], vec![]),
        ] {
            let order = Order(
                standing.iter().map(|text| held(text)).filter(|it| subnet(it).is_some()).collect(),
            );
            let wanted: Vec<_> = misplaced.into_iter().map(held).collect();
            assert_eq!(order.misplaced(vips), wanted, "{standing:?}");
        }
    }
}
