//! Asks real servers whether they work.
//!
//! A [`Check`] is made once of what a user wrote, which finds what a schema cannot (a regular expression that does not
//! compile), and run again and again. A run makes one connection, ends within its timeout whatever the other side does,
//! reads no more than [`MOST`] bytes, and leaves neither a task nor a connection behind. When checks run and what their results mean is
//! `lvs-health`'s; this crate knows no state.
//!
//! Connections are closed by a reset, as HAProxy does: an orderly end would leave a director some 60 s of TIME_WAIT for each
//! check, which of ten thousand checks a second is more than it has ports.
//!
//! Begin reading at [`Check::run`].

mod answer;
mod check;
mod connection;
mod dns;
mod failure;
mod grpc;
mod hex;
mod http;
mod icmp;
mod smtp;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod udp;

pub use answer::MOST;
pub use check::Check;
pub use failure::{BadCheck, Failure};
