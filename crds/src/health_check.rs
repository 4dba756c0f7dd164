//! HealthCheck: how directors find out whether a real server works. keepalived's words, in camelCase.

mod kinds;

pub use kinds::*;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a real server is checked, and what its failure means. Of several kinds on one server all have to pass.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// A TCP connection is made, and closed at once (keepalived's TCP_CHECK). Example: `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
    /// An HTTP or HTTPS request is answered as it should be (keepalived's HTTP_GET, SSL_GET). Example: `{path: /healthz}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// The gRPC health service (grpc.health.v1) answers SERVING. Example: `{service: shop.Cart}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcCheck>,
    /// A DNS question is answered by UDP (keepalived's DNS_CHECK). Example: `{name: www.example.com, type: A}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsCheck>,
    /// A datagram is answered; or, without `reply`, at least not refused by an ICMP error (keepalived's UDP_CHECK).
    /// Example: `{payload: 70696e67, reply: 706f6e67}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<UdpCheck>,
    /// An ICMP echo request is answered (keepalived's PING_CHECK): the machine lives, which says nothing of its services.
    /// Example: `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp: Option<IcmpCheck>,
    /// A mail server greets and takes an EHLO (keepalived's SMTP_CHECK). Example: `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpCheck>,

    /// Milliseconds between the beginnings of two checks of a server, 50 to 3600000 (keepalived's `delay_loop`). With the
    /// defaults a death is noticed after at most 1 s: three checks fail in a row, the last after its whole timeout. Default: 250.
    /// Example: 1000.
    #[serde(default = "default_interval")]
    #[schemars(range(min = 50))]
    pub interval_milliseconds: i32,
    /// Milliseconds in which one check has to be over, with connecting and TLS; at least 10, at most `intervalMilliseconds`, so
    /// that a check ends before the next one begins (keepalived's `connect_timeout`). Default: 200. Example: 800.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 10))]
    pub timeout_milliseconds: i32,
    /// How many checks in a row have to pass before a server that is down is up again, 1 to 100. Default: 2.
    #[serde(default = "default_rise")]
    #[schemars(range(min = 1, max = 100))]
    pub rise: i32,
    /// How many checks in a row have to fail before a server that is up is down, 1 to 100 (keepalived's `retry`, plus one).
    /// Default: 3.
    #[serde(default = "default_fall")]
    #[schemars(range(min = 1, max = 100))]
    pub fall: i32,
    /// What a server is until its first checks are over. Default: Up. Example: Down.
    ///
    /// - Up: it gets connections at once.
    /// - Down: it gets none before it has passed `rise` checks (keepalived's `alpha`).
    #[serde(default)]
    pub initial: InitialHealth,
    /// By how many percent of `intervalMilliseconds` each wait is shorter or longer at random, 0 to 50, so that several directors
    /// do not ask at one time. A director spreads its own checks over the interval in any case. Default: 5.
    #[serde(default = "default_jitter")]
    #[schemars(range(min = 0, max = 50))]
    pub jitter_percent: i32,
    /// What becomes of a server that is down. Default: Remove.
    ///
    /// - Remove: it is taken out of the kernel's table. Its connections end: the next packet of one finds no server, and the
    ///   client's next attempt, persistent or not, goes to another.
    /// - Inhibit: it stays with weight 0 (keepalived's `inhibit_on_failure`). It gets no new connections, and those that are
    ///   open go on, in case the check is wrong or the failure is short.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// What a server is before it was checked.
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
#[allow(missing_docs)]
pub enum InitialHealth {
    #[default]
    Up,
    Down,
}

/// What becomes of a server that is down.
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
#[allow(missing_docs)]
pub enum OnFailure {
    #[default]
    Remove,
    Inhibit,
}

const fn default_interval() -> i32 {
    250
}

const fn default_timeout() -> i32 {
    200
}

const fn default_rise() -> i32 {
    2
}

const fn default_fall() -> i32 {
    3
}

const fn default_jitter() -> i32 {
    5
}

impl HealthCheck {
    /// Whether each kind that asks a port says which one, so that no port of the service's is needed.
    pub fn names_its_ports(&self) -> bool {
        let ports = [
            self.tcp.as_ref().map(|c| c.port),
            self.http.as_ref().map(|c| c.port),
            self.grpc.as_ref().map(|c| c.port),
            self.dns.as_ref().map(|c| c.port),
            self.udp.as_ref().map(|c| c.port),
            self.smtp.as_ref().map(|c| c.port),
        ];
        ports.into_iter().flatten().all(|port| port.is_some())
    }

    /// Each kind for itself, with the port that it names; such a check names none, and has no more to say of what failure means.
    pub fn apart(&self) -> Vec<(Option<i32>, Self)> {
        let none = Self {
            tcp: None,
            http: None,
            grpc: None,
            dns: None,
            udp: None,
            icmp: None,
            smtp: None,
            on_failure: OnFailure::default(),
            ..self.clone()
        };
        let mut all = Vec::new();
        macro_rules! take {
            ($kind:ident) => {
                if let Some(mut alone) = self.$kind.clone() {
                    let port = alone.port.take();
                    all.push((port, Self { $kind: Some(alone), ..none.clone() }));
                }
            };
        }
        take!(tcp);
        take!(http);
        take!(grpc);
        take!(dns);
        take!(udp);
        take!(smtp);
        if let Some(icmp) = &self.icmp {
            all.push((None, Self { icmp: Some(icmp.clone()), ..none.clone() }));
        }
        all
    }

    /// Whether anything at all is asked.
    pub fn asks(&self) -> bool {
        self.tcp.is_some()
            || self.http.is_some()
            || self.grpc.is_some()
            || self.dns.is_some()
            || self.udp.is_some()
            || self.icmp.is_some()
            || self.smtp.is_some()
    }
}
