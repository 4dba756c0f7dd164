//! What can go wrong with a fixture. Which fixture, and what was to be done with it, is said by whoever asked
//! ([`super::KernelError::Fixture`]).

use super::{nftables, tunnels};
use crate::state::Fixture;
use lvs_ipvs::Errno;
use std::io;

/// Shows IPVS's sync daemons.
pub(super) const DAEMONS_SHOW: &str = "ipvsadm -L --daemon";

/// Why a fixture could not be made, removed or looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FixtureError {
    /// The kernel has no nftables.
    #[error(
        "this kernel has no nftables: load the module nf_tables, or take a kernel with CONFIG_NF_TABLES"
    )]
    NoNftables,
    /// The kernel lacks a module that it would have loaded, or that nothing loads by itself.
    #[error("this kernel has no {module}: load it (modprobe {module})")]
    NoModule {
        /// The module's name.
        module: String,
    },
    /// Something that the agent did not make is in the way.
    #[error("{what} exists and was not made by this agent: remove it ({shown_by})")]
    Foreign {
        /// What is in the way, by the name under which its tool shows it.
        what: String,
        /// The command that shows it.
        shown_by: String,
    },
    /// The kernel refused.
    #[error("{operation}: {errno}{}{}", said(message.as_deref()), hint(*errno))]
    Kernel {
        /// The request that was refused.
        operation: String,
        /// Why.
        errno: Errno,
        /// The kernel's own words (extended acknowledgement), where it gave some.
        message: Option<String>,
    },
    /// A socket failed, or an answer made no sense. A change may have happened.
    #[error("{operation}: {source}")]
    Io {
        /// The request.
        operation: String,
        /// How.
        #[source]
        source: io::Error,
    },
}

impl FixtureError {
    /// Somebody else's stands where this fixture was to stand.
    pub fn foreign(fixture: &Fixture) -> Self {
        let shown_by = match fixture {
            Fixture::Tunnel { device, local } => tunnels::link_shown_by(*device, *local),
            Fixture::Gue { .. } => tunnels::FOU_SHOW.to_owned(),
            Fixture::LocalDelivery { packets } if packets.destination.addr().is_ipv6() => {
                "ip -6 rule show".to_owned()
            }
            Fixture::LocalDelivery { .. } => "ip rule show".to_owned(),
            Fixture::SyncDaemon(_) => DAEMONS_SHOW.to_owned(),
            Fixture::Mark { .. }
            | Fixture::Masquerade { .. }
            | Fixture::Outgoing { .. }
            | Fixture::UnknownReplies { .. }
            | Fixture::SegmentSize { .. }
            | Fixture::Balanced { .. }
            | Fixture::OtherDirector { .. }
            | Fixture::OwnTunnel { .. }
            | Fixture::Untracked { .. }
            | Fixture::Arrivals { .. } => nftables::SHOW.to_owned(),
        };
        Self::Foreign { what: format!("the {fixture}"), shown_by }
    }

    /// A stable word for conditions, events and metric labels.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoNftables => "NoNftables",
            Self::NoModule { .. } => "ModuleMissing",
            Self::Foreign { .. } => "ForeignFixture",
            Self::Kernel { errno: Errno::EPERM | Errno::EACCES, .. } => "NoNetAdmin",
            Self::Kernel { .. } => "FixtureRefused",
            Self::Io { .. } => "SocketFailed",
        }
    }

    /// The kernel's error number, where it gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { errno, .. } => Some(*errno),
            Self::Io { source, .. } => source.raw_os_error().map(Errno),
            _ => None,
        }
    }

    /// Whether a change may have happened although it is reported as failed.
    pub fn is_uncertain(&self) -> bool {
        matches!(self, Self::Io { .. })
    }

    /// The same failure once more, for another fixture of the same transaction.
    pub fn again(&self) -> Self {
        match self {
            Self::NoNftables => Self::NoNftables,
            Self::NoModule { module } => Self::NoModule { module: module.clone() },
            Self::Foreign { what, shown_by } => {
                Self::Foreign { what: what.clone(), shown_by: shown_by.clone() }
            }
            Self::Kernel { operation, errno, message } => Self::Kernel {
                operation: operation.clone(),
                errno: *errno,
                message: message.clone(),
            },
            Self::Io { operation, source } => {
                Self::Io { operation: operation.clone(), source: super::ports::again(source) }
            }
        }
    }
}

fn said(message: Option<&str>) -> String {
    message.map(|message| format!("; the kernel says: {message}")).unwrap_or_default()
}

fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => "; CAP_NET_ADMIN is needed",
        // EADDRINUSE, which only GUE's port can meet.
        Errno(98) => "; something else has the port: free it, or choose another (tunnel.port)",
        _ => "",
    }
}
