//! What goes to the thread, and what comes from it.

use super::{Asks, Report};
use crate::owner::Owner;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Command {
    Ask(Owner, Box<Asks>),
    Told(u64),
    Held(BTreeSet<IpAddr>),
    Stop,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections begun.
    pub connections: u64,
    /// Of these, accepted.
    pub answered: u64,
    /// And not, or not even begun since nobody has the VIP.
    pub unanswered: u64,
    /// Packets sent, ARP among them.
    pub packets: u64,
    /// Services that are asked.
    pub services: usize,
}

/// What the thread tells.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) report: Report,
    pub(super) figures: Figures,
}
