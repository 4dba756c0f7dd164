//! Somebody who takes our IPVS services out of the kernel again and again. They are put back each time, but connections
//! end that have a packet in between. kube-proxy in ipvs mode is known by its interface; that this stands is no fault, for its
//! excludeCIDRs may be set, that services of ours go while it stands is.

use lvs_crds::{FailedRole, Failure};
use lvs_ipvs::ServiceKey;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// What kube-proxy keeps its addresses on (pkg/proxy/ipvs, defaultDummyDevice).
pub(super) const INTERFACE: &str = "kube-ipvs0";
/// So long it is told after the last time.
const TOLD: Duration = Duration::from_secs(600);
/// How many addresses the message names.
const NAMED: usize = 8;
/// Once is an accident, and an event tells it.
const AGAIN: usize = 2;
/// How many times are counted.
const COUNTED: usize = 1000;

/// Whose services have vanished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rival {
    now: Duration,
    /// While kube-proxy's interface stood.
    proxy: Option<Duration>,
    addresses: BTreeSet<IpAddr>,
    /// When services were gone.
    times: VecDeque<Duration>,
    /// How many, the last time.
    gone: usize,
    /// What stood instead, the last time.
    others: BTreeSet<ServiceKey>,
}

impl Rival {
    /// Time goes on.
    pub(super) fn tick(&mut self, now: Duration) {
        self.now = now;
        let over = |then: &Duration| now.saturating_sub(*then) > TOLD;
        if self.proxy.as_ref().is_none_or(over) {
            self.addresses.clear();
        }
        while self.times.front().is_some_and(over) {
            self.times.pop_front();
        }
    }

    /// Services of ours have gone. `proxy`: kube-proxy's interface stands; `others`: what is in the kernel instead.
    pub(super) fn took(&mut self, gone: &[ServiceKey], proxy: bool, others: BTreeSet<ServiceKey>) {
        if proxy {
            self.proxy = Some(self.now);
            self.addresses.extend(gone.iter().filter_map(|service| match service {
                ServiceKey::Address { address, .. } => Some(*address),
                ServiceKey::Mark { .. } => None,
            }));
        }
        if self.times.len() >= COUNTED {
            self.times.pop_front();
        }
        self.times.push_back(self.now);
        (self.gone, self.others) = (gone.len(), others);
    }

    /// What to tell.
    pub(super) fn warning(&self) -> Option<Failure> {
        self.proxys().or_else(|| self.somebodys())
    }

    fn proxys(&self) -> Option<Failure> {
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
        Some(warning("KubeProxyIPVS", message))
    }

    fn somebodys(&self) -> Option<Failure> {
        let first = self.times.front().filter(|_| self.times.len() >= AGAIN)?;
        let minutes = self.now.saturating_sub(*first).as_secs().div_ceil(60).max(1);
        let instead = if self.others.is_empty() {
            "the table was empty".to_owned()
        } else {
            let mut named: Vec<String> =
                self.others.iter().take(NAMED).map(ToString::to_string).collect();
            if self.others.len() > NAMED {
                named.push(format!("{} more", self.others.len() - NAMED));
            }
            format!("what stood was {}", named.join(", "))
        };
        let message = format!(
            "IPVS services of ours were taken out of the kernel {} times in {minutes} min ({} the last time; {instead}), and put \
             back; connections end that have a packet in between. Who does it: a script with ipvsadm -C, -D or -R, keepalived or \
             ldirectord with virtual servers as it starts and ends, kube-proxy as it starts or changes its mode?",
            self.times.len(),
            self.gone
        );
        Some(warning("TableCleared", message))
    }
}

fn warning(reason: &str, message: String) -> Failure {
    Failure {
        namespace: None,
        virtual_service: None,
        role: FailedRole::Node,
        reason: reason.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvs_ipvs::Protocol;

    fn service(address: &str) -> ServiceKey {
        ServiceKey::new(Protocol::Tcp, address.parse::<IpAddr>().unwrap(), 80)
    }

    #[test]
    fn kube_proxy_is_told_by_address_and_for_a_while() {
        let mut rival = Rival::default();
        assert_eq!(rival.warning(), None);
        rival.tick(Duration::from_secs(1000));
        rival.took(&[service("192.0.2.1"), service("2001:db8::1")], true, BTreeSet::new());
        rival.tick(Duration::from_secs(1600));
        let warning = rival.warning().unwrap();
        assert_eq!(warning.reason, "KubeProxyIPVS");
        assert!(warning.message.contains("192.0.2.1/32, 2001:db8::1/128"), "{}", warning.message);
        rival.tick(Duration::from_secs(1601));
        assert_eq!(rival.warning(), None);
    }

    #[test]
    fn who_does_it_again_is_told_with_how_often_and_what_stood_instead() {
        let mut rival = Rival::default();
        rival.tick(Duration::from_secs(10));
        rival.took(&[service("192.0.2.1")], false, BTreeSet::new());
        assert_eq!(rival.warning(), None, "once");
        rival.tick(Duration::from_secs(100));
        rival.took(&[service("192.0.2.1"), service("192.0.2.2")], false, BTreeSet::new());
        let told = rival.warning().unwrap();
        assert_eq!(told.reason, "TableCleared");
        assert!(told.message.contains("2 times in 2 min (2 the last time; the table was empty)"));
        rival.took(&[service("192.0.2.1")], false, [service("10.96.0.1")].into());
        assert!(rival.warning().unwrap().message.contains("what stood was "), "{rival:?}");
        rival.tick(Duration::from_secs(701));
        assert_eq!(rival.warning(), None);
        for second in 0..3000 {
            rival.tick(Duration::from_secs(701) + Duration::from_millis(second));
            rival.took(&[service("192.0.2.1")], false, BTreeSet::new());
        }
        assert_eq!(rival.times.len(), COUNTED);
    }
}
