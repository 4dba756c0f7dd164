//! `/proc/net/ip_vs`: all destinations by one read, where netlink takes one listing a service.
//!
//! Format: `ip_vs_info_seq_show` in net/netfilter/ipvs/ip_vs_ctl.c. Numbers of addresses, ports and marks are
//! hexadecimal; IPv6 addresses stand in brackets, in full. It shows neither thresholds nor tunnels, and of a firewall
//! mark not the family.

use lvs_ipvs::{Destination, DestinationKey, Forwarding, Protocol, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Destinations by service, without thresholds and tunnels. Firewall marks are not in it.
    pub destinations: BTreeMap<ServiceKey, Vec<Destination>>,
    /// Services of which a line was not understood, or that stand in the file twice.
    pub doubtful: BTreeSet<ServiceKey>,
    /// Connections of all destinations, those of firewall marks and doubtful services too. Persistence templates, and
    /// connections whose destination is gone, are not in it.
    pub connections: u64,
}

/// Reads the file's text. What is not understood makes a service doubtful, or absent.
pub fn parse(text: &str) -> Table {
    let mut table = Table::default();
    let mut current: Option<(ServiceKey, Vec<Destination>)> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("  -> ") {
            table.connections += connections(rest);
            let Some((key, destinations)) = current.as_mut() else { continue };
            match destination(rest) {
                Some(destination) => destinations.push(destination),
                None => drop(table.doubtful.insert(*key)),
            }
        } else {
            table.enter(current.take());
            current = service(line).map(|key| (key, Vec::new()));
        }
    }
    table.enter(current);
    table
}

impl Table {
    fn enter(&mut self, service: Option<(ServiceKey, Vec<Destination>)>) {
        if let Some((key, destinations)) = service
            && self.destinations.insert(key, destinations).is_some()
        {
            self.doubtful.insert(key);
        }
    }
}

/// `TCP  C0A8000A:0050 wrr persistent 300 FFFFFFFF`
fn service(line: &str) -> Option<ServiceKey> {
    let mut words = line.split_ascii_whitespace();
    let protocol = protocol(words.next()?)?;
    let (address, port) = endpoint(words.next()?)?;
    Some(ServiceKey::Address { protocol, address, port })
}

/// The names of `ip_vs_proto_name` in net/netfilter/ipvs/ip_vs_core.c.
fn protocol(word: &str) -> Option<Protocol> {
    Some(match word {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        "IP" => Protocol::Other(0),
        "ICMP" => Protocol::Other(1),
        "ICMPv6" => Protocol::Other(58),
        other => Protocol::from_number(other.strip_prefix("IP_")?.parse().ok()?),
    })
}

/// `C0A80065:0050      Route   5      0          0`
fn destination(line: &str) -> Option<Destination> {
    let mut words = line.split_ascii_whitespace();
    let (address, port) = endpoint(words.next()?)?;
    let forwarding = match words.next()? {
        "Masq" => Forwarding::Masquerade,
        "Local" => Forwarding::LocalNode,
        "Tunnel" => Forwarding::Tunnel,
        "Route" => Forwarding::DirectRoute,
        _ => return None,
    };
    let weight = words.next()?.parse().ok()?;
    Some(Destination::new(DestinationKey { address, port }, forwarding, weight))
}

/// The last two words, ActiveConn and InActConn. The kernel's counters may be seen below 0 for a moment: they are
/// changed apart.
fn connections(line: &str) -> u64 {
    let counts = line.split_ascii_whitespace().skip(3).take(2);
    counts.filter_map(|count| count.parse::<u32>().ok()).map(u64::from).sum()
}

/// `C0A80065:0050` or `[2001:0db8:0000:0000:0000:0000:0000:0065]:0050`
fn endpoint(word: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = word.rsplit_once(':')?;
    let address = match address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(six) => IpAddr::V6(six.parse::<Ipv6Addr>().ok()?),
        None => IpAddr::V4(Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?)),
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests;
