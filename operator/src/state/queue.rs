//! What is to be looked at: keys, each once, however often it was marked.

use lvs_resolve::Key;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

/// Something to look at, in the order of its urgency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A DirectorGroup: who its directors are.
    Group(String),
    /// A VirtualService: its slices and its status.
    VirtualService(Key),
    /// An LVSNode: whether its node is still there.
    LvsNode(String),
    /// A RealServer: its status.
    RealServer(Key),
}

impl Target {
    /// The kind, as metrics name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Group(_) => "DirectorGroup",
            Self::VirtualService(_) => "VirtualService",
            Self::LvsNode(_) => "LVSNode",
            Self::RealServer(_) => "RealServer",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(name) | Self::LvsNode(name) => f.write_str(name),
            Self::VirtualService(key) | Self::RealServer(key) => key.fmt(f),
        }
    }
}

/// The first wait after a failure; it doubles with each further one.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// Targets to look at now, and later.
#[derive(Debug, Default)]
pub struct Queue {
    ready: BTreeSet<Target>,
    later: BTreeSet<(Duration, Target)>,
    /// How often each has failed in a row.
    failures: HashMap<Target, u32>,
    busy: HashSet<Target>,
    waiting: BTreeMap<Target, Duration>,
}

impl Queue {
    /// Marks a target: it is to be looked at, as soon as it is not being worked on.
    pub fn mark(&mut self, target: Target) {
        if let Some(due) = self.waiting.remove(&target) {
            self.later.remove(&(due, target.clone()));
        }
        self.ready.insert(target);
    }

    /// Marks a target for later, unless it is to be looked at anyway.
    pub fn mark_later(&mut self, target: Target, due: Duration) {
        if !self.ready.contains(&target) && !self.waiting.contains_key(&target) {
            self.waiting.insert(target.clone(), due);
            self.later.insert((due, target));
        }
    }

    /// Whether a target is to be looked at later.
    pub fn is_waiting(&self, target: &Target) -> bool {
        self.waiting.contains_key(target)
    }

    /// The next target, which from now on is being worked on.
    pub fn next(&mut self, now: Duration) -> Option<Target> {
        while let Some((due, _)) = self.later.first()
            && *due <= now
            && let Some((_, target)) = self.later.pop_first()
        {
            self.waiting.remove(&target);
            self.ready.insert(target);
        }
        let next = self.ready.iter().find(|target| !self.busy.contains(*target))?.clone();
        self.ready.remove(&next);
        self.busy.insert(next.clone());
        Some(next)
    }

    /// A target is not being worked on any more.
    pub fn done(&mut self, target: &Target) {
        self.busy.remove(target);
        self.failures.remove(target);
    }

    /// A target's work failed: it is looked at again in a while, or when it is marked.
    pub fn failed(&mut self, target: &Target, now: Duration) {
        self.busy.remove(target);
        let failures = self.failures.entry(target.clone()).or_default();
        let wait = FIRST.saturating_mul(1 << (*failures).min(16)).min(LONGEST);
        *failures += 1;
        if self.ready.contains(target) {
            // Marked meanwhile. That may have been by what made it fail, or may not: the wait holds.
            self.ready.remove(target);
        }
        self.waiting.insert(target.clone(), now + wait);
        self.later.insert((now + wait, target.clone()));
    }

    /// When something has to be looked at that is not ready yet.
    pub fn due(&self) -> Option<Duration> {
        self.later.first().map(|(due, _)| *due)
    }

    /// Whether there is something to look at now.
    pub fn is_ready(&self) -> bool {
        self.ready.iter().any(|target| !self.busy.contains(target))
    }

    /// How many are marked, now or for later.
    pub fn len(&self) -> usize {
        self.ready.len() + self.later.len()
    }

    /// Whether nothing is marked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
