//! Gives the node back: takes down what the journal names, and puts sysctls back. Needs no API and no manifests.

#[cfg(test)]
mod tests;

use crate::journal::{Change, Journal, JournalError};
use crate::kernel::{Done, Kernel, KernelError, Linux};
use crate::state::{Fixture, Made, Op};
use lvs_ipvs::Operation;
use std::io::{self, Write};
use std::path::Path;

/// Why a clean-up did not happen at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CleanupError {
    /// There is nothing that says what is ours, or another agent is at work.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The kernel cannot be reached.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// It could not be told what was done; it was done all the same.
    #[error("the report could not be written: {0}")]
    Report(#[from] io::Error),
}

/// How a clean-up has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Things taken down or put back.
    pub done: usize,
    /// Things that could not be: they stay in the journal, for another try.
    pub failed: usize,
}

/// Cleans up after the agent whose state is in `state_dir`, with sysctls below `sysctls` (`/proc/sys`), and tells on `out` each thing that it gives back.
///
/// # Errors
/// When nothing could be tried, above all while the agent still runs. What failed by itself is counted in the result.
pub fn run(state_dir: &Path, sysctls: &Path, out: &mut dyn Write) -> Result<Cleaned, CleanupError> {
    if !Journal::exists(state_dir) {
        writeln!(out, "no journal in {}: nothing to give back", state_dir.display())?;
        return Ok(Cleaned::default());
    }
    let mut journal = Journal::open(state_dir)?;
    let mut kernel = Linux::open_with(sysctls)?;
    for problem in journal.problems() {
        writeln!(out, "journal: {problem}; see journal.damaged in {}", state_dir.display())?;
    }
    Ok(cleanup(&mut kernel, &mut journal, out)?)
}

/// As [`run`], with a kernel and a journal.
///
/// What draws packets goes first, VIPs above all; then the marks, so that no packet is marked for a service that has gone;
/// then services with their destinations, then the other fixtures. Sysctls go back last: ARP stays silenced while a VIP is on
/// `lo`.
///
/// # Errors
/// When `out` cannot be written; everything has been done by then.
pub fn cleanup(
    kernel: &mut dyn Kernel,
    journal: &mut Journal,
    out: &mut dyn Write,
) -> io::Result<Cleaned> {
    let things: Vec<(Made, Op)> =
        in_order(journal).into_iter().map(|made| (made.clone(), undo(made))).collect();
    let before: Vec<Option<Change>> = things
        .iter()
        .map(|(made, _)| match made {
            Made::Sysctl(path) => journal.change(path).cloned(),
            Made::Service(_) | Made::Address(_) | Made::Fixture(_) => None,
        })
        .collect();
    let ops: Vec<Op> = things.iter().map(|(_, op)| op.clone()).collect();
    let results = kernel.execute(&ops, journal);
    let mut cleaned = Cleaned::default();
    let mut lines = Vec::new();
    for (((made, _), change), result) in things.iter().zip(before).zip(results) {
        let result = match result {
            // With the module went its table.
            Err(error) if error.is_without_module() => {
                if let Err(error) = journal.forget(std::slice::from_ref(made)) {
                    tracing::warn!(%error, "the journal still names what has gone");
                }
                Ok(Done::Changed)
            }
            result => result,
        };
        let outcome = match result {
            Ok(done) => {
                cleaned.done += 1;
                told(&done, change)
            }
            Err(error) => {
                cleaned.failed += 1;
                format!("FAILED: {} ({})", error, error.reason())
            }
        };
        lines.push(format!("{}: {outcome}", name(made)));
    }
    for line in &lines {
        writeln!(out, "{line}")?;
    }
    match (cleaned.done, cleaned.failed) {
        (0, 0) => writeln!(out, "nothing to give back")?,
        (_, 0) => {}
        (_, failed) => writeln!(out, "{failed} of {} could not be given back", lines.len())?,
    }
    Ok(cleaned)
}

fn in_order(journal: &Journal) -> Vec<Made> {
    let rank = |made: &Made| match made {
        Made::Fixture(Fixture::LocalDelivery { .. }) => 0,
        Made::Address(_) => 1,
        Made::Fixture(
            Fixture::Mark { .. }
            | Fixture::Balanced { .. }
            | Fixture::OtherDirector { .. }
            | Fixture::OwnTunnel { .. },
        ) => 2,
        Made::Service(_) => 3,
        Made::Fixture(_) => 4,
        Made::Sysctl(_) => 5,
    };
    let mut things: Vec<Made> = journal.ours().iter().cloned().collect();
    things.sort_by_key(rank);
    things
}

fn undo(made: Made) -> Op {
    match made {
        Made::Address(held) => Op::DelAddress(held),
        Made::Service(key) => Op::Ipvs(Operation::DelService(key)),
        Made::Sysctl(path) => Op::RestoreSysctl { path },
        Made::Fixture(fixture) => Op::DelFixture(fixture),
    }
}

fn name(made: &Made) -> String {
    match made {
        Made::Address(held) => format!("address {} on {}", held.address, held.interface),
        Made::Service(key) => format!("service {key}"),
        Made::Sysctl(path) => format!("sysctl {path}"),
        Made::Fixture(fixture) => fixture.to_string(),
    }
}

fn told(done: &Done, change: Option<Change>) -> String {
    match (done, change) {
        (Done::TakenOver { value }, Some(change)) => format!(
            "left at {value}: somebody has changed it since (we had set {}, before it was {})",
            change.given, change.previous
        ),
        (Done::Left { because }, Some(change)) => {
            format!("left at {}, and was {} before: {because}", change.given, change.previous)
        }
        (_, Some(change)) => format!("back to {}", change.previous),
        (_, None) => "removed".to_owned(),
    }
}
