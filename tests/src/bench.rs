//! What `lvs-bench` measures. Each function is called inside a guest and returns figures; nothing here asserts speed.
//!
//! A guest overstates system calls by far, so what is compared runs in the same guest, in turns.

mod audit;
mod busy;
mod cold;
mod connections;
mod crowd;
mod failover;
mod survival;
mod tracking;
mod wide;

pub use audit::{Audit, audit};
pub use busy::{Busy, busy};
pub use cold::{Cold, cold_programming};
pub use connections::{Filled, Filling, Flows};
pub use crowd::{Talk, crowd, move_all};
pub use failover::{Crash, HandOvers, Outages, Pair, Rival};
pub use survival::{Mode, Survivors, survivors};
pub use tracking::{Stand, Tracked, tracking};
pub use wide::{Latency, Wide};
