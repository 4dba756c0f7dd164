//! What the kernel tells of links and addresses while it happens.

use super::{SETTLE, Thread, now};
use crate::failover::addresses::is_beside;
use crate::failover::config;
use crate::failover::links::{Change, between};
use crate::failover::watch::News;
use crate::state::HeldAddress;
use ipnet::IpNet;
use lvs_vrrp::Held;
use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

/// What somebody takes away is put back so soon: all that goes at once is looked at once.
const MEND: Duration = Duration::from_millis(20);
/// And not sooner after the last time: somebody else takes it away again and again.
const MEND_AGAIN: Duration = Duration::from_millis(150);

impl Thread {
    pub(super) fn news(&mut self) {
        let (addresses, staying) = (&self.io.addresses, &self.io.staying);
        let known = |held: &HeldAddress| {
            addresses.ours().contains_key(held)
                || addresses.foreign().contains(held)
                || staying.contains(held)
        };
        let news = match self.watch.update(&mut self.io.links, &known) {
            Ok(news) => news,
            Err(error) => self.relist(&error),
        };
        for (old, new) in &news.renamed {
            for (held, error) in self.io.addresses.renamed(&self.io.links, old, new) {
                tracing::warn!(address = %held.address, interface = held.interface, %error, "it stays on an interface that has another name now");
            }
        }
        if news.links {
            self.io.failed.clear();
            self.plan();
            // Addresses come and go with their interfaces.
            self.look = self.look.min(now() + SETTLE);
        }
        for interface in &news.moved {
            self.moved(interface);
        }
        self.look_soon(&news);
    }

    /// After messages got lost.
    fn relist(&mut self, error: &io::Error) -> News {
        tracing::debug!(%error, "changes of links and addresses got lost");
        self.look = now();
        let mut change = Change::default();
        match self.io.addresses.links() {
            Ok(links) => {
                change = between(&self.io.links, &links);
                self.io.links = links;
            }
            Err(error) => tracing::error!(%error, "links cannot be listed"),
        }
        let mut news = News::default();
        news.add(change);
        news
    }

    /// Whoever sends to this interface has to hear where its addresses are: VIPs, whether they float or stay, and what the other
    /// directors send to.
    fn moved(&mut self, interface: &str) {
        let groups = || self.groups.values().filter_map(|carried| carried.running.as_ref());
        let floating = groups().flat_map(|running| running.group.held()).cloned();
        let staying = self.io.staying.iter().map(config::told);
        let mut all: BTreeSet<Held> =
            floating.chain(staying).filter(|held| held.interface == interface).collect();
        let index = self.io.links.get(interface).map(|link| link.index);
        let near: Vec<_> = groups().filter(|it| Some(it.path.near) == index).collect();
        let own = near.iter().map(|running| IpNet::from(running.path.own));
        all.extend(own.map(|address| Held { interface: interface.to_owned(), address }));
        if all.is_empty() || !self.settled.moved(interface, all.into_iter().collect(), now()) {
            return;
        }
        tracing::info!(
            interface,
            "another MAC address, another device or carrier again: addresses are announced"
        );
        for running in near {
            self.io.introduce(&running.path);
        }
    }

    /// Has addresses looked at, where something is to be done about them.
    fn look_soon(&mut self, news: &News) {
        let time = now();
        if news.gone.iter().any(|held| self.io.addresses.ours().contains_key(held)) {
            self.look = self.look.min((time + MEND).max(self.mended + MEND_AGAIN));
        }
        let is_own = |held: &HeldAddress| {
            self.running().any(|running| running.path.own == held.address.addr())
        };
        let ails = || self.groups.values().any(|carried| carried.problem.is_some());
        let is_beside_ours = |held: &HeldAddress| {
            let ours = self.io.addresses.ours().keys().chain(&self.io.staying);
            ours.into_iter().any(|ours| is_beside(ours, held))
        };
        let concerns = news.gone.iter().any(is_own)
            || !news.came.is_empty() && (ails() || news.came.iter().any(is_beside_ours));
        if concerns {
            self.look = self.look.min(time + SETTLE);
        }
    }
}
