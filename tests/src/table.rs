//! What a node's kernel holds: its IPVS table, and all of it that our programs may change.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::sys::socket::SockaddrStorage;

use crate::control_plane::programs::MANAGEMENT;
use crate::net::Node;

/// A virtual service, as in `/proc/net/ip_vs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `TCP`, `UDP`, `SCTP`, or `FWM` for a firewall mark.
    pub protocol: String,
    /// As `192.168.0.10:80` or `[2001:db8::10]:80`, or a firewall mark in decimal.
    pub address: String,
    /// As `wlc`.
    pub scheduler: String,
    /// What follows the scheduler, such as `persistent 300 255.255.255.255` (for IPv6 a
    /// prefix length); empty if nothing does.
    pub flags: String,
    /// In the kernel's order.
    pub destinations: Vec<Destination>,
}

/// A real server of a virtual service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// As `10.0.0.101:8080`.
    pub address: String,
    /// `Masq`, `Route`, `Tunnel` or `Local`.
    pub forwarding: String,
    /// Its share.
    pub weight: i64,
    /// Established connections.
    pub active: u64,
    /// Other connections that the kernel still keeps.
    pub inactive: u64,
}

impl Service {
    /// The real server at this `ADDRESS:PORT`.
    #[track_caller]
    pub fn destination(&self, address: &str) -> &Destination {
        let found = self.destinations.iter().find(|destination| destination.address == address);
        found.unwrap_or_else(|| panic!("no {address} in {self:#?}"))
    }
}

impl Node {
    /// The node's IPVS table, in the kernel's order. Empty where the kernel has no IPVS.
    #[track_caller]
    pub fn services(&self) -> Vec<Service> {
        // /proc/net is the process's; a thread in another namespace has its own.
        let text =
            self.run(|| fs::read_to_string("/proc/thread-self/net/ip_vs")).unwrap_or_default();
        // There a timeout is in ticks of the kernel, whose length nobody tells.
        let persistent = text.contains(" persistent ");
        let timeouts = if persistent { self.sh("ipvsadm -S -n") } else { Ok(String::new()) };
        let parsed = timeouts.and_then(|timeouts| parse(&text, &timeouts));
        parsed.unwrap_or_else(|e| panic!("{}: {e:#} in\n{text}", self.name()))
    }

    /// The virtual service at this `ADDRESS:PORT`, or of this firewall mark.
    pub fn service(&self, address: &str) -> Option<Service> {
        self.services().into_iter().find(|service| service.address == address)
    }

    /// A sysctl by its dotted name (a `/` stands for a dot in an interface's name).
    #[track_caller]
    pub fn read_sysctl(&self, name: &str) -> String {
        let path = crate::net::sysctl_path(name);
        let value = self.run(|| fs::read_to_string(&path));
        value.unwrap_or_else(|e| panic!("cannot read {name}: {e}")).trim_end().replace('\t', " ")
    }

    /// The addresses of all interfaces, each as `eth0 10.0.0.1/24`.
    #[track_caller]
    pub fn addresses(&self) -> BTreeSet<String> {
        // Suites ask this many times a second; a process each time would take most of their time.
        let standing = self.run(|| getifaddrs().map(Iterator::collect::<Vec<_>>));
        let standing = standing.unwrap_or_else(|e| panic!("addresses of {}: {e}", self.name()));
        let told = |it: &InterfaceAddress| {
            let (address, mask) = (ip(it.address.as_ref()?)?, ip(it.netmask.as_ref()?)?);
            let bits = match mask {
                IpAddr::V4(mask) => mask.to_bits().count_ones(),
                IpAddr::V6(mask) => mask.to_bits().count_ones(),
            };
            Some(format!("{} {address}/{bits}", it.interface_name))
        };
        standing.iter().filter_map(told).collect()
    }
}

/// The address of a socket address, if it is of IP.
pub(crate) fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|it| IpAddr::from(it.ip()));
    four.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::from(it.ip())))
}

/// What [`NodeState::of`] asks, each part after a line with its name.
const LOOKS: &str = r"
if [ -e /proc/net/ip_vs ]; then
  echo '## ipvs'; ipvsadm -S -n
  echo '## ipvs timeout'; ipvsadm -L --timeout
  echo '## ipvs daemon'; ipvsadm -L --daemon
fi
echo '## nftables'; nft -s list ruleset 2>/dev/null
{
  echo '## link'; ip -o link
  echo '## address'; ip -o addr
} | sed 's/^[0-9]*: //; s/ qlen [0-9]*//; s/_lft [0-9]*sec/_lft limited/g'
echo '## route and rule'; printf 'route show table all\nrule\n' | ip -4 -batch - ; printf 'route show table all\nrule\n' | ip -6 -batch -
echo '## fou'; ip fou show 2>/dev/null; ip -6 fou show 2>/dev/null
true
";

/// All of a node that our programs may change, to be compared with itself at another time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState(BTreeSet<String>);

