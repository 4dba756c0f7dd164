//! Health checks, right and wrong, of a VirtualService and of a RealServer.

use super::{Row, accept, reject};

const CHECK: &str = "spec.healthCheck";
const TCP: &str = "spec.healthCheck.tcp";
const HTTP: &str = "spec.healthCheck.http";
const CODES: &str = "spec.healthCheck.http.statusCodes";
const HEADERS: &str = "spec.healthCheck.http.headers";
const INTERVAL: &str = "spec.healthCheck.intervalMilliseconds";
const TIMEOUT: &str = "spec.healthCheck.timeoutMilliseconds";
const DNS: &str = "spec.healthCheck.dns.name";
const UDP: &str = "spec.healthCheck.udp";
const HEX: &str = "not bytes in hexadecimal";
const PEM: &str = r#"{"ca": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}"#;
const NO_PEM: &str = r#"{"ca": "/etc/ssl/ca.crt"}"#;
const NO_CERTIFICATE: &str = "no certificate in PEM";
const TOO_LONG: &str = concat!(
    "\"",
    "0123456789012345678901234567890123456789012345678901234567890123",
    "0123456789012345678901234567890123456789012345678901234567890123",
    "0123456789012345678901234567890123456789012345678901234567890123",
    "0123456789012345678901234567890123456789012345678901234567890123",
    "+\""
);
const SUM: &str = r#""e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""#;

