//! Telling the link where addresses are: at once, and again until a predecessor's lifetime is over for sure.

use super::{Action, Group, Held, Timer};
use crate::packet::Vrid;
use std::time::Duration;

/// Contenders are answered at most this often.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) vrid: Vrid,
    pub(super) addresses: Vec<Held>,
    start: Duration,
    step: u32,
}

/// After the take-over: 0, 0.1, 0.5, 1, 2, 3 ... s.
fn offset(step: u32) -> Duration {
    match step {
        0 => Duration::ZERO,
        1 => Duration::from_millis(100),
        2 => Duration::from_millis(500),
        step => Duration::from_secs(u64::from(step) - 2),
    }
}

impl Group {
    /// Announces now, and plans the repetitions.
    pub(super) fn announce(&mut self, vrid: Vrid, addresses: Vec<Held>, actions: &mut Vec<Action>) {
        if addresses.is_empty() {
            return;
        }
        let id = self.next_batch;
        self.next_batch += 1;
        self.batches.insert(id, Batch { vrid, addresses, start: self.now, step: 0 });
        self.announce_again(id, actions);
    }

    /// Somebody else announced what this router holds.
    pub(super) fn announce_all(&mut self, vrid: Vrid, actions: &mut Vec<Action>) {
        let fresh = |batch: &Batch| batch.vrid == vrid && batch.start + AGAIN > self.now;
        if self.batches.values().any(fresh) {
            return;
        }
        self.silence(vrid);
        let addresses = self.held_of(vrid);
        self.announce(vrid, addresses, actions);
    }

    pub(super) fn announce_again(&mut self, id: u64, actions: &mut Vec<Action>) {
        let Some(batch) = self.batches.get_mut(&id) else { return };
        batch.addresses.retain(|held| self.held.contains(held));
        if !batch.addresses.is_empty() {
            actions.push(Action::Announce(batch.addresses.clone()));
        }
        let beyond = offset(batch.step) > self.config.lifetime + Duration::from_secs(1);
        if beyond || batch.addresses.is_empty() {
            self.batches.remove(&id);
            return;
        }
        batch.step += 1;
        self.timers.set(Timer::Announce(id), batch.start + offset(batch.step));
    }

    /// No more announcements of this router.
    pub(super) fn silence(&mut self, vrid: Vrid) {
        let timers = &mut self.timers;
        self.batches.retain(|id, batch| {
            if batch.vrid == vrid {
                timers.clear(Timer::Announce(*id));
            }
            batch.vrid != vrid
        });
    }
}
