//! Whether real servers work: what this director asks them, and what it found.
//!
//! Every director that may carry a VIP checks, so that each knows at a take-over. What is asked when, and when a server turns, is
//! `lvs-health`'s; what a verdict means for the kernel is [`crate::plan`]'s.

mod handle;
pub mod saved;
mod thread;

pub use handle::Handle;

use crate::owner::Owner;
use lvs_crds::{HealthCheck, InitialHealth};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// One thing that is asked of one address, whoever wants it asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The real server's address.
    pub address: IpAddr,
    /// The port; none for what has no ports.
    pub port: Option<u16>,
    /// How: one kind, without a port of its own.
    pub check: Arc<HealthCheck>,
}

impl Target {
    /// What is asked, whenever and however often: of two targets with the same question, what one met holds for the other.
    pub fn question(&self) -> Self {
        let mut check = (*self.check).clone();
        (check.interval_milliseconds, check.timeout_milliseconds) = (0, 0);
        (check.rise, check.fall, check.jitter_percent) = (0, 0, 0);
        check.initial = InitialHealth::default();
        Self { check: Arc::new(check), ..self.clone() }
    }
}

/// What was found of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether it works.
    pub up: bool,
    /// By what it was found, such as `HTTP 503 in 4 ms, 3 of 3`.
    pub reason: String,
    /// Its check cannot be made, and counts for nothing; `reason` names the field.
    #[serde(default)]
    pub unfit: bool,
}

impl Verdict {
    /// Of a target that counts as up from the beginning and has never turned.
    pub fn unturned() -> Self {
        Self { up: true, reason: String::new(), unfit: false }
    }
}

/// What is known of a target that somebody is to check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Of several times that a target came and went, which: what was found in an earlier one says nothing.
    pub serial: u64,
    /// What was found before.
    pub verdict: Option<Verdict>,
}

/// What was found so far. Of what is not among it nothing is known, and its check's `initial` counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts(BTreeMap<Target, Verdict>);

impl Verdicts {
    /// Why a target counts as down, if it does.
    pub fn down(&self, target: &Target) -> Option<&str> {
        match self.0.get(target) {
            Some(verdict) if verdict.unfit => None,
            Some(verdict) => (!verdict.up).then_some(verdict.reason.as_str()),
            None => (target.check.initial == InitialHealth::Down).then_some("not checked yet"),
        }
    }

    /// Why a target cannot be checked, if it cannot.
    pub fn unfit(&self, target: &Target) -> Option<&str> {
        let verdict = self.0.get(target).filter(|verdict| verdict.unfit);
        verdict.map(|verdict| verdict.reason.as_str())
    }

    /// What is known of a target.
    pub fn get(&self, target: &Target) -> Option<&Verdict> {
        self.0.get(target)
    }

    /// Takes a verdict in.
    pub fn set(&mut self, target: Target, verdict: Verdict) {
        self.0.insert(target, verdict);
    }

    /// Forgets what nobody asks any more.
    pub fn remove(&mut self, target: &Target) {
        self.0.remove(target);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Target, &Verdict)> {
        self.0.iter()
    }
}

impl FromIterator<(Target, Verdict)> for Verdicts {
    fn from_iter<I: IntoIterator<Item = (Target, Verdict)>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

/// Whoever checks.
pub trait Checker: Send {
    /// What an owner wants checked from now on, nothing if it is gone; and what is known of it from before.
    fn check(&mut self, owner: Owner, targets: BTreeMap<Target, Known>);
    /// What has turned since this was asked last, each with its serial.
    fn turned(&mut self) -> Vec<(Target, u64, Verdict)>;
}

/// Checks nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Checker for Nobody {
    fn check(&mut self, _: Owner, _: BTreeMap<Target, Known>) {}
    fn turned(&mut self) -> Vec<(Target, u64, Verdict)> {
        Vec::new()
    }
}