pub(super) const ROWS: &[Row] = &[
    accept("a TCP check", &[(TCP, "{}")]),
    accept("an ICMP check", &[("spec.healthCheck.icmp", "{}")]),
    accept("several kinds of checks", &[(TCP, "{}"), (HTTP, r#"{"port": 8080}"#)]),
    accept("a check beside a null", &[(TCP, "{}"), (HTTP, "null")]),
    reject("a check of nothing", &[(CHECK, "{}")], CHECK, "it asks nothing"),
    reject("a check of nothing but times", &[(INTERVAL, "1000")], CHECK, "it asks nothing"),
    reject("a check by its name", &[(CHECK, r#""tcp""#)], CHECK, "must be of type object"),
    reject(
        "an unknown kind of check",
        &[(TCP, "{}"), ("spec.healthCheck.misc", "{}")],
        "spec.healthCheck.misc",
        "unknown field",
    ),
    reject(
        "a check of port 0",
        &[(TCP, r#"{"port": 0}"#)],
        "spec.healthCheck.tcp.port",
        "should be greater than or equal to 1",
    ),
    // Times.
    accept("the shortest interval", &[(TCP, "{}"), (INTERVAL, "50"), (TIMEOUT, "50")]),
    accept("the longest interval", &[(TCP, "{}"), (INTERVAL, "3600000")]),
    reject(
        "an interval that is too short",
        &[(TCP, "{}"), (INTERVAL, "49"), (TIMEOUT, "10")],
        INTERVAL,
        "should be greater than or equal to 50",
    ),
    reject(
        "an interval that is too long",
        &[(TCP, "{}"), (INTERVAL, "3600001")],
        INTERVAL,
        "at most 3600000",
    ),
    reject(
        "a timeout above the default interval",
        &[(TCP, "{}"), (TIMEOUT, "251")],
        TIMEOUT,
        "would overlap",
    ),
    reject(
        "a timeout above the interval",
        &[(TCP, "{}"), (INTERVAL, "199")],
        TIMEOUT,
        "would overlap",
    ),
    reject(
        "a timeout that is too short",
        &[(TCP, "{}"), (TIMEOUT, "9")],
        TIMEOUT,
        "should be greater than or equal to 10",
    ),
    reject(
        "a rise of 0",
        &[(TCP, "{}"), ("spec.healthCheck.rise", "0")],
        "spec.healthCheck.rise",
        "should be greater than or equal to 1",
    ),
    reject(
        "a fall of 101",
        &[(TCP, "{}"), ("spec.healthCheck.fall", "101")],
        "spec.healthCheck.fall",
        "should be less than or equal to 100",
    ),
    reject(
        "a jitter of all",
        &[(TCP, "{}"), ("spec.healthCheck.jitterPercent", "100")],
        "spec.healthCheck.jitterPercent",
        "should be less than or equal to 50",
    ),
    accept("down at first", &[(TCP, "{}"), ("spec.healthCheck.initial", r#""Down""#)]),
    accept("inhibited", &[(TCP, "{}"), ("spec.healthCheck.onFailure", r#""Inhibit""#)]),
    reject(
        "keepalived's word for removal",
        &[(TCP, "{}"), ("spec.healthCheck.onFailure", r#""inhibit_on_failure""#)],
        "spec.healthCheck.onFailure",
        r#"supported values: "Remove", "Inhibit""#,
    ),
    // HTTP.
    accept(
        "an HTTP check with everything",
        &[(
            HTTP,
            r#"{"port": 8443, "scheme": "HTTPS", "version": "HTTP2", "method": "POST", "path": "/a?b=c",
                "host": "[2001:db8::1]:80", "headers": [{"name": "X-Check", "value": "a b"}], "followRedirects": 5,
                "statusCodes": [{"first": 200, "last": 399}, {"first": 401}], "bodyRegex": "ok",
                "tls": {"serverName": "www.example.com"}}"#,
        )],
    ),
    reject(
        "status 99",
        &[(CODES, r#"[{"first": 99}]"#)],
        "spec.healthCheck.http.statusCodes[0].first",
        "should be greater than or equal to 100",
    ),
    reject(
        "status 600",
        &[(CODES, r#"[{"first": 200, "last": 600}]"#)],
        "spec.healthCheck.http.statusCodes[0].last",
        "should be less than or equal to 599",
    ),
    reject(
        "status codes crossed",
        &[(CODES, r#"[{"first": 200}, {"first": 300, "last": 200}]"#)],
        "spec.healthCheck.http.statusCodes[1].last",
        "make it at least first",
    ),
    reject(
        "a path without its slash",
        &[("spec.healthCheck.http.path", r#""healthz""#)],
        "spec.healthCheck.http.path",
        "not a path",
    ),
    reject(
        "a path with a line break",
        &[("spec.healthCheck.http.path", r#""/a\r\nX: y""#)],
        "spec.healthCheck.http.path",
        "not a path",
    ),
    reject(
        "a host with a slash",
        &[("spec.healthCheck.http.host", r#""http://www.example.com""#)],
        "spec.healthCheck.http.host",
        "not a host",
    ),
    reject(
        "a header with a colon",
        &[(HEADERS, r#"[{"name": "X:", "value": "a"}]"#)],
        "spec.healthCheck.http.headers[0].name",
        "not a header's name",
    ),
    reject(
        "the Host header among others",
        &[(HEADERS, r#"[{"name": "HOST", "value": "a"}]"#)],
        "spec.healthCheck.http.headers[0].name",
        "write it as host",
    ),
    reject(
        "a header of two lines",
        &[(HEADERS, r#"[{"name": "X", "value": "a\nb"}]"#)],
        "spec.healthCheck.http.headers[0].value",
        "not a header's value",
    ),
    reject(
        "a regular expression that is too long",
        &[("spec.healthCheck.http.bodyRegex", TOO_LONG)],
        "spec.healthCheck.http.bodyRegex",
        "Too long: may not be more than 256 bytes",
    ),
    accept("the sum of a body", &[("spec.healthCheck.http.bodySha256", SUM)]),
    reject(
        "the sum of a body by MD5",
        &[("spec.healthCheck.http.bodySha256", r#""d41d8cd98f00b204e9800998ecf8427e""#)],
        "spec.healthCheck.http.bodySha256",
        "not a SHA-256",
    ),
    reject(
        "HEAD with a body",
        &[(HTTP, r#"{"method": "HEAD", "bodyRegex": "ok"}"#)],
        "spec.healthCheck.http.method",
        "an answer to HEAD has no body",
    ),
    reject(
        "redirects without end",
        &[("spec.healthCheck.http.followRedirects", "6")],
        "spec.healthCheck.http.followRedirects",
        "should be less than or equal to 5",
    ),
    reject(
        "TLS for plain HTTP",
        &[("spec.healthCheck.http.tls", "{}")],
        "spec.healthCheck.http.tls",
        "set scheme: HTTPS",
    ),
    accept(
        "a CA",
        &[("spec.healthCheck.http.scheme", r#""HTTPS""#), ("spec.healthCheck.http.tls", PEM)],
    ),
    reject(
        "a file as CA",
        &[("spec.healthCheck.http.scheme", r#""HTTPS""#), ("spec.healthCheck.http.tls", NO_PEM)],
        "spec.healthCheck.http.tls.ca",
        NO_CERTIFICATE,
    ),
    // gRPC, DNS, UDP, SMTP.
    accept("a gRPC check", &[("spec.healthCheck.grpc", r#"{"service": "shop.Cart", "tls": {}}"#)]),
    reject(
        "a file as a gRPC server's CA",
        &[("spec.healthCheck.grpc.tls", NO_PEM)],
        "spec.healthCheck.grpc.tls.ca",
        NO_CERTIFICATE,
    ),
    accept("a question for the root", &[("spec.healthCheck.dns", "{}")]),
    accept(
        "a question for a name",
        &[(
            "spec.healthCheck.dns",
            r#"{"name": "_sip._udp.example.com.", "type": "SRV", "rcode": "NXDOMAIN"}"#,
        )],
    ),
    reject("a question for a URL", &[(DNS, r#""http://example.com""#)], DNS, "not a DNS name"),
    reject("a question with an empty label", &[(DNS, r#""a..b""#)], DNS, "not a DNS name"),
    reject("a question for nothing", &[(DNS, r#""""#)], DNS, "not a DNS name"),
    reject(
        "a type of records that is none",
        &[("spec.healthCheck.dns.type", r#""ANY""#)],
        "spec.healthCheck.dns.type",
        r#"supported values: "A", "AAAA""#,
    ),
    accept("a datagram that need not be answered", &[(UDP, "{}")]),
    accept(
        "a datagram and its answer",
        &[(UDP, r#"{"payload": "70696E67", "reply": "706f6e67", "replyMask": "ffff0000"}"#)],
    ),
    reject(
        "a datagram in letters",
        &[(UDP, r#"{"payload": "ping"}"#)],
        "spec.healthCheck.udp.payload",
        HEX,
    ),
    reject("half a byte", &[(UDP, r#"{"reply": "706"}"#)], "spec.healthCheck.udp.reply", HEX),
    reject(
        "a mask without a reply",
        &[(UDP, r#"{"replyMask": "ff"}"#)],
        "spec.healthCheck.udp.replyMask",
        "not a mask of reply",
    ),
    reject(
        "a mask of another length",
        &[(UDP, r#"{"reply": "706f", "replyMask": "ff"}"#)],
        "spec.healthCheck.udp.replyMask",
        "not a mask of reply",
    ),
    accept(
        "a mail server",
        &[(
            "spec.healthCheck.smtp",
            r#"{"heloName": "lvs.example.com", "startTls": true, "tls": {}}"#,
        )],
    ),
    reject(
        "an EHLO of two words",
        &[("spec.healthCheck.smtp.heloName", r#""a b""#)],
        "spec.healthCheck.smtp.heloName",
        "not a name that EHLO can say",
    ),
    reject(
        "a mail server's TLS without STARTTLS",
        &[("spec.healthCheck.smtp.tls", "{}")],
        "spec.healthCheck.smtp.tls",
        "set startTls: true",
    ),
    reject(
        "a file as a mail server's CA",
        &[("spec.healthCheck.smtp", r#"{"startTls": true, "tls": {"ca": "x"}}"#)],
        "spec.healthCheck.smtp.tls.ca",
        NO_CERTIFICATE,
    ),
];
