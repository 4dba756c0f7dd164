//! What directors' actions do to the link.

use super::{Bug, JITTER, Link};
use crate::director::{Item, mac, own};
use lvs_vrrp::{Action, Held};
use std::time::Duration;

impl Link {
    pub(super) fn act(&mut self, number: usize, actions: &mut Vec<Action>) {
        for action in actions.drain(..) {
            if self.trace && (!matches!(action, Action::Send(_))) {
                self.say(|| format!("node{number} {action:?}"));
            }
            match action {
                Action::Send(advertisement) => self.advertise(number, &advertisement),
                Action::Hold { addresses, lifetime } => self.hold(number, addresses, lifetime),
                Action::Release(addresses) if self.bug != Some(Bug::NoRelease) => {
                    self.fade = None;
                    let kernel = &mut self.directors[number].kernel;
                    kernel.retain(|held, _| !addresses.contains(held));
                    self.changed = true;
                }
                Action::Announce(addresses) if self.bug != Some(Bug::NoAnnouncement) => {
                    self.announce(number, &addresses);
                }
                Action::Probe(addresses) => self.probe(number, &addresses),
                Action::Ask if self.forwards(number) => {
                    self.deliver(number, number, Item::Frame);
                }
                Action::Stopped => {
                    self.say(|| format!("node{number} has stopped"));
                    let director = &mut self.directors[number];
                    director.group = None;
                    director.stopping = None;
                    self.changed = true;
                    return;
                }
                Action::Release(_) | Action::Announce(_) | Action::Ask => {}
            }
        }
        let jitter = self.chance.up_to(JITTER);
        let director = &mut self.directors[number];
        if let Some(group) = &director.group {
            director.wake = group.deadline().max(self.now) + jitter;
        }
    }

    fn advertise(&mut self, number: usize, advertisement: &lvs_vrrp::Advertisement) {
        for to in 0..self.directors.len() {
            let member = self.directors[number].view.members.contains(&to);
            if to == number || !member || !self.reach(number, to) {
                continue;
            }
            let (from, destination) = (own(number), own(to));
            let bytes = advertisement.encode(from, destination);
            self.deliver(number, to, Item::Packet { from, to: destination, bytes });
        }
    }

    fn hold(&mut self, number: usize, addresses: Vec<Held>, lifetime: Option<Duration>) {
        let (now, bug) = (self.now, self.bug);
        let blocked = self.directors[number].blocked > now;
        self.fade = None;
        let kernel = &mut self.directors[number].kernel;
        for held in addresses {
            let there = kernel.contains_key(&held);
            self.changed |= !there;
            if blocked && !there {
                self.wrong = Some(format!("node{number} takes {held:?} and hears nobody"));
            }
            match bug {
                Some(Bug::NoRenewal) if there => {}
                Some(Bug::NoLifetime) => drop(kernel.insert(held, None)),
                _ => drop(kernel.insert(held, lifetime.map(|lifetime| now + lifetime))),
            }
        }
    }

    fn announce(&mut self, number: usize, addresses: &[Held]) {
        for held in addresses {
            let address = held.address.addr();
            if self.forwards(number) && self.parts[number] == 0 {
                self.cache.insert(address, mac(number));
            }
            self.tell_all(number, |from| Item::Neighbor { address, mac: mac(from) });
        }
    }

    /// Kernels answer, whether their agents run or not.
    fn probe(&mut self, number: usize, addresses: &[Held]) {
        for held in addresses {
            for other in 0..self.directors.len() {
                let has = self.directors[other].holds(held);
                if other != number && has && self.reach(number, other) {
                    let item = Item::Neighbor { address: held.address.addr(), mac: mac(other) };
                    self.deliver(other, number, item);
                }
            }
        }
    }
}
