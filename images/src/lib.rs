//! The container images, packed as OCI archives without a daemon: the same input gives the same bytes.
//!
//! An image is one layer with one static program and the list of what it is made of; there is nothing else in it, no
//! shell and no package manager.

pub mod archive;
pub mod bill;
pub mod lock;
pub mod program;

mod blob;
mod layer;

pub use archive::{Archive, Image, pack};

/// Why an image could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// `read`, `write`, ...
        operation: &'static str,
        /// Which file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The layer or the archive could not be put together.
    #[error("cannot write a tar")]
    Tar(#[source] std::io::Error),
    /// One of the image's documents could not be written as JSON.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
    /// The program needs what an empty image does not have.
    #[error("{}: {problem}", path.display())]
    Program {
        /// Which program.
        path: std::path::PathBuf,
        /// What is wrong with it, and what to do.
        problem: program::Problem,
    },
    /// The lock file or cargo's answer is not as expected.
    #[error("{0}")]
    Dependencies(String),
}
