//! Commands of the family.

use netlink_packet_core::DecodeError;

use crate::constants::*;

/// A command of the family; there is no flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Makes a service; also the reply to [`Command::GetService`].
    NewService,
    /// Changes a service.
    SetService,
    /// Deletes a service.
    DelService,
    /// Reads one service, or all by a dump.
    GetService,
    /// Adds a destination; also the reply to [`Command::GetDestination`].
    NewDestination,
    /// Changes a destination.
    SetDestination,
    /// Deletes a destination.
    DelDestination,
    /// Reads the destinations of a service; a dump only.
    GetDestination,
    /// Starts a sync daemon; also the reply to [`Command::GetDaemon`].
    NewDaemon,
    /// Stops a sync daemon.
    DelDaemon,
    /// Reads the sync daemons; a dump only.
    GetDaemon,
    /// Sets the timeouts; also the reply to [`Command::GetConfig`].
    SetConfig,
    /// Reads the timeouts.
    GetConfig,
    /// The reply to [`Command::GetInfo`].
    SetInfo,
    /// Reads the version.
    GetInfo,
    /// Sets counters to 0.
    Zero,
}

impl Command {
    /// All commands, in the kernel's order.
    pub const ALL: [Self; 16] = [
        Self::NewService,
        Self::SetService,
        Self::DelService,
        Self::GetService,
        Self::NewDestination,
        Self::SetDestination,
        Self::DelDestination,
        Self::GetDestination,
        Self::NewDaemon,
        Self::DelDaemon,
        Self::GetDaemon,
        Self::SetConfig,
        Self::GetConfig,
        Self::SetInfo,
        Self::GetInfo,
        Self::Zero,
    ];

    /// The kernel's number.
    pub const fn number(self) -> u8 {
        match self {
            Self::NewService => CMD_NEW_SERVICE,
            Self::SetService => CMD_SET_SERVICE,
            Self::DelService => CMD_DEL_SERVICE,
            Self::GetService => CMD_GET_SERVICE,
            Self::NewDestination => CMD_NEW_DEST,
            Self::SetDestination => CMD_SET_DEST,
            Self::DelDestination => CMD_DEL_DEST,
            Self::GetDestination => CMD_GET_DEST,
            Self::NewDaemon => CMD_NEW_DAEMON,
            Self::DelDaemon => CMD_DEL_DAEMON,
            Self::GetDaemon => CMD_GET_DAEMON,
            Self::SetConfig => CMD_SET_CONFIG,
            Self::GetConfig => CMD_GET_CONFIG,
            Self::SetInfo => CMD_SET_INFO,
            Self::GetInfo => CMD_GET_INFO,
            Self::Zero => CMD_ZERO,
        }
    }
}

impl TryFrom<u8> for Command {
    type Error = DecodeError;

    fn try_from(number: u8) -> Result<Self, DecodeError> {
        Self::ALL
            .into_iter()
            .find(|command| command.number() == number)
            .ok_or_else(|| DecodeError::from(format!("unknown IPVS command {number}")))
    }
}
