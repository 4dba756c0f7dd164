//! Things besides services, addresses and sysctls that either stand or do not: none can be changed in place.

use super::{InterfaceName, Mac, SyncDaemon};
use ipnet::IpNet;
use lvs_ipvs::{Family, Protocol};
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

/// One thing that the agent makes in the kernel, whole or not at all. Two that are equal are the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fixture {
    /// A device that unwraps what directors send to `local` through a tunnel.
    Tunnel {
        /// What it unwraps.
        device: TunnelDevice,
        /// The real server's address.
        local: IpAddr,
    },
    /// A UDP port at which GUE is unwrapped; what was in it then meets the node's tunnel devices.
    Gue {
        /// Family of the outer packet.
        family: Family,
        /// UDP port.
        port: u16,
    },
    /// Packets get a firewall mark, the whole of it, before IPVS sees them.
    Mark {
        /// Which packets.
        packets: Packets,
        /// The mark.
        mark: NonZeroU32,
    },
    /// Packets that IPVS sends on by NAT leave with the director's address.
    Masquerade {
        /// The packets as the client sent them.
        packets: Packets,
    },
    /// What leaves a network for elsewhere, by itself, leaves with the director's address.
    Outgoing {
        /// The network.
        network: IpNet,
    },
    /// What real servers answer is dropped while IPVS does not know the connection.
    UnknownReplies {
        /// The packets as IPVS sends them to the real server.
        packets: Packets,
    },
    /// Packets from elsewhere to addresses that are not this node's are delivered to it.
    LocalDelivery {
        /// Which packets.
        packets: Packets,
    },
    /// Answers of a tunnelled service ask for TCP segments that fit into the tunnel.
    SegmentSize {
        /// The packets as the client sends them; the answers to them are changed.
        packets: Packets,
        /// Largest TCP payload, in bytes.
        bytes: u16,
    },
    /// Of what another director has balanced already, these packets get a mark of their own, whatever other mark they
    /// would get.
    Balanced {
        /// The packets as the client sent them.
        packets: Packets,
        /// The mark.
        mark: NonZeroU32,
    },
    /// What comes from this address has been balanced by another director.
    OtherDirector {
        /// The address.
        mac: Mac,
    },
    /// What comes out of this tunnel device has been balanced by another director.
    OwnTunnel {
        /// The device.
        interface: InterfaceName,
    },
    /// Netfilter does not track what clients send to a service whose replies pass the director by, nor what answers it.
    Untracked {
        /// The packets as the client sends them.
        packets: Packets,
    },
    /// What begins a connection to a service is counted where it arrives.
    Arrivals {
        /// The packets as the client sends them.
        packets: Packets,
    },
    /// Directors tell each other of connections.
    SyncDaemon(SyncDaemon),
}

/// The sorts of [`Fixture`], by what has to be asked to see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FixtureKind {
    /// [`Fixture::Tunnel`]: links.
    Tunnel,
    /// [`Fixture::Gue`]: the family `fou`.
    Gue,
    /// [`Fixture::Mark`], [`Fixture::Masquerade`], [`Fixture::Outgoing`], [`Fixture::UnknownReplies`], [`Fixture::SegmentSize`],
    /// [`Fixture::Balanced`] and what goes with it, [`Fixture::Untracked`], [`Fixture::Arrivals`]: our table in nftables.
    Nftables,
    /// [`Fixture::LocalDelivery`]: policy rules.
    LocalDelivery,
    /// [`Fixture::SyncDaemon`]: IPVS.
    SyncDaemon,
}

/// What a tunnel device unwraps, by its name in `ip link`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelDevice {
    /// IPv4 in IPv4.
    Ipip,
    /// IPv6 in IPv4.
    Sit,
    /// IPv4 or IPv6 in IPv6.
    Ip6tnl,
    /// GRE in IPv4, whatever is in it, without checksum.
    Gre,
    /// GRE in IPv4 with checksum. A device drops what comes the other way (`ip_tunnel_rcv`), and there is one device an
    /// address at most: of [`TunnelDevice::Gre`] and this only one can stand.
    GreChecksum,
    /// GRE in IPv6, whatever is in it, without checksum.
    Ip6gre,
    /// GRE in IPv6 with checksum, instead of [`TunnelDevice::Ip6gre`].
    Ip6greChecksum,
}

