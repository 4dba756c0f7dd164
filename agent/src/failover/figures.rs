//! What the thread counts.

use lvs_vrrp::State;
use std::collections::BTreeMap;

/// Figures since the start, of all groups together; groups that have been left count on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Advertisements handed to the kernel, one a virtual router, to however many peers.
    pub sent: u64,
    /// Advertisements of peers that were taken in.
    pub received: u64,
    /// Packets that were not, by cause: `forged` (from no peer), `unknown` (no virtual router of ours), or what was wrong with
    /// it.
    pub dropped: BTreeMap<&'static str, u64>,
    /// How often a virtual router's role has changed.
    pub transitions: u64,
    /// How often everything was let go because the thread had not run for too long.
    pub stalls: u64,
    /// Virtual routers that this node carries now.
    pub active: u64,
    /// Directors that are heard now; one that is in two groups counts twice.
    pub live_peers: u64,
    /// Requests about links and addresses to the kernel.
    pub requests: u64,
}

impl Figures {
    /// Adds one group's.
    pub(super) fn add(&mut self, report: &lvs_vrrp::Report, sums: Sums) {
        self.add_past(report, sums);
        self.active += sums.active;
        self.live_peers += count(report.live.len());
    }

    /// Adds what has been, of a group that is no more.
    pub(super) fn add_past(&mut self, report: &lvs_vrrp::Report, sums: Sums) {
        let counters = &report.counters;
        self.sent += counters.sent;
        self.received += counters.received;
        let malformed = counters.malformed.iter().map(|(cause, number)| (*cause, *number));
        let others = [("forged", counters.forged), ("unknown", counters.unknown)];
        for (cause, number) in malformed.chain(others) {
            if number > 0 {
                *self.dropped.entry(cause).or_default() += number;
            }
        }
        self.transitions += sums.transitions;
        self.stalls += report.stalls;
    }
}

/// Of all virtual routers of a group: worked out when one changes, not with each packet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    transitions: u64,
    active: u64,
}

impl Sums {
    pub(super) fn of(report: &lvs_vrrp::Report) -> Self {
        let active = report.routers.values().filter(|router| router.state == State::Active);
        Self {
            transitions: report.routers.values().map(|router| router.transitions).sum(),
            active: count(active.count()),
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
