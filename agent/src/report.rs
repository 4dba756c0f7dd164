//! Writes the LVSNode of this node: at once when something has changed, then coalesced, and now and then as a sign of
//! life. Never fatal: an API server that is away hears of it later.

use crate::input::version;
use crate::message::Published;
use crate::metrics::Metrics;
use crate::retry::{Retry, causes};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error};
use lvs_crds::{
    CarriedRouter, DirectorOf, FailedRole, Failure, LVSNode, LVSNodeSpec, LVSNodeStatus,
    MAX_REPORTED,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// At most one report within this time.
const PAUSE: Duration = Duration::from_millis(200);
/// At least one report within this time.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// So soon after news of virtual routers, or of who is heard, it is said again: that a claim outlives every move shows only by
/// a second report ([`lvs_resolve::carriers_of`]).
const CONFIRM: Duration = Duration::from_secs(5);
/// So long it is not said again that real servers have turned, if nothing else is to be said.
const TURNS: Duration = Duration::from_secs(1);
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
    /// What was left out of the last report, since the CRD does not have it.
    left_out: Vec<String>,
    /// The resourceVersion of the last report.
    version: u64,
    history: History,
}

/// Tells the watches that the API server goes on from an earlier state, as after etcd was restored from a backup: each write
/// has a greater resourceVersion than all before, but then. A watch that was resumed from a version that is yet to come
/// would show nothing until then (`getAllEventsSince` in apiserver's storage/cacher/watch_cache.go).
#[derive(Clone, Debug, Default)]
pub struct History(Arc<watch::Sender<()>>);

impl History {
    /// Resolves with each change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

impl Reporter {
    /// For the LVSNode named `node`.
    pub fn new(client: Client, node: &str, metrics: Arc<Metrics>, history: History) -> Self {
        let (api, node) = (Api::all(client), node.to_owned());
        Self { api, node, metrics, left_out: Vec::new(), version: 0, history }
    }

    /// Reports until the engine is gone.
    pub async fn run(mut self, mut published: watch::Receiver<Published>) {
        let settled = published.wait_for(|published| published.synced);
        // Not settled in time is reported as it is.
        let _ = timeout(SETTLE, settled).await;
        let mut retry = Retry::default();
        let mut confirmation = Confirmation::default();
        let mut turns = Turns::default();
        loop {
            let start = Instant::now();
            let status = published.borrow_and_update().status.clone();
            let result = timeout(PATIENCE, self.write(status.clone())).await;
            let result = match result {
                Ok(Ok((left_out, version))) => {
                    if version < self.version {
                        tracing::warn!(
                            object = self.node,
                            "the API server goes on from an earlier state (resourceVersion {version} after {}): all is \
                             listed anew",
                            self.version
                        );
                        self.history.0.send_replace(());
                    }
                    self.version = version;
                    if left_out != self.left_out && !left_out.is_empty() {
                        tracing::warn!(object = self.node, "{}", outdated(&left_out));
                    }
                    self.left_out = left_out;
                    None
                }
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
            confirmation.said(&status, start);
            turns.said(&status, start);
            let wait = confirmation.due(start).map_or(SIGN_OF_LIFE, |due| due.min(SIGN_OF_LIFE));
            let news = timeout(wait, published.changed()).await;
            if matches!(news, Ok(Err(_))) {
                return;
            }
            sleep(PAUSE.saturating_sub(start.elapsed())).await;
            if let Some(until) = turns.until() {
                let more = published.wait_for(|it| turns.is_more(&it.status));
                // Whether there is more, or time is up: it is said now.
                let _ = timeout_at(until, more).await;
            }
        }
    }

    /// Returns the fields that the API server's CRD does not have, and that were left out; and the report's resourceVersion.
    async fn write(&self, mut status: LVSNodeStatus) -> Result<(Vec<String>, u64), Error> {
        status.report_time = Some(MicroTime(Timestamp::now()));
        let mut left_out = Vec::new();
        loop {
            let mut written = write_status(&self.api, &self.node, &status, &left_out).await;
            if matches!(&written, Err(Error::Api(response)) if response.code == 404) {
                let node = LVSNode::new(&self.node, LVSNodeSpec {});
                self.api.patch(&self.node, &params(), &Patch::Apply(&node)).await?;
                written = write_status(&self.api, &self.node, &status, &left_out).await;
            }
            let known = left_out.len();
            if let Err(Error::Api(response)) = &written {
                let new = undeclared(&response.message);
                left_out.extend(
                    new.into_iter().filter(|it| !left_out.contains(it)).collect::<Vec<_>>(),
                );
            }
            if left_out.len() == known {
                return written.map(|node| (left_out, version(&node.metadata)));
            }
        }
    }
}

/// What was said of real servers, and when: what flaps makes one report a second, not one a transition.
#[derive(Debug, Default)]
struct Turns {
    last: LVSNodeStatus,
    at: Option<Instant>,
}

impl Turns {
    /// This has been said, as of `now`.
    fn said(&mut self, status: &LVSNodeStatus, now: Instant) {
        if self.last.health != status.health {
            self.at = Some(now);
        }
        self.last.clone_from(status);
    }

    /// Until when that real servers have turned is not said again.
    fn until(&self) -> Option<Instant> {
        self.at.map(|at| at + TURNS)
    }

