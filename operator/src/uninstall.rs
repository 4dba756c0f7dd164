//! `lvs-operator uninstall`: before helm takes the rest away, agents give their nodes back, and what operator and agents have
//! written goes. What users have written stays.

use crate::api::DEFAULT_GROUP;
use crate::default_group;
use crate::lease::driver::LEASE;
use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, Error, ResourceExt};
use lvs_crds::{CLEAN_UP, DirectorGroup, LVSNode, VirtualServiceSlice};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the operator may take to give its Lease back. One that was killed never does.
const LEASE_WAIT: Duration = Duration::from_secs(20);

/// Does it, and tells each step on standard output. Nodes that have not answered within `wait` are named, and stay as they are.
///
/// # Errors
/// What the API server refuses.
pub async fn uninstall(client: &Client, namespace: &str, wait: Duration) -> Result<()> {
    stop_operator(client, namespace).await?;
    let nodes: Api<LVSNode> = Api::all(client.clone());
    clean_up(&nodes, wait).await?;
    let slices = list(&Api::<VirtualServiceSlice>::all(client.clone())).await?;
    for slice in &slices {
        let api: Api<VirtualServiceSlice> =
            Api::namespaced(client.clone(), &slice.namespace().unwrap_or_default());
        delete(&api, &slice.name_any()).await?;
    }
    let reports = list(&nodes).await?;
    for node in &reports {
        delete(&nodes, &node.name_any()).await?;
    }
    println!("deleted {} slices and {} LVSNodes", slices.len(), reports.len());
    let groups: Api<DirectorGroup> = Api::all(client.clone());
    let group = groups.get_opt(DEFAULT_GROUP).await.context("read the DirectorGroup")?;
    let (label, value) = default_group::LABEL;
    if group.is_some_and(|group| group.labels().get(label).is_some_and(|is| is == value)) {
        delete(&groups, DEFAULT_GROUP).await?;
        println!("deleted DirectorGroup {}", DEFAULT_GROUP);
    }
    delete(&Api::<Lease>::namespaced(client.clone(), namespace), LEASE).await
}

async fn stop_operator(client: &Client, namespace: &str) -> Result<()> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let none = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    match api.patch_scale(LEASE, &PatchParams::default(), &none).await {
        Ok(_) => {}
        Err(error) if is_gone(&error) => {}
        Err(error) => return Err(error).context("stop the operator"),
    }
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let end = Instant::now() + LEASE_WAIT;
    while Instant::now() < end {
        let lease = leases.get_opt(LEASE).await.context("read the operator's Lease")?;
        let holder = lease.and_then(|lease| lease.spec?.holder_identity);
        if holder.is_none_or(|holder| holder.is_empty()) {
            println!("the operator has ended");
            return Ok(());
        }
        sleep(PAUSE).await;
    }
    println!("the operator has not given its Lease back; going on");
    Ok(())
}

async fn clean_up(api: &Api<LVSNode>, wait: Duration) -> Result<()> {
    let wish = Patch::Merge(json!({ "metadata": { "annotations": { CLEAN_UP: "uninstall" } } }));
    for node in list(api).await? {
        match api.patch_metadata(&node.name_any(), &PatchParams::default(), &wish).await {
            Err(error) if !is_gone(&error) => {
                return Err(error).with_context(|| format!("ask node {}", node.name_any()));
            }
            Ok(_) | Err(_) => {}
        }
    }
    let end = Instant::now() + wait;
    loop {
        let waiting: Vec<LVSNode> =
            list(api).await?.into_iter().filter(|node| said(node, "Clean").is_none()).collect();
        if waiting.is_empty() || Instant::now() >= end {
            for node in &waiting {
                println!(
                    "{}: no answer within {} s; it stays as it is",
                    node.name_any(),
                    wait.as_secs()
                );
            }
            for node in list(api).await? {
                if let Some(message) = said(&node, "CleanUpIncomplete") {
                    println!("{}: {message}", node.name_any());
                }
            }
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}

/// What a node has said of giving back, if its reason begins so.
fn said<'a>(node: &'a LVSNode, reason: &str) -> Option<&'a str> {
    let failures = &node.status.as_ref()?.failures;
    failures.iter().find(|it| it.reason.starts_with(reason)).map(|it| it.message.as_str())
}

/// All of a kind; none where the kind is not known any more.
async fn list<K>(api: &Api<K>) -> Result<Vec<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    match api.list(&ListParams::default()).await {
        Ok(all) => Ok(all.items),
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("list {}", K::kind(&()))),
    }
}

async fn delete<K>(api: &Api<K>, name: &str) -> Result<()>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("delete {} {name}", K::kind(&()))),
    }
}

fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}
