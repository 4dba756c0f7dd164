//! Which real servers are checked and how, and what their being down means for the kernel.

use super::{Fragment, Problem, Program};
use crate::health::{Target, Verdicts};
use lvs_crds::{FailedRole, HealthCheck, OnFailure, SliceRealServer, SliceService};
use lvs_ipvs::{DestinationKey, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A destination whose real server is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The real server's name.
    pub server: String,
    /// All of these have to be up.
    pub targets: Vec<Target>,
    /// What becomes of it when one is not.
    pub on_failure: OnFailure,
}

/// A real server that is down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Down {
    /// Of these services, as `TCP/80`; none where all of a firewall mark's is meant.
    pub ports: BTreeSet<String>,
    /// By what it was found.
    pub reason: String,
}

/// Each kind for itself, and the port that it names.
type Apart = Vec<(Option<u16>, Arc<HealthCheck>)>;

/// A service's check and those that its real servers have of their own, taken apart once.
pub(super) struct Checks<'a> {
    common: Apart,
    own: BTreeMap<&'a str, Apart>,
    program: &'a Program<'a>,
}

impl<'a> Checks<'a> {
    pub(super) fn new(program: &'a Program<'a>) -> Self {
        let own = program.real_servers.iter();
        let own = own.filter_map(|it| Some((it.name.as_str(), apart(it.health_check.as_ref()?))));
        let common = program.health_check.map(apart).unwrap_or_default();
        Self { common, own: own.collect(), program }
    }

    /// How a destination's real server is checked, if it is.
    pub(super) fn of(
        &self,
        server: &SliceRealServer,
        service: &SliceService,
        key: &DestinationKey,
    ) -> Option<Checked> {
        let check = server.health_check.as_ref().or(self.program.health_check)?;
        let kinds = self.own.get(server.name.as_str()).unwrap_or(&self.common);
        // Of a mark, as of all ports, there is none to ask; the API has refused it.
        let served = (service.firewall_mark.is_none() && key.port != 0).then_some(key.port);
        let target = |(port, kind): &(Option<u16>, Arc<HealthCheck>)| {
            let port = port.or(served);
            let asks = kind.icmp.is_some() || port.is_some();
            let port = port.filter(|_| kind.icmp.is_none());
            asks.then(|| Target { address: key.address, port, check: Arc::clone(kind) })
        };
        let targets: Vec<Target> = kinds.iter().filter_map(target).collect();
        let server = server.name.clone();
        (!targets.is_empty()).then_some(Checked { server, targets, on_failure: check.on_failure })
    }
}

fn apart(check: &HealthCheck) -> Apart {
    let port = |port: Option<i32>| port.and_then(|port| u16::try_from(port).ok());
    check.apart().into_iter().map(|(at, kind)| (port(at), Arc::new(kind))).collect()
}

impl Fragment {
    /// What is to be asked for this fragment.
    pub fn targets(&self) -> BTreeSet<Target> {
        self.checked.values().flat_map(|checked| &checked.targets).cloned().collect()
    }

    /// How many real servers are checked.
    pub(super) fn checked_servers(&self) -> usize {
        let names: BTreeSet<&str> = self.checked.values().map(|it| it.server.as_str()).collect();
        names.len()
    }

    /// Leaves out, or gives weight 0, what is down. The rest is as it was: a scheduler's shares are settled before.
    pub fn heed(&mut self, verdicts: &Verdicts) {
        for ((service, destination), checked) in &self.checked {
            for reason in checked.targets.iter().filter_map(|target| verdicts.unfit(target)) {
                let message = format!("real server {}: not checked: {reason}", checked.server);
                let problem = Problem::new(FailedRole::Director, "InvalidHealthCheck", message);
                if !self.warnings.contains(&problem) {
                    self.warnings.push(problem);
                }
            }
            let mut down = checked.targets.iter();
            let Some(reason) = down.find_map(|target| verdicts.down(target)) else { continue };
            let Some(state) = self.services.get_mut(service) else { continue };
            match checked.on_failure {
                OnFailure::Remove => drop(state.destinations.remove(destination)),
                OnFailure::Inhibit => {
                    if let Some(destination) = state.destinations.get_mut(destination) {
                        destination.weight = 0;
                    }
                }
            }
            let entry = self.down.entry(checked.server.clone()).or_default();
            entry.ports.extend(port(service));
            if entry.reason.is_empty() {
                reason.clone_into(&mut entry.reason);
            }
        }
    }
}

fn port(service: &ServiceKey) -> Option<String> {
    match service {
        ServiceKey::Address { protocol, port, .. } => Some(format!("{protocol}/{port}")),
        ServiceKey::Mark { .. } => None,
    }
}
