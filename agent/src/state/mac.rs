//! Ethernet addresses.

use std::fmt;
use std::str::FromStr;

/// A MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address in a link's attribute; `None` where the link has none, or one of another kind.
    pub fn of_link(address: &[u8]) -> Option<Self> {
        let octets = <[u8; 6]>::try_from(address).ok()?;
        (octets != [0; 6]).then_some(Self(octets))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The text was no MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a MAC address such as 02:00:00:00:00:01")]
pub struct NotMac;

impl FromStr for Mac {
    type Err = NotMac;

    fn from_str(text: &str) -> Result<Self, NotMac> {
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(NotMac)?;
            // A sign would parse too.
            let digits = part.bytes().all(|byte| byte.is_ascii_hexdigit());
            *octet = u8::from_str_radix(part, 16).ok().filter(|_| digits).ok_or(NotMac)?;
        }
        if parts.next().is_some() { Err(NotMac) } else { Ok(Self(octets)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_address_are_the_same_both_ways() {
        let mac: Mac = "02:00:0A:ff:00:01".parse().unwrap();
        assert_eq!(mac, Mac([2, 0, 10, 255, 0, 1]));
        assert_eq!(mac.to_string(), "02:00:0a:ff:00:01");
        for wrong in
            ["", "02:00:00:00:00", "02:00:00:00:00:01:02", "02:00:00:00:00:1", "+2:00:00:00:00:01"]
        {
            assert_eq!(wrong.parse::<Mac>(), Err(NotMac), "{wrong}");
        }
    }

    #[test]
    fn a_link_without_an_ethernet_address_has_none() {
        assert_eq!(Mac::of_link(&[0; 6]), None, "lo");
        assert_eq!(Mac::of_link(&[10, 0, 0, 1]), None, "a tunnel");
        assert_eq!(Mac::of_link(&[2, 0, 0, 0, 0, 1]), Some(Mac([2, 0, 0, 0, 0, 1])));
    }
}
