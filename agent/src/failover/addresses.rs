//! Addresses that move: added with a lifetime, renewed, taken away.
//!
//! The kernel removes an address whose lifetime is over by itself (`check_lifetime` in net/ipv4/devinet.c,
//! `addrconf_verify_rtnl` in net/ipv6/addrconf.c). A renewal sets times and flags of the entry that stands; routes,
//! connections and neighbours' caches do not notice.

mod message;
mod order;

use super::links::Links;
use crate::kernel::address;
use crate::kernel::netlink::Rtnetlink;
use crate::state::HeldAddress;
use lvs_ipvs::Errno;
use lvs_vrrp::Found;
use message::{is_finite, landscape, limited, named};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressHeaderFlags, AddressMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use order::Order;
pub(super) use order::is_beside;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// What did not work, by address.
pub(super) type Failures = Vec<(HeldAddress, io::Error)>;

/// The addresses that this node carries for its groups.
#[derive(Debug)]
pub(super) struct Addresses {
    route: Rtnetlink,
    /// Made or adopted by us, and standing; whether with a lifetime.
    ours: BTreeMap<HeldAddress, bool>,
    /// Of ours, what stood with a lifetime when we began, and was taken away then.
    ended: BTreeSet<HeldAddress>,
    /// To be held, but there already: somebody else's, who may do with it as he likes.
    foreign: BTreeSet<HeldAddress>,
    /// As last listed, and of these only what the scope of a new one depends on.
    landscape: Vec<AddressMessage>,
    /// All of this node's, with their interfaces, as last listed.
    own: BTreeMap<IpAddr, String>,
    /// As last listed.
    order: Order,
}

impl Addresses {
    /// A socket of the calling thread's network namespace, and its interfaces. `ours` are those that the journal names.
    ///
    /// Of these, those that stand with a lifetime are taken away, before anything else: whoever made them has been away,
    /// and somebody else may have them by now. The others are ours until somebody says otherwise.
    pub(super) fn open(ours: &BTreeSet<HeldAddress>) -> io::Result<(Self, Links)> {
        let mut addresses = Self {
            route: Rtnetlink::open()?,
            ours: BTreeMap::new(),
            ended: BTreeSet::new(),
            foreign: BTreeSet::new(),
            landscape: Vec::new(),
            own: BTreeMap::new(),
            order: Order::default(),
        };
        let links = addresses.links()?;
        let standing = addresses.refresh(&links)?;
        let of_ours = |finite: bool| {
            let is = |held: &&HeldAddress| standing.get(*held) == Some(&finite);
            ours.iter().filter(is).cloned().collect::<BTreeSet<_>>()
        };
        addresses.adopt(of_ours(false));
        let ended = of_ours(true);
        for (held, error) in addresses.release(&links, &ended) {
            tracing::error!(address = %held.address, interface = held.interface, %error, "a stale address cannot be taken away");
        }
        addresses.ended = ended;
        Ok((addresses, links))
    }

    /// Interfaces as they are.
    pub(super) fn links(&mut self) -> io::Result<Links> {
        super::links::list(&mut self.route)
    }

    /// Requests sent so far.
    pub(super) fn requests(&self) -> u64 {
        self.route.sent()
    }

    /// Made or adopted by us, and standing.
    pub(super) fn ours(&self) -> &BTreeMap<HeldAddress, bool> {
        &self.ours
    }

    /// What a machine that begins is to know of an address; that it has just ended, once.
    pub(super) fn found(&mut self, held: &HeldAddress) -> Option<Found> {
        let ended = self.ended.remove(held);
        let stays = self.ours.contains_key(held).then_some(Found::Stays);
        stays.or(ended.then_some(Found::Ended))
    }

    /// Somebody else's that serve.
    pub(super) fn foreign(&self) -> &BTreeSet<HeldAddress> {
        &self.foreign
    }

    /// The node's own addresses and where they are, as last listed.
    pub(super) fn own(&self) -> &BTreeMap<IpAddr, String> {
        &self.own
    }

