//! IPVS operations of a batch.

use super::{Batch, Verdict};
use crate::journal::Entry;
use crate::kernel::ports::Ports;
use crate::kernel::{Done, KernelError, subject};
use crate::plan::settings::EXPIRE_NODEST_CONN;
use crate::state::{Made, Op};
use lvs_ipvs::{Errno, Operation, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};

impl<P: Ports> Batch<'_, P> {
    /// A service that stands already and is not in the journal is somebody else's.
    pub(super) fn prepare_services(&mut self, entries: &mut Vec<(usize, Entry)>) {
        let mut asked = BTreeSet::new();
        for op in self.ops {
            if let Op::Ipvs(Operation::NewService(service)) = op
                && !self.is_ours(&Made::Service(service.key))
            {
                asked.insert(service.key);
            }
        }
        if asked.is_empty() {
            return;
        }
        let existing = self.ports.existing(&asked);
        for (index, op) in self.ops.iter().enumerate() {
            let Op::Ipvs(operation @ Operation::NewService(service)) = op else { continue };
            if !asked.contains(&service.key) {
                continue;
            }
            match &existing {
                Ok(existing) if existing.contains(&service.key) => {
                    self.settle(index, Err(foreign(operation, service.key)));
                }
                Ok(_) => entries.push((index, Entry::Service(service.key))),
                Err(error) => self.settle(index, Err(refused(error, operation).into())),
            }
        }
    }

    pub(super) fn services(&mut self, open: &[usize]) {
        let mut sent = Vec::with_capacity(open.len());
        let mut operations = Vec::with_capacity(open.len());
        for &index in open {
            let Some(Op::Ipvs(operation)) = self.ops.get(index) else { continue };
            match subject(operation) {
                Some(key) if !self.is_ours(&Made::Service(key)) => {
                    let without = self.unmade_service(key);
                    let error = without.map_or_else(
                        || foreign(operation, key),
                        |because| withheld(operation, because),
                    );
                    self.settle(index, Err(error));
                }
                _ => {
                    sent.push(index);
                    operations.push(operation.clone());
                }
            }
        }
        let kept = operations.windows(2).any(comes_again).then(|| self.keep_connections());
        let results = self.ports.apply(&operations);
        if let Some(value) = kept.flatten() {
            self.let_expire(&value);
        }
        let mut failed_services = BTreeMap::new();
        let mut second = Vec::new();
        for ((index, operation), result) in sent.into_iter().zip(operations).zip(results) {
            match result {
                Ok(()) => self.done(index, &operation),
                Err(error) => match self.instead(&operation, &error) {
                    Some(Instead::Nothing) => self.done(index, &operation),
                    Some(Instead::Do(other)) => second.push((index, other)),
                    None => self.failed(index, &operation, error, &mut failed_services),
                },
            }
        }
        // The table was not as the caller knew it: somebody has changed things of ours.
        let operations: Vec<Operation> = second.iter().map(|(_, other)| other.clone()).collect();
        let results =
            if operations.is_empty() { Vec::new() } else { self.ports.apply(&operations) };
        for ((index, operation), result) in second.into_iter().zip(results) {
            match result {
                Ok(()) => self.done(index, &operation),
                Err(error) => self.failed(index, &operation, error, &mut failed_services),
            }
        }
    }

    /// A destination that is taken out and comes again at once keeps its connections, unless a packet in between ends one
    /// (`ip_vs_in_hook` in net/netfilter/ipvs/ip_vs_core.c). What was set before, if it is to be put back: should this
    /// process end before that, the next audit does it.
    fn keep_connections(&mut self) -> Option<String> {
        let value = self.ports.read_sysctl(EXPIRE_NODEST_CONN).ok().filter(|value| value != "0")?;
        match self.ports.write_sysctl(EXPIRE_NODEST_CONN, "0") {
            Ok(()) => Some(value),
            Err(error) => {
                tracing::warn!(%error, "{EXPIRE_NODEST_CONN} stays {value} while destinations are put in order");
                None
            }
        }
    }

    fn let_expire(&mut self, value: &str) {
        if let Err(error) = self.ports.write_sysctl(EXPIRE_NODEST_CONN, value) {
            tracing::error!(%error, "{EXPIRE_NODEST_CONN} was {value} and is 0 now");
        }
    }

    fn done(&mut self, index: usize, operation: &Operation) {
        if let Operation::DelService(key) = operation {
            self.gone.push(Made::Service(*key));
        }
        self.settle(index, Ok(Done::Changed));
    }

    fn failed(
        &mut self,
        index: usize,
        operation: &Operation,
        error: lvs_ipvs::Error,
        failed_services: &mut BTreeMap<ServiceKey, String>,
    ) {
        let verdict: Verdict = match operation {
            Operation::NewService(service) => {
                failed_services.insert(service.key, error.to_string());
                if !error.is_uncertain() {
                    self.unmade(Made::Service(service.key));
                }
                // Made by somebody since `prepare_services` looked.
                if error.is_exists() {
                    Err(foreign(operation, service.key))
                } else {
                    Err(error.into())
                }
            }
            _ if error.is_not_found() => {
                let because = subject(operation).and_then(|key| failed_services.get(&key));
                Err(because.map_or(error.into(), |because| withheld(operation, because.clone())))
            }
            _ => Err(error.into()),
        };
        self.settle(index, verdict);
    }

    /// Why a service of this batch was not made, if its turn has come and that is so.
    fn unmade_service(&self, key: ServiceKey) -> Option<String> {
        self.ops.iter().zip(&self.verdicts).find_map(|(op, verdict)| match (op, verdict) {
            (Op::Ipvs(Operation::NewService(service)), Some(Err(error)))
                if service.key == key && !matches!(error, KernelError::ForeignService { .. }) =>
            {
                Some(error.to_string())
            }
            _ => None,
        })
    }

    /// What brings about what was asked for, where the table was not as expected and the thing is ours.
    fn instead(&self, operation: &Operation, error: &lvs_ipvs::Error) -> Option<Instead> {
        match operation {
            Operation::NewService(service)
                if error.is_exists() && !self.fresh.contains(&Made::Service(service.key)) =>
            {
                Some(Instead::Do(Operation::SetService(service.clone())))
            }
            Operation::NewDestination { service, destination } if error.is_exists() => {
                let (service, destination) = (*service, *destination);
                Some(Instead::Do(Operation::SetDestination { service, destination }))
            }
            // ENOENT: no such destination. A missing service is ESRCH, and then the caller knows too little.
            Operation::SetDestination { service, destination }
                if error.errno() == Some(Errno::ENOENT) =>
            {
                let (service, destination) = (*service, *destination);
                Some(Instead::Do(Operation::NewDestination { service, destination }))
            }
            Operation::DelDestination { .. } | Operation::DelService(_) if error.is_not_found() => {
                Some(Instead::Nothing)
            }
            _ => None,
        }
    }
}

/// Whether two operations take a destination out and put it in again.
fn comes_again(pair: &[Operation]) -> bool {
    match pair {
        [
            Operation::DelDestination { service: of, destination: gone },
            Operation::NewDestination { service, destination },
        ] => of == service && *gone == destination.key,
        _ => false,
    }
}

enum Instead {
    Nothing,
    Do(Operation),
}

fn foreign(operation: &Operation, service: ServiceKey) -> KernelError {
    KernelError::ForeignService { operation: operation.to_string(), service }
}

fn withheld(operation: &Operation, because: String) -> KernelError {
    KernelError::Withheld { operation: operation.to_string(), because }
}

/// The failure of a listing as the failure of an operation that depended on it and was not sent.
fn refused(error: &lvs_ipvs::Error, operation: &Operation) -> lvs_ipvs::Error {
    let request = operation.clone().into();
    match error {
        lvs_ipvs::Error::NoIpvs => lvs_ipvs::Error::NoIpvs,
        lvs_ipvs::Error::Kernel { errno, message, .. } => {
            lvs_ipvs::Error::Kernel { request, errno: *errno, message: message.clone() }
        }
        _ => lvs_ipvs::Error::NotSent { request },
    }
}
