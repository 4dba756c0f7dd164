//! The rules of a DirectorGroup's spec, by subject.

mod failover;
mod interface;
mod members;
mod networks;
mod timeouts;

use super::{Rule, blame_if, blame_items, names};
use crate::DirectorGroupSpec;

pub(super) const RULES: &[&[Rule<DirectorGroupSpec>]] =
    &[members::RULES, networks::RULES, interface::RULES, timeouts::RULES, failover::RULES];
