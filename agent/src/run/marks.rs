//! Other people's firewall marks: packets that came with one and lost it to ours, and rules that use the same number.

use crate::kernel::{Kernel, MarkReport};
use crate::state::{Fixture, NodeState};
use lvs_crds::{FailedRole, Failure};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often the rules of all others are read, which is slow where there are many.
const PERIOD: Duration = Duration::from_secs(60);

/// As last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    ours: BTreeSet<u32>,
    looked: Option<Duration>,
    report: MarkReport,
}

impl Marks {
    /// Looks, where there are marks of ours, and where they have changed or the last look is long ago.
    pub(super) fn look(&mut self, kernel: &mut impl Kernel, wanted: &NodeState, now: Duration) {
        let ours: BTreeSet<u32> = wanted
            .fixtures
            .iter()
            .filter_map(|fixture| match fixture {
                Fixture::Mark { mark, .. } | Fixture::Balanced { mark, .. } => Some(mark.get()),
                _ => None,
            })
            .collect();
        let recent = self.looked.is_some_and(|then| now.saturating_sub(then) < PERIOD);
        if ours == self.ours && (recent || ours.is_empty()) {
            return;
        }
        self.looked = Some(now);
        self.report = if ours.is_empty() { MarkReport::default() } else { kernel.marks(&ours) };
        self.ours = ours;
    }

    /// What to tell.
    pub(super) fn warnings(&self) -> impl Iterator<Item = Failure> + '_ {
        let warning = |reason: &str, message: String| Failure {
            namespace: None,
            virtual_service: None,
            role: FailedRole::Director,
            reason: reason.to_owned(),
            message,
        };
        let foreign = self.report.foreign.then(|| {
            let message = "packets to firewall-mark services came with a mark that somebody else had set, and lost it to \
                           ours, since IPVS compares the whole mark: have the other rules leave those packets alone, or \
                           mark them yourself (firewallMark.rules: External)";
            warning("ForeignMark", message.to_owned())
        });
        let clashes = self.report.clashes.iter().map(move |(mark, rule)| {
            let message = format!(
                "firewall mark {mark} is in use by others too: {rule}. Choose another (firewallMark.mark), or change that rule"
            );
            warning("MarkClash", message)
        });
        foreign.into_iter().chain(clashes)
    }
}
