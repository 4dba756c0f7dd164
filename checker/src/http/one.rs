//! HTTP/1.1 (RFC 9112).

use super::{Answer, Stream, beside, head};
use crate::answer::MOST;
use crate::failure::Failure;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;

/// Room for all headers together, and how many there may be.
const HEAD: usize = 32 * 1024;
const HEADERS: usize = 128;

/// One request and its answer; of the body no more than is needed.
pub(super) async fn exchange(
    stream: impl Stream,
    request: Request<()>,
    needs_body: bool,
) -> Result<Answer, Failure> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD).max_headers(HEADERS);
    let (mut sender, connection) =
        builder.handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.map_err(failed)?;
    let asked = async {
        let request = request.map(|()| Empty::new());
        let response = sender.send_request(request).await.map_err(failed)?;
        let mut answer = head(response.status(), response.headers());
        let mut body = response.into_body();
        while needs_body && !answer.cut {
            let Some(frame) = body.frame().await else { break };
            let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
            answer.cut = answer.body.len() + data.len() > MOST;
            let room = MOST - answer.body.len();
            answer.body.extend(data.into_iter().take(room));
        }
        Ok(answer)
    };
    beside(connection, asked).await
}

fn failed(error: hyper::Error) -> Failure {
    use std::error::Error as _;
    if error.is_parse() {
        return Failure::Garbled(format!("HTTP: {error}"));
    }
    if error.is_incomplete_message() {
        return Failure::Connection(io::ErrorKind::UnexpectedEof.into());
    }
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match source {
        Some(source) => Failure::Connection(source.kind().into()),
        None => Failure::Garbled(format!("HTTP: {error}")),
    }
}
