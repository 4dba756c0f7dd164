//! What [`resolve`](crate::resolve) answers.

use lvs_crds::{RealServerCounts, Truth, VirtualServiceSliceSpec};
use std::net::IpAddr;

/// What is to be made of one VirtualService.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// Whether the spec stands: it clashes with nothing and its group carries it.
    pub accepted: Verdict,
    /// Whether the real servers are known.
    pub resolved: Verdict,
    /// All slices to have; an existing one that is not among them is to be deleted. A spec that is not accepted keeps
    /// the slices it has, so that the kernel keeps its last good state.
    pub slices: Vec<DesiredSlice>,
    /// The real servers counted.
    pub real_servers: RealServerCounts,
    /// The real servers that the service selects, by name; left out or not.
    pub selected: Vec<String>,
    /// Real servers, or addresses of them, that are not balanced to, and why. A Disabled one is not listed.
    pub left_out: Vec<LeftOut>,
    /// The DirectorGroup that carries the slices: the spec's, or, while that is not accepted, that of the slices.
    pub director_group: String,
    /// That group's directors.
    pub directors: Vec<String>,
    /// The VIPs of the spec, as far as they are addresses.
    pub addresses: Vec<IpAddr>,
}

/// A condition's status, reason and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it holds.
    pub status: Truth,
    /// One CamelCase word of [`reason`](crate::reason).
    pub reason: String,
    /// What is wrong, in which field, and how to put it right.
    pub message: String,
}

impl Verdict {
    pub(crate) fn yes(reason: &str, message: impl Into<String>) -> Self {
        Self { status: Truth::True, reason: reason.to_owned(), message: message.into() }
    }

    pub(crate) fn no(reason: &str, message: impl Into<String>) -> Self {
        Self { status: Truth::False, reason: reason.to_owned(), message: message.into() }
    }

    pub(crate) fn unknown(reason: &str, message: impl Into<String>) -> Self {
        Self { status: Truth::Unknown, reason: reason.to_owned(), message: message.into() }
    }

    /// Whether it is known to hold.
    pub fn is_true(&self) -> bool {
        self.status == Truth::True
    }
}

/// A slice to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredSlice {
    /// The name, in the VirtualService's namespace.
    pub name: String,
    /// The spec.
    pub spec: VirtualServiceSliceSpec,
}

/// A real server that is not balanced to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The RealServer's name.
    pub real_server: String,
    /// One CamelCase word of [`reason`](crate::reason).
    pub reason: &'static str,
    /// What is wrong, in which field, and how to put it right.
    pub message: String,
}
