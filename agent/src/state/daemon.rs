//! IPVS's sync daemons as things that stand or do not.

use std::fmt;
use std::net::IpAddr;

/// An interface's name: 1 to 15 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName([u8; 15]);

impl InterfaceName {
    /// `None` where no interface can have that name.
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; 15];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        (!name.is_empty() && !name.contains('\0')).then_some(Self(bytes))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let name = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        // It was made from text.
        std::str::from_utf8(name).unwrap_or_default()
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Which of the two that a node can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncRole {
    /// It tells of the node's connections.
    Master,
    /// It takes in what others tell.
    Backup,
}

impl SyncRole {
    /// As ipvsadm calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Backup => "backup",
        }
    }
}

/// A sync daemon, nothing left to the kernel: what stands can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncDaemon {
    /// There is one of each at most.
    pub role: SyncRole,
    /// Where it sends or listens.
    pub interface: InterfaceName,
    /// Only equal ids talk to each other; a backup with 0 takes all.
    pub sync_id: u8,
    /// The multicast group.
    pub group: IpAddr,
    /// The UDP port.
    pub port: u16,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// The largest message in bytes.
    pub max_length: u16,
}

impl fmt::Display for SyncDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, interface, sync_id, group, port, .. } = self;
        write!(f, "{} sync daemon {sync_id} on {interface} to {group} port {port}", role.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_an_interface_can_have() {
        assert_eq!(InterfaceName::new("eth0").unwrap().as_str(), "eth0");
        assert_eq!(InterfaceName::new("fifteen-bytes-1").unwrap().as_str(), "fifteen-bytes-1");
        assert_eq!(InterfaceName::new(""), None);
        assert_eq!(InterfaceName::new("sixteen-bytes-16"), None);
        assert_eq!(InterfaceName::new("a\0b"), None);
    }
}
