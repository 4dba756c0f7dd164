//! Addresses of a batch.

use super::Batch;
use crate::journal::{Change, Entry};
use crate::kernel::ports::{Direction, Ports, again};
use crate::kernel::{Done, KernelError};
use crate::state::{HeldAddress, Made, Op};
use ipnet::IpNet;
use lvs_ipvs::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

impl<P: Ports> Batch<'_, P> {
    /// An address that stands already and is not in the journal is somebody else's.
    pub(super) fn prepare_addresses(&mut self, entries: &mut Vec<(usize, Entry)>) {
        let standing = match &self.standing {
            Ok(standing) => standing.iter().map(|address| address.held.clone()).collect(),
            Err(_) => BTreeSet::new(),
        };
        for (index, op) in self.ops.iter().enumerate() {
            let (direction, held) = match op {
                Op::AddAddress(held) => (Direction::Add, held),
                Op::DelAddress(held) => (Direction::Remove, held),
                _ => continue,
            };
            let made = Made::Address(held.clone());
            let ours = self.is_ours(&made);
            if direction == Direction::Remove && !ours {
                self.settle(index, Err(KernelError::ForeignAddress { address: held.clone() }));
            } else if let Err(error) = &self.standing {
                let operation = "list the addresses";
                let error = KernelError::Route { operation, source: again(error) };
                self.settle(index, Err(error));
            } else {
                match (direction, standing.contains(held)) {
                    (Direction::Add, false) => {
                        entries.push((index, Entry::Address(held.clone())));
                    }
                    (Direction::Add, true) if ours => self.settle(index, Ok(Done::Changed)),
                    (Direction::Add, true) => self.settle(index, Ok(Done::Foreign)),
                    (Direction::Remove, true) => {}
                    (Direction::Remove, false) => {
                        self.gone.push(made);
                        self.settle(index, Ok(Done::Changed));
                    }
                }
            }
        }
    }

    pub(super) fn add_addresses(&mut self, open: &[usize]) {
        let (indices, addresses) = self.held(open);
        let results = self.ports.change(Direction::Add, &addresses);
        for ((index, held), result) in indices.into_iter().zip(addresses).zip(results) {
            let made = Made::Address(held.clone());
            match result {
                Ok(()) => self.settle(index, Ok(Done::Changed)),
                // IPv6 knows one prefix length each.
                Err(error) if is(&error, Errno::EEXIST) && self.stands_otherwise(&held) => {
                    self.unmade(made);
                    self.settle(index, Err(refused(Direction::Add, held, error)));
                }
                Err(error) if is(&error, Errno::EEXIST) => {
                    let fresh = self.fresh.contains(&made);
                    self.unmade(made);
                    // It came since we looked.
                    let done = if fresh { Done::Foreign } else { Done::Changed };
                    self.settle(index, Ok(done));
                }
                Err(error) => {
                    // Without an answer it may be there.
                    if error.raw_os_error().is_some() {
                        self.unmade(made);
                    }
                    self.settle(index, Err(refused(Direction::Add, held, error)));
                }
            }
        }
    }

    /// Whether the address is on its interface with another prefix length.
    fn stands_otherwise(&self, held: &HeldAddress) -> bool {
        let same = |one: &HeldAddress| {
            one.interface == held.interface && one.address.addr() == held.address.addr()
        };
        self.standing.iter().flatten().any(|one| same(&one.held) && one.held != *held)
    }

    pub(super) fn remove_addresses(&mut self, open: &[usize]) {
        let (indices, addresses) = self.held(open);
        let mut removed = Vec::new();
        let promoted = self.promote(&addresses);
        for (index, held) in indices.into_iter().zip(addresses) {
            match promoted.get(&held.interface) {
                Some(Promotion::Refused(error)) => {
                    let path = promote_path(&held.interface);
                    let error =
                        KernelError::Sysctl { operation: "set", path, source: again(error) };
                    self.settle(index, Err(error));
                }
                Some(Promotion::Set) | None => removed.push((index, held)),
            }
        }
        let addresses: Vec<HeldAddress> = removed.iter().map(|(_, held)| held.clone()).collect();
        let results = self.ports.change(Direction::Remove, &addresses);
        for ((index, held), result) in removed.into_iter().zip(results) {
            match result {
                Err(error) if !is(&error, Errno::EADDRNOTAVAIL) && !is(&error, Errno::ENODEV) => {
                    self.settle(index, Err(refused(Direction::Remove, held, error)));
                }
                // Gone, by us or by somebody else.
                _ => {
                    self.gone.push(Made::Address(held));
                    self.settle(index, Ok(Done::Changed));
                }
            }
        }
        let set = promoted.into_iter().filter(|(_, state)| matches!(state, Promotion::Set));
        for (interface, _) in set {
            self.demote(&interface);
        }
    }

    /// The kernel deletes all other addresses of a subnet together with the first, others' too, unless it is told to
    /// promote the next (`__inet_del_ifa` in net/ipv4/devinet.c). It is told so for the moment, where need be.
    fn promote(&mut self, leaving: &[HeldAddress]) -> BTreeMap<String, Promotion> {
        let mut interfaces = BTreeSet::new();
        if let Ok(standing) = &self.standing {
            for first in standing.iter().filter(|one| !one.secondary && leaving.contains(&one.held))
            {
                let takes_along = standing.iter().any(|other| {
                    other.secondary
                        && other.held.interface == first.held.interface
                        && is_same_subnet(&other.held.address, &first.held.address)
                });
                if takes_along {
                    interfaces.insert(first.held.interface.clone());
                }
            }
        }
        let mut promotions = BTreeMap::new();
        for interface in interfaces {
            let is_on = |value: io::Result<String>| value.is_ok_and(|value| value != "0");
            let path = promote_path(&interface);
            // The kernel takes either (IN_DEV_PROMOTE_SECONDARIES).
            if is_on(self.ports.read_sysctl(&promote_path("all")))
                || is_on(self.ports.read_sysctl(&path))
            {
                continue;
            }
            let change = Change { previous: "0".to_owned(), given: "1".to_owned() };
            let entry = Entry::Sysctl { path: path.clone(), change };
            let set = self
                .journal
                .record(&[entry])
                .map_err(|error| io::Error::other(error.to_string()))
                .and_then(|()| self.ports.write_sysctl(&path, "1"));
            let promotion = match set {
                Ok(()) => Promotion::Set,
                Err(error) => {
                    self.gone.push(Made::Sysctl(path));
                    Promotion::Refused(error)
                }
            };
            promotions.insert(interface, promotion);
        }
        promotions
    }

    fn demote(&mut self, interface: &str) {
        let path = promote_path(interface);
        match self.ports.write_sysctl(&path, "0") {
            Ok(()) => self.gone.push(Made::Sysctl(path)),
            // It stays in the journal, and is put back with the rest that is no longer wanted.
            Err(error) => tracing::warn!(%path, %error, "the sysctl could not be put back to 0"),
        }
    }

    fn held(&self, open: &[usize]) -> (Vec<usize>, Vec<HeldAddress>) {
        open.iter()
            .filter_map(|&index| match self.ops.get(index) {
                Some(Op::AddAddress(held) | Op::DelAddress(held)) => Some((index, held.clone())),
                _ => None,
            })
            .unzip()
    }
}

enum Promotion {
    Set,
    Refused(io::Error),
}

fn promote_path(interface: &str) -> String {
    format!("net/ipv4/conf/{interface}/promote_secondaries")
}

fn is_same_subnet(one: &IpNet, other: &IpNet) -> bool {
    one.prefix_len() == other.prefix_len() && one.trunc() == other.trunc()
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.0)
}

fn refused(direction: Direction, address: HeldAddress, error: io::Error) -> KernelError {
    let operation = direction.verb();
    match error.raw_os_error().map(Errno) {
        Some(Errno::ENODEV) => KernelError::NoSuchInterface { operation, address },
        Some(errno) => KernelError::Address { operation, address, errno },
        None => KernelError::Route { operation: "change an address", source: error },
    }
}
