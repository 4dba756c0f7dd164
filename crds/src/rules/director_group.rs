//! The rules of a DirectorGroup's spec, by subject.

mod failover;
mod members;
mod networks;
mod timeouts;

use super::{Rule, blame_if, blame_items, names};
use crate::DirectorGroupSpec;

/// As [`names::is_interface`] says.
const INTERFACE: &str = "self.matches('^[!-.0-9;-~]{1,15}$') && self != '.' && self != '..'";
const INTERFACE_MESSAGE: &str = "not the name of a network interface; write one such as eth0: at most 15 \
                                 characters, no '/', ':' or space";

pub(super) const RULES: &[&[Rule<DirectorGroupSpec>]] =
    &[members::RULES, networks::RULES, timeouts::RULES, failover::RULES];
