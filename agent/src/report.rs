//! Writes the LVSNode of this node: at once when something has changed, then coalesced, and now and then as a sign of
//! life. Never fatal: an API server that is away hears of it later.

use crate::metrics::Metrics;
use crate::retry::{Retry, causes};
use crate::run::Published;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error};
use lvs_crds::{FailedRole, Failure, LVSNode, LVSNodeSpec, LVSNodeStatus, MAX_REPORTED};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// At most one report within this time.
const PAUSE: Duration = Duration::from_millis(200);
/// At least one report within this time.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// How long one write may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long the first report waits for all slices to be known, so that a restart is not seen as a failure.
const SETTLE: Duration = Duration::from_secs(5);

/// The field manager of everything that the agent writes.
const MANAGER: &str = "lvs-agent";

/// Writes one LVSNode.
pub struct Reporter {
    api: Api<LVSNode>,
    node: String,
    metrics: Arc<Metrics>,
    /// What the API server has dropped of the last report.
    dropped: Vec<String>,
}

impl Reporter {
    /// For the LVSNode named `node`.
    pub fn new(client: Client, node: &str, metrics: Arc<Metrics>) -> Self {
        Self { api: Api::all(client), node: node.to_owned(), metrics, dropped: Vec::new() }
    }

    /// Reports until the engine is gone.
    pub async fn run(mut self, mut published: watch::Receiver<Published>) {
        let settled = published.wait_for(|published| published.synced);
        // Not settled in time is reported as it is.
        let _ = timeout(SETTLE, settled).await;
        let mut retry = Retry::default();
        loop {
            let start = Instant::now();
            let status = published.borrow_and_update().status.clone();
            let result = timeout(PATIENCE, self.write(status)).await;
            let result = match result {
                Ok(Ok(dropped)) if dropped != self.dropped => {
                    self.dropped = dropped;
                    if !self.dropped.is_empty() {
                        tracing::warn!(object = self.node, "{}", outdated(&self.dropped));
                    }
                    continue;
                }
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(causes(&error)),
                Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
            };
            self.metrics.report("api", result.is_none());
            if let Some(error) = result {
                tracing::warn!(object = self.node, "LVSNode not written, tried again: {error}");
                sleep(retry.next().unwrap_or(PAUSE)).await;
                continue;
            }
            retry = Retry::default();
            let news = timeout(SIGN_OF_LIFE, published.changed()).await;
            if matches!(news, Ok(Err(_))) {
                return;
            }
            sleep(PAUSE.saturating_sub(start.elapsed())).await;
        }
    }

    /// Returns what the API server has dropped.
    async fn write(&self, mut status: LVSNodeStatus) -> Result<Vec<String>, Error> {
        status.report_time = Some(Time(Timestamp::now()));
        if !self.dropped.is_empty() {
            status.warnings.insert(
                0,
                Failure {
                    namespace: None,
                    virtual_service: None,
                    role: FailedRole::Node,
                    reason: "OutdatedCRD".to_owned(),
                    message: outdated(&self.dropped),
                },
            );
            status.warnings.truncate(MAX_REPORTED);
        }
        match write_status(&self.api, &self.node, &status).await {
            Err(Error::Api(response)) if response.code == 404 => {
                let node = LVSNode::new(&self.node, LVSNodeSpec {});
                self.api.patch(&self.node, &params(), &Patch::Apply(&node)).await?;
                write_status(&self.api, &self.node, &status).await
            }
            result => result,
        }
    }
}

/// Writes the status of an LVSNode that is there. Returns what the API server has dropped of it.
pub(crate) async fn write_status(
    api: &Api<LVSNode>,
    node: &str,
    status: &LVSNodeStatus,
) -> Result<Vec<String>, Error> {
    let patch = json!({
        "apiVersion": format!("{}/{}", lvs_crds::GROUP, lvs_crds::VERSION),
        "kind": "LVSNode",
        "metadata": { "name": node },
        "status": status,
    });
    let answer = api.patch_status(node, &params(), &Patch::Apply(&patch)).await?;
    let kept = serde_json::to_value(answer.status).unwrap_or_default();
    let mut dropped = Vec::new();
    compare(&patch["status"], &kept, "status", &mut dropped);
    Ok(dropped)
}

/// Fields that were sent and are not there: an API server drops what its CRD does not have.
fn compare(sent: &Value, kept: &Value, path: &str, dropped: &mut Vec<String>) {
    for (field, value) in sent.as_object().into_iter().flatten().filter(|(_, v)| !v.is_null()) {
        let path = format!("{path}.{field}");
        match kept.get(field) {
            None if !dropped.contains(&path) => dropped.push(path),
            None => {}
            Some(kept) => compare(value, kept, &path, dropped),
        }
    }
    let items = sent.as_array().zip(kept.as_array());
    for (sent, kept) in items.into_iter().flat_map(|(sent, kept)| sent.iter().zip(kept)) {
        compare(sent, kept, path, dropped);
    }
}

fn outdated(dropped: &[String]) -> String {
    format!(
        "the CRD lvsnodes.{} is older than this agent, and the API server drops {}: install the CRDs of version {}",
        lvs_crds::GROUP,
        dropped.join(", "),
        env!("CARGO_PKG_VERSION")
    )
}

fn params() -> PatchParams {
    PatchParams::apply(MANAGER).force()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_drops_is_named_once_and_nothing_else() {
        let sent = json!({"a": 1, "gone": [1], "list": [{"x": 1, "y": 2}, {"x": 1, "y": 2}], "none": null});
        let kept = json!({"a": 1, "list": [{"x": 1}, {"x": 1}], "more": 1});
        let mut dropped = Vec::new();
        compare(&sent, &kept, "status", &mut dropped);
        assert_eq!(dropped, ["status.gone", "status.list.y"]);
        dropped.clear();
        compare(&sent, &sent, "status", &mut dropped);
        assert!(dropped.is_empty(), "{dropped:?}");
    }
}
