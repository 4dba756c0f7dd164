//! Fixtures of a batch.

use super::Batch;
use crate::journal::Entry;
use crate::kernel::ports::{Direction, Listed, Ports};
use crate::kernel::{Done, FixtureError, KernelError};
use crate::state::{Fixture, FixtureKind, Made, Op};
use std::collections::BTreeSet;

impl<P: Ports> Batch<'_, P> {
    /// A fixture that stands already and is not in the journal is somebody else's.
    pub(super) fn prepare_fixtures(&mut self, entries: &mut Vec<(usize, Entry)>) {
        let mut asked = BTreeSet::<FixtureKind>::new();
        for op in self.ops {
            if let Op::AddFixture(fixture) = op
                && !self.is_ours(&Made::Fixture(*fixture))
            {
                asked.insert(fixture.kind());
            }
        }
        let listed = if asked.is_empty() { Listed::default() } else { self.ports.fixtures(&asked) };
        for (index, op) in self.ops.iter().enumerate() {
            let Some((direction, fixture)) = change(op) else { continue };
            let ours = self.is_ours(&Made::Fixture(fixture));
            match (direction, listed.failed.get(&fixture.kind())) {
                (Direction::Remove, _) if ours => {}
                (Direction::Remove, _) => self.settle(index, Err(foreign(op, &fixture))),
                (Direction::Add, _) if ours => {}
                (Direction::Add, Some(error)) => self.settle(index, Err(failed(op, error.again()))),
                (Direction::Add, None) if !listed.standing.contains(&fixture) => {
                    entries.push((index, Entry::Fixture(fixture)));
                }
                (Direction::Add, None) if fixture.is_nameless() => {
                    self.settle(index, Ok(Done::Foreign));
                }
                (Direction::Add, None) => self.settle(index, Err(foreign(op, &fixture))),
            }
        }
    }

    pub(super) fn fixtures(&mut self, open: &[usize]) {
        let ops = self.ops;
        let changes = |index: &usize| Some((*index, change(ops.get(*index)?)?));
        let (indices, changes): (Vec<usize>, Vec<(Direction, Fixture)>) =
            open.iter().filter_map(changes).unzip();
        let results = self.ports.change_fixtures(&changes);
        for ((index, (direction, fixture)), result) in indices.into_iter().zip(changes).zip(results)
        {
            let made = Made::Fixture(fixture);
            let Some(op) = ops.get(index) else { continue };
            match (direction, result) {
                (Direction::Add, Ok(())) => self.settle(index, Ok(Done::Changed)),
                (Direction::Remove, Ok(())) => {
                    self.gone.push(made);
                    self.settle(index, Ok(Done::Changed));
                }
                (direction, Err(error)) => {
                    if direction == Direction::Add && !error.is_uncertain() {
                        self.unmade(made);
                    }
                    self.settle(index, Err(failed(op, error)));
                }
            }
        }
    }
}

fn change(op: &Op) -> Option<(Direction, Fixture)> {
    match op {
        Op::AddFixture(fixture) => Some((Direction::Add, *fixture)),
        Op::DelFixture(fixture) => Some((Direction::Remove, *fixture)),
        _ => None,
    }
}

fn failed(op: &Op, source: FixtureError) -> KernelError {
    let operation = change(op)
        .map_or_else(String::new, |(direction, fixture)| format!("{} {fixture}", direction.verb()));
    KernelError::Fixture { operation, source }
}

fn foreign(op: &Op, fixture: &Fixture) -> KernelError {
    failed(op, FixtureError::foreign(fixture))
}
