//! The Lease object itself.

use super::gate::Gate;
use super::machine::{Action, Draft, Machine, Record, Settings};
use crate::metrics::Metrics;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};

/// Name of the Lease.
pub const LEASE: &str = "kube-lvs-operator";

/// Whom the Lease tells something.
pub struct Tell {
    /// Whether this replica is the active one.
    pub leading: watch::Sender<bool>,
    /// That the API server has gone back to an earlier state: the Lease, which every replica looks at all the time, has a
    /// smaller resourceVersion than before.
    pub history: watch::Sender<()>,
}

/// Competes for the Lease until `stop` says so, then gives it back. Tells `leading` who it is, and opens `gate` as
/// long as it is us. `client` must not retry by itself: an attempt's beginning is what counts.
pub async fn compete(
    client: Client,
    namespace: String,
    settings: Settings,
    gate: Gate,
    Tell { leading, history }: Tell,
    metrics: Metrics,
    mut stop: watch::Receiver<bool>,
) {
    let driver = Driver {
        api: Api::namespaced(client, &namespace),
        settings: settings.clone(),
        name: format!("{namespace}/{LEASE}"),
        metrics,
        history,
        newest: AtomicU64::new(0),
    };
    let mut machine = Machine::new(settings);
    loop {
        let action = machine.poll(gate.now());
        tell(&machine, &gate, &leading, &driver.name);
        let step = driver.perform(&mut machine, &gate, action);
        tokio::select! {
            () = step => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        gate.set(machine.held_until());
        tell(&machine, &gate, &leading, &driver.name);
    }
    gate.set(None);
    leading.send_replace(false);
    if let Some(draft) = machine.release() {
        match driver.write(&draft, Duration::from_secs(1)).await {
            Ok(_) => info!(lease = driver.name, "released the lease"),
            Err(error) => warn!(lease = driver.name, %error, "could not release the lease"),
        }
    }
}

fn tell(machine: &Machine, gate: &Gate, leading: &watch::Sender<bool>, lease: &str) {
    let holds = machine.holds(gate.now());
    let changed = leading.send_if_modified(|leads| std::mem::replace(leads, holds) != holds);
    match (changed, holds) {
        (true, true) => info!(lease, "this replica is active now"),
        (true, false) => warn!(lease, "this replica is not active any more: it could not renew"),
        (false, _) => {}
    }
}

struct Driver {
    api: Api<Lease>,
    settings: Settings,
    name: String,
    metrics: Metrics,
    history: watch::Sender<()>,
    /// The resourceVersion last seen.
    newest: AtomicU64,
}

impl Driver {
    fn see(&self, record: &Record) {
        let version = record.version.parse().unwrap_or(0);
        let before = self.newest.swap(version, Ordering::Relaxed);
        if version < before {
            warn!(
                lease = self.name,
                version, before, "the API server goes on from an earlier state: all is listed anew"
            );
            self.history.send_replace(());
        }
    }

    async fn perform(&self, machine: &mut Machine, gate: &Gate, action: Action) {
        // One attempt may not take up all the time there is for several.
        let limit = self.settings.renew_deadline / 2;
        let result = match action {
            Action::Wait(until) => {
                // A holder's belief ends by itself: look again when it does.
                let until = machine.held_until().map_or(until, |end| until.min(end));
                return tokio::time::sleep(until.saturating_sub(gate.now())).await;
            }
            Action::Read => match tokio::time::timeout(limit, self.api.get_opt(LEASE)).await {
                Ok(Ok(lease)) => {
                    let lease = lease.map(record);
                    lease.iter().for_each(|record| self.see(record));
                    machine.read(gate.now(), lease);
                    return;
                }
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer within {limit:?}")),
            },
            Action::Write(draft) => self.write(&draft, limit).await,
        };
        match result {
            Ok(record) => {
                self.see(&record);
                machine.written(gate.now(), record);
            }
            Err(error) => {
                warn!(lease = self.name, error, "could not get or renew the lease");
                machine.failed(gate.now());
            }
        }
    }

    async fn write(&self, draft: &Draft, limit: Duration) -> Result<Record, String> {
        let now = MicroTime(jiff::Timestamp::now());
        let acquired = draft.acquired.as_ref().and_then(|t| t.parse().ok()).map(MicroTime);
        // A released lease can be had at once; 0 is no valid duration.
        let duration =
            if draft.holder.is_empty() { 1 } else { seconds(self.settings.lease_duration) };
        let mut lease = Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some(draft.holder.clone()),
                lease_duration_seconds: Some(duration),
                lease_transitions: Some(draft.transitions),
                acquire_time: Some(acquired.unwrap_or_else(|| now.clone())),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        lease.metadata.name = Some(LEASE.to_owned());
        lease.metadata.resource_version.clone_from(&draft.version);
        let params = PostParams::default();
        let answer = async {
            match draft.version {
                None => self.api.create(&params, &lease).await,
                Some(_) => self.api.replace(LEASE, &params, &lease).await,
            }
        };
        let answer = tokio::time::timeout(limit, answer).await;
        let result = match answer {
            Ok(result) => result,
            Err(_) => return Err(format!("no answer within {limit:?}")),
        };
        self.metrics.wrote(
            "Lease",
            if draft.version.is_some() { "update" } else { "create" },
            &result,
        );
        result.map(record).map_err(|error| error.to_string())
    }
}

/// Whole seconds, at least one, rounded up: what the record promises may only be longer.
fn seconds(duration: Duration) -> i32 {
    let up = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(up.max(1)).unwrap_or(i32::MAX)
}

fn record(lease: Lease) -> Record {
    let spec = lease.spec.unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(0);
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(seconds),
        transitions: spec.lease_transitions.unwrap_or(0),
        acquired: spec.acquire_time.map(|t| t.0.to_string()),
        renewed: spec.renew_time.map(|t| t.0.to_string()),
        version: lease.metadata.resource_version.unwrap_or_default(),
    }
}
