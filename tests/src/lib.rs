//! The test bed: a real kernel with IPVS, and in it whatever a test needs.
//!
//! A suite is an ordinary test file in `tests/suites`. What it runs through [`bed::in_guest`] runs inside a guest, which
//! is one ordinary process on the host; there it builds a network ([`net`]), sends traffic ([`traffic`]), looks at packets
//! ([`wire`]) and at kernel tables ([`table`]), and starts a control plane ([`control_plane`]).

pub mod bed;
pub mod bench;
pub mod chart;
pub mod control_plane;
pub mod kubernetes;
pub mod net;
pub mod scenario;
pub mod table;
pub mod traffic;
mod wait;
pub mod wire;

pub use wait::{eventually, wait_for};
