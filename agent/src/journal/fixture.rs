//! Fixtures as the log writes them.

use crate::state::{Fixture, InterfaceName, Mac, Packets, SyncDaemon, SyncRole, TunnelDevice};
use ipnet::IpNet;
use lvs_ipvs::{Family, Protocol};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::num::NonZeroU32;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Thing {
    Tunnel { device: Device, local: IpAddr },
    Gue { port: u16, ipv6: bool },
    Mark { packets: To, mark: NonZeroU32 },
    Masquerade { packets: To },
    Outgoing { network: IpNet },
    UnknownReplies { packets: To },
    LocalDelivery { packets: To },
    SegmentSize { packets: To, bytes: u16 },
    Balanced { packets: To, mark: NonZeroU32 },
    OtherDirector { mac: Address },
    OwnTunnel { interface: Name },
    Untracked { packets: To },
    Arrivals { packets: To },
    SyncDaemon(Daemon),
}

#[derive(Serialize, Deserialize)]
pub(super) struct To {
    destination: IpNet,
    protocol: u16,
    first: u16,
    last: u16,
}

/// A MAC address as text.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[derive(Clone)]
pub(super) struct Address(Mac);

impl TryFrom<String> for Address {
    type Error = crate::state::NotMac;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0.to_string()
    }
}

/// An interface's name as text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Name(InterfaceName);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        InterfaceName::new(&text).map(Self).ok_or("not an interface's name")
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.to_string()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Daemon {
    backup: bool,
    interface: Name,
    sync_id: u8,
    group: IpAddr,
    port: u16,
    ttl: u8,
    max_length: u16,
}

#[derive(Serialize, Deserialize)]
pub(super) enum Device {
    #[serde(rename = "ipip")]
    Ipip,
    #[serde(rename = "sit")]
    Sit,
    #[serde(rename = "ip6tnl")]
    Ip6tnl,
    #[serde(rename = "gre")]
    Gre,
    #[serde(rename = "ip6gre")]
    Ip6gre,
    #[serde(rename = "gre-checksum")]
    GreChecksum,
    #[serde(rename = "ip6gre-checksum")]
    Ip6greChecksum,
}

impl From<&Fixture> for Thing {
    fn from(fixture: &Fixture) -> Self {
        match *fixture {
            Fixture::Tunnel { device, local } => Self::Tunnel { device: device.into(), local },
            Fixture::Gue { family, port } => Self::Gue { port, ipv6: family == Family::V6 },
            Fixture::Mark { packets, mark } => Self::Mark { packets: packets.into(), mark },
            Fixture::Masquerade { packets } => Self::Masquerade { packets: packets.into() },
            Fixture::Outgoing { network } => Self::Outgoing { network },
            Fixture::UnknownReplies { packets } => Self::UnknownReplies { packets: packets.into() },
            Fixture::LocalDelivery { packets } => Self::LocalDelivery { packets: packets.into() },
            Fixture::SegmentSize { packets, bytes } => {
                Self::SegmentSize { packets: packets.into(), bytes }
            }
            Fixture::Balanced { packets, mark } => Self::Balanced { packets: packets.into(), mark },
            Fixture::OtherDirector { mac } => Self::OtherDirector { mac: Address(mac) },
            Fixture::OwnTunnel { interface } => Self::OwnTunnel { interface: Name(interface) },
            Fixture::Untracked { packets } => Self::Untracked { packets: packets.into() },
            Fixture::Arrivals { packets } => Self::Arrivals { packets: packets.into() },
            Fixture::SyncDaemon(daemon) => Self::SyncDaemon(daemon.into()),
        }
    }
}

impl From<SyncDaemon> for Daemon {
    fn from(daemon: SyncDaemon) -> Self {
        let SyncDaemon { role, interface, sync_id, group, port, ttl, max_length } = daemon;
        let backup = role == SyncRole::Backup;
        Self { backup, interface: Name(interface), sync_id, group, port, ttl, max_length }
    }
}

impl From<Daemon> for SyncDaemon {
    fn from(daemon: Daemon) -> Self {
        let Daemon { backup, interface: Name(interface), sync_id, group, port, ttl, max_length } =
            daemon;
        let role = if backup { SyncRole::Backup } else { SyncRole::Master };
        Self { role, interface, sync_id, group, port, ttl, max_length }
    }
}

impl From<Thing> for Fixture {
    fn from(thing: Thing) -> Self {
        match thing {
            Thing::Tunnel { device, local } => Self::Tunnel { device: device.into(), local },
            Thing::Gue { port, ipv6 } => {
                Self::Gue { family: if ipv6 { Family::V6 } else { Family::V4 }, port }
            }
            Thing::Mark { packets, mark } => Self::Mark { packets: packets.into(), mark },
            Thing::Masquerade { packets } => Self::Masquerade { packets: packets.into() },
            Thing::Outgoing { network } => Self::Outgoing { network },
            Thing::UnknownReplies { packets } => Self::UnknownReplies { packets: packets.into() },
            Thing::LocalDelivery { packets } => Self::LocalDelivery { packets: packets.into() },
            Thing::SegmentSize { packets, bytes } => {
                Self::SegmentSize { packets: packets.into(), bytes }
            }
            Thing::Balanced { packets, mark } => Self::Balanced { packets: packets.into(), mark },
            Thing::OtherDirector { mac } => Self::OtherDirector { mac: mac.0 },
            Thing::OwnTunnel { interface } => Self::OwnTunnel { interface: interface.0 },
            Thing::Untracked { packets } => Self::Untracked { packets: packets.into() },
            Thing::Arrivals { packets } => Self::Arrivals { packets: packets.into() },
            Thing::SyncDaemon(daemon) => Self::SyncDaemon(daemon.into()),
        }
    }
}

impl From<Packets> for To {
    fn from(packets: Packets) -> Self {
        Self {
            destination: packets.destination,
            protocol: packets.protocol.number(),
            first: packets.first_port,
            last: packets.last_port,
        }
    }
}

impl From<To> for Packets {
    fn from(to: To) -> Self {
        Self {
            destination: to.destination,
            protocol: Protocol::from_number(to.protocol),
            first_port: to.first,
            last_port: to.last,
        }
    }
}

impl From<TunnelDevice> for Device {
    fn from(device: TunnelDevice) -> Self {
        match device {
            TunnelDevice::Ipip => Self::Ipip,
            TunnelDevice::Sit => Self::Sit,
            TunnelDevice::Ip6tnl => Self::Ip6tnl,
            TunnelDevice::Gre => Self::Gre,
            TunnelDevice::Ip6gre => Self::Ip6gre,
            TunnelDevice::GreChecksum => Self::GreChecksum,
            TunnelDevice::Ip6greChecksum => Self::Ip6greChecksum,
        }
    }
}

impl From<Device> for TunnelDevice {
    fn from(device: Device) -> Self {
        match device {
            Device::Ipip => Self::Ipip,
            Device::Sit => Self::Sit,
            Device::Ip6tnl => Self::Ip6tnl,
            Device::Gre => Self::Gre,
            Device::Ip6gre => Self::Ip6gre,
            Device::GreChecksum => Self::GreChecksum,
            Device::Ip6greChecksum => Self::Ip6greChecksum,
        }
    }
}
