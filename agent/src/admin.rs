//! `/healthz`, `/readyz` and `/metrics`, on one port.

use crate::failover::Counts;
use crate::message::{Heartbeat, Published};
use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the answers are made of.
#[derive(Clone, Debug)]
pub struct Health {
    /// What the engine tells.
    pub published: watch::Receiver<Published>,
    /// Whether the kernel's thread lives.
    pub heartbeat: Arc<Heartbeat>,
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// What failover has counted.
    pub counts: Counts,
    /// What the thread that asks VIPs has counted.
    pub asked: crate::probe::Counts,
    /// How long the kernel's thread may be busy with one thing.
    pub patience: Duration,
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, health: Health) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "health and metrics are no longer served");
    }
}

async fn healthz(State(health): State<Health>) -> impl IntoResponse {
    let age = health.heartbeat.age();
    if health.published.has_changed().is_err() {
        (StatusCode::INTERNAL_SERVER_ERROR, "the kernel's thread has ended\n".to_owned())
    } else if age > health.patience {
        let text = format!("the kernel's thread has not moved for {} s\n", age.as_secs());
        (StatusCode::INTERNAL_SERVER_ERROR, text)
    } else {
        (StatusCode::OK, "ok\n".to_owned())
    }
}

/// Ready: all is known and was programmed, or the last run's state was.
async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    if health.published.borrow().ready {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "waiting for the slices and DirectorGroups\n")
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    health.metrics.failover(&health.counts.figures());
    health.metrics.probes(&health.asked.figures());
    ([(header::CONTENT_TYPE, kind)], health.metrics.render())
}
