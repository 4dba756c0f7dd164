//! What the agent made, on disk, so that it never touches anything else and can give the node back.
//!
//! A log of lines, each one thing more or one thing less, so that the cost of a change follows the change and not the
//! table. What is to be made is recorded, and on the disk, *before* the kernel is changed; what is undone is forgotten
//! afterwards. So a crash at any moment leaves a journal that names at least everything that was made.
//!
//! The log belongs to one boot of the kernel and to one network namespace: what was made in another is gone, with the
//! values that sysctls had before.

mod fixture;
mod line;
mod store;
#[cfg(test)]
mod tests;

use crate::state::{Fixture, HeldAddress, Made};
use lvs_ipvs::ServiceKey;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

pub use line::Identity;
use line::Line;
use store::Store;

/// What goes into the journal before something is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An IPVS service with all its destinations.
    Service(ServiceKey),
    /// An address on an interface.
    Address(HeldAddress),
    /// A sysctl that gets another value.
    Sysctl {
        /// Path below `/proc/sys`.
        path: String,
        /// What it was before, and what it becomes.
        change: Change,
    },
    /// A fixture.
    Fixture(Fixture),
}

impl Entry {
    /// What it will be.
    pub fn made(&self) -> Made {
        match self {
            Self::Service(key) => Made::Service(*key),
            Self::Address(address) => Made::Address(address.clone()),
            Self::Sysctl { path, .. } => Made::Sysctl(path.clone()),
            Self::Fixture(fixture) => Made::Fixture(*fixture),
        }
    }
}

/// What the agent did to a sysctl.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The value before the agent's first change.
    pub previous: String,
    /// The value that the agent gave it last.
    pub given: String,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process has it.
    #[error("another lvs-agent uses the state directory {}: stop it, or choose another --state-dir", dir.display())]
    InUse {
        /// The state directory.
        dir: PathBuf,
    },
    /// A file could not be used.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// What was to be done.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// How it failed.
        #[source]
        source: io::Error,
    },
}

/// The journal of one state directory; while it is open, no other process can open it.
#[derive(Debug)]
pub struct Journal {
    store: Store,
    identity: Identity,
    made: BTreeSet<Made>,
    changes: BTreeMap<String, Change>,
    problems: Vec<String>,
}

impl Journal {
    /// Opens the journal in `dir`, which is made where it is missing, for this boot and the calling thread's network
    /// namespace.
    ///
    /// # Errors
    /// When another process has it open, or a file cannot be read or written. Damaged lines are no error, see
    /// [`Journal::problems`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, JournalError> {
        Self::open_as(dir, &Identity::read()?)
    }

    /// As [`Journal::open`], for a given boot and network namespace.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_as(dir: impl AsRef<Path>, identity: &Identity) -> Result<Self, JournalError> {
        let (store, text) = Store::open(dir.as_ref())?;
        let replayed = line::replay(&text, identity);
        let mut journal = Self {
            store,
            identity: identity.clone(),
            made: replayed.made,
            changes: replayed.changes,
            problems: replayed.problems,
        };
        if !journal.problems.is_empty() {
            journal.store.keep_damaged(&text)?;
        }
        journal.store.rewrite(&line::render(identity, &journal.entries()))?;
        Ok(journal)
    }

    /// Whether there is a journal in `dir`, of whatever boot.
    pub fn exists(dir: impl AsRef<Path>) -> bool {
        dir.as_ref().join("journal").exists()
    }

    /// Everything that is the agent's.
    pub fn ours(&self) -> &BTreeSet<Made> {
        &self.made
    }

    /// What the agent did to a sysctl, `None` where it did nothing.
    pub fn change(&self, path: &str) -> Option<&Change> {
        self.changes.get(path)
    }

    /// The value of a sysctl before the agent changed it, `None` where it did not.
    pub fn previous(&self, path: &str) -> Option<&str> {
        self.changes.get(path).map(|change| change.previous.as_str())
    }

    /// What was found damaged on opening, for people. The rest was kept, and so is a copy: `journal.damaged`.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Records what is to be made. When this returns, it is on the disk. What is recorded already costs nothing; a sysctl
    /// that is ours already keeps the value that it had before the first change.
    ///
    /// # Errors
    /// When it cannot be written: then the kernel must not be touched, and nothing is recorded.
    pub fn record(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        let mut lines = Vec::new();
        let mut fresh = Vec::new();
        for entry in entries {
            let entry = self.merged(entry);
            if !self.knows(&entry) {
                lines.push(Line::add(&entry));
                fresh.push(entry);
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        self.store.append(&lines, true)?;
        for entry in fresh {
            self.enter(entry);
        }
        self.compact();
        Ok(())
    }

    /// Forgets what has been undone. It is not waited for: that something gone is still named does no harm.
    ///
    /// # Errors
    /// When it cannot be written. It is forgotten all the same until the next start.
    pub fn forget(&mut self, things: &[Made]) -> Result<(), JournalError> {
        let mut lines = Vec::new();
        for made in things {
            if self.made.remove(made) {
                lines.push(Line::remove(made));
            }
            if let Made::Sysctl(path) = made {
                self.changes.remove(path);
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        self.store.append(&lines, false)?;
        self.compact();
        Ok(())
    }

    fn merged(&self, entry: &Entry) -> Entry {
        match entry {
            Entry::Sysctl { path, change } => match self.changes.get(path) {
                None => entry.clone(),
                Some(first) => {
                    // What it was before the first change is what counts.
                    let (previous, given) = (first.previous.clone(), change.given.clone());
                    let change = Change { previous, given };
                    Entry::Sysctl { path: path.clone(), change }
                }
            },
            Entry::Service(_) | Entry::Address(_) | Entry::Fixture(_) => entry.clone(),
        }
    }

    fn knows(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Sysctl { path, change } => self.changes.get(path) == Some(change),
            Entry::Service(_) | Entry::Address(_) | Entry::Fixture(_) => {
                self.made.contains(&entry.made())
            }
        }
    }

    fn enter(&mut self, entry: Entry) {
        self.made.insert(entry.made());
        if let Entry::Sysctl { path, change } = entry {
            self.changes.insert(path, change);
        }
    }

    fn entries(&self) -> Vec<Entry> {
        self.made
            .iter()
            .map(|made| match made {
                Made::Service(key) => Entry::Service(*key),
                Made::Address(address) => Entry::Address(address.clone()),
                Made::Sysctl(path) => Entry::Sysctl {
                    path: path.clone(),
                    change: self.changes.get(path).cloned().unwrap_or_default(),
                },
                Made::Fixture(fixture) => Entry::Fixture(*fixture),
            })
            .collect()
    }

    /// Rewrites the log when most of it is history. What counts is on the disk already, so a failure can wait.
    fn compact(&mut self) {
        if !self.store.is_mostly_history(self.made.len()) {
            return;
        }
        if let Err(error) = self.store.rewrite(&line::render(&self.identity, &self.entries())) {
            tracing::warn!(%error, "the journal could not be compacted");
        }
    }

    /// From now on no write succeeds.
    #[cfg(test)]
    pub(crate) fn break_for_test(&mut self) {
        self.store.break_for_test();
    }
}
