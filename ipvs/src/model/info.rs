//! What the kernel says of itself.

use std::fmt;

/// Version of IPVS, `1.2.1` since 2005.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, major, minor, patch] = self.0.to_be_bytes();
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// General information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Info {
    /// Version.
    pub version: Version,
    /// Buckets of the connection table (module parameter `conn_tab_bits`).
    pub connection_table_size: u32,
}