/// Packets by where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Packets {
    /// The network, or host, that they are sent to.
    pub destination: IpNet,
    /// Their protocol.
    pub protocol: Protocol,
    /// The first destination port.
    pub first_port: u16,
    /// The last destination port.
    pub last_port: u16,
}

impl Fixture {
    /// Its sort.
    pub const fn kind(&self) -> FixtureKind {
        match self {
            Self::Tunnel { .. } => FixtureKind::Tunnel,
            Self::Gue { .. } => FixtureKind::Gue,
            Self::Mark { .. }
            | Self::Masquerade { .. }
            | Self::Outgoing { .. }
            | Self::UnknownReplies { .. }
            | Self::SegmentSize { .. }
            | Self::Balanced { .. }
            | Self::OtherDirector { .. }
            | Self::OwnTunnel { .. }
            | Self::Untracked { .. }
            | Self::Arrivals { .. } => FixtureKind::Nftables,
            Self::LocalDelivery { .. } => FixtureKind::LocalDelivery,
            Self::SyncDaemon(_) => FixtureKind::SyncDaemon,
        }
    }

    /// Whether the kernel keeps nothing with it that tells whose it is. One that somebody else made serves as well, then.
    pub const fn is_nameless(&self) -> bool {
        matches!(self, Self::Gue { .. } | Self::LocalDelivery { .. } | Self::SyncDaemon(_))
    }
}

impl TunnelDevice {
    /// The kind as rtnetlink calls it (`IFLA_INFO_KIND`).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Sit => "sit",
            Self::Ip6tnl => "ip6tnl",
            Self::Gre | Self::GreChecksum => "gre",
            Self::Ip6gre | Self::Ip6greChecksum => "ip6gre",
        }
    }

    /// Whether what it unwraps has to have a checksum, and must not otherwise. Only GRE knows the difference.
    pub const fn checksum(self) -> bool {
        matches!(self, Self::GreChecksum | Self::Ip6greChecksum)
    }
}

impl fmt::Display for Packets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.destination, self.protocol, self.first_port)?;
        if self.last_port != self.first_port {
            write!(f, "-{}", self.last_port)?;
        }
        Ok(())
    }
}

impl fmt::Display for FixtureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tunnel => "tunnel devices",
            Self::Gue => "GUE ports",
            Self::Nftables => "nftables",
            Self::LocalDelivery => "local delivery",
            Self::SyncDaemon => "sync daemons",
        })
    }
}

impl fmt::Display for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tunnel { device, local } => {
                let checksum = if device.checksum() { " with checksum" } else { "" };
                write!(f, "{} tunnel{checksum} at {local}", device.as_str())
            }
            Self::Gue { family: Family::V4, port } => write!(f, "GUE at UDP port {port}"),
            Self::Gue { family: Family::V6, port } => write!(f, "GUE at UDP port {port} (IPv6)"),
            Self::Mark { packets, mark } => write!(f, "mark {mark} on packets to {packets}"),
            Self::Masquerade { packets } => write!(f, "masquerading of packets to {packets}"),
            Self::Outgoing { network } => write!(f, "masquerading of what leaves {network}"),
            Self::UnknownReplies { packets } => {
                write!(f, "rule for replies of unknown connections to {packets}")
            }
            Self::LocalDelivery { packets } => write!(f, "local delivery of packets to {packets}"),
            Self::SegmentSize { packets, bytes } => {
                write!(f, "segment size {bytes} for {packets}")
            }
            Self::Balanced { packets, mark } => {
                write!(f, "mark {mark} on balanced packets to {packets}")
            }
            Self::OtherDirector { mac } => write!(f, "rule for packets from director {mac}"),
            Self::OwnTunnel { interface } => write!(f, "rule for packets from {interface}"),
            Self::Untracked { packets } => write!(f, "no tracking of packets to {packets}"),
            Self::Arrivals { packets } => write!(f, "counter of arrivals for {packets}"),
            Self::SyncDaemon(daemon) => daemon.fmt(f),
        }
    }
}
