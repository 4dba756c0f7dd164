//! The Internet checksum (RFC 1071).

use std::net::IpAddr;

/// A sum of 16-bit words that is not folded yet. Each piece but the last has an even length.
#[derive(Clone, Copy, Debug)]
pub struct Sum(u64);

impl Default for Sum {
    fn default() -> Self {
        Self::new()
    }
}

impl Sum {
    /// Of nothing.
    pub fn new() -> Self {
        Self(0)
    }

    /// Of source, destination, length and protocol: RFC 8200, 8.1 and RFC 9293, 3.1. The zeros do not count, so the two
    /// differ in nothing but the addresses.
    pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Self {
        let of = |sum: Self, address: IpAddr| match address {
            IpAddr::V4(address) => sum.with(&address.octets()),
            IpAddr::V6(address) => sum.with(&address.octets()),
        };
        let length = u64::try_from(length).unwrap_or(u64::MAX) & 0xffff;
        Self(of(of(Self::new(), source), destination).0 + length + u64::from(protocol))
    }

    /// And of these.
    pub fn with(self, bytes: &[u8]) -> Self {
        let words = bytes.chunks(2).map(|word| match *word {
            [high, low] => u64::from(u16::from_be_bytes([high, low])),
            [high] => u64::from(high) << 8,
            _ => 0,
        });
        Self(self.0 + words.sum::<u64>())
    }

    /// The checksum to send; 0 where a sum over a packet with its checksum is right.
    pub fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        !u16::try_from(sum).unwrap_or(0)
    }
}
