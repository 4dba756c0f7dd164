//! Connection synchronisation.

use std::fmt;
use std::net::IpAddr;

use crate::constants::{STATE_BACKUP, STATE_MASTER};

/// Role of a sync daemon. A network namespace can run one of each at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DaemonState {
    /// Sends this director's connections.
    Master,
    /// Takes other directors' connections.
    Backup,
}

impl DaemonState {
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Master => STATE_MASTER,
            Self::Backup => STATE_BACKUP,
        }
    }

    pub(crate) fn from_number(number: u32) -> Option<Self> {
        match number {
            STATE_MASTER => Some(Self::Master),
            STATE_BACKUP => Some(Self::Backup),
            _ => None,
        }
    }
}

impl fmt::Display for DaemonState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}

/// A sync daemon. Fields that are `None` are left to the kernel on starting (Linux before 4.3 does not
/// know them) and are read back with the values in force.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Daemon {
    /// Role.
    pub state: DaemonState,
    /// Interface that the multicast goes through, at most 15 bytes; it must be up.
    pub interface: String,
    /// Only equal ids talk to each other; 0 to 255. A backup with 0 takes all.
    pub sync_id: u32,
    /// Largest message in bytes; default: what the interface's MTU leaves.
    pub max_length: Option<u16>,
    /// Multicast group; default 224.0.0.81.
    pub group: Option<IpAddr>,
    /// First UDP port; default 8848.
    pub port: Option<u16>,
    /// Time to live; default 1.
    pub ttl: Option<u8>,
}

impl Daemon {
    /// A daemon with the kernel's defaults.
    pub fn new(state: DaemonState, interface: impl Into<String>, sync_id: u32) -> Self {
        Self {
            state,
            interface: interface.into(),
            sync_id,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        }
    }
}
