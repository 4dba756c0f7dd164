//! When a real server is checked, and when it counts as down.
//!
//! [`Machine`] decides both: it is told the time and how checks ended, and says which to begin and who has turned. It knows
//! nothing of sockets, clocks, protocols or Kubernetes; a target is whatever the caller takes for one. What a verdict means
//! for a table (removal, weight 0, quorum) is the caller's.
//!
//! ```
//! use lvs_health::{Machine, Timing};
//! use std::time::Duration;
//!
//! let mut machine = Machine::new(7);
//! let timing = Timing { rise: 2, fall: 1, ..Timing::default() };
//! machine.set("rs1", timing, None, Duration::ZERO);
//! let mut now = Duration::ZERO;
//! let turned = loop {
//!     now = machine.deadline().expect("a check is due");
//!     let Some(target) = machine.begin(now) else { continue };
//!     if let Some(turned) = machine.end(&target, Err("refused".to_owned()), now) {
//!         break turned;
//!     }
//! };
//! assert!(!turned.up);
//! assert_eq!(turned.reason, "refused");
//! assert!(now <= timing.interval);
//! ```
//!
//! Begin reading at [`Machine::end`].

mod machine;
mod timing;

pub use machine::{Machine, Turned};
pub use timing::Timing;
