//! A TCP connection, closed at once.

use crate::connection::Deadline;
use crate::failure::Failure;
use std::net::SocketAddr;

pub(crate) async fn run(at: SocketAddr, until: Deadline) -> Result<String, Failure> {
    until.connect(at).await?;
    Ok("connected".to_owned())
}
