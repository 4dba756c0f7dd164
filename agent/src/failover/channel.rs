//! What goes to the thread, and what comes from it.

use super::{Figures, Report, Wants};
use crate::state::HeldAddress;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Command {
    /// All that is wanted.
    Want(Wants),
    /// Addresses that have come to stay.
    Announce(Vec<HeldAddress>),
    /// Hand over and end.
    Stop,
}

/// What the thread tells. It takes the lock after it has acted, for as long as it takes to replace a value.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) report: Report,
    pub(super) figures: Figures,
}
