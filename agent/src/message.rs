//! What the agent's rooms tell each other: inputs feed the engine, the engine publishes, its heart beats.

use crate::input::Update;
use lvs_crds::LVSNodeStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What the thread is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// News from an input.
    News(Box<Update>),
    /// The kernel says that addresses, interfaces or routes have changed.
    Look,
    /// The kernel says that somebody has taken away from our table in nftables.
    LookAtFilter,
    /// Others carry what this node carried, or the other way round.
    Carried,
    /// VIPs of others were asked, and something else was met than before.
    Probed,
    /// Checks of real servers came out otherwise than before.
    Checked,
    /// Leave, and leave the kernel as it is.
    Stop,
}

/// Sends news to the engine.
#[derive(Clone, Debug)]
pub struct Feed(mpsc::Sender<Message>);

impl Feed {
    pub(crate) fn new(engine: mpsc::Sender<Message>) -> Self {
        Self(engine)
    }

    /// Sends; `false` when the engine is gone.
    pub fn send(&self, update: Update) -> bool {
        self.0.send(Message::News(Box::new(update))).is_ok()
    }
}

/// When the kernel's thread was last seen alive.
#[derive(Debug)]
pub struct Heartbeat {
    epoch: Instant,
    millis: AtomicU64,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { epoch: Instant::now(), millis: AtomicU64::new(0) }
    }
}

impl Heartbeat {
    pub(crate) fn beat(&self) {
        let millis = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }

    /// How long ago that was.
    pub fn age(&self) -> Duration {
        self.epoch
            .elapsed()
            .saturating_sub(Duration::from_millis(self.millis.load(Ordering::Relaxed)))
    }
}

/// What the engine tells everybody else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// The report, but for its time.
    pub status: LVSNodeStatus,
    /// All slices and groups are known.
    pub synced: bool,
    /// The node does what is known to be wanted.
    pub ready: bool,
}

impl Published {
    /// Takes the place of what was told before; returns whether anybody must hear of it at once. The number of
    /// connections alone changes all the time, and goes along with the next report.
    pub(crate) fn replace(&mut self, new: Self) -> bool {
        if let (Some(old), Some(new)) = (&mut self.status.table, &new.status.table) {
            old.connections = new.connections;
        }
        let news = *self != new;
        *self = new;
        news
    }
}
