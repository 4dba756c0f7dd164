//! What a health check needs from the service that it is for.

use super::{Rule, blame_if};
use crate::VirtualServiceSpec;

pub(super) const RULES: &[Rule<VirtualServiceSpec>] = &[Rule {
    at: "",
    blames: ".healthCheck",
    cel: "!has(self.healthCheck) || !has(self.firewallMark) && self.ports.all(p, p.port != 0) || \
          (!has(self.healthCheck.tcp) || has(self.healthCheck.tcp.port)) && \
          (!has(self.healthCheck.http) || has(self.healthCheck.http.port)) && \
          (!has(self.healthCheck.grpc) || has(self.healthCheck.grpc.port)) && \
          (!has(self.healthCheck.dns) || has(self.healthCheck.dns.port)) && \
          (!has(self.healthCheck.udp) || has(self.healthCheck.udp.port)) && \
          (!has(self.healthCheck.smtp) || has(self.healthCheck.smtp.port))",
    message: "with firewallMark or port 0 the service has no port of its own to ask; give each kind of check its port, \
              such as tcp: {port: 80}",
    broken: |spec| {
        let portless = spec.firewall_mark.is_some() || spec.ports.iter().any(|p| p.port == 0);
        let asks = spec.health_check.as_ref().is_some_and(|check| !check.names_its_ports());
        blame_if(portless && asks, "healthCheck")
    },
}];
