//! IPVS's settings on the real kernel: timeouts over netlink, and files that are there only once IPVS is.

use super::Linux;
use crate::plan::settings::{FOLDER, TIMEOUT_TCP, TIMEOUT_TCP_FIN, TIMEOUT_UDP};
use crate::state::Ipv4Settings;
use lvs_ipvs::{Client, Error, Operation, Timeouts};
use std::path::Path;
use std::{fs, io};

/// Not `/proc/net`, which is the namespace of the process's first thread.
const HELPERS: &str = "/proc/thread-self/net/ip_vs_app";
/// Present where ip_vs_ftp is a module and loaded, or has parameters and is built in.
const MODULE: &str = "/sys/module/ip_vs_ftp";

impl Linux {
    /// IPVS's sysctls come with its module, which the first question over netlink loads.
    pub(super) fn wake_ipvs(&mut self, path: &str) {
        if path.starts_with(FOLDER)
            && self.ipvs.is_none()
            && let Err(error) = self.ipvs(|_| Ok(()))
        {
            tracing::debug!(%error, path, "no IPVS for a setting");
        }
    }

    /// Those of `all`, which come with no link.
    pub(super) fn all_ipv4(&self) -> Ipv4Settings {
        let read = |name: &str| {
            let path = self.sysctl(&format!("net/ipv4/conf/all/{name}")).ok()?;
            fs::read_to_string(path).ok()?.trim().parse::<i32>().ok()
        };
        Ipv4Settings {
            arp_ignore: read("arp_ignore").unwrap_or_default(),
            rp_filter: read("rp_filter").unwrap_or_default(),
            forwarding_off: read("forwarding") == Some(0),
        }
    }

    pub(super) fn read_timeout(&mut self, path: &str) -> io::Result<String> {
        let timeouts = self.ipvs(Client::timeouts).map_err(refused)?;
        Ok(match path {
            TIMEOUT_TCP => timeouts.tcp,
            TIMEOUT_TCP_FIN => timeouts.tcp_fin,
            _ => timeouts.udp,
        }
        .to_string())
    }

    /// Sets one: the others are 0, which leaves them as they are.
    pub(super) fn write_timeout(&mut self, path: &str, value: &str) -> io::Result<()> {
        let seconds = value.trim().parse().map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut timeouts = Timeouts::default();
        match path {
            TIMEOUT_TCP => timeouts.tcp = seconds,
            TIMEOUT_TCP_FIN => timeouts.tcp_fin = seconds,
            TIMEOUT_UDP => timeouts.udp = seconds,
            _ => return Err(io::ErrorKind::NotFound.into()),
        }
        self.ipvs(|client| client.execute(Operation::SetTimeouts(timeouts))).map_err(refused)
    }
}

/// A failed question as that of a file. Without IPVS there is no setting, as there is no file.
fn refused(error: Error) -> io::Error {
    match &error {
        Error::NoIpvs => io::ErrorKind::NotFound.into(),
        _ => match error.errno() {
            Some(errno) => io::Error::from_raw_os_error(errno.0),
            None => io::Error::other(error),
        },
    }
}

/// `IPReversePathFilter` out of two lines that begin with `TcpExt:`, names and numbers (net/ipv4/proc.c).
pub(super) fn reverse_path_drops(counters: &str) -> Option<u64> {
    let mut lines = counters.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(numbers.split_whitespace());
    pairs.find(|(name, _)| *name == "IPReversePathFilter")?.1.parse().ok()
}

/// Whether IPVS can translate FTP's commands. Nothing loads ip_vs_ftp by itself.
pub(super) fn has_ftp_helper() -> bool {
    let listed =
        |text: String| text.lines().any(|line| line.split_whitespace().last() == Some("ftp"));
    Path::new(MODULE).exists() || fs::read_to_string(HELPERS).is_ok_and(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_by_its_name() {
        let text = "TcpExt: SyncookiesSent IPReversePathFilter Other\nTcpExt: 1 17 2\nIpExt: InNoRoutes\nIpExt: 3\n";
        assert_eq!(reverse_path_drops(text), Some(17));
        for bad in ["", "TcpExt: IPReversePathFilter", "TcpExt: A\nTcpExt: 1\n"] {
            assert_eq!(reverse_path_drops(bad), None);
        }
    }
}