    /// Whether there is something to be said besides; that a real server that is down is no destination is not.
    fn is_more(&self, status: &LVSNodeStatus) -> bool {
        let mut other = status.clone();
        other.health.clone_from(&self.last.health);
        other.table.clone_from(&self.last.table);
        other != self.last
    }
}

/// When what was said of virtual routers is to be said again.
#[derive(Debug, Default)]
struct Confirmation {
    last: (Vec<CarriedRouter>, Vec<DirectorOf>),
    at: Option<Instant>,
}

impl Confirmation {
    /// This has been said, as of `now`.
    fn said(&mut self, status: &LVSNodeStatus, now: Instant) {
        if self.last.0 != status.virtual_routers || self.last.1 != status.director_of {
            self.last = (status.virtual_routers.clone(), status.director_of.clone());
            self.at = Some(now + CONFIRM);
        } else if self.at.is_some_and(|at| at <= now) {
            self.at = None;
        }
    }

    /// How long until it is to be said again, if it is.
    fn due(&self, now: Instant) -> Option<Duration> {
        self.at.map(|at| at.saturating_duration_since(now))
    }
}

/// Writes the status of an LVSNode that is there, but for fields that its CRD does not have.
pub(crate) async fn write_status(
    api: &Api<LVSNode>,
    node: &str,
    status: &LVSNodeStatus,
    left_out: &[String],
) -> Result<LVSNode, Error> {
    let mut status = status.clone();
    if !left_out.is_empty() {
        let reason = "OutdatedCRD".to_owned();
        let (role, message) = (FailedRole::Node, outdated(left_out));
        let warning = Failure { namespace: None, virtual_service: None, role, reason, message };
        status.warnings.insert(0, warning);
        status.warnings.truncate(MAX_REPORTED);
    }
    let mut patch = json!({
        "apiVersion": format!("{}/{}", lvs_crds::GROUP, lvs_crds::VERSION),
        "kind": "LVSNode",
        "metadata": { "name": node },
        "status": status,
    });
    if let Some(fields) = patch.get_mut("status").and_then(Value::as_object_mut) {
        fields.retain(|field, _| !left_out.contains(field));
    }
    api.patch_status(node, &params(), &Patch::Apply(&patch)).await
}

/// The fields of the status that an API server refuses since its CRD does not have them, or something in them: server-side
/// apply answers 500 with `.status.FIELD...: field not declared in schema` for each (structured-merge-diff, typed/validate.go).
fn undeclared(message: &str) -> Vec<String> {
    let words = message.split_whitespace().filter_map(|word| word.strip_prefix(".status."));
    let fields = words.filter_map(|word| word.split(['.', '[', ':']).next());
    if message.contains("field not declared in schema") {
        fields.map(str::to_owned).collect()
    } else {
        Vec::new()
    }
}

fn outdated(fields: &[String]) -> String {
    format!(
        "the CRD lvsnodes.{} is older than this agent, and has not all of status.{}: install the CRDs of version {}",
        lvs_crds::GROUP,
        fields.join(", status."),
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
    fn news_of_virtual_routers_is_said_twice_and_other_news_in_between_does_not_put_it_off() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut confirmation = Confirmation::default();
        let mut status = LVSNodeStatus::default();
        confirmation.said(&status, start);
        assert_eq!(confirmation.due(start), None, "no director");
        let of = DirectorOf {
            group: "g".to_owned(),
            role: lvs_crds::DirectorRole::Standby,
            hears: Some(Vec::new()),
        };
        status.director_of.push(of);
        confirmation.said(&status, start);
        status.failure_count = 1;
        confirmation.said(&status, start + second);
        assert_eq!(confirmation.due(start + second), Some(4 * second));
        confirmation.said(&status, start + 5 * second);
        assert_eq!(confirmation.due(start + 5 * second), None);
    }

    #[test]
    fn turns_of_real_servers_wait_for_their_second_and_other_news_does_not() {
        let start = Instant::now();
        let mut turns = Turns::default();
        let mut status = LVSNodeStatus::default();
        turns.said(&status, start);
        assert_eq!(turns.until(), None, "nothing has turned");
        status.health = Some(lvs_crds::HealthReport { checked: 2, ..Default::default() });
        turns.said(&status, start);
        assert_eq!(turns.until(), Some(start + TURNS));
        let mut news = status.clone();
        news.health = None;
        news.table = Some(lvs_crds::TableReport { destinations: 7, ..Default::default() });
        assert!(!turns.is_more(&news));
        news.failure_count = 1;
        assert!(turns.is_more(&news));
    }

    #[test]
    fn fields_that_a_crd_lacks_are_taken_out_of_the_refusal() {
        let one = "failed to create typed patch object (/n; kube-lvs.io/v1alpha1, Kind=LVSNode): .status.table: field not \
                   declared in schema";
        assert_eq!(undeclared(one), ["table"]);
        let two = "failed: errors:\n  .status.strangers: field not declared in schema\n  .status.failures[0].role: field not \
                   declared in schema";
        assert_eq!(undeclared(two), ["strangers", "failures"]);
        assert!(undeclared("Apply failed with 1 conflict: .status.table").is_empty());
    }
}
