//! What a kernel must be able to do, without any notion of whose it is; [`super::execute`] adds that.

use super::{FixtureError, KernelError};
use crate::state::{Fixture, FixtureKind, HeldAddress, Observed, Unseen};
use lvs_ipvs::{Operation, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// One kernel's primitives.
pub(super) trait Ports {
    /// Changes the IPVS table, in order, a result each.
    fn apply(&mut self, operations: &[Operation]) -> Vec<Result<(), lvs_ipvs::Error>>;

    /// Which of these services exist.
    fn existing(
        &mut self,
        keys: &BTreeSet<ServiceKey>,
    ) -> Result<BTreeSet<ServiceKey>, lvs_ipvs::Error>;

    /// All services.
    fn services(&mut self) -> Result<BTreeSet<ServiceKey>, lvs_ipvs::Error>;

    /// All addresses.
    fn standing(&mut self) -> io::Result<Vec<Standing>>;

    /// Adds or removes addresses, in order, a result each.
    fn change(&mut self, change: Direction, addresses: &[HeldAddress]) -> Vec<io::Result<()>>;

    /// The value of a sysctl, without its newline.
    fn read_sysctl(&mut self, path: &str) -> io::Result<String>;

    /// Gives a sysctl a value.
    fn write_sysctl(&mut self, path: &str, value: &str) -> io::Result<()>;

    /// All fixtures of these kinds, whoever made them; none of a kind that the kernel has no module for. A kind that cannot
    /// be listed hides no other.
    fn fixtures(&mut self, kinds: &BTreeSet<FixtureKind>) -> Listed;

    /// Makes and removes fixtures, a result each. The caller asks for removals before additions, and for all at once that
    /// should happen at once. Removing what is not there succeeds.
    fn change_fixtures(
        &mut self,
        changes: &[(Direction, Fixture)],
    ) -> Vec<Result<(), FixtureError>>;
}

/// Which way an address or fixture changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It shall stand.
    Add,
    /// It shall not stand.
    Remove,
}

impl Direction {
    /// For errors.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
        }
    }
}

/// An address as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) held: HeldAddress,
    /// Whether the kernel deletes it together with its subnet's primary address (IPv4).
    pub(super) secondary: bool,
    /// Whether it is on `lo` or a dummy, where no network leads to it.
    pub(super) aside: bool,
}

/// The same failure once more: `io::Error` cannot be cloned.
pub(super) fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// What a look at fixtures found, sort by sort.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) standing: BTreeSet<Fixture>,
    /// Sorts of which nothing is known.
    pub(super) failed: BTreeMap<FixtureKind, FixtureError>,
}

impl Listed {
    pub(super) fn tell(self, observed: &mut Observed) {
        observed.fixtures.extend(self.standing);
        let unseen = self.failed.into_iter().map(|(kind, source)| {
            let operation = format!("list what stands of {kind}");
            let error = KernelError::Fixture { operation, source };
            tracing::warn!(%error, "not looked at; what was known of them stays");
            (kind, Unseen { reason: error.reason(), message: error.to_string() })
        });
        observed.unseen.extend(unseen);
    }
}
