//! One agent: the kernel's thread, its inputs and its outputs.

mod audit;
mod engine;
mod faults;
mod fill;
mod marks;
mod mirror;
mod passing;
mod reverse_path;
mod rival;
mod status;
#[cfg(test)]
mod tests;
mod thread;
mod unseen;
mod withhold;
mod wording;
mod world;

use crate::admin;
use crate::failover::{Carrier, Counts, Handle, Nobody};
use crate::health;
use crate::input::saved::{SaveError, Saved};
use crate::input::{Update, kube as kube_input};
use crate::journal::{Journal, JournalError};
use crate::kernel::{Kernel, KernelError};
use crate::message::{Feed, Heartbeat, Message, Published};
use crate::metrics::Metrics;
use crate::probe;
use crate::report;
use crate::standalone::watch::{Places, watch as watch_files};
use crate::state::Made;
use engine::Engine;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Where slices come from.
pub enum Source {
    /// The API server; statuses go back there.
    Api(::kube::Client),
    /// A folder of manifests; statuses go into a file.
    Files(Places),
}

/// How an agent is to run.
pub struct Settings {
    /// This node's name, as DirectorGroups and real servers call it.
    pub node: String,
    /// Where slices come from.
    pub source: Source,
    /// Where the journal and the last known state are kept. One agent at a time.
    pub state_dir: PathBuf,
    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    pub listen: SocketAddr,
    /// How often the kernel is read for drift.
    pub audit_interval: Duration,
    /// Whether it carries the addresses of groups of several directors, which takes the network namespace of the calling
    /// thread. Not with a kernel in memory.
    pub carries: bool,
    /// Says that addresses, interfaces or routes have changed ([`crate::kernel::changes`]); without it, the audit sees.
    pub changes: Option<tokio::sync::mpsc::Receiver<()>>,
    /// Says that somebody has taken away from our table in nftables ([`crate::kernel::removals`]); without it, the audit sees.
    pub removals: Option<tokio::sync::mpsc::Receiver<()>>,
}

/// Why an agent cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The state directory.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] SaveError),
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The port for health and metrics.
    #[error(
        "listen on {address} for /healthz, /readyz and /metrics: {source}; choose another --listen"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// How it failed.
        #[source]
        source: io::Error,
    },
    /// Nothing to carry addresses with.
    #[error("start to carry addresses: {0}")]
    Failover(#[source] io::Error),
    /// Nothing to ask VIPs with.
    #[error("start to ask VIPs: {0}")]
    Probe(#[source] io::Error),
    /// Nothing to check real servers with.
    #[error("start to check real servers: {0}")]
    Health(#[source] io::Error),
    /// No thread for the kernel.
    #[error("start the kernel's thread: {0}")]
    Thread(#[source] io::Error),
    /// The kernel's thread has ended by itself.
    #[error("the kernel's thread has ended")]
    Ended,
}

impl RunError {
    /// The process's exit code: 3 no right to change the network, 4 the state directory, 5 the port, 1 anything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Kernel(error) if error.reason() == "NoNetAdmin" => 3,
            Self::Journal(_) | Self::State(_) => 4,
            Self::Listen { .. } => 5,
            Self::Kernel(_)
            | Self::Failover(_)
            | Self::Probe(_)
            | Self::Health(_)
            | Self::Thread(_)
            | Self::Ended => 1,
        }
    }
}

/// A running agent. Dropping it, as stopping it, leaves the kernel as it is, but for what other directors take over.
pub struct Agent {
    address: SocketAddr,
    published: watch::Receiver<Published>,
    metrics: Arc<Metrics>,
    stop: mpsc::Sender<Message>,
    thread: Option<std::thread::JoinHandle<()>>,
    tasks: JoinSet<()>,
}

impl Agent {
    /// Where health and metrics are served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the engine tells.
    pub fn published(&self) -> watch::Receiver<Published> {
        self.published.clone()
    }

    /// The figures.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Waits until the engine is gone, which it is not unless something went wrong.
    pub async fn ended(&mut self) {
        while self.published.changed().await.is_ok() {}
    }

    /// Stops: hands over to other directors what they take, waits until the kernel's thread has ended (so that nothing
    /// changes any more and the state directory is free), and leaves the rest of the kernel as it is.
    pub async fn stop(mut self) {
        // Gone already is as good.
        let _ = self.stop.send(Message::Stop);
        self.tasks.shutdown().await;
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.stop.send(Message::Stop);
    }
}

/// Starts an agent on `kernel`, within a tokio runtime.
///
/// # Errors
/// When the state directory is in use or unusable, the kernel does not answer, or the port is taken.
pub async fn start<K: Kernel + 'static>(settings: Settings, kernel: K) -> Result<Agent, RunError> {
    let journal = Journal::open(&settings.state_dir)?;
    for problem in journal.problems() {
        tracing::warn!(object = %settings.state_dir.display(), "journal: {problem}");
    }
    let (sender, messages) = mpsc::channel();
    // First of all: what may be another director's by now is let go of.
    let (carrier, counts) = carrier(&settings, &journal, &sender)?;
    let saved = Saved::open(&settings.state_dir)?;
    let metrics = Arc::new(Metrics::default());
    let mut engine = Engine::new(&settings.node, kernel, journal, Arc::clone(&metrics), carrier)?;
    let asked = prober(&settings, &mut engine, &sender)?;
    checker(&settings, &mut engine, &sender)?;
    let listener = tokio::net::TcpListener::bind(settings.listen).await;
    let listener =
        listener.map_err(|source| RunError::Listen { address: settings.listen, source })?;
    let address = listener
        .local_addr()
        .map_err(|source| RunError::Listen { address: settings.listen, source })?;
    let known = match settings.source {
        Source::Api(_) => saved.load(),
        Source::Files(_) => Update::default(),
    };
    engine.resume(known.clone());

    let (publisher, published) =
        watch::channel(Published { status: engine.status(), ..Published::default() });
    let heartbeat = Arc::new(Heartbeat::default());
    let beating = Arc::clone(&heartbeat);
    let interval = settings.audit_interval;
    let thread = std::thread::Builder::new()
        .name("kernel".to_owned())
        .spawn(move || thread::run(engine, &messages, interval, &publisher, &beating))
        .map_err(RunError::Thread)?;

    let feed = Feed::new(sender.clone());
    let mut tasks = JoinSet::new();
    let health = admin::Health {
        published: published.clone(),
        heartbeat,
        metrics: Arc::clone(&metrics),
        counts,
        asked,
        patience: (interval * 10).max(Duration::from_secs(60)),
    };
    tasks.spawn(admin::serve(listener, health));
    if let Some(changes) = settings.changes {
        tasks.spawn(pass_on(changes, || Message::Look, sender.clone()));
    }
    if let Some(removals) = settings.removals {
        tasks.spawn(pass_on(removals, || Message::LookAtFilter, sender.clone()));
    }
    match settings.source {
        Source::Api(client) => {
            let history = report::History::default();
            kube_input::watch_all(&client, saved, &known, &feed, &history, &mut tasks);
            let reporter =
                report::Reporter::new(client, &settings.node, Arc::clone(&metrics), history);
            tasks.spawn(reporter.run(published.clone()));
        }
        Source::Files(places) => {
            let (node, metrics) = (settings.node.clone(), Arc::clone(&metrics));
            let published = published.clone();
            tasks.spawn(async move {
                watch_files(&node, places, saved, feed, published, metrics).await;
            });
        }
    }
    tracing::info!(object = settings.node, %address, "agent started");
    Ok(Agent { address, published, metrics, stop: sender, thread: Some(thread), tasks })
}

