//! Packets that the kernel drops because an answer to them would leave by another interface (`rp_filter` 1), on a director: those
//! of clients that come in where the VIP is and are answered elsewhere, and those of NAT real servers.

use crate::state::Facts;
use lvs_crds::{FailedRole, Failure};
use std::collections::VecDeque;
use std::time::Duration;

/// So far back drops are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// From so many on they are told: a client that gets no answer sends four packets in seven seconds.
const MANY: u64 = 3;
/// How many looks are kept; an audit each second is the most.
const LOOKS: usize = 64;
/// How many interfaces the message names.
const NAMED: usize = 8;

/// The kernel's counter as it was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct ReversePath {
    seen: VecDeque<(Duration, u64)>,
}

impl ReversePath {
    /// What the counter was; `None`: it is of no interest, or not to be had.
    pub(super) fn see(&mut self, count: Option<u64>, now: Duration) {
        let Some(count) = count else { return self.seen.clear() };
        // From the last look before the window on.
        while self.seen.len() >= LOOKS
            || self.seen.get(1).is_some_and(|(then, _)| now.saturating_sub(*then) > WINDOW)
        {
            self.seen.pop_front();
        }
        self.seen.push_back((now, count));
    }

    /// What to tell.
    pub(super) fn warning(&self, facts: &Facts) -> Option<Failure> {
        let (first, last) = (self.seen.front()?, self.seen.back()?);
        let dropped = last.1.saturating_sub(first.1);
        if dropped < MANY {
            return None;
        }
        let strict = strict(facts);
        let named: Vec<&str> = strict.iter().take(NAMED).copied().collect();
        let one = named.first()?;
        let message = format!(
            "{dropped} packets were dropped on node {} in the last minute by reverse path filtering: on {} only what comes from where \
             the routes lead back to is taken (rp_filter 1). If clients or real servers come in by another way, set \
             net.ipv4.conf.{one}.rp_filter, or that of the interface in question, to 2",
            facts.node,
            named.join(", ")
        );
        Some(Failure {
            namespace: None,
            virtual_service: None,
            role: FailedRole::Director,
            reason: "ReversePathFilter".to_owned(),
            message,
        })
    }
}

/// Interfaces that are strict, where there is more than one way. The kernel takes the larger of an interface's and that of all.
fn strict(facts: &Facts) -> Vec<&str> {
    let ways = facts.interfaces.iter().filter(|(_, it)| it.up && !it.loopback);
    let ways: Vec<_> =
        ways.filter(|(_, it)| it.addresses.iter().any(|a| a.addr().is_ipv4())).collect();
    if ways.len() < 2 {
        return Vec::new();
    }
    let all = facts.all_ipv4.rp_filter;
    let strict = ways.into_iter().filter(|(_, it)| it.ipv4.rp_filter.max(all) == 1);
    strict.map(|(name, _)| name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Interface, Ipv4Settings};

    fn facts(rp_filter: i32, all: i32) -> Facts {
        let interface = |index, address: &str| Interface {
            index,
            up: true,
            ipv4: Ipv4Settings { rp_filter, ..Ipv4Settings::default() },
            addresses: vec![address.parse().unwrap()],
            ..Interface::default()
        };
        let mut facts = Facts { node: "n".to_owned(), ..Facts::default() };
        facts.all_ipv4.rp_filter = all;
        facts.interfaces.insert("eth0".to_owned(), interface(2, "10.0.0.1/24"));
        facts.interfaces.insert("eth1".to_owned(), interface(3, "192.168.0.1/24"));
        facts
    }

    #[test]
    fn drops_are_told_while_they_go_on_and_where_somebody_is_strict() {
        let at = Duration::from_secs;
        let mut path = ReversePath::default();
        path.see(Some(1000), at(0));
        path.see(Some(1002), at(2));
        assert_eq!(path.warning(&facts(1, 0)), None, "a few are none's fault");
        path.see(Some(1004), at(4));
        let told = path.warning(&facts(1, 0)).unwrap();
        assert!(told.message.contains("net.ipv4.conf.eth0.rp_filter"), "{}", told.message);
        assert!(path.warning(&facts(0, 1)).is_some());
        for (own, all) in [(0, 0), (2, 1), (1, 2)] {
            assert_eq!(path.warning(&facts(own, all)), None, "{own} {all}");
        }
        let mut one = facts(1, 0);
        one.interfaces.remove("eth1");
        assert_eq!(path.warning(&one), None, "there is no other way");
        path.see(Some(1004), at(61));
        assert!(path.warning(&facts(1, 0)).is_some());
        path.see(Some(1004), at(70));
        assert_eq!(path.warning(&facts(1, 0)), None);
        for second in 71..1000 {
            path.see(Some(1004), at(second));
            assert!(path.seen.len() <= LOOKS);
        }
        path.see(None, at(1000));
        assert!(path.seen.is_empty());
    }
}
