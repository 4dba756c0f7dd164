//! The DirectorGroup `default`, as the chart's values have it. helm cannot make it: it refuses an object of a kind that comes
//! with the same release.

use crate::api::{Failure, Write, Writer};
use crate::backoff::Backoff;
use anyhow::Context;
use serde_json::{Value, json};
use std::error::Error;
use std::path::Path;
use tokio::sync::watch;
use tracing::{info, warn};

/// Its name: what a VirtualService uses that names no group.
pub const NAME: &str = "default";
/// The field manager of what comes from values. Not ours: what we write is a status.
pub const MANAGER: &str = "kube-lvs-values";
/// By which the group is known as one that goes with the chart.
pub const LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "kube-lvs-operator");

/// The group, with the spec of a file.
///
/// # Errors
/// When there is no such file, or it is no JSON.
pub fn read(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("--default-group {}", file.display()))?;
    let spec: Value = serde_json::from_str(&text)
        .with_context(|| format!("--default-group {}: no JSON", file.display()))?;
    Ok(json!({
        "apiVersion": format!("{}/{}", lvs_crds::GROUP, lvs_crds::VERSION),
        "kind": "DirectorGroup",
        "metadata": { "name": NAME, "labels": { LABEL.0: LABEL.1 } },
        "spec": spec,
    }))
}

/// Applies the group each time that this replica becomes the active one. Somebody else's changes of it stay.
pub async fn keep(writer: Writer, group: Value, mut leading: watch::Receiver<bool>) {
    while leading.wait_for(|leads| *leads).await.is_ok() {
        apply(&writer, &group).await;
        if leading.wait_for(|leads| !*leads).await.is_err() {
            return;
        }
    }
}

async fn apply(writer: &Writer, group: &Value) {
    for wait in Backoff::default() {
        let Err(error) = writer.write(Write::DefaultGroup(Box::new(group.clone()))).await else {
            info!(object = NAME, "DirectorGroup is as defaultDirectorGroup.spec says");
            return;
        };
        let why = error.failure.source().map(ToString::to_string).unwrap_or_default();
        match &error.failure {
            Failure::NotActive => return,
            Failure::Stale(_) => {
                warn!(
                    object = NAME,
                    "defaultDirectorGroup.spec is not applied: somebody else has changed the DirectorGroup: {why}"
                );
                return;
            }
            Failure::Api(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => {
                warn!(object = NAME, "defaultDirectorGroup.spec is refused: {why}");
                return;
            }
            Failure::Api(_) | Failure::Silent => {
                warn!(object = NAME, "{error}: {why}");
            }
        }
        tokio::time::sleep(wait).await;
    }
}
