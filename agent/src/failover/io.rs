//! Doing what the machines say, at once and in order: packets, frames, addresses.

use super::acquaintances::Acquaintances;
use super::addresses::Addresses;
use super::backlog::{Backlog, Task};
use super::clock::now;
use super::config::{Path, held};
use super::failed::Failed;
use super::links::Links;
use super::neighbors::Neighbors;
use super::socket::VrrpSocket;
use crate::state::HeldAddress;
use lvs_vrrp::packet::{MULTICAST_V4, MULTICAST_V6};
use lvs_vrrp::{Action, Advertisement, Held, Mac, neighbor};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// All that is open.
#[derive(Debug)]
pub(super) struct Io {
    pub(super) links: Links,
    pub(super) addresses: Addresses,
    pub(super) v4: Option<VrrpSocket>,
    pub(super) v6: Option<VrrpSocket>,
    pub(super) neighbors: BTreeMap<u32, Neighbors>,
    pub(super) acquaintances: Acquaintances,
    /// Addresses that do not float: never touched, whatever a machine says of them.
    pub(super) staying: BTreeSet<HeldAddress>,
    /// Addresses that could not be added, and why.
    pub(super) failed: Failed,
    pub(super) backlog: Backlog,
}

/// What became of a round of actions.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The lifetime with which addresses were held, if any were.
    pub(super) lifetime: Option<Option<Duration>>,
    /// Whether advertisements got out, if any were to: why the last one did not.
    pub(super) sent: Option<Result<(), String>>,
    /// Addresses came, went or failed.
    pub(super) moved: bool,
    /// It is over.
    pub(super) stopped: bool,
    /// For the log, which comes after acting.
    pub(super) notes: Vec<(HeldAddress, String)>,
}

impl Io {
    /// Opens what a way needs and is not open yet.
    pub(super) fn open(&mut self, path: &Path) -> io::Result<()> {
        let socket = if path.own.is_ipv6() { &mut self.v6 } else { &mut self.v4 };
        let socket = match socket {
            Some(socket) => socket,
            none => none.insert(VrrpSocket::open(path.own.is_ipv6())?),
        };
        if path.multicast {
            return socket.join(path.interface);
        }
        // Members speak to each other alone; who else uses their ids is heard all the same.
        if let Err(error) = socket.join(path.near) {
            tracing::debug!(interface = path.near, %error, "strangers with our ids are not heard");
        }
        Ok(())
    }

    /// Listens to ARP and neighbour discovery on these interfaces, where there is any, and on no other.
    pub(super) fn listen(&mut self, interfaces: &BTreeSet<u32>) {
        self.neighbors.retain(|index, _| interfaces.contains(index));
        self.acquaintances.keep(interfaces);
        let ethernet = self.links.values().filter(|link| link.mac.is_some());
        for index in ethernet.map(|link| link.index).filter(|index| interfaces.contains(index)) {
            if self.neighbors.contains_key(&index) {
                continue;
            }
            match Neighbors::open(index) {
                Ok(neighbors) => {
                    self.neighbors.insert(index, neighbors);
                }
                Err(error) => {
                    tracing::error!(interface = index, %error, "no socket for ARP: who has a VIP now is not announced");
                }
            }
        }
    }

    /// Whether it is one of this node's interfaces.
    pub(super) fn is_own(&self, mac: Mac) -> bool {
        self.links.values().any(|link| link.mac == Some(mac))
    }

    /// Does what must not wait, notes the rest, and leaves `actions` empty.
    pub(super) fn act(&mut self, path: &Path, actions: &mut Vec<Action>) -> Outcome {
        let mut outcome = Outcome::default();
        for action in actions.drain(..) {
            match action {
                Action::Send(advertisement) => {
                    let sent = self.advertise(path, &advertisement);
                    outcome.sent = Some(sent.map_err(|error| error.to_string()));
                }
                Action::Hold { addresses, lifetime } => {
                    outcome.lifetime = Some(lifetime);
                    self.backlog.push(Task::Hold(lifetime), addresses);
                }
                Action::Release(addresses) => self.release(addresses, &mut outcome),
                Action::Announce(addresses) => self.backlog.push(Task::Announce, addresses),
                Action::Probe(addresses) => self.backlog.push(Task::Probe, addresses),
                Action::Ask => self.ask(path),
                Action::Stopped => outcome.stopped = true,
            }
        }
        outcome
    }

    /// Does one part of what waits.
    pub(super) fn work(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        match self.backlog.next() {
            Some((Task::Hold(lifetime), addresses)) => {
                self.hold(addresses, lifetime, &mut outcome);
            }
            Some((Task::Announce, addresses)) => self.announce(&addresses),
            Some((Task::Probe, addresses)) => self.probe(&addresses),
            None => {}
        }
        outcome
    }

    fn hold(&mut self, addresses: Vec<Held>, lifetime: Option<Duration>, outcome: &mut Outcome) {
        let (before, foreign) = (self.addresses.ours().len(), self.addresses.foreign().len());
        let wanted = addresses.into_iter().map(held).filter(|held| !self.staying.contains(held));
        let wanted: Vec<HeldAddress> = wanted.collect();
        let known = self.failed.all().len();
        outcome.notes = self.put(&wanted, lifetime);
        // One that is well again is to be told of too.
        outcome.moved |= known != self.failed.all().len();
        outcome.moved |= before != self.addresses.ours().len();
        outcome.moved |= foreign != self.addresses.foreign().len();
    }

