//! `lvs-operator check`: whether all of it runs, as far as its objects tell. For `helm test`.

use anyhow::{Context, bail};
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use lvs_crds::{DirectorGroup, LVSNode, RealServer, VirtualService, VirtualServiceSlice};
use std::time::Duration;
use tokio::time::Instant;

/// An agent that lives writes at least every 30 seconds.
const FRESH: i64 = 90;
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks until all is well, or the time is over; tells what it sees.
///
/// # Errors
/// What is not well.
pub async fn check(client: &Client, wait: Duration) -> anyhow::Result<()> {
    let end = Instant::now() + wait;
    loop {
        match look(client).await {
            Ok(said) => {
                print!("{said}");
                return Ok(());
            }
            Err(error) if Instant::now() >= end => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn look(client: &Client) -> anyhow::Result<String> {
    let all = ListParams::default();
    macro_rules! list {
        ($kind:ty) => {
            Api::<$kind>::all(client.clone())
                .list(&all)
                .await
                .context(concat!("list ", stringify!($kind), "s"))?
                .items
        };
    }
    let (services, servers) = (list!(VirtualService), list!(RealServer));
    let slices = list!(VirtualServiceSlice).len();
    let (groups, nodes) = (list!(DirectorGroup), list!(LVSNode));
    let now = Timestamp::now();
    let age = |node: &LVSNode| {
        let time = node.status.as_ref()?.report_time.as_ref()?;
        Some(now.duration_since(time.0).as_secs())
    };
    let silent: Vec<String> = nodes
        .iter()
        .filter(|node| age(node).is_none_or(|age| age > FRESH))
        .map(ResourceExt::name_any)
        .collect();
    if nodes.is_empty() {
        bail!("no agent has reported: kubectl get pods -l app.kubernetes.io/component=agent -A");
    }
    if !silent.is_empty() {
        bail!("no report for {FRESH} s of the agents on {}", silent.join(", "));
    }
    // A group has its status from the operator alone.
    let unseen: Vec<String> = groups
        .iter()
        .filter(|group| group.status.as_ref().is_none_or(|status| status.conditions.is_empty()))
        .map(ResourceExt::name_any)
        .collect();
    if !unseen.is_empty() {
        bail!("the operator has not looked at DirectorGroup {}: does it run?", unseen.join(", "));
    }
    Ok(format!(
        "{} agents report, {} DirectorGroups, {} VirtualServices, {} RealServers, {slices} slices\n",
        nodes.len(),
        groups.len(),
        services.len(),
        servers.len()
    ))
}
