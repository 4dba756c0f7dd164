//! Sysctls of a batch.

use super::{Batch, Verdict};
use crate::journal::{Change, Entry, Made};
use crate::kernel::ports::Ports;
use crate::kernel::{Done, KernelError};
use crate::plan::settings::is_same_choice;
use crate::state::Op;
use std::collections::BTreeMap;
use std::io;

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
                    let alongside = self.alongside(path, &previous);
                    let change = Change { previous, given: value.clone(), alongside };
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
        let beside = self.beside(path, &change)?;
        self.ports.write_sysctl(path, &change.previous).map_err(failed)?;
        for (path, value) in beside {
            match self.ports.read_sysctl(&path) {
                Ok(found) if is_same(&found, &value) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                _ => {
                    let written = self.ports.write_sysctl(&path, &value);
                    written.map_err(|source| refused("restore", &path, source))?;
                }
            }
        }
        Ok(Done::Changed)
    }

    /// What else has to be put back after a restore. Where somebody has chosen otherwise since, that is what the kernel
    /// brings about by itself: all of them are switches.
    fn beside(
        &mut self,
        path: &str,
        change: &Change,
    ) -> Result<BTreeMap<String, String>, KernelError> {
        let mut beside = BTreeMap::new();
        for (other, effect) in self.effects(path, &change.given) {
            let Some(before) = change.alongside.get(&other) else { continue };
            match self.ports.read_sysctl(&other) {
                Ok(found) if is_same(&found, &effect) => {
                    beside.insert(other, before.clone());
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(refused("restore", &other, source)),
            }
        }
        Ok(beside)
    }

    /// What will have to be put back by hand after `path` has gone to another value and back to `previous`.
    fn alongside(&mut self, path: &str, previous: &str) -> BTreeMap<String, String> {
        let mut alongside = BTreeMap::new();
        for (other, effect) in self.effects(path, previous) {
            if let Ok(found) = self.ports.read_sysctl(&other)
                && !is_same(&found, &effect)
            {
                alongside.insert(other, found);
            }
        }
        alongside
    }

    /// What the kernel itself sets when `path` becomes `value`: the switch for forwarding sets it for every interface
    /// and for those to come, and for IPv4 accepts redirects exactly while it is off (`inet_forward_change` in
    /// net/ipv4/devinet.c, `addrconf_fixup_forwarding` in net/ipv6/addrconf.c).
    fn effects(&mut self, path: &str, value: &str) -> Vec<(String, String)> {
        let (folder, redirects) = match path {
            "net/ipv4/ip_forward" | "net/ipv4/conf/all/forwarding" => ("net/ipv4/conf", true),
            "net/ipv6/conf/all/forwarding" => ("net/ipv6/conf", false),
            _ => return Vec::new(),
        };
        let names = self.ports.list_sysctls(folder).unwrap_or_default();
        let mut effects: Vec<_> = names
            .into_iter()
            .filter(|name| name != "all")
            .map(|name| (format!("{folder}/{name}/forwarding"), value.to_owned()))
            .collect();
        if redirects {
            let accepted = if value == "0" { "1" } else { "0" };
            effects.push((format!("{folder}/all/accept_redirects"), accepted.to_owned()));
        }
        effects
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
