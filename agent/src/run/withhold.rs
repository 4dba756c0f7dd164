//! What must wait for something else, since it would do harm without it. The waiting is a fault of its own, tried
//! again as soon as what it waits for is well.

use crate::plan::{ARP_ANNOUNCE, ARP_IGNORE, LOOPBACK};
use crate::state::{Fixture, HeldAddress, Made, NodeState, Op, Packets};
use lvs_ipvs::{Family, ServiceKey};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The reason of such a fault.
pub(super) const WITHHELD: &str = "Withheld";

/// What has failed so far, this time or earlier.
#[derive(Debug, Default)]
pub(super) struct Withhold {
    /// VIPs for which services are wanted, none of which stands: this node itself would answer the clients.
    unserved: BTreeSet<IpAddr>,
    /// Packets without their mark, or without the service of that mark: delivered here, they would end here.
    unmarked: BTreeSet<Packets>,
    /// An ARP sysctl is not as it must be: this node would answer ARP for a VIP on `lo`.
    loud: bool,
    /// A VIP is on `lo` still.
    left: bool,
}

impl Withhold {
    pub(super) fn new<'a>(failed: impl Iterator<Item = &'a Made>, wanted: &NodeState) -> Self {
        let mut services: BTreeSet<&ServiceKey> = BTreeSet::new();
        let mut fixtures: BTreeSet<&Fixture> = BTreeSet::new();
        let mut withhold = Self::default();
        for made in failed {
            match made {
                Made::Service(key) => {
                    services.insert(key);
                }
                Made::Sysctl(path) => withhold.loud |= silences(path),
                Made::Address(held) => {
                    withhold.left |= is_quiet(held) && !wanted.addresses.contains(held);
                }
                Made::Fixture(fixture) => {
                    fixtures.insert(fixture);
                }
            }
        }
        if !services.is_empty() || !fixtures.is_empty() {
            let (mut served, mut unserved) = (BTreeSet::new(), BTreeSet::new());
            for key in wanted.services.keys() {
                if let ServiceKey::Address { address, .. } = key {
                    let of = if services.contains(key) { &mut unserved } else { &mut served };
                    of.insert(*address);
                }
            }
            for fixture in &wanted.fixtures {
                let Fixture::Mark { packets, mark } = fixture else { continue };
                let address = packets.destination.addr();
                let key = ServiceKey::mark(Family::of(&address), *mark);
                let failed = fixtures.contains(fixture) || services.contains(&key);
                if failed {
                    withhold.unmarked.insert(*packets);
                }
                if packets.destination.prefix_len() == packets.destination.max_prefix_len() {
                    let of = if failed { &mut unserved } else { &mut served };
                    of.insert(address);
                }
            }
            withhold.unserved = unserved.difference(&served).copied().collect();
        }
        withhold
    }

    /// What an operation waits for, if it must wait.
    pub(super) fn reason(&self, op: &Op) -> Option<&'static str> {
        match op {
            Op::AddAddress(held) if is_quiet(held) => {
                self.loud.then_some("withheld until arp_ignore and arp_announce are set")
            }
            Op::AddAddress(held) => self
                .unserved
                .contains(&held.address.addr())
                .then_some("withheld until one of its services stands"),
            Op::AddFixture(Fixture::LocalDelivery { packets }) => self
                .unmarked
                .contains(packets)
                .then_some("withheld until its mark is set and the mark's service stands"),
            Op::RestoreSysctl { path } if silences(path) => {
                self.left.then_some("withheld until the last VIP is off lo")
            }
            _ => None,
        }
    }
}

fn silences(path: &str) -> bool {
    path == ARP_IGNORE || path == ARP_ANNOUNCE
}

/// Whether nobody may answer ARP for it.
fn is_quiet(held: &HeldAddress) -> bool {
    held.interface == LOOPBACK && held.address.addr().is_ipv4()
}
