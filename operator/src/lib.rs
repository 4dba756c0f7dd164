//! The operator: watches what users and nodes say, writes slices and statuses.
//!
//! [`watch`] turns one watch a kind into changes; [`state`] keeps the snapshot, marks what a change concerns and decides,
//! without I/O, what to write; [`engine`] works that off; [`api`] alone writes, through the [`lease`]'s gate.

pub mod admin;
pub mod api;
pub mod args;
mod backoff;
mod check;
pub mod default_group;
pub mod engine;
pub mod installed;
pub mod lease;
pub mod logging;
pub mod metrics;
mod run;
pub mod state;
mod uninstall;
pub mod watch;

pub use run::run;
