//! The names of what the agent made; the journal keeps them.

use super::{Fixture, HeldAddress};
use lvs_ipvs::ServiceKey;

/// One thing that the agent made (or, for a sysctl, changed).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Made {
    /// An IPVS service with all its destinations.
    Service(ServiceKey),
    /// An address on an interface.
    Address(HeldAddress),
    /// A sysctl, by its path below `/proc/sys`.
    Sysctl(String),
    /// A fixture.
    Fixture(Fixture),
}
