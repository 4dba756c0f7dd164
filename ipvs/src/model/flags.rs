//! Flags of a virtual service.

use std::fmt;
use std::ops::{BitOr, BitOrAssign, Sub};

use crate::constants::{
    SVC_F_ONEPACKET, SVC_F_PERSISTENT, SVC_F_SCHED1, SVC_F_SCHED2, SVC_F_SCHED3,
};

/// The flags that a user sets on a service.
///
/// The kernel's own bits (`HASHED`, 0x2, comes back in every reply) cannot be held: they are masked
/// out on reading and never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ServiceFlags(u32);

impl ServiceFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Persistence.
    pub const PERSISTENT: Self = Self(SVC_F_PERSISTENT);
    /// One-packet scheduling, UDP only.
    pub const ONE_PACKET: Self = Self(SVC_F_ONEPACKET);
    /// First flag of the scheduler: `sh-fallback`, `mh-fallback`.
    pub const SCHED1: Self = Self(SVC_F_SCHED1);
    /// Second flag of the scheduler: `sh-port`, `mh-port`.
    pub const SCHED2: Self = Self(SVC_F_SCHED2);
    /// Third flag of the scheduler; no scheduler in the kernel uses it.
    pub const SCHED3: Self = Self(SVC_F_SCHED3);
    /// All of the above: the mask that goes with every write.
    pub const ALL: Self =
        Self(SVC_F_PERSISTENT | SVC_F_ONEPACKET | SVC_F_SCHED1 | SVC_F_SCHED2 | SVC_F_SCHED3);

    /// The bits as the kernel numbers them.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// From the kernel's bits; those that are not a user's are dropped.
    pub const fn from_bits_truncate(bits: u32) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether none is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for ServiceFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for ServiceFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Sub for ServiceFlags {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Display for ServiceFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::PERSISTENT, "persistent"),
            (Self::ONE_PACKET, "ops"),
            (Self::SCHED1, "flag-1"),
            (Self::SCHED2, "flag-2"),
            (Self::SCHED3, "flag-3"),
        ];
        let mut separator = "";
        for (flag, name) in names {
            if self.contains(flag) {
                write!(f, "{separator}{name}")?;
                separator = ",";
            }
        }
        Ok(())
    }
}