    /// Looks at all addresses; those that stand, and whether their lifetime is finite.
    pub(super) fn refresh(&mut self, links: &Links) -> io::Result<BTreeMap<HeldAddress, bool>> {
        let messages = self.list()?;
        let names = names(links);
        let mut standing = BTreeMap::new();
        self.own.clear();
        for message in &messages {
            let Some(held) = named(message, &names) else { continue };
            self.own.insert(held.address.addr(), held.interface.clone());
            standing.insert(held, is_finite(message));
        }
        self.ours.retain(|held, _| standing.contains_key(held));
        self.foreign.retain(|held| standing.contains_key(held));
        self.order = Order::of(&messages, &names);
        self.landscape = landscape(messages);
        Ok(standing)
    }

    /// Makes addresses stand for `lifetime` from now, for ever where it is `None`; those of ours that stand are renewed.
    pub(super) fn hold<'a>(
        &mut self,
        links: &Links,
        addresses: impl IntoIterator<Item = &'a HeldAddress>,
        lifetime: Option<Duration>,
    ) -> Failures {
        let mut failures = Failures::new();
        let wanted: Vec<&HeldAddress> =
            addresses.into_iter().filter(|held| !self.foreign.contains(*held)).collect();
        let refused = self.put(links, wanted, lifetime, &mut failures);
        if refused.is_empty() {
            return failures;
        }
        // Their subnet has got an address with another scope since it was looked at.
        if let Err(error) = self.refresh(links) {
            tracing::warn!(%error, "addresses cannot be listed");
        }
        let again = self.put(links, refused.iter().collect(), lifetime, &mut failures);
        let einval = || io::Error::from_raw_os_error(nix::libc::EINVAL);
        failures.extend(again.into_iter().map(|held| (held, einval())));
        failures
    }

    /// Those that the kernel called invalid.
    fn put(
        &mut self,
        links: &Links,
        addresses: Vec<&HeldAddress>,
        lifetime: Option<Duration>,
        failures: &mut Failures,
    ) -> Vec<HeldAddress> {
        let mut requests = Vec::with_capacity(addresses.len());
        let mut asked = Vec::with_capacity(addresses.len());
        for held in addresses {
            let Some(link) = links.get(&held.interface) else {
                failures.push((held.clone(), io::Error::from_raw_os_error(Errno::ENODEV.0)));
                continue;
            };
            let message = address::addition(held, link.index, &self.landscape);
            let known = self.ours.contains_key(held);
            let flags = if known { NLM_F_REPLACE } else { NLM_F_EXCL };
            requests.push((
                RouteNetlinkMessage::NewAddress(limited(message, lifetime)),
                NLM_F_CREATE | flags,
            ));
            asked.push((held, known));
        }
        let results = self.route.change(requests);
        let mut invalid = Vec::new();
        for ((held, known), result) in asked.into_iter().zip(results) {
            match result {
                Ok(()) => {
                    self.ours.insert(held.clone(), lifetime.is_some());
                    if !known {
                        self.own.insert(held.address.addr(), held.interface.clone());
                    }
                }
                Err(error) if is(&error, Errno::EEXIST) && !known => {
                    self.foreign.insert(held.clone());
                }
                Err(error) if error.raw_os_error() == Some(nix::libc::EINVAL) => {
                    invalid.push(held.clone());
                }
                Err(error) => failures.push((held.clone(), error)),
            }
        }
        invalid
    }

    /// Takes addresses of ours away; others' are left.
    pub(super) fn release<'a>(
        &mut self,
        links: &Links,
        addresses: impl IntoIterator<Item = &'a HeldAddress>,
    ) -> Failures {
        let mut requests = Vec::new();
        let mut leaving = Vec::new();
        for held in addresses {
            if self.foreign.remove(held) {
                continue;
            }
            self.ours.remove(held);
            self.own.remove(&held.address.addr());
            // With their interface they are gone.
            let Some(link) = links.get(&held.interface) else { continue };
            let message = address::removal(held, link.index);
            requests.push((RouteNetlinkMessage::DelAddress(message), 0));
            leaving.push(held);
        }
        let shared = leaving.iter().any(|held| {
            held.address.addr().is_ipv4()
                && held.address.prefix_len() < held.address.max_prefix_len()
        });
        let before = if shared { self.list().unwrap_or_default() } else { Vec::new() };
        let results = self.route.change(requests);
        self.restore(before, links, &leaving);
        let failed = leaving.into_iter().zip(results).filter_map(|(held, result)| match result {
            Err(error) if !is(&error, Errno::EADDRNOTAVAIL) && !is(&error, Errno::ENODEV) => {
                Some((held.clone(), error))
            }
            _ => None,
        });
        failed.collect()
    }

    /// The kernel deletes all other addresses of a subnet together with the first, others' too, where it is not told to
    /// promote the next (`__inet_del_ifa` in net/ipv4/devinet.c): they come back as they were.
    fn restore(&mut self, before: Vec<AddressMessage>, links: &Links, leaving: &[&HeldAddress]) {
        let taken_along = |message: &AddressMessage| {
            message.header.family == AddressFamily::Inet
                && message.header.flags.contains(AddressHeaderFlags::Secondary)
        };
        if !before.iter().any(taken_along) {
            return;
        }
        let names = names(links);
        let standing: BTreeSet<HeldAddress> = match self.list() {
            Ok(after) => after.iter().filter_map(|message| named(message, &names)).collect(),
            Err(error) => {
                tracing::error!(%error, "addresses cannot be listed");
                return;
            }
        };
        let lost = before.into_iter().filter(taken_along).filter(|message| {
            named(message, &names)
                .is_some_and(|held| !standing.contains(&held) && !leaving.contains(&&held))
        });
        let requests = lost
            .map(|message| (RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL));
        for result in self.route.change(requests) {
            if let Err(error) = result {
                tracing::error!(%error, "an address that went with the first of its subnet could not be put back");
            }
        }
    }

    /// An interface has another name: what the thread has put there is taken away, for it was to stand on one of the old name.
    pub(super) fn renamed(&mut self, links: &Links, old: &str, new: &str) -> Failures {
        let there = |held: &HeldAddress| HeldAddress { interface: new.to_owned(), ..held.clone() };
        let here: Vec<_> = self.ours.keys().filter(|held| held.interface == old).cloned().collect();
        let moved: Vec<HeldAddress> = here.iter().map(there).collect();
        for held in &here {
            self.ours.remove(held);
        }
        self.foreign.retain(|held| held.interface != old);
        self.adopt(moved.iter().cloned());
        self.release(links, &moved)
    }

    /// From now on somebody else's business: they stay, for ever.
    pub(super) fn leave(&mut self, links: &Links, addresses: &BTreeSet<HeldAddress>) -> Failures {
        let leaving = |(held, finite): (&HeldAddress, &bool)| {
            addresses.contains(held).then(|| (held.clone(), *finite))
        };
        let leaving: Vec<_> = self.ours.iter().filter_map(leaving).collect();
        let ending = leaving.iter().filter(|(_, finite)| *finite).map(|(held, _)| held);
        let failures = self.hold(links, ending, None);
        for (held, _) in &leaving {
            self.ours.remove(held);
        }
        failures
    }

    /// Addresses that this agent has made and that stand for ever: ours from now on.
    pub(super) fn adopt(&mut self, addresses: impl IntoIterator<Item = HeldAddress>) {
        self.ours.extend(addresses.into_iter().map(|held| (held, false)));
    }

    /// The others are none of ours.
    pub(super) fn keep(&mut self, is_ours: impl Fn(&HeldAddress) -> bool) {
        self.ours.retain(|held, _| is_ours(held));
        self.foreign.retain(is_ours);
    }

    fn list(&mut self) -> io::Result<Vec<AddressMessage>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        self.route.gather(&request, &mut |item| match item {
            RouteNetlinkMessage::NewAddress(message) => Some(message),
            _ => None,
        })
    }
}

fn names(links: &Links) -> BTreeMap<u32, &String> {
    links.iter().map(|(name, link)| (link.index, name)).collect()
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.0)
}

#[cfg(test)]
mod tests;
