//! Conditions: types, and how one is set.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The spec is valid and does not clash with another object.
pub const ACCEPTED: &str = "Accepted";
/// The real servers are known.
pub const RESOLVED: &str = "Resolved";
/// Every director that must has read its kernel back against the current slices.
pub const PROGRAMMED: &str = "Programmed";
/// A client that connects now is served.
pub const AVAILABLE: &str = "Available";
/// Somebody asked the VIPs as a client does, and was answered.
pub const SERVED: &str = "Served";
/// A real server's checks pass.
pub const HEALTHY: &str = "Healthy";
/// It works, but something needs an admin's eye.
pub const DEGRADED: &str = "Degraded";
/// A DirectorGroup has a director; of others, the one word for all that says whether it does what it is to do.
pub const READY: &str = "Ready";

/// Another DirectorGroup has the say on settings that this one sets too.
pub const CONFLICTED: &str = "Conflicted";
/// Clients that run on the directors, or on the real servers, are served too.
pub const REACHABLE_FROM_NODES: &str = "ReachableFromNodes";
/// Established connections go on when the director that carries them dies.
pub const SURVIVES_FAILOVER: &str = "SurvivesFailover";

/// A condition's status: it can also be that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    /// As conditions write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Sets a condition and keeps its transition time unless the status flips. Returns whether the status flipped or the
/// condition is new.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    type_: &str,
    status: Truth,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: &Time,
) -> bool {
    let status = status.as_str();
    let existing = conditions.iter_mut().find(|c| c.type_ == type_);
    let flipped = existing.as_ref().is_none_or(|c| c.status != status);
    let mut new = Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time: now.clone(),
    };
    match existing {
        Some(old) => {
            if !flipped {
                new.last_transition_time = old.last_transition_time.clone();
            }
            *old = new;
        }
        None => conditions.push(new),
    }
    flipped
}
