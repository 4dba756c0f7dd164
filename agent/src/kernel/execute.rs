//! Carries out operations: whose things they are about, the journal before and after, and the order that must hold.
//!
//! A batch is prepared (what stands already, and whose is it?), recorded in one write, and then done in order, runs of
//! one kind at once.

mod addresses;
mod fixtures;
mod services;
mod sysctls;
#[cfg(test)]
mod tests;

use super::ports::{Ports, Standing};
use super::{Done, KernelError};
use crate::journal::{Entry, Journal};
use crate::state::{HeldAddress, Made, Op};
use std::collections::BTreeSet;
use std::io;

type Verdict = Result<Done, KernelError>;

/// A batch on its way.
struct Batch<'a, P> {
    ports: &'a mut P,
    journal: &'a mut Journal,
    ops: &'a [Op],
    /// Of each operation, once it is known.
    verdicts: Vec<Option<Verdict>>,
    /// What this batch has recorded: of these alone "exists already" says that they are somebody else's.
    fresh: BTreeSet<Made>,
    /// No longer there, or not made after all.
    gone: Vec<Made>,
    standing: io::Result<Vec<Standing>>,
    harm: Harm,
}

/// The interface on which a VIP is only harmless while the node answers no ARP for it.
const LOOPBACK: &str = "lo";

/// What has failed without which other operations would do harm: a real server that answers ARP for the VIP takes the
/// director's packets.
#[derive(Debug, Default)]
struct Harm {
    /// An ARP sysctl could not be set.
    arp: Option<String>,
    /// An address could not be taken off `lo`.
    left: Option<String>,
}

/// Whether it keeps the node from answering ARP for addresses on `lo`.
fn silences_arp(path: &str) -> bool {
    path.starts_with("net/ipv4/conf/")
        && (path.ends_with("/arp_ignore") || path.ends_with("/arp_announce"))
}

fn needs_silence(held: &HeldAddress) -> bool {
    held.interface == LOOPBACK && held.address.addr().is_ipv4()
}

impl Harm {
    fn note(&mut self, op: &Op, error: &KernelError) {
        match op {
            Op::SetSysctl { path, .. } if silences_arp(path) => self.arp = Some(error.to_string()),
            Op::DelAddress(held) if needs_silence(held) => self.left = Some(error.to_string()),
            _ => {}
        }
    }

    fn withholds(&self, op: &Op) -> Option<KernelError> {
        let withheld = |operation: String, because: &Option<String>| {
            Some(KernelError::Withheld { operation, because: because.clone()? })
        };
        match op {
            Op::AddAddress(held) if needs_silence(held) => {
                withheld(format!("add address {} on {}", held.address, held.interface), &self.arp)
            }
            Op::RestoreSysctl { path } if silences_arp(path) => {
                withheld(format!("restore sysctl {path}"), &self.left)
            }
            _ => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sysctl,
    Add,
    Remove,
    Ipvs,
    Fixture,
}

fn kind(op: &Op) -> Kind {
    match op {
        Op::SetSysctl { .. } | Op::RestoreSysctl { .. } => Kind::Sysctl,
        Op::AddAddress(_) => Kind::Add,
        Op::DelAddress(_) => Kind::Remove,
        Op::Ipvs(_) => Kind::Ipvs,
        Op::AddFixture(_) | Op::DelFixture(_) => Kind::Fixture,
    }
}

/// Carries out `ops`, a result each, in the same order.
pub(super) fn execute<P: Ports>(ports: &mut P, ops: &[Op], journal: &mut Journal) -> Vec<Verdict> {
    let standing = if ops.iter().any(|op| matches!(kind(op), Kind::Add | Kind::Remove)) {
        ports.standing()
    } else {
        Ok(Vec::new())
    };
    let mut batch = Batch {
        ports,
        journal,
        ops,
        verdicts: ops.iter().map(|_| None).collect(),
        fresh: BTreeSet::new(),
        gone: Vec::new(),
        standing,
        harm: Harm::default(),
    };
    batch.prepare();
    let mut start = 0;
    for run in ops.chunk_by(|one, next| kind(one) == kind(next)) {
        let range = start..start + run.len();
        start = range.end;
        batch.run(range);
    }
    batch.finish()
}

impl<P: Ports> Batch<'_, P> {
    /// Looks at what stands, and records what will be made.
    fn prepare(&mut self) {
        let mut entries = Vec::new();
        self.prepare_services(&mut entries);
        self.prepare_addresses(&mut entries);
        self.prepare_sysctls(&mut entries);
        self.prepare_fixtures(&mut entries);
        let known: Vec<Entry> = entries.iter().map(|(_, entry)| entry).cloned().collect();
        let fresh: BTreeSet<Made> = known.iter().map(Entry::made).collect();
        self.fresh = fresh.difference(self.journal.ours()).cloned().collect();
        if let Err(error) = self.journal.record(&known) {
            for (index, _) in entries {
                self.settle(index, Err(KernelError::from(&error)));
            }
        }
    }

    fn run(&mut self, range: std::ops::Range<usize>) {
        for index in range.clone() {
            if let (Some(op), true) = (self.ops.get(index), self.is_open(index))
                && let Some(error) = self.harm.withholds(op)
            {
                self.settle(index, Err(error));
            }
        }
        let open: Vec<usize> = range.filter(|index| self.is_open(*index)).collect();
        match open.first().and_then(|first| self.ops.get(*first)).map(kind) {
            Some(Kind::Sysctl) => open.into_iter().for_each(|index| self.sysctl(index)),
            Some(Kind::Add) => self.add_addresses(&open),
            Some(Kind::Remove) => self.remove_addresses(&open),
            Some(Kind::Ipvs) => self.services(&open),
            Some(Kind::Fixture) => self.fixtures(&open),
            None => {}
        }
    }

    fn is_open(&self, index: usize) -> bool {
        matches!(self.verdicts.get(index), Some(None))
    }

    fn is_ours(&self, made: &Made) -> bool {
        self.journal.ours().contains(made)
    }

    /// Gives an operation its result.
    fn settle(&mut self, index: usize, verdict: Verdict) {
        let Some(op) = self.ops.get(index) else { return };
        if let Err(error) = &verdict {
            self.harm.note(op, error);
        }
        if let Some(slot) = self.verdicts.get_mut(index) {
            *slot = Some(verdict);
        }
    }

    /// What was recorded for an operation is not there after all.
    fn unmade(&mut self, made: Made) {
        if self.fresh.contains(&made) {
            self.gone.push(made);
        }
    }

    fn finish(mut self) -> Vec<Verdict> {
        for (op, verdict) in self.ops.iter().zip(&self.verdicts) {
            // What a withheld operation would have made was recorded with the batch.
            if let (Op::AddAddress(held), Some(Err(KernelError::Withheld { .. }))) = (op, verdict) {
                let made = Made::Address(held.clone());
                if self.fresh.contains(&made) {
                    self.gone.push(made);
                }
            }
        }
        if let Err(error) = self.journal.forget(&std::mem::take(&mut self.gone)) {
            tracing::warn!(%error, "what was undone stays in the journal until the next start");
        }
        // Every operation is in a run, and every run settles all of its own.
        self.verdicts.into_iter().map(|verdict| verdict.unwrap_or(Ok(Done::Changed))).collect()
    }
}
