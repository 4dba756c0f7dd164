//! The DirectorGroup `default`, as the chart's values have it. helm cannot make it: it refuses an object of a kind that comes
//! with the same release.

use crate::api::{DEFAULT_GROUP, Failure, Write, Writer};
use crate::backoff::Backoff;
use anyhow::{Context, ensure};
use lvs_crds::manifest;
use serde_json::{Value, json};
use std::error::Error;
use std::path::Path;
use tokio::sync::watch;
use tracing::{info, warn};

/// By which the group is known as one that goes with the chart.
pub const LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "kube-lvs-operator");

/// The group, with the spec of a file.
///
/// # Errors
/// When there is no such file, it is no JSON, or the API server would refuse it: the operator then does not start, so that an
/// upgrade to wrong values stops at its first pod, while those of before go on.
pub fn read(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("--default-group {}", file.display()))?;
    let spec: Value = serde_json::from_str(&text)
        .with_context(|| format!("--default-group {}: no JSON", file.display()))?;
    let group = json!({
        "apiVersion": format!("{}/{}", lvs_crds::GROUP, lvs_crds::VERSION),
        "kind": "DirectorGroup",
        "metadata": { "name": DEFAULT_GROUP, "labels": { LABEL.0: LABEL.1 } },
        "spec": spec,
    });
    let wrong: Vec<_> = manifest::parse(&group.to_string())
        .into_iter()
        .filter_map(Result::err)
        .map(|error| error.problem.to_string())
        .collect();
    ensure!(
        wrong.is_empty(),
        "--default-group {}, the chart's value defaultDirectorGroup: {}",
        file.display(),
        wrong.join("; ")
    );
    Ok(group)
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
            info!(object = DEFAULT_GROUP, "DirectorGroup is as defaultDirectorGroup.spec says");
            return;
        };
        let why = error.failure.source().map(ToString::to_string).unwrap_or_default();
        match &error.failure {
            Failure::NotActive => return,
            Failure::Stale(_) => {
                warn!(
                    object = DEFAULT_GROUP,
                    "defaultDirectorGroup.spec is not applied: somebody else has changed the DirectorGroup: {why}"
                );
                return;
            }
            Failure::Api(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => {
                warn!(object = DEFAULT_GROUP, "defaultDirectorGroup.spec is refused: {why}");
                return;
            }
            Failure::Api(_) | Failure::Silent => {
                warn!(object = DEFAULT_GROUP, "{error}: {why}");
            }
        }
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read_spec(spec: &Value) -> anyhow::Result<Value> {
        let file = std::env::temp_dir().join(format!("default-group-{}", std::process::id()));
        fs::write(&file, spec.to_string())?;
        let read = read(&file);
        fs::remove_file(&file)?;
        read
    }

    #[test]
    fn what_the_api_server_would_refuse_is_refused_by_field() -> anyhow::Result<()> {
        let selector = json!({ "matchLabels": { "kube-lvs.io/director": "true" } });
        let group = read_spec(&json!({ "nodeSelector": selector }))?;
        assert_eq!(group["metadata"]["name"], "default");
        for (field, value, named) in [
            ("natGateways", json!(["10.80.0.1/24"]), "spec.natGateways[0]"),
            ("natGateways", json!([{ "address": "10.80.0.1" }]), "spec.natGateways[0].address"),
            ("failover", json!({ "profile": "Faster" }), "spec.failover.profile"),
            ("natGateway", json!([]), "spec.natGateway"),
        ] {
            let spec = json!({ "nodeSelector": selector, field: value });
            let said = read_spec(&spec).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains("defaultDirectorGroup") && said.contains(named), "{said}");
        }
        Ok(())
    }
}
