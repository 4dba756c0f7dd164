//! Fixtures as the log writes them.

use crate::state::{Fixture, Packets, TunnelDevice};
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
    LocalDelivery { packets: To },
    SegmentSize { packets: To, bytes: u16 },
}

#[derive(Serialize, Deserialize)]
pub(super) struct To {
    destination: IpNet,
    protocol: u16,
    first: u16,
    last: u16,
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
            Fixture::LocalDelivery { packets } => Self::LocalDelivery { packets: packets.into() },
            Fixture::SegmentSize { packets, bytes } => {
                Self::SegmentSize { packets: packets.into(), bytes }
            }
        }
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
            Thing::LocalDelivery { packets } => Self::LocalDelivery { packets: packets.into() },
            Thing::SegmentSize { packets, bytes } => {
                Self::SegmentSize { packets: packets.into(), bytes }
            }
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
