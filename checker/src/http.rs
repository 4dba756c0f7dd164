//! An HTTP request and what is wanted of the answer.

mod body;
mod one;
mod two;

use crate::answer::{short, took};
use crate::connection::Deadline;
use crate::failure::{BadCheck, Failure};
use crate::tls::Tls;
use body::Wanted;
use hyper::header::{HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use lvs_crds::{HttpCheck, HttpMethod, HttpScheme, HttpVersion};
use std::net::SocketAddr;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use two::{drive, failed, read};

/// A connection of whatever is below HTTP.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The answer, as far as it was wanted.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: Vec<u8>,
    /// There was more of the body than is read.
    cut: bool,
}

#[derive(Debug)]
pub(crate) struct Http {
    method: Method,
    path: String,
    host: Option<HeaderValue>,
    headers: HeaderMap,
    passes: Vec<(u16, u16)>,
    body: Option<Wanted>,
    redirects: i32,
    version: HttpVersion,
    tls: Option<Tls>,
}

impl Http {
    pub(crate) fn new(check: &HttpCheck) -> Result<Self, BadCheck> {
        let method = match check.method {
            HttpMethod::GET => Method::GET,
            HttpMethod::HEAD => Method::HEAD,
            HttpMethod::OPTIONS => Method::OPTIONS,
            HttpMethod::POST => Method::POST,
        };
        check.path.parse::<Uri>().map_err(|error| BadCheck::new("http.path", error))?;
        let host = check.host.as_deref().map(HeaderValue::try_from).transpose();
        let host = host.map_err(|error| BadCheck::new("http.host", error))?;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("kube-lvs"));
        for header in &check.headers {
            let name = HeaderName::try_from(&header.name)
                .map_err(|error| BadCheck::new("http.headers", error))?;
            let value = HeaderValue::try_from(&header.value)
                .map_err(|error| BadCheck::new("http.headers", error))?;
            headers.append(name, value);
        }
        let code = |code: i32| u16::try_from(code).unwrap_or(0);
        let codes = check.status_codes.iter();
        let mut passes: Vec<(u16, u16)> =
            codes.map(|it| (code(it.first), code(it.last.unwrap_or(it.first)))).collect();
        if passes.is_empty() {
            passes.push((200, 299));
        }
        let alpn: Option<&[u8]> = match check.version {
            HttpVersion::HTTP1 => None,
            HttpVersion::HTTP2 => Some(b"h2"),
        };
        let fields = ("http.tls.serverName", "http.tls.ca");
        let over_tls = check.scheme == HttpScheme::HTTPS;
        let tls =
            over_tls.then(|| Tls::new(check.tls.as_ref(), check.host.as_deref(), alpn, fields));
        Ok(Self {
            method,
            path: check.path.clone(),
            host,
            headers,
            passes,
            body: Wanted::new(check)?,
            redirects: check.follow_redirects,
            version: check.version,
            tls: tls.transpose()?,
        })
    }

    pub(crate) async fn run(
        &self,
        at: SocketAddr,
        until: Deadline,
        start: Instant,
    ) -> Result<String, Failure> {
        let mut path = self.path.clone();
        for _ in 0..=self.redirects.max(0) {
            let answer = self.ask(at, &path, until).await?;
            let Some(next) = self.next(&answer, at) else { return self.judge(&answer, start) };
            path = next?;
        }
        Err(Failure::Answer(format!("more than {} redirects", self.redirects)))
    }

    /// Where a redirect that is followed leads.
    fn next(&self, answer: &Answer, at: SocketAddr) -> Option<Result<String, Failure>> {
        let location = answer.location.as_deref()?;
        if self.redirects < 1 || !answer.status.is_redirection() {
            return None;
        }
        let elsewhere = || {
            let (status, shown) = (answer.status.as_u16(), short(location));
            Err(Failure::Answer(format!("HTTP {status}: to {shown}")))
        };
        let Ok(uri) = location.parse::<Uri>() else { return Some(elsewhere()) };
        let host = self.host.as_ref().and_then(|host| host.to_str().ok());
        let here = |authority: &str| Some(authority) == host || authority == at.to_string();
        if uri.authority().is_some_and(|authority| !here(authority.as_str())) {
            return Some(elsewhere());
        }
        uri.path_and_query().map(|path| Ok(path.as_str().to_owned()))
    }

    async fn ask(&self, at: SocketAddr, path: &str, until: Deadline) -> Result<Answer, Failure> {
        let stream = until.connect(at).await?;
        match &self.tls {
            None => self.exchange(stream, at, path, until).await,
            Some(tls) => {
                let stream = tls.connect(stream, at.ip(), until).await?;
                let negotiated = stream.get_ref().1.alpn_protocol();
                if self.version == HttpVersion::HTTP2 && negotiated != Some(b"h2") {
                    return Err(Failure::Answer("HTTP/2 is not offered".to_owned()));
                }
                self.exchange(stream, at, path, until).await
            }
        }
    }

    async fn exchange(
        &self,
        stream: impl Stream,
        at: SocketAddr,
        path: &str,
        until: Deadline,
    ) -> Result<Answer, Failure> {
        let request = self.request(at, path)?;
        let needs_body = self.body.is_some();
        match self.version {
            HttpVersion::HTTP1 => until.answer(one::exchange(stream, request, needs_body)).await,
            HttpVersion::HTTP2 => until.answer(two::exchange(stream, request, needs_body)).await,
        }
    }

    fn request(&self, at: SocketAddr, path: &str) -> Result<Request<()>, Failure> {
        let own = at.to_string();
        let host = match &self.host {
            Some(host) => host.clone(),
            None => HeaderValue::try_from(own).map_err(|e| Failure::Garbled(e.to_string()))?,
        };
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        *request.uri_mut() = match self.version {
            HttpVersion::HTTP1 => path.parse(),
            // :scheme and :authority are taken from it (RFC 9113, 8.3.1).
            HttpVersion::HTTP2 => {
                let scheme = if self.tls.is_some() { "https" } else { "http" };
                format!("{scheme}://{}{path}", host.to_str().unwrap_or_default()).parse()
            }
        }
        .map_err(|error| Failure::Garbled(format!("request: {error}")))?;
        if self.version == HttpVersion::HTTP1 {
            request.headers_mut().insert(HOST, host);
        }
        Ok(request)
    }

    fn judge(&self, answer: &Answer, start: Instant) -> Result<String, Failure> {
        let status = answer.status.as_u16();
        if !self.passes.iter().any(|(first, last)| (*first..=*last).contains(&status)) {
            return Err(Failure::Answer(format!("HTTP {status} in {}", took(start))));
        }
        if let Some(wanted) = &self.body {
            wanted.judge(status, answer)?;
        }
        Ok(format!("HTTP {status}"))
    }
}

/// What of the head is wanted.
fn head(status: StatusCode, headers: &HeaderMap) -> Answer {
    let location = headers.get(LOCATION).and_then(|it| it.to_str().ok()).map(str::to_owned);
    Answer { status, location, body: Vec::new(), cut: false }
}

/// What is asked, while the connection is worked on. Its end is no failure where all that was needed has come.
async fn beside<T>(connection: impl Future, asked: impl Future<Output = T>) -> T {
    tokio::pin!(asked, connection);
    let mut alive = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut asked => return answer,
            _ = &mut connection, if alive => alive = false,
        }
    }
}
