//! Which replica writes: one Lease (coordination.k8s.io/v1), judged by locally observed renewals, as client-go does.
//!
//! [`machine`] decides, without a clock and without I/O; [`driver`] talks to the API server.

pub mod driver;
pub mod gate;
pub mod machine;
#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic)]
mod tests;
