//! The agent: makes one node's kernel match the slices.
//!
//! `input -> plan (pure) -> diff (pure) -> kernel -> read back -> report`. See ARCHITECTURE.md.
//!
//! [`run()`] is the whole agent, for any [`kernel::Kernel`]; the binary runs it on the real one.

pub mod admin;
pub mod cleanup;
pub mod diff;
pub mod director;
pub mod facts;
pub mod failover;
pub mod handback;
pub mod health;
pub mod input;
pub mod journal;
pub mod kernel;
pub mod message;
pub mod metrics;
mod owner;
pub mod plan;
pub mod probe;
pub mod report;
mod retry;
pub mod run;
#[cfg(test)]
mod scenario;
pub mod standalone;
pub mod state;
pub mod telemetry;

pub use message::Published;
pub use run::{Agent, RunError, Settings, Source, run, start};
