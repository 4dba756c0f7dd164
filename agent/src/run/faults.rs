//! What could not be done, and when it is tried again.

use crate::plan::Touched;
use crate::state::Made;
use std::collections::BTreeMap;
use std::time::Duration;

/// First wait before something failed is tried again; doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The longest wait.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: String,
    pub(super) message: String,
    attempts: u32,
    retry_at: Duration,
}

/// All faults. Times are since the engine's start.
#[derive(Debug, Default)]
pub(super) struct Faults(BTreeMap<Made, Fault>);

impl Faults {
    /// Replaces what is known of everything in `touched` by `found`. Returns what is new or has another reason, and
    /// what is well again.
    pub(super) fn update(
        &mut self,
        touched: &Touched,
        found: BTreeMap<Made, (String, String)>,
        now: Duration,
    ) -> Transitions {
        let mut transitions = Transitions::default();
        for made in things(touched) {
            if !found.contains_key(&made) && self.0.remove(&made).is_some() {
                transitions.well.push(made);
            }
        }
        for (made, (reason, message)) in found {
            let old = self.0.get(&made);
            let attempts = old.map_or(0, |fault| fault.attempts.saturating_add(1));
            if old.is_none_or(|fault| fault.message != message) {
                transitions.failed.push((made.clone(), reason.clone(), message.clone()));
            }
            let wait = FIRST_RETRY.saturating_mul(1 << attempts.min(5)).min(LONGEST_RETRY);
            self.0.insert(made, Fault { reason, message, attempts, retry_at: now + wait });
        }
        transitions
    }

    /// What is due to be tried again.
    pub(super) fn due(&self, now: Duration, touched: &mut Touched) {
        for (made, fault) in &self.0 {
            if fault.retry_at <= now {
                touch(touched, made.clone());
            }
        }
    }

    /// What failed for `reason`.
    pub(super) fn with_reason(&self, reason: &str, touched: &mut Touched) {
        for (made, _) in self.0.iter().filter(|(_, fault)| fault.reason == reason) {
            touch(touched, made.clone());
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Made, &Fault)> {
        self.0.iter()
    }

    pub(super) fn contains(&self, made: &Made) -> bool {
        self.0.contains_key(made)
    }
}

/// What has changed, for the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Transitions {
    pub(super) failed: Vec<(Made, String, String)>,
    pub(super) well: Vec<Made>,
}

/// Marks one thing as touched.
pub(super) fn touch(touched: &mut Touched, made: Made) {
    match made {
        Made::Service(key) => {
            touched.services.insert(key);
        }
        Made::Address(address) => {
            touched.addresses.insert(address);
        }
        Made::Sysctl(path) => {
            touched.sysctls.insert(path);
        }
        Made::Fixture(fixture) => {
            touched.fixtures.insert(fixture);
        }
    }
}

pub(super) fn things(touched: &Touched) -> impl Iterator<Item = Made> {
    let services = touched.services.iter().copied().map(Made::Service);
    let addresses = touched.addresses.iter().cloned().map(Made::Address);
    let fixtures = touched.fixtures.iter().copied().map(Made::Fixture);
    let sysctls = touched.sysctls.iter().cloned().map(Made::Sysctl);
    services.chain(addresses).chain(sysctls).chain(fixtures)
}
