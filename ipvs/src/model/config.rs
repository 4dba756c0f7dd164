//! Timeouts of connections.

/// How long idle connections are kept, in seconds; one set for the whole network namespace.
///
/// On writing, 0 leaves a value as it is. Kernel defaults: 900, 120, 300.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timeouts {
    /// TCP, established.
    pub tcp: u32,
    /// TCP after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}
