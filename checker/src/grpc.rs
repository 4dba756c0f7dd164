//! The health service of gRPC (grpc/grpc, doc/health-checking.md): one message of one field each way, so small that neither
//! a code generator nor a stack is needed besides HTTP/2.

use crate::answer::short;
use crate::connection::Deadline;
use crate::failure::{BadCheck, Failure};
use crate::http::{Stream, drive, read};
use crate::tls::Tls;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, TE};
use hyper::{HeaderMap, Method, Request};
use lvs_crds::GrpcCheck;
use std::net::SocketAddr;

const PATH: &str = "/grpc.health.v1.Health/Check";
/// `ServingStatus.SERVING`
const SERVING: u8 = 1;

#[derive(Debug)]
pub(crate) struct Grpc {
    /// The request, with the five bytes that stand before a message.
    message: Bytes,
    tls: Option<Tls>,
}

impl Grpc {
    pub(crate) fn new(check: &GrpcCheck) -> Result<Self, BadCheck> {
        let fields = ("grpc.tls.serverName", "grpc.tls.ca");
        let tls = check.tls.as_ref().map(|tls| Tls::new(Some(tls), None, Some(b"h2"), fields));
        let message = framed(&check.service)
            .ok_or_else(|| BadCheck::new("grpc.service", "longer than 255 bytes"))?;
        Ok(Self { message, tls: tls.transpose()? })
    }

    pub(crate) async fn run(&self, at: SocketAddr, until: Deadline) -> Result<String, Failure> {
        let stream = until.connect(at).await?;
        match &self.tls {
            None => self.ask(stream, at, "http", until).await,
            Some(tls) => {
                let stream = tls.connect(stream, at.ip(), until).await?;
                self.ask(stream, at, "https", until).await
            }
        }
    }

    async fn ask(
        &self,
        stream: impl Stream,
        at: SocketAddr,
        scheme: &str,
        until: Deadline,
    ) -> Result<String, Failure> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("{scheme}://{at}{PATH}")
            .parse()
            .map_err(|error| Failure::Garbled(format!("request: {error}")))?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        let asked = drive(stream, async |sender| {
            let failed = crate::http::failed;
            let (response, mut body) = sender.send_request(request, false).map_err(failed)?;
            body.send_data(self.message.clone(), true).map_err(failed)?;
            let response = response.await.map_err(failed)?;
            let status = response.status().as_u16();
            if status != 200 {
                return Err(Failure::Answer(format!("gRPC: HTTP {status}")));
            }
            // Where there is no message, all stands in the headers.
            told(response.headers())?;
            let mut body = response.into_body();
            let (message, _) = read(&mut body).await?;
            if let Some(trailers) = body.trailers().await.map_err(failed)? {
                told(&trailers)?;
            }
            Ok(message)
        });
        judge(&until.answer(asked).await?)
    }
}

/// Length-prefixed, not compressed: a `HealthCheckRequest` with its field 1, or without where that is empty.
fn framed(service: &str) -> Option<Bytes> {
    let length = u8::try_from(service.len()).ok()?;
    let mut message = Vec::new();
    if length > 0 {
        message.push(0x0a);
        // A varint: seven bits a byte.
        if length < 0x80 {
            message.push(length);
        } else {
            message.extend([length | 0x80, length >> 7]);
        }
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).ok()?.to_be_bytes());
    framed.extend(message);
    Some(framed.into())
}

/// Whether headers or trailers say that the call failed.
fn told(headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    match text("grpc-status") {
        None | Some("0") => Ok(()),
        Some(status) => {
            let message = short(text("grpc-message").unwrap_or_default());
            Err(Failure::Answer(format!("gRPC: status {status} {message}").trim_end().to_owned()))
        }
    }
}

/// A `HealthCheckResponse`: field 1, a varint; left out it is 0, UNKNOWN.
fn judge(framed: &[u8]) -> Result<String, Failure> {
    let status = match framed {
        [0, 0, 0, 0, 0] => 0,
        [0, 0, 0, 0, 2, 0x08, status] => *status,
        _ => return Err(Failure::Garbled("gRPC: another message".to_owned())),
    };
    match status {
        SERVING => Ok("gRPC SERVING".to_owned()),
        0 => Err(Failure::Answer("gRPC: UNKNOWN".to_owned())),
        2 => Err(Failure::Answer("gRPC: NOT_SERVING".to_owned())),
        3 => Err(Failure::Answer("gRPC: SERVICE_UNKNOWN".to_owned())),
        other => Err(Failure::Answer(format!("gRPC: status of service {other}"))),
    }
}
