//! The heart of the loop: what is dirty is planned, compared with the mirror, carried out, read back and judged.

mod checking;
mod floating;
mod probing;

use super::faults::Faults;
use super::fill::Fill;
use super::marks::Marks;
use super::mirror;
use super::passing::Passing;
use super::reverse_path::ReversePath;
use super::rival::Rival;
use super::withhold::{WITHHELD, Withhold};
use super::wording::{describe, foreign, log, reading, subject, told, undoes};
use super::world::World;
use crate::diff::diff;
use crate::failover::Carrier;
use crate::input::Update;
use crate::journal::Journal;
use crate::kernel::{About, Kernel, KernelError, Scope};
use crate::metrics::Metrics;
use crate::plan::{Fragments, LOOPBACK, Owner, Touched};
use crate::state::{Facts, Fixture, Made, NodeState, Observed, Op};
use lvs_crds::DriftReport;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use checking::Checking;
use floating::Floating;
use probing::Probing;

/// One node's state and its kernel. Times are since an epoch of the caller's choice.
pub(super) struct Engine<K> {
    pub(super) kernel: K,
    pub(super) journal: Journal,
    pub(super) about: About,
    pub(super) facts: Facts,
    pub(super) world: World,
    pub(super) fragments: Fragments,
    pub(super) mirror: Observed,
    pub(super) faults: Faults,
    pub(super) drift: DriftReport,
    pub(super) fill: Fill,
    pub(super) marks: Marks,
    pub(super) rival: Rival,
    pub(super) passing: Passing,
    pub(super) reverse_path: ReversePath,
    pub(super) floating: Floating,
    pub(super) probing: Probing,
    pub(super) checking: Checking,
    pub(super) metrics: Arc<Metrics>,
    pub(super) dirty: BTreeSet<Owner>,
    pub(super) touched: Touched,
    /// The mirror may be wrong: a read-back failed.
    pub(super) uncertain: bool,
    resumed: bool,
    slices_synced: bool,
    groups_synced: bool,
    version: u64,
    programmed: u64,
}

impl<K: Kernel> Engine<K> {
    /// Looks at the node; changes nothing.
    pub(super) fn new(
        node: &str,
        mut kernel: K,
        journal: Journal,
        metrics: Arc<Metrics>,
        carrier: Box<dyn Carrier>,
    ) -> Result<Self, KernelError> {
        let about = kernel.about()?;
        let mut facts = kernel.facts(journal.ours())?;
        node.clone_into(&mut facts.node);
        facts.drops_invalid = kernel.drops_invalid();
        let mirror = kernel.observe(&Scope::audit(&NodeState::default(), journal.ours()))?;
        Ok(Self {
            kernel,
            journal,
            about,
            facts,
            world: World::default(),
            fragments: Fragments::default(),
            mirror,
            faults: Faults::default(),
            drift: DriftReport::default(),
            fill: Fill::default(),
            marks: Marks::default(),
            rival: Rival::default(),
            passing: Passing::default(),
            reverse_path: ReversePath::default(),
            floating: Floating::new(carrier),
            probing: Probing::default(),
            checking: Checking::default(),
            metrics,
            dirty: BTreeSet::new(),
            touched: Touched::default(),
            uncertain: false,
            resumed: false,
            slices_synced: false,
            groups_synced: false,
            version: 0,
            programmed: 0,
        })
    }

    /// Takes news in; [`Engine::step`] acts on it.
    pub(super) fn take(&mut self, update: Update) {
        let was_synced = self.synced();
        // A listing says how far the API server is, which after its data were put back may be less far than before.
        self.version =
            if update.slices_synced { update.version } else { self.version.max(update.version) };
        self.slices_synced |= update.slices_synced;
        self.groups_synced |= update.groups_synced;
        self.world.take(update, &self.facts.node, &mut self.dirty);
        if self.synced() && !was_synced {
            // From here on, what was left from an earlier run and is not wanted goes.
            for made in self.journal.ours() {
                super::faults::touch(&mut self.touched, made.clone());
            }
        }
    }

    /// Takes in the state of an earlier run.
    pub(super) fn resume(&mut self, saved: Update) {
        self.resumed = !saved.slices.is_empty();
        self.take(saved);
    }

    /// Whether the node does what is known to be wanted: all is known, or what the last run knew.
    pub(super) fn ready(&self) -> bool {
        self.synced() || self.resumed
    }

    /// Whether all slices and groups are known. Before, nothing is removed: not to have been told of it is no ground.
    pub(super) fn synced(&self) -> bool {
        self.slices_synced && self.groups_synced
    }

    /// The newest slice that was told, once all are known.
    pub(super) fn version(&self) -> Option<u64> {
        self.synced().then_some(self.version)
    }

    /// The newest slice that the kernel was read back against; `None` before all are known.
    pub(super) fn programmed(&self) -> Option<u64> {
        self.synced().then_some(self.programmed)
    }

    /// Makes the kernel what it should be where something is dirty or touched.
    pub(super) fn step(&mut self, now: Duration) {
        self.note_leaving();
        for owner in std::mem::take(&mut self.dirty) {
            let mut fragment = self.world.plan(&owner, &self.facts);
            self.heed(&owner, &mut fragment);
            if matches!(owner, Owner::Group(_)) || self.fragments.moves(&owner, &fragment) {
                self.floating.is_due();
            }
            self.floating.turn(&fragment, self.fragments.union());
            self.probing.ask(&owner, self.fragments.asks_of(&owner), &fragment);
            self.fragments.set(&owner, fragment, &mut self.touched);
        }
        self.let_go();
        // A service that is well again lets its VIP come: one more round.
        for _ in 0..2 {
            let touched = std::mem::take(&mut self.touched);
            if !touched.is_empty() {
                self.program(&touched, now);
            }
        }
        self.carry();
        self.tell_prober();
        self.programmed = self.version;
    }