impl NodeState {
    /// Takes the node's IPVS table and timeouts, nftables, links, GUE ports, addresses, routes, rules and sysctls (`net.ipv4.conf.*`, `net.ipv4.vs.*`).
    /// Forwarding, which our programs never turn off again, with what the kernel changes along with it, counts, remaining
    /// lifetimes and the interface `mgmt0` are left out.
    #[track_caller]
    pub fn of(node: &Node) -> NodeState {
        // One shell, and as few processes in it as can be: suites wait for a node to be as it was.
        let text = node.sh(LOOKS).unwrap_or_else(|e| panic!("{e}"));
        let mut lines = BTreeSet::new();
        let mut what = "";
        for line in text.lines() {
            match line.strip_prefix("## ") {
                Some(name) => what = name,
                None => {
                    let squeezed = line.split_whitespace().collect::<Vec<_>>().join(" ");
                    lines.insert(format!("{what}: {squeezed}"));
                }
            }
        }
        node.run(|| {
            for folder in ["net/ipv4/conf", "net/ipv4/vs"] {
                add_sysctls(&Path::new("/proc/sys").join(folder), &mut lines);
            }
        });
        lines.retain(|line| !line.contains(MANAGEMENT) && !is_forwarding(line));
        NodeState(lines)
    }

    /// What has come (`+ ...`) and what has gone (`- ...`) since `before`.
    pub fn changes_since(&self, before: &NodeState) -> Vec<String> {
        let gone = before.0.difference(&self.0).map(|line| format!("- {line}"));
        gone.chain(self.0.difference(&before.0).map(|line| format!("+ {line}"))).collect()
    }

    /// # Panics
    /// When something has changed since `before`, with what.
    #[track_caller]
    pub fn assert_same_as(&self, before: &NodeState) {
        let changes = self.changes_since(before);
        assert!(changes.is_empty(), "the node is not what it was:\n{}", changes.join("\n"));
    }
}

/// Whether it is a switch of forwarding, or what the kernel changes along with it (`inet_forward_change` in
/// net/ipv4/devinet.c).
fn is_forwarding(line: &str) -> bool {
    line.contains("/forwarding = ")
        || line.contains("/all/accept_redirects = ")
        // A router answers for each of its networks (`addrconf_join_anycast` in net/ipv6/addrconf.c).
        || line.starts_with("route and rule: anycast ")
}

fn add_sysctls(folder: &Path, lines: &mut BTreeSet<String>) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            add_sysctls(&path, lines);
        } else {
            add_sysctl(&path, lines);
        }
    }
}

fn add_sysctl(path: &Path, lines: &mut BTreeSet<String>) {
    // Some can only be written.
    if let (Ok(value), Ok(name)) = (fs::read_to_string(path), path.strip_prefix("/proc/sys")) {
        lines.insert(format!("sysctl: {} = {}", name.display(), value.trim_end()));
    }
}

/// The text of `/proc/net/ip_vs` (ip_vs_info_seq_show in net/netfilter/ipvs/ip_vs_ctl.c).
fn parse(text: &str, saved: &str) -> anyhow::Result<Vec<Service>> {
    let mut services: Vec<Service> = Vec::new();
    for line in text.lines().skip(3) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["->", address, forwarding, weight, active, inactive] => {
                let service = services.last_mut().context("a destination before any service")?;
                service.destinations.push(Destination {
                    address: parse_address(address)?,
                    forwarding: (*forwarding).to_owned(),
                    weight: weight.parse()?,
                    active: active.parse()?,
                    inactive: inactive.parse()?,
                });
            }
            [protocol, address, scheduler, flags @ ..] => {
                let address = match *protocol {
                    "FWM" => u32::from_str_radix(address, 16)?.to_string(),
                    _ => parse_address(address)?,
                };
                services.push(Service {
                    protocol: (*protocol).to_owned(),
                    scheduler: (*scheduler).to_owned(),
                    flags: parse_flags(
                        flags,
                        timeout(saved, protocol, &address),
                        address.starts_with('['),
                    )?,
                    address,
                    destinations: Vec::new(),
                });
            }
            _ => anyhow::bail!("a strange line: {line:?}"),
        }
    }
    Ok(services)
}

/// The persistence timeout, in seconds, in the words of `ipvsadm -S -n`; `?` if it is not there.
fn timeout<'a>(saved: &'a str, protocol: &str, address: &str) -> &'a str {
    let option = match protocol {
        "TCP" => "-t",
        "UDP" => "-u",
        "FWM" => "-f",
        _ => "--sctp-service",
    };
    let begin = format!("-A {option} {address} ");
    let line = saved.lines().find(|line| line.starts_with(&begin)).unwrap_or_default();
    line.split_once(" -p ").and_then(|(_, rest)| rest.split_whitespace().next()).unwrap_or("?")
}

fn parse_flags(words: &[&str], timeout: &str, six: bool) -> anyhow::Result<String> {
    let mut flags = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        flags.push((*word).to_owned());
        if *word == "persistent" {
            words.next().context("persistent without a timeout")?;
            flags.push(timeout.to_owned());
            if let Some(mask) = words.next() {
                let mask = u32::from_str_radix(mask, 16)?;
                // A prefix length is stored as it is, and shown as if it were a netmask in network order.
                flags.push(match six {
                    true => mask.swap_bytes().to_string(),
                    false => Ipv4Addr::from(mask).to_string(),
                });
            }
        }
    }
    Ok(flags.join(" "))
}

/// As `C0A8000A:0050` or `[2001:0db8:0000:...]:0050`.
fn parse_address(text: &str) -> anyhow::Result<String> {
    let (address, port) = text.rsplit_once(':').context("an address without a port")?;
    let ip: IpAddr = match address.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
        Some(address) => address.parse()?,
        None => Ipv4Addr::from(u32::from_str_radix(address, 16)?).into(),
    };
    Ok(SocketAddr::new(ip, u16::from_str_radix(port, 16)?).to_string())
}
