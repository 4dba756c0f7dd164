//! Writes the LVSNode of this node: at once when something has changed, then coalesced, and now and then as a sign of
//! life. Never fatal: an API server that is away hears of it later.

use crate::metrics::Metrics;
use crate::retry::{Retry, causes};
use crate::run::Published;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error};
use lvs_crds::{LVSNode, LVSNodeSpec, LVSNodeStatus};
use serde_json::json;
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
}

impl Reporter {
    /// For the LVSNode named `node`.
    pub fn new(client: Client, node: &str, metrics: Arc<Metrics>) -> Self {
        Self { api: Api::all(client), node: node.to_owned(), metrics }
    }

    /// Reports until the engine is gone.
    pub async fn run(self, mut published: watch::Receiver<Published>) {
        let settled = published.wait_for(|published| published.synced);
        // Not settled in time is reported as it is.
        let _ = timeout(SETTLE, settled).await;
        let mut retry = Retry::default();
        loop {
            let start = Instant::now();
            let status = published.borrow_and_update().status.clone();
            let result = timeout(PATIENCE, self.write(status)).await;
            let result = match result {
                Ok(Ok(())) => None,
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

    async fn write(&self, mut status: LVSNodeStatus) -> Result<(), Error> {
        status.report_time = Some(Time(Timestamp::now()));
        match self.write_status(&status).await {
            Err(Error::Api(response)) if response.code == 404 => {
                let node = LVSNode::new(&self.node, LVSNodeSpec {});
                self.api.patch(&self.node, &params(), &Patch::Apply(&node)).await?;
                self.write_status(&status).await
            }
            result => result,
        }
    }

    async fn write_status(&self, status: &LVSNodeStatus) -> Result<(), Error> {
        let patch = json!({
            "apiVersion": format!("{}/{}", lvs_crds::GROUP, lvs_crds::VERSION),
            "kind": "LVSNode",
            "metadata": { "name": self.node },
            "status": status,
        });
        self.api.patch_status(&self.node, &params(), &Patch::Apply(&patch)).await.map(drop)
    }
}

fn params() -> PatchParams {
    PatchParams::apply(MANAGER).force()
}