    /// Adds them. What could not be added, and why, is remembered; what is new of that is returned.
    pub(super) fn put(
        &mut self,
        wanted: &[HeldAddress],
        lifetime: Option<Duration>,
    ) -> Vec<(HeldAddress, String)> {
        let failures = self.addresses.hold(&self.links, wanted, lifetime);
        let told = failures.into_iter().map(|(held, error)| {
            let text = format!("cannot add {} on {}: {error}", held.address, held.interface);
            (held, text)
        });
        let told: BTreeMap<HeldAddress, String> = told.collect();
        for held in wanted.iter().filter(|held| !told.contains_key(*held)) {
            self.failed.remove(held);
        }
        let new = |(held, text): &(HeldAddress, String)| {
            self.failed.add(held.clone(), text.clone(), now())
        };
        told.into_iter().filter(new).collect()
    }

    fn release(&mut self, addresses: Vec<Held>, outcome: &mut Outcome) {
        self.backlog.cancel(&addresses);
        let leaving: Vec<HeldAddress> = addresses.into_iter().map(held).collect();
        let leaving = leaving.iter().filter(|held| !self.staying.contains(*held));
        for (held, error) in self.addresses.release(&self.links, leaving) {
            let text = format!("cannot remove {} from {}: {error}", held.address, held.interface);
            outcome.notes.push((held, text));
        }
        outcome.moved = true;
    }

    /// Succeeds when it got out to somebody.
    fn advertise(&self, path: &Path, advertisement: &Advertisement) -> io::Result<()> {
        let ipv6 = path.own.is_ipv6();
        let socket = if ipv6 { &self.v6 } else { &self.v4 };
        let socket = socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let group = [if ipv6 { MULTICAST_V6 } else { MULTICAST_V4 }];
        let targets: &[IpAddr] = if path.multicast { &group } else { &path.peers };
        let mut result = Ok(());
        let mut out = targets.is_empty();
        for target in targets {
            let bytes = advertisement.encode(path.own, *target);
            match socket.send(&bytes, path.own, *target, path.interface) {
                Ok(()) => out = true,
                Err(error) => result = Err(error),
            }
        }
        if out { Ok(()) } else { result }
    }

    /// Asks for the peers' MAC addresses, and tells them ours: whoever answers for a VIP is then known for one of us.
    pub(super) fn introduce(&self, path: &Path) {
        let link = self.links.iter().find(|(_, link)| link.index == path.near);
        let Some((name, mac)) = link.and_then(|(name, link)| Some((name, link.mac?))) else {
            return;
        };
        let Some(neighbors) = self.neighbors.get(&path.near) else { return };
        let router = path.own.is_ipv6() && is_router(name);
        neighbors.send([neighbor::announcement(path.own, mac, router)]);
        neighbors.send(path.peers.iter().map(|peer| neighbor::probe(*peer, mac)));
    }

    /// Asks for whoever may answer: the other members, and those who were heard here before.
    fn ask(&self, path: &Path) {
        self.introduce(path);
        let link = self.links.values().find(|link| link.index == path.by);
        let Some((neighbors, mac)) = self.neighbors.get(&path.by).zip(link.and_then(|it| it.mac))
        else {
            return;
        };
        let known = self.acquaintances.of(path.by);
        neighbors.send(known.map(|address| neighbor::probe(address, mac)));
    }

    fn announce(&self, addresses: &[Held]) {
        for (name, index, mac, addresses) in self.by_interface(addresses) {
            let opened;
            let neighbors = match self.neighbors.get(&index) {
                Some(listening) => listening,
                // Nothing floats on it.
                None => match Neighbors::open(index) {
                    Ok(new) => {
                        opened = new;
                        &opened
                    }
                    Err(error) => {
                        tracing::warn!(interface = name, %error, "addresses are not announced");
                        continue;
                    }
                },
            };
            // A host that hears from a router that it is none forgets its routes through it: RFC 4861, 7.2.5.
            let ipv6 = addresses.iter().any(IpAddr::is_ipv6);
            let router = ipv6 && is_router(name);
            let frame = |address| neighbor::announcement(address, mac, router);
            neighbors.send(addresses.into_iter().map(frame));
        }
    }

    fn probe(&self, addresses: &[Held]) {
        for (_, index, mac, addresses) in self.by_interface(addresses) {
            let Some(neighbors) = self.neighbors.get(&index) else { continue };
            neighbors.send(addresses.into_iter().map(|address| neighbor::probe(address, mac)));
        }
    }

    fn by_interface<'a>(&self, addresses: &'a [Held]) -> Vec<(&'a str, u32, Mac, Vec<IpAddr>)> {
        let mut by_name: BTreeMap<&str, Vec<IpAddr>> = BTreeMap::new();
        for held in addresses {
            by_name.entry(&held.interface).or_default().push(held.address.addr());
        }
        let known = by_name.into_iter().filter_map(|(name, addresses)| {
            let link = self.links.get(name)?;
            Some((name, link.index, link.mac?, addresses))
        });
        known.collect()
    }
}

/// Whether it forwards IPv6.
fn is_router(interface: &str) -> bool {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/forwarding");
    std::fs::read_to_string(path).is_ok_and(|value| value.trim() != "0")
}
