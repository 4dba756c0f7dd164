//! The agent: makes one node's kernel match the slices.
//!
//! `input -> plan (pure) -> diff (pure) -> kernel -> read back -> report`. See ARCHITECTURE.md.

pub mod journal;
pub mod kernel;
pub mod state;
