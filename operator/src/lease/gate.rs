//! The gate that every write passes: open only while the lease is held at that very moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Open while the lease is held. It shuts by itself: a process that was frozen finds it shut when it wakes, before
/// anybody tells it.
#[derive(Clone, Debug)]
pub struct Gate {
    zero: Instant,
    /// Milliseconds after `zero`; 0: shut.
    until: Arc<AtomicU64>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { zero: Instant::now(), until: Arc::default() }
    }
}

impl Gate {
    /// Time since the gate was made: the clock of the lease's machine.
    pub fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    /// Opens it until then, or shuts it.
    pub fn set(&self, until: Option<Duration>) {
        let until = until.map_or(0, |until| u64::try_from(until.as_millis()).unwrap_or(u64::MAX));
        self.until.store(until, Ordering::SeqCst);
    }

    /// Whether one may write now.
    pub fn is_open(&self) -> bool {
        self.now() < Duration::from_millis(self.until.load(Ordering::SeqCst))
    }
}
