//! Fixtures on the real kernel: which module of ours has which.

use crate::kernel::ports::{Direction, Listed};
use crate::kernel::{FixtureError, MarkReport, Nftables, Requests, Tunnels};
use crate::state::{Fixture, FixtureKind, Packets};
use std::collections::{BTreeMap, BTreeSet};

/// All opened when they are first needed: a node that has no fixtures pays nothing.
#[derive(Debug, Default)]
pub(super) struct Fixtures {
    nftables: Nftables,
    tunnels: Tunnels,
}

impl Fixtures {
    /// What stands of these kinds; nothing of a kind that the kernel has no module for.
    pub(super) fn standing(&mut self, kinds: &BTreeSet<FixtureKind>) -> Listed {
        let mut listed = Listed::default();
        for kind in kinds {
            let found = match kind {
                FixtureKind::Nftables => self.nftables.standing(),
                _ => self.tunnels.standing(&BTreeSet::from([*kind])),
            };
            match found {
                Ok(found) => listed.standing.extend(found),
                Err(error) => drop(listed.failed.insert(*kind, error)),
            }
        }
        listed
    }

    /// Which of these stand in our table of nftables.
    pub(super) fn elements(&mut self, elements: &BTreeSet<Fixture>) -> Listed {
        let mut listed = Listed::default();
        match self.nftables.standing_of(elements) {
            Ok(found) => listed.standing = found,
            Err(error) => drop(listed.failed.insert(FixtureKind::Nftables, error)),
        }
        listed
    }

    /// Makes and removes, a result each; all that is nftables' in one transaction.
    pub(super) fn change(
        &mut self,
        changes: &[(Direction, Fixture)],
    ) -> Vec<Result<(), FixtureError>> {
        let is_nftables = |change: &(Direction, Fixture)| change.1.kind() == FixtureKind::Nftables;
        let (rules, others): (Vec<_>, Vec<_>) = changes.iter().partition(|it| is_nftables(it));
        let mut rules = self.nftables.change(&rules).into_iter();
        let mut others = self.tunnels.change(&others).into_iter();
        let result = |change: &(Direction, Fixture)| {
            // Each gives as many results as it got changes.
            let next = if is_nftables(change) { rules.next() } else { others.next() };
            next.unwrap_or(Err(FixtureError::NoNftables))
        };
        changes.iter().map(result).collect()
    }

    /// Whether others drop forwarded packets of connections that are not tracked.
    pub(super) fn drops_invalid(&mut self) -> bool {
        self.nftables.drops_invalid()
    }

    /// Whether the kernel has nftables.
    pub(super) fn has_nftables(&mut self) -> bool {
        self.nftables.is_there()
    }

    /// What has arrived, by what it was for.
    pub(super) fn arrivals(&mut self) -> Result<BTreeMap<Packets, u64>, FixtureError> {
        self.nftables.arrivals()
    }

    /// What others do with these marks. A failure to look is logged, and no news.
    pub(super) fn marks(&mut self, marks: &BTreeSet<u32>) -> MarkReport {
        let foreign = self.nftables.foreign_marks().unwrap_or_else(|error| {
            tracing::debug!(%error, "foreign marks not counted");
            0
        });
        let clashes = self.nftables.clashes(marks).unwrap_or_else(|error| {
            tracing::debug!(%error, "others' marks not looked at");
            BTreeMap::new()
        });
        MarkReport { foreign: foreign > 0, clashes }
    }

    /// `requests` with what was asked about fixtures.
    pub(super) fn requests(&self, requests: Requests) -> Requests {
        let rules = self.tunnels.sent_about_rules();
        let links = self.tunnels.sent().saturating_sub(rules);
        Requests { nftables: self.nftables.sent(), links, rules, ..requests }
    }
}
