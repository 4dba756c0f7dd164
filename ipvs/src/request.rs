//! What can be asked of the kernel.

use std::fmt;

use crate::model::{
    Daemon, DaemonState, Destination, DestinationKey, Service, ServiceKey, Timeouts,
};

/// A change. There is no flush: it would delete what others made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Makes a service (EEXIST when it exists).
    NewService(Service),
    /// Changes a service in place, scheduler included; its destinations and connections stay.
    SetService(Service),
    /// Deletes a service with its destinations.
    DelService(ServiceKey),
    /// Adds a destination (EEXIST when it exists).
    NewDestination {
        /// The service that it is added to.
        service: ServiceKey,
        /// The destination.
        destination: Destination,
    },
    /// Changes a destination in place; its connections stay.
    SetDestination {
        /// The service that it belongs to.
        service: ServiceKey,
        /// The destination.
        destination: Destination,
    },
    /// Deletes a destination.
    DelDestination {
        /// The service that it belongs to.
        service: ServiceKey,
        /// The destination.
        destination: DestinationKey,
    },
    /// Starts a sync daemon.
    NewDaemon(Daemon),
    /// Stops a sync daemon. One that was started a moment ago and has not run yet is stopped without an
    /// answer, which is [`Error::NoReply`](crate::Error::NoReply): `kthread_stop` gives EINTR for it, and
    /// `netlink_rcv_skb` (net/netlink/af_netlink.c) acknowledges nothing then. Read back.
    DelDaemon(DaemonState),
    /// Sets the connection timeouts; a 0 leaves one as it is.
    SetTimeouts(Timeouts),
    /// Sets the counters of a service and its destinations to 0.
    ZeroService(ServiceKey),
    /// Sets all counters to 0, also those of services that others made.
    ZeroAll,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewService(service) => write!(f, "add service {}", service.key),
            Self::SetService(service) => write!(f, "change service {}", service.key),
            Self::DelService(key) => write!(f, "delete service {key}"),
            Self::NewDestination { service, destination } => {
                write!(f, "add destination {} to {service}", destination.key)
            }
            Self::SetDestination { service, destination } => {
                write!(f, "change destination {} of {service}", destination.key)
            }
            Self::DelDestination { service, destination } => {
                write!(f, "delete destination {destination} of {service}")
            }
            Self::NewDaemon(daemon) => {
                write!(f, "start the {} sync daemon on {}", daemon.state, daemon.interface)
            }
            Self::DelDaemon(state) => write!(f, "stop the {state} sync daemon"),
            Self::SetTimeouts(_) => f.write_str("set the connection timeouts"),
            Self::ZeroService(key) => write!(f, "zero the counters of {key}"),
            Self::ZeroAll => f.write_str("zero all counters"),
        }
    }
}

/// A request, as errors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Opening the socket and looking up the family.
    Open,
    /// A change.
    Operation(Box<Operation>),
    /// All services.
    Services,
    /// One service.
    Service(ServiceKey),
    /// The destinations of a service.
    Destinations(ServiceKey),
    /// The sync daemons.
    Daemons,
    /// The connection timeouts.
    Timeouts,
    /// General information.
    Info,
}

impl From<Operation> for Request {
    fn from(operation: Operation) -> Self {
        Self::Operation(Box::new(operation))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open the IPVS netlink family"),
            Self::Operation(operation) => operation.fmt(f),
            Self::Services => f.write_str("list the services"),
            Self::Service(key) => write!(f, "read service {key}"),
            Self::Destinations(key) => write!(f, "list the destinations of {key}"),
            Self::Daemons => f.write_str("list the sync daemons"),
            Self::Timeouts => f.write_str("read the connection timeouts"),
            Self::Info => f.write_str("read the IPVS version"),
        }
    }
}
