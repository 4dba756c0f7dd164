//! What can go wrong.

use lvs_ipvs::Errno;
use std::io;

/// A failed change, or listing.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// The kernel lacks a module that it would have loaded, or that nothing loads by itself.
    #[error("this kernel has no {module}: load it (modprobe {module})")]
    NoModule {
        /// The module's name.
        module: String,
    },
    /// Something that the agent did not make is in the way.
    #[error("{what} exists and was not made by this agent: remove it")]
    Foreign {
        /// What is in the way, by the name under which its tool shows it.
        what: String,
    },
    /// The kernel refused.
    #[error("{operation}: {errno}")]
    Kernel {
        /// The request that was refused.
        operation: String,
        /// Why.
        errno: Errno,
        /// The kernel's own words, where it gave some.
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
