//! A director's table of connections, and its daemons.

use lvs_tests::net::Node;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};

/// A line of `/proc/net/ip_vs_conn`, addresses as the kernel writes them there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) client: IpAddr,
    pub(crate) client_port: u16,
    pub(crate) destination: String,
    pub(crate) state: String,
    /// Seconds.
    pub(crate) expires: u64,
}

/// The entries of a director, templates too: these have client port 0 and the state `NONE`.
pub(crate) fn entries(director: &Node) -> Vec<Entry> {
    let text = director.run(|| fs::read_to_string("/proc/thread-self/net/ip_vs_conn"));
    let text = text.expect("a kernel with IPVS");
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let port = |text: &str| u16::from_str_radix(text, 16).ok();
        let address = |text: &str| match text.parse() {
            Ok(six) => Some(IpAddr::V6(six)),
            Err(_) => u32::from_str_radix(text, 16).ok().map(|four| Ipv4Addr::from(four).into()),
        };
        Some(Entry {
            client: address(words.get(1)?)?,
            client_port: port(words.get(2)?)?,
            destination: format!("{}:{}", words.get(5)?, port(words.get(6)?)?),
            state: (*words.get(7)?).to_owned(),
            expires: words.get(8)?.parse().ok()?,
        })
    };
    text.lines().skip(1).filter_map(entry).collect()
}

/// How many TCP connections of a director are established.
pub(crate) fn established(director: &Node) -> usize {
    entries(director).iter().filter(|entry| entry.state == "ESTABLISHED").count()
}

/// `ipvsadm`'s words for the daemons, one a line, without the word `daemon`.
pub(crate) fn daemons(director: &Node) -> Vec<String> {
    let text = director.sh("ipvsadm -l --daemon").expect("ipvsadm");
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}
