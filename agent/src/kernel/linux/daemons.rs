//! Sync daemons on the real kernel. They carry no owner: one is only stopped when it is exactly what was made.

use super::Linux;
use crate::kernel::FixtureError;
use crate::kernel::fixture_error::DAEMONS_SHOW;
use crate::kernel::ports::Direction;
use crate::state::{Fixture, InterfaceName, SyncDaemon, SyncRole};
use lvs_ipvs::{Client, Daemon, DaemonState, Errno, Error, Operation};
use std::collections::BTreeSet;
use std::io;

impl Linux {
    /// The daemons that run, whoever started them; none in a kernel without IPVS.
    pub(super) fn standing_daemons(&mut self) -> Result<BTreeSet<Fixture>, FixtureError> {
        match self.ipvs(Client::daemons) {
            Ok(daemons) => Ok(daemons.iter().filter_map(known).map(Fixture::SyncDaemon).collect()),
            Err(Error::NoIpvs) => Ok(BTreeSet::new()),
            Err(error) => Err(failed("list the sync daemons", error)),
        }
    }

    pub(super) fn change_daemon(
        &mut self,
        direction: Direction,
        daemon: SyncDaemon,
    ) -> Result<(), FixtureError> {
        let running = match self.ipvs(Client::daemons) {
            Ok(running) => running.into_iter().find(|it| it.state == state(daemon.role)),
            Err(Error::NoIpvs) if direction == Direction::Remove => None,
            Err(error) => return Err(failed("list the sync daemons", error)),
        };
        let is_it = running.as_ref().and_then(known) == Some(daemon);
        let operation = match (direction, running) {
            (Direction::Add, Some(_)) if is_it => return Ok(()),
            (Direction::Add, Some(other)) => {
                return Err(FixtureError::Foreign {
                    what: describe(&other),
                    shown_by: DAEMONS_SHOW.to_owned(),
                });
            }
            (Direction::Add, None) => Operation::NewDaemon(of(daemon)),
            (Direction::Remove, Some(_)) if is_it => Operation::DelDaemon(state(daemon.role)),
            (Direction::Remove, _) => return Ok(()),
        };
        let what = match direction {
            Direction::Add => "start it (IPVS_CMD_NEW_DAEMON)",
            Direction::Remove => "stop it (IPVS_CMD_DEL_DAEMON)",
        };
        match self.ipvs(|client| client.execute(operation)) {
            Ok(()) => Ok(()),
            // One that has not run yet is stopped without an answer: see `Operation::DelDaemon`.
            Err(Error::NoReply { .. })
                if direction == Direction::Remove
                    && !self.standing_daemons()?.contains(&Fixture::SyncDaemon(daemon)) =>
            {
                Ok(())
            }
            Err(error) => Err(failed(what, error)),
        }
    }
}

fn state(role: SyncRole) -> DaemonState {
    match role {
        SyncRole::Master => DaemonState::Master,
        SyncRole::Backup => DaemonState::Backup,
    }
}

fn of(daemon: SyncDaemon) -> Daemon {
    Daemon {
        max_length: Some(daemon.max_length),
        group: Some(daemon.group),
        port: Some(daemon.port),
        ttl: Some(daemon.ttl),
        ..Daemon::new(state(daemon.role), daemon.interface.as_str(), daemon.sync_id.into())
    }
}

/// `None` for one that we cannot have started.
fn known(daemon: &Daemon) -> Option<SyncDaemon> {
    let role = match daemon.state {
        DaemonState::Master => SyncRole::Master,
        DaemonState::Backup => SyncRole::Backup,
    };
    Some(SyncDaemon {
        role,
        interface: InterfaceName::new(&daemon.interface)?,
        sync_id: u8::try_from(daemon.sync_id).ok()?,
        group: daemon.group?,
        port: daemon.port?,
        ttl: daemon.ttl?,
        max_length: daemon.max_length?,
    })
}

fn describe(daemon: &Daemon) -> String {
    format!(
        "another {} sync daemon (id {} on {}; ipvsadm --stop-daemon {})",
        daemon.state, daemon.sync_id, daemon.interface, daemon.state
    )
}

fn failed(operation: &str, error: Error) -> FixtureError {
    let operation = operation.to_owned();
    match error.errno() {
        _ if matches!(error, Error::NoIpvs) => {
            FixtureError::NoModule { module: "ip_vs".to_owned() }
        }
        Some(Errno::EINVAL) => FixtureError::Kernel {
            operation,
            errno: Errno::EINVAL,
            message: Some(
                "no daemon runs beside destinations of another family than their service's"
                    .to_owned(),
            ),
        },
        Some(errno) => FixtureError::Kernel { operation, errno, message: None },
        None => FixtureError::Io { operation, source: io::Error::other(error) },
    }
}
