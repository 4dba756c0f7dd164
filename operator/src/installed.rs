//! Whether the cluster's CRDs are this version's. On older ones nothing is written: the API server would drop what they do
//! not have, and agents would program half of what was meant.

use crate::backoff::Backoff;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt};
use lvs_crds::{all_crds, installed::lacking};
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;
use tracing::warn;

/// So long CRDs may be missing or old: those of the same installation have only just been sent.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// How many fields the message names.
const NAMED: usize = 5;

/// CRDs that are not there, or older than this program.
#[derive(Debug, Error)]
#[error("{}; install the CRDs of version {} (helm upgrade does, unless crds.install is false)", .problems.join("; "), env!("CARGO_PKG_VERSION"))]
pub struct Outdated {
    problems: Vec<String>,
}

/// Waits for an API server that answers, and for CRDs that are good enough.
///
/// # Errors
/// They are not, and stay so.
pub async fn check(client: &Client) -> Result<(), Outdated> {
    let mut retry = Backoff::default();
    let mut since = None;
    loop {
        match problems(client).await {
            Ok(problems) if problems.is_empty() => return Ok(()),
            Ok(problems) => {
                if since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
                    return Err(Outdated { problems });
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) if is_refusal(&error) => {
                warn!("CRDs not looked at, they may be older than this program: {error}");
                return Ok(());
            }
            Err(error) => {
                warn!("the API server does not answer, tried again: {error}");
                tokio::time::sleep(retry.next().unwrap_or(PAUSE)).await;
            }
        }
    }
}

async fn problems(client: &Client) -> Result<Vec<String>, kube::Error> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut problems = Vec::new();
    for ours in all_crds() {
        let name = ours.name_any();
        let Some(installed) = api.get_opt(&name).await? else {
            problems.push(format!("the CRD {name} is not installed"));
            continue;
        };
        let lacking = lacking(&installed, &ours);
        if !lacking.is_empty() {
            let more = lacking.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let named: Vec<String> = lacking.into_iter().take(NAMED).collect();
            problems.push(format!(
                "the CRD {name} is older than this operator: it lacks {}{more}",
                named.join(", ")
            ));
        }
    }
    Ok(problems)
}

fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}
