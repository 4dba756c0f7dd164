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
}
display_as_written!(Forwarding { NAT => "NAT", DR => "DR" });

/// Serde default of [`Forwarding`] and friends whose zero value is not what the API promises.
pub(crate) const fn one() -> i32 {
    1
}
