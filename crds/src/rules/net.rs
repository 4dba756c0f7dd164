//! Addresses and networks as CEL's `ip()` and `cidr()` libraries read them (k8s.io/apiserver/pkg/cel/library), so that
//! a manifest gets one verdict everywhere.

use std::net::IpAddr;

/// CEL's `ip(text)`: no zone, no leading zeros, no IPv4-mapped IPv6.
pub(super) fn ip(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => None,
        _ => Some(address),
    }
}

/// CEL's `isGlobalUnicast()`, which is Go's: private addresses are in.
pub(super) fn is_global_unicast(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(link_local || address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

/// CEL's `cidr(text)`; bits beyond the prefix may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cidr {
    pub(super) address: IpAddr,
    pub(super) prefix_length: u8,
}

pub(super) fn cidr(text: &str) -> Option<Cidr> {
    let (address, length) = text.split_once('/')?;
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    if !digits || (length.len() > 1 && length.starts_with('0')) {
        return None;
    }
    let (address, prefix_length) = (ip(address)?, length.parse().ok()?);
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (prefix_length <= bits).then_some(Cidr { address, prefix_length })
}

impl Cidr {
    /// Whether no bit beyond the prefix is set (`masked() == self`).
    pub(super) fn is_network(self) -> bool {
        match self.address {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(u32::from(self.prefix_length)).unwrap_or(0);
                v4.to_bits() & host == 0
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(u32::from(self.prefix_length)).unwrap_or(0);
                v6.to_bits() & host == 0
            }
        }
    }

    /// Whether the network has room for a network address besides its hosts' (RFC 3021 ends at /31, RFC 6164 at /127).
    pub(super) fn has_network_address(self) -> bool {
        self.prefix_length < if self.address.is_ipv4() { 31 } else { 127 }
    }
}

/// A contiguous IPv4 netmask, of no bits too.
pub(super) fn is_netmask(text: &str) -> bool {
    match ip(text) {
        Some(IpAddr::V4(v4)) => v4.to_bits().leading_ones() == v4.to_bits().count_ones(),
        _ => false,
    }
}

/// The rule that a text is a network; [`is_no_cidr`] is its twin.
pub(super) const CIDR: &str = "isCIDR(self)";

pub(super) fn is_no_cidr(text: &str) -> bool {
    cidr(text).is_none()
}

/// The rule that a network has no bits set beyond its prefix; [`has_host_bits`] is its twin.
pub(super) const NETWORK: &str = "!isCIDR(self) || cidr(self).masked() == cidr(self)";

pub(super) fn has_host_bits(text: &str) -> bool {
    cidr(text).is_some_and(|cidr| !cidr.is_network())
}
