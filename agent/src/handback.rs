//! Gives the node back while the agent's pod stays: before the chart is uninstalled, or when a node is taken out for good.
//! Whoever may change the node's LVSNode asks for it, by the annotation [`CLEAN_UP`].

use crate::cleanup::{self, CleanupError};
use crate::report;
use crate::retry::{Retry, causes};
use axum::Router;
use axum::routing::get;
use futures::{StreamExt, pin_mut};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt};
use lvs_crds::{CLEAN_UP, FailedRole, Failure, LVSNode, LVSNodeStatus};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;

/// The reason by which an LVSNode tells that nothing of ours is left on its node.
pub const CLEANED_UP: &str = "CleanedUp";
/// As [`CLEANED_UP`], but for what the message names.
pub const INCOMPLETE: &str = "CleanUpIncomplete";
/// In the state directory, while the node is given back: an agent that starts then must not make everything anew.
const MARK: &str = "cleaned-up";
/// The longest that a watch lasts; see `input::kube`.
const WATCH_SECONDS: u32 = 45;

/// Why giving back could not be tried, or told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandBackError {
    /// Nothing was done.
    #[error(transparent)]
    CleanUp(#[from] CleanupError),
    /// The state directory.
    #[error("{operation} {path}: {source}")]
    Mark {
        /// What was tried.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// How it failed.
        #[source]
        source: io::Error,
    },
    /// A thread has panicked.
    #[error("the clean-up has ended by itself: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

/// One node that can be given back.
#[derive(Clone)]
pub struct HandBack {
    /// The API server.
    pub client: Client,
    /// The LVSNode's name.
    pub node: String,
    /// Where the journal is.
    pub state_dir: PathBuf,
    /// Where sysctls are, `/proc/sys`.
    pub sysctls: PathBuf,
    /// Where `/healthz` and `/readyz` are served meanwhile.
    pub listen: SocketAddr,
}

impl HandBack {
    /// Whether the node was given back by an earlier run.
    pub fn is_given_back(&self) -> bool {
        self.state_dir.join(MARK).exists()
    }

    /// Waits until it is asked for.
    pub async fn asked(&self) {
        self.until(true, false).await;
    }

    /// Takes down what the journal names, tells so, and waits until the agent is wanted again. The agent itself must have
    /// ended.
    ///
    /// # Errors
    /// When nothing could be done.
    pub async fn give_back(&self) -> Result<(), HandBackError> {
        let (state_dir, sysctls) = (self.state_dir.clone(), self.sysctls.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut told = Vec::new();
            cleanup::run(&state_dir, &sysctls, &mut told)
                .map(|cleaned| (cleaned, String::from_utf8_lossy(&told).into_owned()))
        });
        let (cleaned, told) = done.await??;
        for line in told.lines() {
            tracing::info!(object = self.node, "{line}");
        }
        let path = self.state_dir.join(MARK);
        fs::write(&path, "").map_err(|source| HandBackError::Mark {
            operation: "write",
            path,
            source,
        })?;
        let failure = if cleaned.failed == 0 {
            let message = format!(
                "the node was given back, as the annotation {CLEAN_UP} of its LVSNode asks; remove the annotation to use it again"
            );
            failure(CLEANED_UP, message)
        } else {
            let message = format!(
                "{} could not be given back: {told}; the agent's log has the reasons",
                cleaned.failed
            );
            failure(INCOMPLETE, message)
        };
        self.tell(failure).await;
        self.idle(false).await
    }

    /// Does nothing until the agent is wanted again. `unknown_counts`: it is, too, where there is no LVSNode, as after a new
    /// installation.
    ///
    /// # Errors
    /// The state directory.
    pub async fn idle(&self, unknown_counts: bool) -> Result<(), HandBackError> {
        tracing::info!(
            object = self.node,
            "this node is given back; waiting until it is wanted again"
        );
        tokio::select! {
            () = self.serve() => {}
            () = self.until(false, unknown_counts) => {}
        }
        let path = self.state_dir.join(MARK);
        fs::remove_file(&path).map_err(|source| HandBackError::Mark {
            operation: "remove",
            path,
            source,
        })?;
        tracing::info!(object = self.node, "this node is wanted again");
        Ok(())
    }

    /// So that nobody restarts what is at rest. Never ends.
    async fn serve(&self) {
        let router = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(async || "the node is given back\n"));
        match TcpListener::bind(self.listen).await {
            Ok(listener) => {
                if let Err(error) = axum::serve(listener, router).await {
                    tracing::warn!(%error, "health is not served");
                }
            }
            Err(error) => tracing::warn!(%error, "health is not served"),
        }
        std::future::pending::<()>().await;
    }

    /// Waits until the LVSNode has the annotation, or has it no more.
    async fn until(&self, wanted: bool, unknown_counts: bool) {
        let api: Api<LVSNode> = Api::all(self.client.clone());
        let config = Config::default()
            .fields(&format!("metadata.name={}", self.node))
            .timeout(WATCH_SECONDS);
        let events = watcher(api, config).backoff(Retry::default());
        pin_mut!(events);
        let mut known = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(node) | Event::InitApply(node)) => {
                    known = true;
                    if node.annotations().contains_key(CLEAN_UP) == wanted {
                        return;
                    }
                }
                Ok(Event::InitDone) if unknown_counts && !known => return,
                // Deleted, as it is when all of us goes: nothing to do about it.
                Ok(Event::Init | Event::InitDone | Event::Delete(_)) => {}
                Err(error) => {
                    tracing::debug!(object = self.node, "LVSNode not watched: {}", causes(&error));
                }
            }
        }
    }

    async fn tell(&self, failure: Failure) {
        let status = LVSNodeStatus {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            report_time: Some(MicroTime(Timestamp::now())),
            failures: vec![failure],
            failure_count: 1,
            display: "given back".to_owned(),
            ..LVSNodeStatus::default()
        };
        let api = Api::all(self.client.clone());
        for wait in Retry::default().take(10) {
            match report::write_status(&api, &self.node, &status, &[]).await {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if status.code == 404 => return,
                Err(error) => {
                    tracing::warn!(object = self.node, "LVSNode not written: {}", causes(&error));
                }
            }
            tokio::time::sleep(wait.max(Duration::from_millis(100))).await;
        }
    }
}

fn failure(reason: &str, message: String) -> Failure {
    Failure {
        namespace: None,
        virtual_service: None,
        role: FailedRole::Node,
        reason: reason.to_owned(),
        message,
    }
}
