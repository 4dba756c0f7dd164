//! What can go wrong.

use std::io;

use netlink_packet_core::DecodeError;

use crate::model::Service;
use crate::{Errno, Operation, Request};

/// A failed request: which, on what object, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel has no IPVS: neither built in nor as a module that it can load.
    #[error("the kernel has no IPVS: load the module ip_vs (CONFIG_IP_VS)")]
    NoIpvs,
    /// The kernel refused.
    #[error("{request}: {errno}{}{}", hint(request, *errno), said(message.as_deref()))]
    Kernel {
        /// What was asked.
        request: Request,
        /// Why not.
        errno: Errno,
        /// The kernel's own words, where it has any.
        message: Option<String>,
    },
    /// A value that cannot be sent; the kernel was not asked.
    #[error("{request}: {problem}")]
    Invalid {
        /// What was asked.
        request: Request,
        /// The field, and what it must be.
        problem: InvalidField,
    },
    /// No answer came in time. A change may have happened.
    #[error("{request}: the kernel did not answer in time; it may have done it")]
    NoReply {
        /// What was asked.
        request: Request,
    },
    /// Not sent, because the kernel had stopped answering the requests before it.
    #[error("{request}: not sent, an earlier request got no answer")]
    NotSent {
        /// What was asked.
        request: Request,
    },
    /// Answers got lost because the socket's receive buffer was full. A change may have happened.
    #[error("{request}: the answer was lost to a full receive buffer; the kernel may have done it")]
    Overrun {
        /// What was asked.
        request: Request,
    },
    /// The table kept changing while it was listed, several times in a row.
    #[error("{request}: the table kept changing while it was read")]
    Interrupted {
        /// What was asked.
        request: Request,
    },
    /// The answer made no sense.
    #[error("{request}: malformed answer: {source}")]
    Decode {
        /// What was asked.
        request: Request,
        /// Where it broke.
        #[source]
        source: DecodeError,
    },
    /// The socket failed. A change may have happened.
    #[error("{request}: netlink socket: {source}")]
    Io {
        /// What was asked.
        request: Request,
        /// How.
        #[source]
        source: io::Error,
    },
}

/// A field that cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidField {
    /// Scheduler name.
    #[error("scheduler must be 1 to 15 bytes without NUL")]
    Scheduler,
    /// Persistence engine name.
    #[error("persistence engine must be 1 to 15 bytes without NUL")]
    PersistenceEngine,
    /// Interface name.
    #[error("interface must be 1 to 15 bytes without NUL")]
    Interface,
    /// Netmask of the other family.
    #[error("netmask must be of the service's address family")]
    Netmask,
}

impl Error {
    /// A stable word for conditions, events and metric labels.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoIpvs => "NoIPVS",
            Self::Kernel { request, errno, .. } => kernel_reason(request, *errno),
            Self::Invalid { .. } => "Invalid",
            Self::NoReply { .. } => "NoReply",
            Self::NotSent { .. } => "NotSent",
            Self::Overrun { .. } => "AnswerLost",
            Self::Interrupted { .. } => "TableBusy",
            Self::Decode { .. } => "MalformedAnswer",
            Self::Io { .. } => "SocketFailed",
        }
    }

    /// What was asked, except where there is no IPVS to ask.
    pub fn request(&self) -> Option<&Request> {
        match self {
            Self::NoIpvs => None,
            Self::Kernel { request, .. }
            | Self::Invalid { request, .. }
            | Self::NoReply { request }
            | Self::NotSent { request }
            | Self::Overrun { request }
            | Self::Interrupted { request }
            | Self::Decode { request, .. }
            | Self::Io { request, .. } => Some(request),
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

    /// The object of the request, or the service that it belongs to, does not exist.
    pub fn is_not_found(&self) -> bool {
        self.reason() == "NotFound"
    }

    /// The object exists already.
    pub fn is_exists(&self) -> bool {
        self.reason() == "AlreadyExists"
    }

    /// Whether a change may have happened although it is reported as failed: read back before the
    /// next decision.
    pub fn is_uncertain(&self) -> bool {
        matches!(self, Self::NoReply { .. } | Self::Overrun { .. } | Self::Io { .. })
    }
}

fn operation(request: &Request) -> Option<&Operation> {
    match request {
        Request::Operation(operation) => Some(operation),
        _ => None,
    }
}

/// The service whose scheduler (or persistence engine) an ENOENT is about: `ip_vs_add_service` and
/// `ip_vs_edit_service` (net/netfilter/ipvs/ip_vs_ctl.c) have no other.
fn missing_module(request: &Request, errno: Errno) -> Option<&Service> {
    match operation(request)? {
        Operation::NewService(service) | Operation::SetService(service)
            if errno == Errno::ENOENT =>
        {
            Some(service)
        }
        _ => None,
    }
}

fn kernel_reason(request: &Request, errno: Errno) -> &'static str {
    // Of a service with an engine the kernel does not say which of the two it lacks.
    match missing_module(request, errno) {
        Some(Service { pe_name: Some(_), .. }) => return "PersistenceEngineMissing",
        Some(_) => return "SchedulerMissing",
        None => {}
    }
    match errno {
        Errno::EPERM | Errno::EACCES => "NoNetAdmin",
        Errno::ESRCH | Errno::ENOENT => "NotFound",
        Errno::EEXIST => "AlreadyExists",
        Errno::EINVAL => "Refused",
        Errno::ERANGE => "OutOfRange",
        Errno::ENODEV => "InterfaceMissing",
        Errno::EAFNOSUPPORT => "FamilyUnsupported",
        Errno::ENOMEM | Errno::ENOBUFS => "OutOfMemory",
        Errno::EOPNOTSUPP => "Unsupported",
        Errno::EBUSY => "Busy",
        _ => "KernelError",
    }
}

fn hint(request: &Request, errno: Errno) -> String {
    if let Some(service) = missing_module(request, errno) {
        let scheduler = &service.scheduler;
        return match &service.pe_name {
            None => format!(
                "; the kernel has no scheduler {scheduler}: load the module ip_vs_{scheduler}"
            ),
            Some(engine) => format!(
                "; the kernel lacks scheduler {scheduler} or persistence engine {engine}: load the \
                 modules ip_vs_{scheduler} and ip_vs_pe_{engine}"
            ),
        };
    }
    match errno {
        // GENL_ADMIN_PERM asks for the capability in the initial user namespace, for reads too.
        Errno::EPERM => "; CAP_NET_ADMIN in the initial user namespace is needed".to_owned(),
        Errno::EAFNOSUPPORT => "; this kernel's IPVS has no IPv6 (CONFIG_IP_VS_IPV6)".to_owned(),
        _ => String::new(),
    }
}

fn said(message: Option<&str>) -> String {
    message.map(|message| format!("; the kernel says: {message}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
