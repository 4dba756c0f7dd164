//! One check, ready to be run.

use crate::answer::took;
use crate::connection::Deadline;
use crate::failure::{BadCheck, Failure};
use crate::{dns, grpc, http, icmp, smtp, tcp, udp};
use lvs_crds::HealthCheck;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// A check of one kind.
#[derive(Debug)]
pub struct Check {
    kind: Kind,
    timeout: Duration,
}

#[derive(Debug)]
enum Kind {
    Tcp,
    Http(Box<http::Http>),
    Grpc(Box<grpc::Grpc>),
    Dns(dns::Dns),
    Udp(udp::Udp),
    Icmp,
    Smtp(Box<smtp::Smtp>),
}

impl Check {
    /// Of a check that has one kind: of several ([`HealthCheck::apart`]) the first counts.
    ///
    /// # Errors
    /// [`BadCheck`] names the field that a schema could not judge, or `healthCheck` itself where nothing is asked.
    pub fn new(check: &HealthCheck) -> Result<Self, BadCheck> {
        let kind = if check.tcp.is_some() {
            Kind::Tcp
        } else if let Some(http) = &check.http {
            Kind::Http(Box::new(http::Http::new(http)?))
        } else if let Some(grpc) = &check.grpc {
            Kind::Grpc(Box::new(grpc::Grpc::new(grpc)?))
        } else if let Some(dns) = &check.dns {
            Kind::Dns(dns::Dns::new(dns)?)
        } else if let Some(udp) = &check.udp {
            Kind::Udp(udp::Udp::new(udp)?)
        } else if check.icmp.is_some() {
            Kind::Icmp
        } else if let Some(smtp) = &check.smtp {
            Kind::Smtp(Box::new(smtp::Smtp::new(smtp)?))
        } else {
            return Err(BadCheck::new("tcp", "no kind of check; give tcp, http or another one"));
        };
        let millis = u64::try_from(check.timeout_milliseconds).unwrap_or(0);
        Ok(Self { kind, timeout: Duration::from_millis(millis.max(1)) })
    }

    /// Asks once, and tells what passed: `HTTP 200 in 4 ms`. Ends within the check's timeout. `port`: of what has ports.
    ///
    /// # Errors
    /// [`Failure`] says what was met instead.
    pub async fn run(&self, address: IpAddr, port: Option<u16>) -> Result<String, Failure> {
        let start = Instant::now();
        let at = SocketAddr::new(address, port.unwrap_or(0));
        let until = Deadline::after(self.timeout);
        let met = match &self.kind {
            Kind::Tcp => tcp::run(at, until).await,
            Kind::Http(http) => http.run(at, until, start).await,
            Kind::Grpc(grpc) => grpc.run(at, until).await,
            Kind::Dns(dns) => dns.run(at, until).await,
            Kind::Udp(udp) => udp.run(at, until).await,
            Kind::Icmp => icmp::run(address, until).await,
            Kind::Smtp(smtp) => smtp.run(at, until).await,
        }?;
        Ok(format!("{met} in {}", took(start)))
    }
}
