//! `lvs-operator`.

use anyhow::{Context, anyhow};
use clap::{CommandFactory, Parser};
use lvs_operator::args::Args;
use lvs_operator::logging;

fn main() -> anyhow::Result<()> {
    // First of all: a TLS connection without a provider panics.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow!("a TLS provider is installed already"))?;
    let args = Args::parse();
    if let Err(error) = args.check() {
        Args::command().error(clap::error::ErrorKind::ValueValidation, error).exit();
    }
    logging::start(args.log_format, &args.log_level)
        .map_err(|error| anyhow!("--log-level {:?}: {error}", args.log_level))?;
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let termination_log = args.termination_log.clone();
    let ended = runtime.block_on(lvs_operator::run(args));
    if let (Err(error), Some(file)) = (&ended, termination_log)
        && let Err(error) = std::fs::write(&file, format!("{error:#}\n"))
    {
        tracing::warn!(object = %file.display(), %error, "--termination-log not written");
    }
    ended
}
