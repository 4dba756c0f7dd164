//! Puts the parts together.

use crate::admin;
use crate::api::Writer;
use crate::args::{Args, Command};
use crate::check::check;
use crate::default_group;
use crate::engine::Engine;
use crate::installed;
use crate::lease::driver::{Tell, compete};
use crate::lease::gate::Gate;
use crate::lease::machine::Settings;
use crate::metrics::Metrics;
use crate::state::Change;
use crate::uninstall::uninstall;
use crate::watch::watch as follow;
use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use std::hash::{BuildHasher, Hasher};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::info;

/// Changes between the watches and the loop.
const CHANGES: usize = 4096;

/// Does what the command line says: runs the operator until SIGTERM or SIGINT, or a subcommand.
///
/// # Errors
/// What keeps it from starting.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Some(command) = args.command else { return serve(args).await };
    let client = Client::try_from(config(&args).await?).context("set up the API client")?;
    match command {
        Command::Check { wait } => check(&client, wait).await,
        Command::Uninstall { wait } => uninstall(&client, &args.namespace, wait).await,
    }
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let default_group = args.default_group.as_deref().map(default_group::read).transpose()?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut config = config(&args).await?;
    // A repeated write has to be decided again, a repeated renewal to be timed again.
    config.default_retry = false;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("--listen {}: cannot listen there", args.listen))?;
    let address = listener.local_addr().context("find out the address listened at")?;
    let identity = args.identity.clone().unwrap_or_else(identity);
    let version = env!("CARGO_PKG_VERSION");
    info!(%address, identity, version, server = %config.cluster_url, "started");

    let client = Client::try_from(config.clone()).context("set up the API client")?;
    // Renewals do not wait behind others' writes in a connection pool.
    let lease_client = Client::try_from(config).context("set up the API client")?;
    let metrics = Metrics::default();
    let gate = Gate::default();
    let (leading, leads) = watch::channel(false);
    let (ready, is_ready) = watch::channel(false);
    let (stop, stopped) = watch::channel(false);
    let (stop_lease, lease_stopped) = watch::channel(false);

    let server =
        tokio::spawn(admin::serve(listener, metrics.clone(), is_ready, lease_stopped.clone()));
    tokio::select! {
        good = installed::check(&client) => good?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    let mut watches = JoinSet::new();
    let (history, histories) = watch::channel(());
    let changes = watch_all(&mut watches, &client, &metrics, &histories);
    let settings = Settings {
        identity,
        lease_duration: args.lease_duration,
        renew_deadline: args.renew_deadline,
        retry_period: args.retry_period,
    };
    let lease = tokio::spawn(compete(
        lease_client,
        args.namespace.clone(),
        settings,
        gate.clone(),
        Tell { leading, history },
        metrics.clone(),
        lease_stopped,
    ));
    let writer = Writer::new(client, gate.clone(), metrics.clone());
    if let Some(group) = default_group {
        watches.spawn(default_group::keep(writer.clone(), group, leads.clone()));
    }
    let engine = Engine { writer, gate, metrics, changes, leading: leads, ready, stop: stopped };
    let engine = tokio::spawn(engine.run());

    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM: ending"),
        _ = interrupt.recv() => info!("SIGINT: ending"),
    }
    // Writes end before the lease is given to somebody else.
    stop.send_replace(true);
    engine.await.context("the loop")?;
    watches.shutdown().await;
    stop_lease.send_replace(true);
    lease.await.context("the lease")?;
    server.await.context("the HTTP server")?.context("the HTTP server")
}

async fn config(args: &Args) -> anyhow::Result<Config> {
    match &args.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("--kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("--kubeconfig {}", path.display()))
        }
        None => Config::infer().await.context(
            "no API server is configured: give --kubeconfig, set KUBECONFIG or run in a pod with a service account",
        ),
    }
}

fn watch_all(
    tasks: &mut JoinSet<()>,
    client: &Client,
    metrics: &Metrics,
    history: &watch::Receiver<()>,
) -> mpsc::Receiver<Change> {
    let (to, changes) = mpsc::channel(CHANGES);
    macro_rules! watch {
        ($kind:literal, $change:path) => {
            tasks.spawn(follow(
                Api::all(client.clone()),
                $kind,
                to.clone(),
                metrics.clone(),
                history.clone(),
                $change,
            ))
        };
    }
    watch!("VirtualService", Change::VirtualService);
    watch!("RealServer", Change::RealServer);
    watch!("DirectorGroup", Change::DirectorGroup);
    watch!("VirtualServiceSlice", Change::Slice);
    watch!("LVSNode", Change::LvsNode);
    watch!("Node", Change::Node);
    watch!("Namespace", Change::Namespace);
    changes
}

/// The host's name and a random number: two replicas on one host are two.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // The standard library seeds its hashers at random.
    let random = std::hash::RandomState::new().build_hasher().finish();
    format!("{}-{:08x}", host.trim(), random & 0xffff_ffff)
}
