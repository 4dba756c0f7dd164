//! kube-proxy in ipvs mode on the same node: it deletes IPVS services that it does not know. That its interface stands is
//! no fault, for its excludeCIDRs may be set; that services of ours go while it stands is.

use lvs_crds::{FailedRole, Failure};
use lvs_ipvs::ServiceKey;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// What kube-proxy keeps its addresses on (pkg/proxy/ipvs, defaultDummyDevice).
pub(super) const INTERFACE: &str = "kube-ipvs0";
/// So long it is told after the last time.
const TOLD: Duration = Duration::from_secs(600);
/// How many addresses the message names.
const NAMED: usize = 8;

/// Whose services have vanished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rival {
    now: Duration,
    last: Duration,
    addresses: BTreeSet<IpAddr>,
}

impl Rival {
    /// Time goes on.
    pub(super) fn tick(&mut self, now: Duration) {
        self.now = now;
        if now.saturating_sub(self.last) > TOLD {
            self.addresses.clear();
        }
    }

    /// A service of ours has gone while kube-proxy's interface stands.
    pub(super) fn took(&mut self, service: &ServiceKey) {
        if let ServiceKey::Address { address, .. } = service {
            self.last = self.now;
            self.addresses.insert(*address);
        }
    }

    /// What to tell.
    pub(super) fn warning(&self) -> Option<Failure> {
        if self.addresses.is_empty() {
            return None;
        }
        let cidr =
            |address: &IpAddr| format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 });
        let mut cidrs: Vec<String> = self.addresses.iter().take(NAMED).map(cidr).collect();
        if self.addresses.len() > NAMED {
            cidrs.push(format!("and {} more", self.addresses.len() - NAMED));
        }
        let message = format!(
            "kube-proxy runs here in ipvs mode (its interface {INTERFACE} stands), and IPVS services of ours have vanished: it \
             deletes those that it does not know. Have ipvs.excludeCIDRs of its configuration contain {}, or use its nftables \
             mode",
            cidrs.join(", ")
        );
        Some(Failure {
            namespace: None,
            virtual_service: None,
            role: FailedRole::Node,
            reason: "KubeProxyIPVS".to_owned(),
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvs_ipvs::Protocol;

    #[test]
    fn it_is_told_by_address_and_for_a_while() {
        let mut rival = Rival::default();
        assert_eq!(rival.warning(), None);
        rival.tick(Duration::from_secs(1000));
        rival.took(&ServiceKey::new(Protocol::Tcp, "192.0.2.1".parse::<IpAddr>().unwrap(), 80));
        rival.took(&ServiceKey::new(Protocol::Tcp, "2001:db8::1".parse::<IpAddr>().unwrap(), 80));
        rival.tick(Duration::from_secs(1600));
        let warning = rival.warning().unwrap();
        assert_eq!(warning.reason, "KubeProxyIPVS");
        assert!(warning.message.contains("192.0.2.1/32, 2001:db8::1/128"), "{}", warning.message);
        rival.tick(Duration::from_secs(1601));
        assert_eq!(rival.warning(), None);
    }
}
