//! What this node asks at VIPs of others, and what it met there.

use super::Engine;
use crate::kernel::Kernel;
use crate::plan::{Fragment, Owner};
use crate::probe::{Asks, Nobody, Prober, Report};
use lvs_crds::{MAX_REPORTED, Probes};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What has been told to whoever asks, and what was heard of it.
pub(in crate::run) struct Probing {
    prober: Box<dyn Prober>,
    version: Option<u64>,
    held: BTreeSet<IpAddr>,
    report: Report,
}

impl Default for Probing {
    fn default() -> Self {
        let (report, held) = (Report::default(), BTreeSet::new());
        Self { prober: Box::new(Nobody), version: None, held, report }
    }
}

impl Probing {
    pub(in crate::run) fn set(&mut self, prober: Box<dyn Prober>) {
        self.prober = prober;
    }

    /// A fragment is about to take the place of another one.
    pub(in crate::run) fn ask(&mut self, owner: &Owner, old: Option<&Asks>, new: &Fragment) {
        if old.is_some_and(|old| *old != new.asks) || old.is_none() && !new.asks.is_empty() {
            self.prober.ask(owner.clone(), new.asks.clone());
        }
    }

    pub(in crate::run) fn status(&self) -> Vec<Probes> {
        self.report.values().take(MAX_REPORTED).cloned().collect()
    }
}

impl<K: Kernel> Engine<K> {
    /// Tells what this node has itself, and up to where all has been told.
    pub(in crate::run) fn tell_prober(&mut self) {
        let floating = &self.floating.report;
        let all = floating.held.iter().chain(&floating.foreign);
        let staying = self.fragments.union().addresses.iter();
        let held: BTreeSet<IpAddr> = all.chain(staying).map(|held| held.address.addr()).collect();
        if held != self.probing.held {
            self.probing.held.clone_from(&held);
            self.probing.prober.held(held);
        }
        let version = self.version();
        if let Some(version) = version.filter(|_| version != self.probing.version) {
            self.probing.version = Some(version);
            self.probing.prober.told(version);
        }
    }

    /// Takes in what was met.
    pub(in crate::run) fn probed(&mut self) {
        self.probing.report = self.probing.prober.report();
    }
}
