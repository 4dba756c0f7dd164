//! What is asked, kind by kind.

use crate::virtual_service::is_false;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A TCP connection.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct TcpCheck {
    /// The real server's port that is asked, 1 to 65535, for all ports of the service (keepalived's `connect_port`). Default: each
    /// port of the service is asked at the real server, and taken out for itself. Example: 8080.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// An HTTP request and the answer to it.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct HttpCheck {
    /// As `tcp.port`. Example: 8080.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// HTTP or HTTPS. Default: HTTP.
    #[serde(default)]
    pub scheme: HttpScheme,
    /// HTTP1 (HTTP/1.1) or HTTP2, without an upgrade: over TLS by ALPN, else with prior knowledge. Default: HTTP1.
    #[serde(default)]
    pub version: HttpVersion,
    /// GET, HEAD, OPTIONS or POST; a POST has an empty body. Default: GET.
    #[serde(default)]
    pub method: HttpMethod,
    /// What is asked for, with the query if there is one; begins with `/`. Default: `/`. Example: /healthz?full=1.
    #[serde(default = "default_path")]
    #[schemars(length(max = 1024))]
    pub path: String,
    /// The Host header, with port if one is wanted (keepalived's `virtualhost`). Default: the real server's address and port.
    /// Example: www.example.com.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub host: Option<String>,
    /// More headers of the request. Default: none. Example: `[{name: X-Check, value: lvs}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<HttpHeader>,
    /// The status codes that pass (keepalived's `status_code`). Default: 200 to 299. Example: `[{first: 200, last: 399}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub status_codes: Vec<StatusCodes>,
    /// A regular expression that has to be found in the body's first 64 KiB, at most 256 characters; no look-around, no
    /// back-references. Default: none. Example: `"status": *"ok"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub body_regex: Option<String>,
    /// The SHA-256 of the whole body, which may be up to 64 KiB long, as 64 hexadecimal digits (what keepalived's `digest` is by
    /// MD5). Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub body_sha256: Option<String>,
    /// How many redirects to the same real server are followed, 0 to 5; a redirect to another host fails. Default: 0, a redirect is
    /// an answer with a status code like any other.
    #[serde(default)]
    #[schemars(range(min = 0, max = 5))]
    pub follow_redirects: i32,
    /// Whom to trust; only with `scheme: HTTPS`. Default: see there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<CheckTls>,
}

/// Plain or over TLS.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[allow(clippy::upper_case_acronyms, missing_docs)]
pub enum HttpScheme {
    #[default]
    HTTP,
    HTTPS,
}

/// HTTP's version.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[allow(clippy::upper_case_acronyms, missing_docs)]
pub enum HttpVersion {
    #[default]
    HTTP1,
    HTTP2,
}

/// HTTP's method.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[allow(clippy::upper_case_acronyms, missing_docs)]
pub enum HttpMethod {
    #[default]
    GET,
    HEAD,
    OPTIONS,
    POST,
}

/// A header of a request.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct HttpHeader {
    /// The name: letters, digits and `-`; not Host, for which there is `host`. Example: X-Check.
    #[schemars(length(max = 64))]
    pub name: String,
    /// The value, in printable ASCII. Example: lvs.
    #[schemars(length(max = 1024))]
    pub value: String,
}

/// Status codes from one to another.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct StatusCodes {
    /// The first one, 100 to 599. Example: 200.
    #[schemars(range(min = 100, max = 599))]
    pub first: i32,
    /// The last one, 100 to 599. Default: `first`. Example: 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 599))]
    pub last: Option<i32>,
}

/// Whom a check over TLS trusts. By default the server's certificate is not looked at: it is made for the name that clients
/// use, and the question is whether the server works.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct CheckTls {
    /// The name that is sent as SNI and, with `ca`, has to be in the certificate. Default: the check's `host` if it is a name, else
    /// none. Example: www.example.com.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub server_name: Option<String>,
    /// Certificates in PEM, of which one has to have signed the server's, at most 8 KiB. Written out, since agents may read no
    /// Secrets and no ConfigMaps; it is nothing secret. Default: any certificate will do, an expired one too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub ca: Option<String>,
}

/// A call of grpc.health.v1.Health/Check.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct GrpcCheck {
    /// As `tcp.port`. Example: 9090.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// The service that is asked for. Default: empty, the server as a whole. Example: shop.Cart.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub service: String,
    /// Speak TLS, and whom to trust. Default: without TLS. Example: `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<CheckTls>,
}

/// A question to a DNS server.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct DnsCheck {
    /// As `tcp.port`, by UDP. Example: 53.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// The name that is asked for. Default: `.`, the root. Example: www.example.com.
    #[serde(default = "default_name")]
    #[schemars(length(max = 253))]
    pub name: String,
    /// The type of the records that are asked for. Default: SOA. Example: A.
    #[serde(rename = "type", default)]
    pub kind: DnsType,
    /// The response code that passes. Default: NOERROR. Example: NXDOMAIN.
    #[serde(default)]
    pub rcode: DnsRcode,
    /// What one of the answer's records has to be, as in a zone file: an address, a name, a text. Default: any answer will do, an
    /// empty one too. Example: 192.0.2.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub answer: Option<String>,
}

/// A type of DNS records.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[allow(clippy::upper_case_acronyms, missing_docs)]
pub enum DnsType {
    A,
    AAAA,
    CNAME,
    MX,
    NS,
    PTR,
    #[default]
    SOA,
    SRV,
    TXT,
}

/// A DNS response code.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[allow(clippy::upper_case_acronyms, missing_docs)]
pub enum DnsRcode {
    #[default]
    NOERROR,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
}

/// A datagram and what may come back.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct UdpCheck {
    /// As `tcp.port`, by UDP. Example: 5060.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// The datagram, as hexadecimal digits, at most 512 bytes. Default: none, an empty datagram. Example: 70696e67.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub payload: String,
    /// How the reply has to begin, as hexadecimal digits. Default: no reply is needed; a check passes if no ICMP error says within the
    /// timeout that nobody listens. Example: 706f6e67.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reply: Option<String>,
    /// Which bits of `reply` count, as many hexadecimal digits as `reply` has. Default: all. Example: ffff0000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reply_mask: Option<String>,
}

/// An ICMP echo request.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct IcmpCheck {}

/// A mail server's greeting.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct SmtpCheck {
    /// As `tcp.port`. Example: 25.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// The name that EHLO says (keepalived's `helo_name`). Default: kube-lvs.invalid. Example: lvs.example.com.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub helo_name: Option<String>,
    /// Whether the server has to offer STARTTLS, and the handshake to succeed. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub start_tls: bool,
    /// Whom to trust; only with `startTls`. Default: see there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<CheckTls>,
}

fn default_path() -> String {
    "/".to_owned()
}

fn default_name() -> String {
    ".".to_owned()
}
