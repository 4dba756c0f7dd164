//! The audit: has somebody else changed what is ours, or the node's interfaces and routes?

use super::engine::Engine;
use super::{faults, mirror, passing, rival};
use crate::kernel::{Kernel, KernelError, Scope, Services};
use crate::plan::{IP_FORWARD, IPV6_FORWARDING, Touched};
use crate::state::{Fixture, FixtureKind, Made, Observed, Packets};
use lvs_ipvs::{Forwarding, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How many findings the last drift's text names.
const NAMED: usize = 3;

impl<K: Kernel> Engine<K> {
    /// Reads the kernel anew, repairs what drifted, and tries again what had failed.
    pub(super) fn audit(&mut self, now: Duration) {
        let start = Instant::now();
        self.rival.tick(now);
        if let Err(error) = self.look() {
            tracing::warn!(%error, "audit failed; the next one tries again");
        }
        // Only a director is asked by clients that come from elsewhere.
        let directs = !self.fragments.union().services.is_empty();
        let drops = if directs { self.kernel.reverse_path_drops() } else { None };
        self.reverse_path.see(drops, now);
        self.count(now);
        self.marks.look(&mut self.kernel, self.fragments.union(), now);
        self.metrics.audited(start.elapsed());
        self.faults.due(now, &mut self.touched);
        self.step(now);
    }

    /// Sees where packets stop, of the services whose addresses stand here: others' come to others.
    fn count(&mut self, now: Duration) {
        let union = self.fragments.union();
        if union.services.is_empty() || !self.passing.due(union.services.len(), now) {
            return;
        }
        let here: BTreeSet<IpAddr> =
            self.mirror.addresses.iter().map(|held| held.address.addr()).collect();
        let is_here = |key: &ServiceKey| match key {
            ServiceKey::Address { address, .. } => here.contains(address),
            ServiceKey::Mark { .. } => false,
        };
        // Who stands by has nothing to count, and does not ask for it.
        if !union.services.keys().any(is_here) {
            self.passing.see(&BTreeMap::new(), now);
            return;
        }
        let arrived = match self.kernel.arrivals() {
            Ok(arrived) => arrived,
            Err(error) => {
                tracing::debug!(%error, "what arrived was not counted; the next audit tries again");
                return;
            }
        };
        let Some(balanced) = self.kernel.balanced() else {
            self.passing.see(&BTreeMap::new(), now);
            return;
        };
        let counts = union.services.iter().filter(|(key, _)| is_here(key));
        let counts = counts.filter_map(|(key, state)| {
            let ServiceKey::Address { protocol, address, port } = *key else { return None };
            let stats = *balanced.get(key)?;
            let last_port = if port == 0 { u16::MAX } else { port };
            let packets =
                Packets { destination: address.into(), protocol, first_port: port, last_port };
            let ways = state.destinations.iter().map(|(destination, it)| {
                let masquerade = it.forwarding == Forwarding::Masquerade;
                (masquerade, here.contains(&destination.address))
            });
            let replies = passing::replies(protocol, &ways.collect());
            Some((*key, passing::Count { arrived: arrived.get(&packets).copied(), stats, replies }))
        });
        let counts = counts.collect();
        self.passing.see(&counts, now);
    }

    /// Looks at what the kernel says has changed (addresses, interfaces, routes), and repairs it.
    pub(super) fn glance(&mut self, now: Duration) {
        let mut scope = Scope { addresses: true, ..Scope::default() };
        // They sort first: one look at the first tells whether there are any.
        if let Some(tunnel @ Fixture::Tunnel { .. }) = self.fragments.union().fixtures.first() {
            scope.fixtures.insert(tunnel.kind());
        }
        let seen = self.kernel.observe(&scope).and_then(|read| {
            self.compare(&scope, read);
            self.refresh_facts(self.facts.drops_invalid)
        });
        if let Err(error) = seen {
            tracing::warn!(%error, "addresses and routes not read; the next audit tries again");
        }
        self.step(now);
    }

    /// Looks at our table in nftables, from which somebody has taken away, and repairs it.
    pub(super) fn glance_at_filter(&mut self, now: Duration) {
        let kinds = BTreeSet::from([FixtureKind::Nftables]);
        if !self.mirror.fixtures.iter().any(|it| kinds.contains(&it.kind())) {
            return;
        }
        // What compares takes all addresses as read.
        let scope = Scope { fixtures: kinds, addresses: true, ..Scope::default() };
        match self.kernel.observe(&scope) {
            Ok(read) => self.compare(&scope, read),
            Err(error) => {
                tracing::warn!(%error, "nftables not read; the next audit tries again");
            }
        }
        self.step(now);
    }

    fn look(&mut self) -> Result<(), KernelError> {
        let scope = Scope::audit(self.fragments.union(), self.journal.ours());
        let read = self.kernel.observe(&scope)?;
        if self.about.ipvs.is_none() || self.about.resizes {
            self.about = self.kernel.about()?;
        }
        let buckets = self.about.ipvs.as_ref().map(|info| info.connection_table_size);
        self.fill.see(read.connections.unwrap_or_default(), buckets);
        self.compare(&scope, read);
        self.uncertain = false;
        self.forget_lost();
        // Only answers of NAT's real servers can be dropped for it, and those are forwarded.
        let forwards = [IP_FORWARD, IPV6_FORWARDING];
        let forwards = forwards.iter().any(|it| self.fragments.union().sysctls.contains_key(*it));
        let drops_invalid =
            if forwards { self.kernel.drops_invalid() } else { self.facts.drops_invalid };
        self.refresh_facts(drops_invalid)
    }

    fn compare(&mut self, scope: &Scope, read: Observed) {
        let mut new = Observed::default();
        if scope.services == Services::None {
            new.services.clone_from(&self.mirror.services);
            new.sysctls.clone_from(&self.mirror.sysctls);
            new.fixtures.clone_from(&self.mirror.fixtures);
            new.unseen.clone_from(&self.mirror.unseen);
        } else {
            let unseen = |fixture: &&Fixture| read.unseen.contains_key(&fixture.kind());
            new.fixtures.extend(self.mirror.fixtures.iter().filter(unseen).copied());
        }
        mirror::absorb(&mut new, scope, read);
        let changed = mirror::changes(&self.mirror, &new);
        if !changed.is_empty() {
            self.note_drift(&changed, &new);
        }
        self.mirror = new;
        let changed = self.concerning(changed);
        self.touched.extend(changed);
    }

    fn refresh_facts(&mut self, drops_invalid: bool) -> Result<(), KernelError> {
        let mut facts = self.kernel.facts(self.journal.ours())?;
        facts.drops_invalid = drops_invalid;
        facts.node.clone_from(&self.facts.node);
        if facts != self.facts {
            tracing::debug!("interfaces, routes or others' rules of this node have changed");
            self.facts = facts;
            self.world.mark_all(&mut self.dirty);
        }
        Ok(())
    }

    fn note_drift(&mut self, changed: &Touched, read: &Observed) {
        if self.uncertain {
            return;
        }
        // What floats comes and goes.
        let floats = |made: &Made| match made {
            Made::Address(held) => self.fragments.union().floating.contains_key(held),
            _ => false,
        };
        let ours = |made: &Made| {
            self.journal.ours().contains(made) && !self.faults.contains(made) && !floats(made)
        };
        let drifted: Vec<Made> = faults::things(changed).filter(ours).collect();
        let gone = drifted.iter().filter_map(|made| match made {
            Made::Service(key)
                if !read.services.as_ref().is_some_and(|it| it.contains_key(key)) =>
            {
                Some(*key)
            }
            _ => None,
        });
        let gone: Vec<ServiceKey> = gone.collect();
        if !gone.is_empty() {
            let proxy = self.facts.interfaces.contains_key(rival::INTERFACE);
            let others = read.services.iter().flatten().map(|(key, _)| *key);
            self.rival.took(&gone, proxy, others.collect());
        }
        let mut named: Vec<String> = drifted
            .iter()
            .take(NAMED)
            .map(|made| mirror::describe(made, &self.mirror, read))
            .collect();
        if named.is_empty() {
            return;
        }
        if drifted.len() > NAMED {
            named.push(format!("and {} more", drifted.len() - NAMED));
        }
        self.drift.repairs += 1;
        self.drift.last = named.join("; ");
        self.metrics.drifted();
        tracing::warn!(object = self.facts.node, "drift, being repaired: {}", self.drift.last);
    }

    /// What is neither wanted nor ours is no concern.
    fn concerning(&self, mut changed: Touched) -> Touched {
        let (union, ours) = (self.fragments.union(), self.journal.ours());
        changed
            .services
            .retain(|key| union.services.contains_key(key) || ours.contains(&Made::Service(*key)));
        changed.addresses.retain(|address| {
            // One that floats may be somebody else's, who has taken it away.
            union.addresses.contains(address)
                || union.floating.contains_key(address)
                || ours.contains(&Made::Address(address.clone()))
        });
        changed.sysctls.retain(|path| {
            union.sysctls.contains_key(path) || ours.contains(&Made::Sysctl(path.clone()))
        });
        changed.fixtures.retain(|fixture| {
            union.fixtures.contains(fixture) || ours.contains(&Made::Fixture(*fixture))
        });
        changed
    }

    /// What is ours, is not wanted any more and has vanished: if it comes again, it is somebody else's.
    fn forget_lost(&mut self) {
        let union = self.fragments.union();
        let is_lost = |made: &&Made| match made {
            Made::Service(key) => {
                !union.services.contains_key(key)
                    && !self.mirror.services.as_ref().is_some_and(|all| all.contains_key(key))
            }
            Made::Address(address) => {
                !union.addresses.contains(address)
                    && !union.floating.contains_key(address)
                    && !self.mirror.addresses.contains(address)
            }
            Made::Sysctl(path) => {
                !union.sysctls.contains_key(path) && !self.mirror.sysctls.contains_key(path)
            }
            Made::Fixture(fixture) => {
                !union.fixtures.contains(fixture)
                    && !self.mirror.fixtures.contains(fixture)
                    && !self.mirror.unseen.contains_key(&fixture.kind())
            }
        };
        let lost: Vec<Made> = self.journal.ours().iter().filter(is_lost).cloned().collect();
        // Before all is known, wanted is not yet all that is wanted.
        if self.synced()
            && let Err(error) = self.journal.forget(&lost)
        {
            tracing::warn!(%error, "journal not written");
        }
    }
}
