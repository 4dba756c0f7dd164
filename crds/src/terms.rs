//! The words that several kinds share: protocol, scheduler, forwarding.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! display_as_written {
    ($kind:ty { $($variant:ident => $text:literal),+ $(,)? }) => {
        impl $kind {
            /// Every value, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word as it is written in a manifest.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// Transport protocol of a service port.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[allow(clippy::upper_case_acronyms, missing_docs)]
pub enum Protocol {
    #[default]
    TCP,
    UDP,
    SCTP,
}
display_as_written!(Protocol { TCP => "TCP", UDP => "UDP", SCTP => "SCTP" });

/// IPVS scheduler, by its kernel name (`ip_vs_<name>`).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Scheduler {
    Rr,
    Wrr,
    Lc,
    #[default]
    Wlc,
    Lblc,
    Lblcr,
    Dh,
    Sh,
    Mh,
    Sed,
    Nq,
    Fo,
    Ovf,
    Twos,
}
display_as_written!(Scheduler {
    Rr => "rr", Wrr => "wrr", Lc => "lc", Wlc => "wlc", Lblc => "lblc", Lblcr => "lblcr", Dh => "dh", Sh => "sh",
    Mh => "mh", Sed => "sed", Nq => "nq", Fo => "fo", Ovf => "ovf", Twos => "twos",
});

/// A scheduler's option, named as in ipvsadm's `--sched-flags`, in camelCase.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum SchedulerFlag {
    ShFallback,
    ShPort,
    MhFallback,
    MhPort,
}
display_as_written!(SchedulerFlag {
    ShFallback => "shFallback", ShPort => "shPort", MhFallback => "mhFallback", MhPort => "mhPort",
});

impl SchedulerFlag {
    /// The only scheduler that knows this flag.
    pub const fn scheduler(self) -> Scheduler {
        match self {
            Self::ShFallback | Self::ShPort => Scheduler::Sh,
            Self::MhFallback | Self::MhPort => Scheduler::Mh,
        }
    }
}

/// How the director hands a packet to a real server.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[allow(clippy::upper_case_acronyms, missing_docs)]
pub enum Forwarding {
    NAT,
    #[default]
    DR,
    TUN,
}
display_as_written!(Forwarding { NAT => "NAT", DR => "DR", TUN => "TUN" });

/// Address family, as Kubernetes writes it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[allow(missing_docs)]
pub enum IpFamily {
    IPv4,
    IPv6,
}
display_as_written!(IpFamily { IPv4 => "IPv4", IPv6 => "IPv6" });

impl IpFamily {
    /// The family of an address.
    pub const fn of(address: &std::net::IpAddr) -> Self {
        match address {
            std::net::IpAddr::V4(_) => Self::IPv4,
            std::net::IpAddr::V6(_) => Self::IPv6,
        }
    }
}

/// How a packet is wrapped on its way to a TUN real server.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum TunnelType {
    #[default]
    Ipip,
    Gue,
    Gre,
}
display_as_written!(TunnelType { Ipip => "ipip", Gue => "gue", Gre => "gre" });

/// Checksum of a tunnel's outer header.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum TunnelChecksum {
    #[default]
    Nocsum,
    Csum,
    Remcsum,
}
display_as_written!(TunnelChecksum { Nocsum => "nocsum", Csum => "csum", Remcsum => "remcsum" });

/// The port that IANA has assigned to GUE.
pub const GUE_PORT: i32 = 6080;

/// What a TUN packet is wrapped in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tunnel {
    /// The wrapping, and the bytes that it takes from the path's MTU over IPv4 (over IPv6). Default: ipip.
    ///
    /// - ipip: another IP header, 20 bytes (40), which every system can unwrap.
    /// - gue: IP, UDP and GUE headers, 32 bytes (52), which networks and network cards spread over paths and queues as they do
    ///   any UDP. A real server needs the kernel module fou.
    /// - gre: IP and GRE headers, 24 bytes (44); 4 more with `checksum: csum`.
    #[serde(rename = "type", default)]
    pub kind: TunnelType,

    /// UDP port at which the real server takes GUE, 1 to 65535; only with `type: gue`. Default: 6080. Example: 6080.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,

    /// Checksum of the outer UDP or GRE header; not with `type: ipip`. Default: nocsum. Example: csum.
    ///
    /// - nocsum: none; the packet inside has its own.
    /// - csum: the sender computes it, the receiver checks it.
    /// - remcsum: for gue only, "remote checksum offload": the outer checksum stands for the inner one, which the receiver
    ///   restores, so that a network card can compute it. Takes up to 8 bytes more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<TunnelChecksum>,
}

/// How a client is recognised beyond its address.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum PersistenceEngine {
    Sip,
}
display_as_written!(PersistenceEngine { Sip => "sip" });

/// Who writes the rules that set a firewall mark.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[allow(missing_docs)]
pub enum MarkRules {
    #[default]
    Managed,
    External,
}
display_as_written!(MarkRules { Managed => "Managed", External => "External" });

/// Serde default of [`Forwarding`] and friends whose zero value is not what the API promises.
pub(crate) const fn one() -> i32 {
    1
}
