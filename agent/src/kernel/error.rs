//! What can go wrong with the kernel.

use super::FixtureError;
use crate::journal::JournalError;
use crate::state::HeldAddress;
use lvs_ipvs::{Errno, ServiceKey};
use std::io;

/// A failed operation: which, on what object, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// IPVS refused, or is not there.
    #[error(transparent)]
    Ipvs(#[from] lvs_ipvs::Error),
    /// The process may not change the network.
    #[error(
        "no CAP_NET_ADMIN: run as root or grant the capability \
         (in a pod: securityContext.capabilities.add: [NET_ADMIN], hostNetwork: true)"
    )]
    NoNetAdmin,
    /// A service that the agent did not make.
    #[error(
        "{operation}: the service {service} exists and was not made by this agent: remove it (ipvsadm -D) or choose another address or port"
    )]
    ForeignService {
        /// What was to be done.
        operation: String,
        /// Which service.
        service: ServiceKey,
    },
    /// An address that the agent did not make was to be removed.
    #[error("remove address {} from {}: it was not made by this agent", address.address, address.interface)]
    ForeignAddress {
        /// Which address.
        address: HeldAddress,
    },
    /// No interface of that name.
    #[error("{operation} address {} on {}: there is no such interface", address.address, address.interface)]
    NoSuchInterface {
        /// What was to be done.
        operation: &'static str,
        /// Which address.
        address: HeldAddress,
    },
    /// rtnetlink refused an address.
    #[error("{operation} address {} on {}: {errno}{}", address.address, address.interface, hint(address, *errno))]
    Address {
        /// What was to be done.
        operation: &'static str,
        /// Which address.
        address: HeldAddress,
        /// Why not.
        errno: Errno,
    },
    /// The rtnetlink socket failed. A change may have happened.
    #[error("{operation} over rtnetlink: {source}")]
    Route {
        /// What was asked.
        operation: &'static str,
        /// How.
        #[source]
        source: io::Error,
    },
    /// A sysctl that this kernel does not have.
    #[error("{operation} sysctl {path}: this kernel has none of that name")]
    NoSuchSysctl {
        /// What was to be done.
        operation: &'static str,
        /// Path below `/proc/sys`.
        path: String,
    },
    /// A sysctl that could not be read or written.
    #[error("{operation} sysctl {path}: {source}{}", writable(source))]
    Sysctl {
        /// What was to be done.
        operation: &'static str,
        /// Path below `/proc/sys`.
        path: String,
        /// How.
        #[source]
        source: io::Error,
    },
    /// A fixture could not be made or removed.
    #[error("{operation}: {source}")]
    Fixture {
        /// What was to be done, with which fixture.
        operation: String,
        /// Why not.
        #[source]
        source: FixtureError,
    },
    /// The journal could not be written; the kernel was not touched.
    #[error("not done, because the journal cannot be written: {problem}")]
    Journal {
        /// The object and the operation.
        problem: String,
    },
    /// An earlier operation failed without which this one would do harm.
    #[error("{operation}: withheld, because this failed: {because}")]
    Withheld {
        /// What was to be done.
        operation: String,
        /// What had failed.
        because: String,
    },
}

impl From<&JournalError> for KernelError {
    fn from(error: &JournalError) -> Self {
        Self::Journal { problem: error.to_string() }
    }
}

impl KernelError {
    /// A stable word for conditions, events and metric labels.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Ipvs(error) => error.reason(),
            Self::NoNetAdmin => "NoNetAdmin",
            Self::ForeignService { .. } => "ForeignService",
            Self::ForeignAddress { .. } => "ForeignAddress",
            Self::NoSuchInterface { .. } => "NoSuchInterface",
            Self::Address { errno: Errno::EPERM, .. } => "NoNetAdmin",
            Self::Address { address, errno: Errno::EACCES, .. }
                if address.address.addr().is_ipv6() =>
            {
                "IPv6Disabled"
            }
            Self::Address { .. } => "AddressRefused",
            Self::Route { .. } => "SocketFailed",
            Self::NoSuchSysctl { .. } => "NoSuchSysctl",
            Self::Sysctl { .. } => "SysctlRefused",
            Self::Fixture { source, .. } => source.reason(),
            Self::Journal { .. } => "JournalFailed",
            Self::Withheld { .. } => "Withheld",
        }
    }

    /// The kernel's error number, where it gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Ipvs(error) => error.errno(),
            Self::Address { errno, .. } => Some(*errno),
            Self::Fixture { source, .. } => source.errno(),
            Self::Route { source, .. } | Self::Sysctl { source, .. } => {
                source.raw_os_error().map(Errno)
            }
            _ => None,
        }
    }

    /// Whether the kernel lacks the module without which the thing in question cannot stand: it went with it.
    pub fn is_without_module(&self) -> bool {
        let lacks = |error: &FixtureError| {
            matches!(error, FixtureError::NoNftables | FixtureError::NoModule { .. })
        };
        self.is_no_ipvs() || matches!(self, Self::Fixture { source, .. } if lacks(source))
    }

    /// Whether the kernel has no IPVS (now: a module may come later).
    pub fn is_no_ipvs(&self) -> bool {
        matches!(self, Self::Ipvs(lvs_ipvs::Error::NoIpvs))
    }
}

fn hint(address: &HeldAddress, errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => "; CAP_NET_ADMIN is needed",
        // addrconf's inet6_addr_add: an interface with disable_ipv6=1.
        Errno::EACCES if address.address.addr().is_ipv6() => {
            "; IPv6 is disabled there (sysctl net.ipv6.conf.*.disable_ipv6)"
        }
        _ => "",
    }
}

fn writable(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; it must be writable (in a pod: mount the host's /proc/sys/net, and name its folder by --sysctl-root)"
        }
        _ => "",
    }
}
