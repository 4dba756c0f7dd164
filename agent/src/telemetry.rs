//! Logs: for people on a terminal, JSON otherwise. Every line names its object.

use clap::ValueEnum;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const LIBRARY: &str = "kube_client";

/// Starts logging to standard error. `level` is a tracing filter such as `info` or `lvs_agent=debug,warn`.
///
/// # Errors
/// When `level` is no filter.
pub fn start(format: LogFormat, level: &str) -> Result<(), InvalidLevel> {
    let mut directives = level.to_owned();
    if !level.contains(LIBRARY) {
        // It logs each failed request by itself, without the object; we log them with it.
        directives.push_str(&format!(",{LIBRARY}=off"));
    }
    let filter = EnvFilter::try_new(directives)
        .map_err(|source| InvalidLevel { level: level.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let is_terminal = io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    if json {
        builder.json().flatten_event(true).with_current_span(false).init();
    } else {
        builder.with_ansi(is_terminal).with_target(false).init();
    }
    Ok(())
}

/// No tracing filter.
#[derive(Debug, thiserror::Error)]
#[error("--log-level {level:?}: {source}; use error, warn, info, debug or trace")]
pub struct InvalidLevel {
    level: String,
    #[source]
    source: tracing_subscriber::filter::ParseError,
}
