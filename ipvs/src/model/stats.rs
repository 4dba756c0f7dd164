//! Counters.

/// Counters of a service or a destination, 64 bits wide where the kernel has them so (Linux 4.1).
///
/// With direct routing and tunnels the director never sees replies: the outgoing ones stay 0. The
/// rates are the kernel's own estimates, a few seconds behind, 0 where `run_estimation` is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Incoming packets.
    pub in_packets: u64,
    /// Outgoing packets.
    pub out_packets: u64,
    /// Incoming bytes.
    pub in_bytes: u64,
    /// Outgoing bytes.
    pub out_bytes: u64,
    /// New connections a second.
    pub connection_rate: u64,
    /// Incoming packets a second.
    pub in_packet_rate: u64,
    /// Outgoing packets a second.
    pub out_packet_rate: u64,
    /// Incoming bytes a second.
    pub in_byte_rate: u64,
    /// Outgoing bytes a second.
    pub out_byte_rate: u64,
}