    fn program(&mut self, touched: &Touched, now: Duration) {
        self.meet_sysctls(touched);
        let mut faults = BTreeMap::new();
        let seen = self.seen(touched, &mut faults);
        let wanted = self.fragments.part(&seen);
        let mut found = mirror::part(&self.mirror, &seen);
        found.addresses.extend(self.were_floating(touched));
        let difference = diff(&wanted, &found, self.journal.ours());
        let ops = self.allowed(difference.ops);
        for made in difference.foreign {
            if let Some(fault) = foreign(&made) {
                faults.insert(made, fault);
            }
        }
        if !ops.is_empty() {
            self.carry_out(&ops, touched, &mut faults);
            self.read_back(&ops, &mut faults);
        }
        self.judge(&seen, &wanted, &mut faults);
        self.record_floating(touched, &mut faults);
        let transitions = self.faults.update(touched, faults, now);
        if !transitions.failed.is_empty() || !transitions.well.is_empty() {
            self.floating.is_due();
        }
        log(&self.fragments, &transitions);
        if !transitions.well.is_empty() {
            self.faults.with_reason(WITHHELD, &mut self.touched);
        }
    }

    /// The mirror holds a sysctl from the moment when somebody wants it.
    fn meet_sysctls(&mut self, touched: &Touched) {
        let unknown: BTreeSet<String> = touched
            .sysctls
            .iter()
            .filter(|path| !self.mirror.sysctls.contains_key(*path))
            .cloned()
            .collect();
        if unknown.is_empty() {
            return;
        }
        let scope = Scope { sysctls: unknown, ..Scope::default() };
        match self.kernel.observe(&scope) {
            Ok(read) => mirror::absorb(&mut self.mirror, &scope, read),
            Err(error) => tracing::warn!(%error, "sysctls not read"),
        }
    }

    fn allowed(&self, mut ops: Vec<Op>) -> Vec<Op> {
        if !self.synced() {
            ops.retain(|op| !undoes(op));
        }
        ops
    }

    /// What must wait for other operations of the same round is asked for after them.
    fn carry_out(
        &mut self,
        ops: &[Op],
        touched: &Touched,
        faults: &mut BTreeMap<Made, (String, String)>,
    ) {
        let waits = |op: &Op| {
            matches!(
                op,
                Op::AddAddress(_)
                    | Op::RestoreSysctl { .. }
                    | Op::AddFixture(Fixture::LocalDelivery { .. })
            )
        };
        let first = ops.iter().position(waits).unwrap_or(ops.len());
        let (before, after) = ops.split_at_checked(first).unwrap_or((ops, &[]));
        self.execute(before, faults);
        // What was touched has just been tried again: its old fault says nothing.
        let earlier = self.faults.iter().map(|(made, _)| made).filter(|made| !touched.has(made));
        let withhold = Withhold::new(faults.keys().chain(earlier), self.fragments.union());
        let mut allowed = Vec::new();
        for op in after {
            match (withhold.reason(op), subject(op)) {
                (Some(reason), Some(made)) => {
                    let text = format!("{}: {reason}", describe(op));
                    faults.insert(made, (WITHHELD.to_owned(), text));
                }
                _ => allowed.push(op.clone()),
            }
        }
        self.execute(&allowed, faults);
    }

    pub(super) fn execute(&mut self, ops: &[Op], faults: &mut BTreeMap<Made, (String, String)>) {
        if ops.is_empty() {
            return;
        }
        let results = self.kernel.execute(ops, &mut self.journal);
        let mut settled = Vec::new();
        for (op, result) in ops.iter().zip(results) {
            self.metrics.operation(op, result.is_ok());
            match result {
                Ok(done) => {
                    told(op, &done);
                    if let Op::AddAddress(held) = op
                        && held.interface != LOOPBACK
                    {
                        settled.push(held.clone());
                    }
                }
                Err(error) => {
                    let Some(made) = subject(op) else { continue };
                    let fault = (error.reason().to_owned(), error.to_string());
                    faults.entry(made).or_insert(fault);
                }
            }
        }
        self.floating.settled(settled);
    }

    pub(super) fn read_back(&mut self, ops: &[Op], faults: &mut BTreeMap<Made, (String, String)>) {
        let scope = Scope::touched(ops, self.fragments.union());
        match self.kernel.observe(&scope) {
            Ok(read) => {
                mirror::absorb(&mut self.mirror, &scope, read);
                self.not_read_back(ops, faults);
            }
            Err(error) => {
                self.uncertain = true;
                for made in ops.iter().filter_map(subject) {
                    faults.entry(made).or_insert_with(|| {
                        ("ReadBackFailed".to_owned(), format!("not read back: {error}"))
                    });
                }
            }
        }
    }

    /// What still differs after the read-back was acknowledged without being done.
    fn judge(
        &self,
        touched: &Touched,
        wanted: &NodeState,
        faults: &mut BTreeMap<Made, (String, String)>,
    ) {
        let found = mirror::part(&self.mirror, touched);
        let rest = diff(wanted, &found, self.journal.ours());
        for op in self.allowed(rest.ops) {
            let Some(made) = subject(&op) else { continue };
            faults.entry(made).or_insert_with(|| {
                let text = format!(
                    "{}: the kernel acknowledged but reads back {}",
                    describe(&op),
                    reading(&op, &found)
                );
                ("NotApplied".to_owned(), text)
            });
        }
    }
}
