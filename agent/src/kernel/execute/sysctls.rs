//! Sysctls of a batch.

use super::{Batch, Verdict};
use crate::journal::{Change, Entry};
use crate::kernel::ports::{Ports, Standing};
use crate::kernel::{Done, KernelError};
use crate::plan::settings::{CONNTRACK, is_same_choice};
use crate::plan::{ARP_ANNOUNCE, ARP_IGNORE, is_forwarding};
use crate::state::{HeldAddress, Made, Op};
use lvs_ipvs::ServiceKey;
use std::io;
use std::net::IpAddr;

/// The interface of kube-proxy in ipvs mode, which sets these sysctls itself where it wants them (`strictARP`, at each of its syncs), and leaves the
/// interface behind when its mode is another.
const KUBE_PROXY: &str = "kube-ipvs0";

impl<P: Ports> Batch<'_, P> {
    /// Reads what the sysctls were before.
    pub(super) fn prepare_sysctls(&mut self, entries: &mut Vec<(usize, Entry)>) {
        for (index, op) in self.ops.iter().enumerate() {
            let Op::SetSysctl { path, value } = op else { continue };
            match self.ports.read_sysctl(path) {
                Err(source) => self.settle(index, Err(refused("set", path, source))),
                // Somebody has set it already: it stays theirs.
                Ok(found) if is_same(&found, value) => self.settle(index, Ok(Done::Changed)),
                Ok(previous) => {
                    let change = Change { previous, given: value.clone() };
                    entries.push((index, Entry::Sysctl { path: path.clone(), change }));
                }
            }
        }
    }

    pub(super) fn sysctl(&mut self, index: usize) {
        match self.ops.get(index) {
            Some(Op::SetSysctl { path, value }) => {
                let verdict = match self.ports.write_sysctl(path, value) {
                    Ok(()) => Ok(Done::Changed),
                    Err(source) => {
                        self.unmade(Made::Sysctl(path.clone()));
                        Err(refused("set", path, source))
                    }
                };
                self.settle(index, verdict);
            }
            Some(Op::RestoreSysctl { path }) => {
                let verdict = self.restore(path);
                if verdict.is_ok() {
                    self.gone.push(Made::Sysctl(path.clone()));
                }
                self.settle(index, verdict);
            }
            _ => {}
        }
    }

    fn restore(&mut self, path: &str) -> Verdict {
        let failed = |source| refused("restore", path, source);
        let Some(change) = self.journal.change(path).cloned() else { return Ok(Done::Changed) };
        let found = match self.ports.read_sysctl(path) {
            // Gone with its interface.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Done::Changed),
            found => found.map_err(failed)?,
        };
        if is_same(&found, &change.previous) {
            return Ok(Done::Changed);
        }
        if !is_same_choice(path, &found, &change.given) {
            return Ok(Done::TakenOver { value: found });
        }
        if let Some(because) = self.needed(path) {
            return Ok(Done::Left { because });
        }
        self.ports.write_sysctl(path, &change.previous).map_err(failed)?;
        Ok(Done::Changed)
    }

    /// Who else may need the sysctl as it is: whoever found it so has not set it himself.
    fn needed(&mut self, path: &str) -> Option<String> {
        match path {
            _ if is_forwarding(path) => {
                let name = path.replace('/', ".");
                Some(format!(
                    "containers, VPNs and routes of this machine may rely on it by now, and the kernel would turn it off for every \
                     interface; where nothing does: sysctl -w {name}=0"
                ))
            }
            ARP_IGNORE | ARP_ANNOUNCE => {
                let quiet = self.quiet()?;
                Some(format!(
                    "{} stands on {}, and without it this machine would answer ARP for that",
                    quiet.address, quiet.interface
                ))
            }
            CONNTRACK => {
                let other = self.other_service()?;
                Some(format!(
                    "IPVS service {other}, which somebody else has made, may be masqueraded"
                ))
            }
            _ => None,
        }
    }

    /// Somebody else's address that is to be silent, such as the VIP of another load balancer.
    fn quiet(&mut self) -> Option<HeldAddress> {
        let standing = self.ports.standing().unwrap_or_default();
        let is_quiet = |it: &Standing| match it.held.address.addr() {
            IpAddr::V4(address) => it.aside && !address.is_loopback(),
            IpAddr::V6(_) => false,
        };
        let mut held = standing.into_iter().filter(is_quiet).map(|it| it.held);
        held.find(|held| {
            held.interface != KUBE_PROXY && !self.is_ours(&Made::Address(held.clone()))
        })
    }

    fn other_service(&mut self) -> Option<ServiceKey> {
        let services = self.ports.services().unwrap_or_default();
        services.into_iter().find(|key| !self.is_ours(&Made::Service(*key)))
    }
}

/// Sysctls with several numbers separate them by tabs when read.
fn is_same(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

fn refused(operation: &'static str, path: &str, source: io::Error) -> KernelError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => KernelError::NoSuchSysctl { operation, path },
        _ => KernelError::Sysctl { operation, path, source },
    }
}
