//! HTTP/2 (RFC 9113).

use super::{Answer, Stream, beside, head};
use crate::answer::MOST;
use crate::failure::Failure;
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream};
use hyper::Request;
use std::io;

/// Room for all headers together.
const HEAD: u32 = 32 * 1024;

/// One request and its answer; of the body no more than is needed.
pub(super) async fn exchange(
    stream: impl Stream,
    request: Request<()>,
    needs_body: bool,
) -> Result<Answer, Failure> {
    drive(stream, async |sender| {
        let (response, _) = sender.send_request(request, true).map_err(failed)?;
        let response = response.await.map_err(failed)?;
        let mut answer = head(response.status(), response.headers());
        if needs_body {
            (answer.body, answer.cut) = read(&mut response.into_body()).await?;
        }
        Ok(answer)
    })
    .await
}

/// Shakes hands, and lets `talk` go on while the connection is worked on.
pub(crate) async fn drive<T>(
    stream: impl Stream,
    talk: impl AsyncFnOnce(&mut SendRequest<Bytes>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut builder = Builder::new();
    builder.max_header_list_size(HEAD).enable_push(false).max_concurrent_streams(0);
    let (sender, connection) = builder.handshake::<_, Bytes>(stream).await.map_err(failed)?;
    let asked = async {
        let mut sender = sender.ready().await.map_err(failed)?;
        talk(&mut sender).await
    };
    beside(connection, asked).await
}

/// A body's first bytes, and whether there are more.
pub(crate) async fn read(body: &mut RecvStream) -> Result<(Vec<u8>, bool), Failure> {
    let mut read = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(failed)?;
        let room = MOST - read.len();
        if data.len() > room {
            read.extend(data.into_iter().take(room));
            return Ok((read, true));
        }
        // Errs only for more than was taken.
        let _ = body.flow_control().release_capacity(data.len());
        read.extend(data);
    }
    Ok((read, false))
}

pub(crate) fn failed(error: h2::Error) -> Failure {
    if let Some(error) = error.get_io() {
        return Failure::Connection(error.kind().into());
    }
    if error.reason() == Some(Reason::NO_ERROR) {
        return Failure::Connection(io::ErrorKind::UnexpectedEof.into());
    }
    Failure::Garbled(format!("HTTP/2: {error}"))
}
