//! The binary: command line, logs, signals, exit code.

mod args;

use args::{Cli, Command, Shared};
use clap::Parser;
use lvs_agent::cleanup::CleanupError;
use lvs_agent::handback::HandBack;
use lvs_agent::kernel::{Linux, changes, removals};
use lvs_agent::standalone::watch::Places;
use lvs_agent::{RunError, Settings, Source, telemetry};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Whatever has no code of its own.
const FAILED: u8 = 1;
/// As clap's own.
const BAD_USAGE: u8 = 2;

fn main() -> ExitCode {
    // Before anything can open a TLS connection: rustls has no default of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    let termination_log = cli.shared.termination_log.clone();
    if let Err(error) = telemetry::start(cli.shared.log_format, &cli.shared.log_level) {
        eprintln!("error: {error}");
        return ExitCode::from(BAD_USAGE);
    }
    let done = match cli.command {
        Some(Command::Cleanup) => cleanup(&cli.shared),
        None => serve(cli),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{:#}", failure.error);
            if let Some(file) = termination_log
                && let Err(error) = std::fs::write(&file, format!("{:#}\n", failure.error))
            {
                tracing::warn!(object = %file.display(), %error, "--termination-log not written");
            }
            ExitCode::from(failure.code)
        }
    }
}

struct Failure {
    error: anyhow::Error,
    code: u8,
}

impl Failure {
    fn new(error: impl Into<anyhow::Error>, code: u8) -> Self {
        Self { error: error.into(), code }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let code = error.exit_code();
        Self::new(error, code)
    }
}

fn serve(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(error, FAILED))?;
    // The right to change the network first: nothing else makes sense without it.
    let kernel = Linux::open_with(&cli.shared.sysctl_root).map_err(RunError::from)?;
    let sysctls = sysctls(&cli.shared.sysctl_root)?;
    runtime.block_on(async {
        let settings = settings(cli).await?;
        // Asked for before anything is started, so that none is missed.
        let mut terminate = signal(SignalKind::terminate()).map_err(|e| Failure::new(e, FAILED))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| Failure::new(e, FAILED))?;
        let told = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let Source::Api(client) = &settings.source else {
            let stop = async {
                told.await;
                tracing::info!("{STAYS}");
            };
            return lvs_agent::run(settings, kernel, stop).await.map_err(Failure::from);
        };
        let handback = HandBack {
            client: client.clone(),
            node: settings.node.clone(),
            state_dir: settings.state_dir.clone(),
            sysctls,
            listen: settings.listen,
        };
        tokio::pin!(told);
        if handback.is_given_back() {
            tokio::select! {
                () = &mut told => return Ok(()),
                ended = handback.idle(true) => ended.map_err(|e| Failure::new(e, FAILED))?,
            }
        }
        let mut asked = false;
        let stop = async {
            tokio::select! {
                () = &mut told => tracing::info!("{STAYS}"),
                () = handback.asked() => asked = true,
            }
        };
        lvs_agent::run(settings, kernel, stop).await.map_err(Failure::from)?;
        if !asked {
            return Ok(());
        }
        tokio::select! {
            () = &mut told => Ok(()),
            ended = handback.give_back() => ended.map_err(|e| Failure::new(e, FAILED)),
        }
    })
}

/// What becomes of the kernel when the agent is told to stop.
const STAYS: &str = "told to stop; services and sysctls stay, and addresses that no other director takes over (lvs-agent \
                     cleanup removes them)";

/// The folder of sysctls, if that is what it is: better no agent than one that fails at each sysctl.
fn sysctls(root: &Path) -> Result<PathBuf, Failure> {
    if root.join("net/ipv4").is_dir() {
        return Ok(root.to_owned());
    }
    let error = anyhow::anyhow!(
        "--sysctl-root {0}: there is no {0}/net/ipv4; in a pod mount the host's /proc/sys/net (hostPath) at {0}/net",
        root.display()
    );
    Err(Failure { error, code: BAD_USAGE })
}

async fn settings(cli: Cli) -> Result<Settings, Failure> {
    let source = match cli.run.manifests {
        Some(manifests) => {
            let status_file =
                cli.run.status_file.unwrap_or_else(|| cli.shared.state_dir.join("status.yaml"));
            Source::Files(Places { manifests, status_file })
        }
        None => Source::Api(client(cli.run.kubeconfig.as_deref()).await?),
    };
    let node = match cli.run.node_name.filter(|name| !name.is_empty()) {
        Some(name) => name,
        None => host_name()?,
    };
    Ok(Settings {
        node,
        source,
        state_dir: cli.shared.state_dir,
        listen: cli.run.listen,
        audit_interval: cli.run.audit_interval,
        carries: true,
        changes: match changes() {
            Ok(changes) => Some(changes),
            Err(error) => {
                tracing::warn!(%error, "changes of addresses and routes are seen by the audit only");
                None
            }
        },
        // Without nftables there is nothing to hear of.
        removals: removals().ok(),
    })
}

fn host_name() -> Result<String, Failure> {
    let name = nix::unistd::gethostname().map_err(|error| Failure::new(error, FAILED))?;
    // Kubernetes' node names are lower case.
    let name = name.to_string_lossy().to_lowercase();
    if name.is_empty() {
        let error = anyhow::anyhow!("this host has no name: give --node-name");
        return Err(Failure { error, code: BAD_USAGE });
    }
    Ok(name)
}

async fn client(kubeconfig: Option<&Path>) -> Result<kube::Client, Failure> {
    let config = match kubeconfig {
        Some(path) => {
            let kubeconfig = kube::config::Kubeconfig::read_from(path).map_err(|error| {
                let error = anyhow::Error::new(error)
                    .context(format!("--kubeconfig {}", path.display()));
                Failure { error, code: BAD_USAGE }
            })?;
            let options = kube::config::KubeConfigOptions::default();
            kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .map_err(|error| Failure::new(error, BAD_USAGE))?
        }
        None => kube::Config::infer().await.map_err(|error| {
            let error = anyhow::Error::new(error).context(
                "no API server: give --kubeconfig FILE, or --manifests DIR to run without a cluster",
            );
            Failure { error, code: BAD_USAGE }
        })?,
    };
    kube::Client::try_from(config).map_err(|error| Failure::new(error, BAD_USAGE))
}

fn cleanup(shared: &Shared) -> Result<(), Failure> {
    let sysctls = sysctls(&shared.sysctl_root)?;
    let cleaned = lvs_agent::cleanup::run(&shared.state_dir, &sysctls, &mut std::io::stdout())
        .map_err(|error| match error {
            CleanupError::Journal(error) => RunError::from(error).into(),
            CleanupError::Kernel(error) => RunError::from(error).into(),
            error => Failure::new(error, FAILED),
        })?;
    match cleaned.failed {
        0 => Ok(()),
        failed => {
            let error = anyhow::anyhow!("{failed} could not be given back; run cleanup again");
            Err(Failure { error, code: FAILED })
        }
    }
}
