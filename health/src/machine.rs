//! Targets, their checks, and what becomes of results.

use crate::timing::Timing;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// A target that fell this long ago counts half for flapping.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// At most so many times its `rise` a target has to pass that flaps.
const MOST_PATIENCE: u32 = 8;

/// A target is up that was down, or the other way round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turned<T> {
    /// Which.
    pub target: T,
    /// What it is now.
    pub up: bool,
    /// How the last check ended.
    pub reason: String,
    /// How many ended so, one after the other.
    pub count: u32,
}

/// What is checked, and what is known of it.
#[derive(Debug)]
pub struct Machine<T> {
    targets: BTreeMap<T, State>,
    due: BTreeSet<(Duration, T)>,
    seed: u64,
}

#[derive(Debug)]
struct State {
    timing: Timing,
    up: bool,
    /// Results in a row that speak against what it counts as.
    against: u32,
    running: bool,
    /// When the next check is due; while one runs, when it would be.
    next: Duration,
    random: u64,
    /// How often it fell lately, and as of when.
    falls: (f64, Duration),
}

impl<T: Ord + Clone + Hash> Machine<T> {
    /// Without targets. Machines of one seed wait alike: each director should have its own.
    pub fn new(seed: u64) -> Self {
        Self { targets: BTreeMap::new(), due: BTreeSet::new(), seed }
    }

    /// Has a target checked from now on. One that is checked already keeps what is known of it; of another `known` is what
    /// was found before, if anything was.
    pub fn set(&mut self, target: T, timing: Timing, known: Option<bool>, now: Duration) {
        if let Some(state) = self.targets.get_mut(&target) {
            state.timing = timing;
            return;
        }
        let mut hasher = DefaultHasher::new();
        (self.seed, &target).hash(&mut hasher);
        let random = hasher.finish() | 1;
        let next = now + timing.phase(random);
        let up = known.unwrap_or(timing.initial_up);
        self.due.insert((next, target.clone()));
        let falls = (0.0, now);
        let state = State { timing, up, against: 0, running: false, next, random, falls };
        self.targets.insert(target, state);
    }

    /// Has a target checked no more. What a check of it that runs meets is of no interest.
    pub fn remove(&mut self, target: &T) {
        if let Some(state) = self.targets.remove(target) {
            self.due.remove(&(state.next, target.clone()));
        }
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Whether a target counts as up; `None` for one that is not checked.
    pub fn is_up(&self, target: &T) -> Option<bool> {
        self.targets.get(target).map(|state| state.up)
    }

    /// When the next check is due; `None` while all run, or there is none.
    pub fn deadline(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The next target that is due by now: its check begins. To be called until there is none.
    pub fn begin(&mut self, now: Duration) -> Option<T> {
        let (due, _) = self.due.first().filter(|(due, _)| *due <= now)?;
        let (due, target) = (*due, self.due.pop_first()?.1);
        let state = self.targets.get_mut(&target)?;
        state.running = true;
        state.random = xorshift(state.random);
        // By its own clockwork, not by when it was its turn: what is late does not make the next one late, and of several
        // that were missed only one is made up for.
        state.next = (due + state.timing.wait(state.random)).max(now);
        Some(target)
    }

    /// A check that was begun has ended: with what it met, or with why it failed.
    pub fn end(
        &mut self,
        target: &T,
        met: Result<String, String>,
        now: Duration,
    ) -> Option<Turned<T>> {
        let state = self.targets.get_mut(target).filter(|state| state.running)?;
        state.running = false;
        state.next = state.next.max(now);
        self.due.insert((state.next, target.clone()));
        let (passed, reason) = match met {
            Ok(reason) => (true, reason),
            Err(reason) => (false, reason),
        };
        if passed == state.up {
            state.against = 0;
            return None;
        }
        state.against = state.against.saturating_add(1);
        if state.against < state.needed(now) {
            return None;
        }
        let count = std::mem::take(&mut state.against);
        state.up = passed;
        if !passed {
            state.falls = (state.fallen(now) + 1.0, now);
        }
        Some(Turned { target: target.clone(), up: passed, reason, count })
    }
}

impl State {
    /// How many results in a row turn it. A target that falls again and again has to pass for longer each time (twice as often
    /// for each fall of the last minute or so), as BGP dampens routes that flap (RFC 2439); it falls as quickly as ever.
    fn needed(&self, now: Duration) -> u32 {
        if self.up {
            return self.timing.fall.max(1);
        }
        let mut patience = 1;
        let mut falls = self.fallen(now);
        while falls >= 1.5 && patience < MOST_PATIENCE {
            patience *= 2;
            falls -= 1.0;
        }
        self.timing.rise.max(1).saturating_mul(patience)
    }

    fn fallen(&self, now: Duration) -> f64 {
        let (falls, since) = self.falls;
        let lives = now.saturating_sub(since).as_secs_f64() / HALF_LIFE.as_secs_f64();
        falls * 0.5_f64.powf(lives)
    }
}

/// Marsaglia's generator (Journal of Statistical Software 8/14, 2003): enough to keep checks apart.
fn xorshift(mut x: u64) -> u64 {
    x ^= x << 13;
    x ^= x >> 7;
    x ^ (x << 17)
}

#[cfg(test)]
mod tests;
