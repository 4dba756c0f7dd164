//! The log's lines: JSON objects, one a line.

use super::fixture::Thing as Fixture;
use super::{Change, Entry, JournalError, Made};
use crate::state::HeldAddress;
use ipnet::IpNet;
use lvs_ipvs::{Family, Protocol, ServiceKey};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Which kernel state a journal is about. What was made in another boot or another network namespace is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The kernel's random number of this boot.
    pub boot: String,
    /// Device and inode of the network namespace.
    pub netns: String,
}

impl Identity {
    /// This boot, and the network namespace of the calling thread.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn read() -> Result<Self, JournalError> {
        let failed = |path: &str| {
            let path = Path::new(path).to_owned();
            move |source| JournalError::Io { operation: "read", path, source }
        };
        let boot_id = "/proc/sys/kernel/random/boot_id";
        // The agent's sockets are opened on this thread, whatever namespace the process started in.
        let namespace = "/proc/thread-self/ns/net";
        let boot = fs::read_to_string(boot_id).map_err(failed(boot_id))?.trim().to_owned();
        let netns = fs::metadata(namespace).map_err(failed(namespace))?;
        Ok(Self { boot, netns: format!("{}:{}", netns.dev(), netns.ino()) })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Line {
    Journal(Identity),
    Add(Thing),
    Remove(Thing),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Thing {
    Service { protocol: u16, address: IpAddr, port: u16 },
    Mark { mark: NonZeroU32, ipv6: bool },
    Address { interface: String, address: IpNet },
    Sysctl(Sysctl),
    Fixture(Fixture),
}

#[derive(Serialize, Deserialize)]
pub(super) struct Sysctl {
    path: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    previous: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    given: String,
}

impl Line {
    pub(super) fn add(entry: &Entry) -> Self {
        Self::Add(match entry {
            Entry::Service(key) => Thing::from(key),
            Entry::Address(address) => Thing::from(address),
            Entry::Sysctl { path, change } => Thing::Sysctl(Sysctl {
                path: path.clone(),
                previous: change.previous.clone(),
                given: change.given.clone(),
            }),
            Entry::Fixture(fixture) => Thing::Fixture(fixture.into()),
        })
    }

    pub(super) fn remove(made: &Made) -> Self {
        Self::Remove(match made {
            Made::Service(key) => Thing::from(key),
            Made::Address(address) => Thing::from(address),
            Made::Sysctl(path) => Thing::Sysctl(Sysctl {
                path: path.clone(),
                previous: String::new(),
                given: String::new(),
            }),
            Made::Fixture(fixture) => Thing::Fixture(fixture.into()),
        })
    }
}

impl From<&ServiceKey> for Thing {
    fn from(key: &ServiceKey) -> Self {
        match *key {
            ServiceKey::Address { protocol, address, port } => {
                Self::Service { protocol: protocol.number(), address, port }
            }
            ServiceKey::Mark { family, mark } => Self::Mark { mark, ipv6: family == Family::V6 },
        }
    }
}

impl From<&HeldAddress> for Thing {
    fn from(held: &HeldAddress) -> Self {
        Self::Address { interface: held.interface.clone(), address: held.address }
    }
}

impl From<Thing> for Entry {
    fn from(thing: Thing) -> Self {
        match thing {
            Thing::Service { protocol, address, port } => Self::Service(ServiceKey::Address {
                protocol: Protocol::from_number(protocol),
                address,
                port,
            }),
            Thing::Mark { mark, ipv6 } => Self::Service(ServiceKey::Mark {
                family: if ipv6 { Family::V6 } else { Family::V4 },
                mark,
            }),
            Thing::Address { interface, address } => {
                Self::Address(HeldAddress { interface, address })
            }
            Thing::Sysctl(Sysctl { path, previous, given }) => {
                Self::Sysctl { path, change: Change { previous, given } }
            }
            Thing::Fixture(fixture) => Self::Fixture(fixture.into()),
        }
    }
}

/// What a log says.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    pub(super) made: BTreeSet<Made>,
    pub(super) changes: BTreeMap<String, Change>,
    pub(super) problems: Vec<String>,
}

/// Reads a log. Its last line counts only with its newline: without, the write was cut off, and so what it announces was
/// never begun. A line that makes no sense is named and passed over.
pub(super) fn replay(text: &[u8], identity: &Identity) -> Replayed {
    let mut replayed = Replayed::default();
    let complete = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let lines = text.get(..complete).unwrap_or_default().split(|&byte| byte == b'\n');
    // Without a header nobody knows whose boot it was: nothing of it may be taken down.
    let mut current = false;
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        let entry = match serde_json::from_slice(line) {
            Ok(Line::Journal(header)) => {
                current = header == *identity;
                continue;
            }
            Ok(_) if number == 0 => {
                replayed.problems.push("line 1: no header; the journal is void".to_owned());
                return replayed;
            }
            Err(error) if number == 0 => {
                replayed.problems.push(format!("line 1: {error}; the journal is void"));
                return replayed;
            }
            Ok(_) if !current => continue,
            Ok(Line::Add(thing)) => {
                let entry = Entry::from(thing);
                replayed.made.insert(entry.made());
                entry
            }
            Ok(Line::Remove(thing)) => {
                let made = Entry::from(thing).made();
                replayed.made.remove(&made);
                if let Made::Sysctl(path) = &made {
                    replayed.changes.remove(path);
                }
                continue;
            }
            Err(error) => {
                replayed.problems.push(format!("line {}: {error}", number + 1));
                continue;
            }
        };
        if let Entry::Sysctl { path, change } = entry {
            replayed.changes.insert(path, change);
        }
    }
    replayed
}

/// A log that says just this.
pub(super) fn render(identity: &Identity, entries: &[Entry]) -> Vec<Line> {
    std::iter::once(Line::Journal(identity.clone())).chain(entries.iter().map(Line::add)).collect()
}