/// Whoever carries addresses. It lets go of those of an earlier run that the kernel was to take away by itself.
fn carrier(
    settings: &Settings,
    journal: &Journal,
    engine: &mpsc::Sender<Message>,
) -> Result<(Box<dyn Carrier>, Counts), RunError> {
    if !settings.carries {
        return Ok((Box::new(Nobody), Counts::default()));
    }
    let addresses = journal.ours().iter().filter_map(|made| match made {
        Made::Address(held) => Some(held.clone()),
        _ => None,
    });
    let engine = engine.clone();
    let notify = move || {
        // It fails only when the engine has ended.
        let _ = engine.send(Message::Carried);
    };
    let handle = Handle::start(&addresses.collect(), notify).map_err(RunError::Failover)?;
    let counts = handle.counts();
    Ok((Box::new(handle), counts))
}

/// Whoever asks VIPs of others; nobody where addresses are not carried either.
fn prober<K: Kernel>(
    settings: &Settings,
    engine: &mut Engine<K>,
    sender: &mpsc::Sender<Message>,
) -> Result<probe::Counts, RunError> {
    if !settings.carries {
        return Ok(probe::Counts::default());
    }
    let sender = sender.clone();
    let notify = move || {
        // It fails only when the engine has ended.
        let _ = sender.send(Message::Probed);
    };
    let handle = probe::Handle::start(notify).map_err(RunError::Probe)?;
    let counts = handle.counts();
    engine.probing.set(Box::new(handle));
    Ok(counts)
}

/// Whoever checks real servers; nobody with a kernel in memory.
fn checker<K: Kernel>(
    settings: &Settings,
    engine: &mut Engine<K>,
    sender: &mpsc::Sender<Message>,
) -> Result<(), RunError> {
    if !settings.carries {
        return Ok(());
    }
    let sender = sender.clone();
    let notify = move || {
        // It fails only when the engine has ended.
        let _ = sender.send(Message::Checked);
    };
    let metrics = Arc::clone(&engine.metrics);
    let handle = health::Handle::start(metrics, notify).map_err(RunError::Health)?;
    engine.checking.set(Box::new(handle), settings.state_dir.join("health.json"));
    Ok(())
}

/// At most one look within this time: routes can change often, and the agent's own changes are told too.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

async fn pass_on(
    mut changes: tokio::sync::mpsc::Receiver<()>,
    message: fn() -> Message,
    engine: mpsc::Sender<Message>,
) {
    while changes.recv().await.is_some() && engine.send(message()).is_ok() {
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// Runs an agent until `stop` resolves. The data path stays as it is then, but for addresses that another director takes
/// over: only `cleanup` takes it down.
///
/// # Errors
/// As [`start`], and when the kernel's thread ends by itself.
pub async fn run<K: Kernel + 'static>(
    settings: Settings,
    kernel: K,
    stop: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let mut agent = start(settings, kernel).await?;
    tokio::select! {
        () = stop => {
            agent.stop().await;
            Ok(())
        }
        () = agent.ended() => Err(RunError::Ended),
    }
}
