//! Fixtures on the real kernel: which module of ours has which.

use crate::kernel::ports::Direction;
use crate::kernel::{FixtureError, MarkReport, Nftables, Requests};
use crate::state::{Fixture, FixtureKind};
use std::collections::{BTreeMap, BTreeSet};

/// Both opened when they are first needed: a node that has no fixtures pays nothing.
#[derive(Debug, Default)]
pub(super) struct Fixtures {
    nftables: Nftables,
}

impl Fixtures {
    /// What stands of these kinds; nothing of a kind that the kernel has no module for.
    pub(super) fn standing(
        &mut self,
        kinds: &BTreeSet<FixtureKind>,
    ) -> Result<BTreeSet<Fixture>, FixtureError> {
        let mut standing = BTreeSet::new();
        if kinds.contains(&FixtureKind::Nftables) {
            standing.extend(self.nftables.standing()?);
        }
        Ok(standing)
    }

    /// Makes and removes, a result each; all that is nftables' in one transaction.
    pub(super) fn change(
        &mut self,
        changes: &[(Direction, Fixture)],
    ) -> Vec<Result<(), FixtureError>> {
        let of_nftables = |change: &&(Direction, Fixture)| change.1.kind() == FixtureKind::Nftables;
        let asked: Vec<_> = changes.iter().filter(of_nftables).copied().collect();
        let mut results = self.nftables.change(&asked).into_iter();
        let result = |(_, fixture): &(Direction, Fixture)| {
            Err(match fixture.kind() {
                FixtureKind::Nftables => {
                    return results.next().unwrap_or(Err(FixtureError::NoNftables));
                }
                FixtureKind::Tunnel => FixtureError::NoModule { module: "ip_tunnel".to_owned() },
                FixtureKind::Gue => FixtureError::NoModule { module: "fou".to_owned() },
                FixtureKind::LocalDelivery => {
                    FixtureError::NoModule { module: "fib_rules".to_owned() }
                }
            })
        };
        changes.iter().map(result).collect()
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
        Requests { nftables: self.nftables.sent(), ..requests }
    }
}
