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
    runtime.block_on(lvs_operator::run(args))
}
