//! Why a check failed, and why it cannot be one.

use std::io;
use std::time::Duration;

/// Why a server did not pass. The text is short: it stands in statuses and events.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No connection in time.
    #[error("no connection within {} ms", .0.as_millis())]
    NoConnection(Duration),
    /// No whole answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    NoAnswer(Duration),
    /// The connection was not made, or broke.
    #[error("{}", told(.0))]
    Connection(#[source] io::Error),
    /// The handshake of TLS failed.
    #[error("TLS: {}", told(.0))]
    Tls(#[source] io::Error),
    /// This machine cannot even ask.
    #[error("cannot ask: {0}")]
    Local(#[source] io::Error),
    /// An answer that is none in this protocol.
    #[error("no {0}")]
    Garbled(String),
    /// An answer, and another one than wanted.
    #[error("{0}")]
    Answer(String),
}

/// The system's word for it, without its number.
fn told(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        _ => error.to_string(),
    }
}

/// A check that cannot be run.
#[derive(Debug, thiserror::Error)]
#[error("healthCheck.{field}: {problem}")]
pub struct BadCheck {
    /// Which field, below `healthCheck`, such as `http.bodyRegex`.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl BadCheck {
    pub(crate) fn new(field: &'static str, problem: impl ToString) -> Self {
        Self { field, problem: problem.to_string() }
    }
}
