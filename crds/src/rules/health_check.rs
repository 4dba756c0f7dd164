//! The rules of a health check, which a VirtualService and a RealServer can have.

use super::{Rule, blame_if, blame_items};
use crate::{CheckTls, HealthCheck, HttpCheck, HttpMethod, HttpScheme};

/// Not the schema's `maximum`: the API server would print it as 3.6e+06.
const MAX_INTERVAL: i32 = 60 * 60 * 1000;
const HEX_MESSAGE: &str =
    "not bytes in hexadecimal; write two digits for each byte, such as 70696e67";
const HEX: &str = "self.matches('^([0-9A-Fa-f][0-9A-Fa-f])*$')";
const CA: &str =
    "self.contains('-----BEGIN CERTIFICATE-----') && self.contains('-----END CERTIFICATE-----')";
const CA_MESSAGE: &str = "no certificate in PEM; write it out from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----";

pub(super) const RULES: &[Rule<HealthCheck>] = &[
    Rule {
        at: "",
        blames: "",
        cel: "has(self.tcp) || has(self.http) || has(self.grpc) || has(self.dns) || has(self.udp) || has(self.icmp) \
              || has(self.smtp)",
        message: "it asks nothing; say how: tcp, http, grpc, dns, udp, icmp or smtp, such as tcp: {}",
        broken: |check| blame_if(!check.asks(), ""),
    },
    Rule {
        at: "intervalMilliseconds",
        blames: "",
        cel: "self <= 3600000",
        message: "too long to be of use; at most 3600000, which is an hour",
        broken: |check| {
            blame_if(check.interval_milliseconds > MAX_INTERVAL, "intervalMilliseconds")
        },
    },
    Rule {
        at: "",
        blames: ".timeoutMilliseconds",
        cel: "self.timeoutMilliseconds <= self.intervalMilliseconds",
        message: "above intervalMilliseconds, so that checks of one server would overlap; make it at most \
                  intervalMilliseconds",
        broken: |check| {
            let overlap = check.timeout_milliseconds > check.interval_milliseconds;
            blame_if(overlap, "timeoutMilliseconds")
        },
    },
    Rule {
        at: "http.path",
        blames: "",
        cel: "self.matches('^/[!-~]*$')",
        message: "not a path; it begins with / and has printable ASCII without spaces, such as /healthz",
        broken: |check| {
            let fits =
                |path: &str| path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic());
            blame_if(check.http.as_ref().is_some_and(|c| !fits(&c.path)), "http.path")
        },
    },
    Rule {
        at: "http.host",
        blames: "",
        cel: "self.matches('^[A-Za-z0-9._:\\\\[\\\\]-]+$')",
        message: "not a host; write a name or an address, with or without a port, such as www.example.com",
        broken: |check| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b"._:[]-".contains(&b);
            let host = check.http.as_ref().and_then(|c| c.host.as_deref());
            blame_if(host.is_some_and(|h| h.is_empty() || !h.bytes().all(fits)), "http.host")
        },
    },
    Rule {
        at: "http.headers[].name",
        blames: "",
        cel: "self.matches('^[A-Za-z0-9-]+$')",
        message: "not a header's name; use letters, digits and '-'",
        broken: |check| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            let headers = check.http.as_ref().map(|c| c.headers.as_slice()).unwrap_or_default();
            blame_items("http.headers", headers, ".name", |h| {
                h.name.is_empty() || !h.name.bytes().all(fits)
            })
        },
    },
    Rule {
        at: "http.headers[].name",
        blames: "",
        cel: "self.lowerAscii() != 'host'",
        message: "the Host header has a field of its own; write it as host",
        broken: |check| {
            let headers = check.http.as_ref().map(|c| c.headers.as_slice()).unwrap_or_default();
            blame_items("http.headers", headers, ".name", |h| h.name.eq_ignore_ascii_case("host"))
        },
    },
    Rule {
        at: "http.headers[].value",
        blames: "",
        cel: "self.matches('^[ -~]*$')",
        message: "not a header's value; use printable ASCII",
        broken: |check| {
            let headers = check.http.as_ref().map(|c| c.headers.as_slice()).unwrap_or_default();
            blame_items("http.headers", headers, ".value", |h| {
                !h.value.bytes().all(|b| (b' '..=b'~').contains(&b))
            })
        },
    },
    Rule {
        at: "http.statusCodes[]",
        blames: ".last",
        cel: "!has(self.last) || self.first <= self.last",
        message: "below first; make it at least first",
        broken: |check| {
            let codes = check.http.as_ref().map(|c| c.status_codes.as_slice()).unwrap_or_default();
            blame_items("http.statusCodes", codes, ".last", |c| {
                c.last.is_some_and(|last| last < c.first)
            })
        },
    },
    Rule {
        at: "http.bodySha256",
        blames: "",
        cel: "self.matches('^[0-9A-Fa-f]{64}$')",
        message: "not a SHA-256; write its 64 hexadecimal digits, as sha256sum prints them",
        broken: |check| {
            let fits = |sum: &str| sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit());
            let sum = check.http.as_ref().and_then(|c| c.body_sha256.as_deref());
            blame_if(sum.is_some_and(|sum| !fits(sum)), "http.bodySha256")
        },
    },
    Rule {
        at: "http",
        blames: ".method",
        cel: "self.method != 'HEAD' || !has(self.bodyRegex) && !has(self.bodySha256)",
        message: "an answer to HEAD has no body; set method: GET, or leave bodyRegex and bodySha256 out",
        broken: |check| {
            let reads = |c: &HttpCheck| c.body_regex.is_some() || c.body_sha256.is_some();
            let broken = |c: &HttpCheck| c.method == HttpMethod::HEAD && reads(c);
            blame_if(check.http.as_ref().is_some_and(broken), "http.method")
        },
    },
    Rule {
        at: "http",
        blames: ".tls",
        cel: "!has(self.tls) || self.scheme == 'HTTPS'",
        message: "plain HTTP has no certificate; set scheme: HTTPS, or leave tls out",
        broken: |check| {
            let broken = |c: &HttpCheck| c.tls.is_some() && c.scheme == HttpScheme::HTTP;
            blame_if(check.http.as_ref().is_some_and(broken), "http.tls")
        },
    },
    Rule {
        at: "http.tls.ca",
        blames: "",
        cel: CA,
        message: CA_MESSAGE,
        broken: |check| {
            blame_if(unfit_ca(check.http.as_ref().and_then(|c| c.tls.as_ref())), "http.tls.ca")
        },
    },
    Rule {
        at: "grpc.tls.ca",
        blames: "",
        cel: CA,
        message: CA_MESSAGE,
        broken: |check| {
            blame_if(unfit_ca(check.grpc.as_ref().and_then(|c| c.tls.as_ref())), "grpc.tls.ca")
        },
    },
    Rule {
        at: "smtp.tls.ca",
        blames: "",
        cel: CA,
        message: CA_MESSAGE,
        broken: |check| {
            blame_if(unfit_ca(check.smtp.as_ref().and_then(|c| c.tls.as_ref())), "smtp.tls.ca")
        },
    },
    Rule {
        at: "dns.name",
        blames: "",
        cel: "self.matches('^([A-Za-z0-9_-]{1,63}([.][A-Za-z0-9_-]{1,63})*[.]?|[.])$')",
        message: "not a DNS name; write one such as www.example.com, or . for the root",
        broken: |check| {
            blame_if(check.dns.as_ref().is_some_and(|c| !is_question(&c.name)), "dns.name")
        },
    },
    Rule {
        at: "udp.payload",
        blames: "",
        cel: HEX,
        message: HEX_MESSAGE,
        broken: |check| {
            blame_if(check.udp.as_ref().is_some_and(|c| !is_hex(&c.payload)), "udp.payload")
        },
    },
    Rule {
        at: "udp.reply",
        blames: "",
        cel: HEX,
        message: HEX_MESSAGE,
        broken: |check| {
            let reply = check.udp.as_ref().and_then(|c| c.reply.as_deref());
            blame_if(reply.is_some_and(|reply| !is_hex(reply)), "udp.reply")
        },
    },
    Rule {
        at: "udp",
        blames: ".replyMask",
        cel: "!has(self.replyMask) || has(self.reply) && self.replyMask.size() == self.reply.size() \
              && self.replyMask.matches('^([0-9A-Fa-f][0-9A-Fa-f])*$')",
        message: "not a mask of reply; write as many hexadecimal digits as reply has, or leave it out",
        broken: |check| {
            let udp = check.udp.as_ref();
            let reply = udp.and_then(|c| c.reply.as_deref());
            let mask = udp.and_then(|c| c.reply_mask.as_deref());
            let fits = |mask: &str| reply.is_some_and(|r| r.len() == mask.len()) && is_hex(mask);
            blame_if(mask.is_some_and(|mask| !fits(mask)), "udp.replyMask")
        },
    },
    Rule {
        at: "smtp.heloName",
        blames: "",
        cel: "self.matches('^[A-Za-z0-9.-]+$')",
        message: "not a name that EHLO can say; write one such as lvs.example.com",
        broken: |check| {
            let fits = |name: &str| {
                !name.is_empty()
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
            };
            let name = check.smtp.as_ref().and_then(|c| c.helo_name.as_deref());
            blame_if(name.is_some_and(|name| !fits(name)), "smtp.heloName")
        },
    },
    Rule {
        at: "smtp",
        blames: ".tls",
        cel: "!has(self.tls) || has(self.startTls) && self.startTls",
        message: "it speaks TLS after STARTTLS only; set startTls: true, or leave tls out",
        broken: |check| {
            let broken = check.smtp.as_ref().is_some_and(|c| c.tls.is_some() && !c.start_tls);
            blame_if(broken, "smtp.tls")
        },
    },
];

fn unfit_ca(tls: Option<&CheckTls>) -> bool {
    let fits = |ca: &str| {
        ca.contains("-----BEGIN CERTIFICATE-----") && ca.contains("-----END CERTIFICATE-----")
    };
    tls.and_then(|tls| tls.ca.as_deref()).is_some_and(|ca| !fits(ca))
}

fn is_hex(text: &str) -> bool {
    text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Labels of at most 63, with dots between and perhaps one at the end; or the root alone.
fn is_question(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    name == "." || name.strip_suffix('.').unwrap_or(name).split('.').all(label)
}
