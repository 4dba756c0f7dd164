//! Where packets for a service stop on this director, by what is counted anyway: what arrived before any filter, what IPVS was given, and
//! what came back by NAT. Nobody has to ask for it, so it speaks of clients' own packets, on a director that is alone too.

use lvs_ipvs::{Protocol, ServiceKey, Stats};
use lvs_resolve::reason;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Between two looks, for each thousand services: a look lists the counters of all.
const PERIOD: Duration = Duration::from_secs(2);
/// From so many on they are told: a client that gets no answer sends four packets in seven seconds.
const ENOUGH: u64 = 4;
/// IPVS's counters are behind by two seconds (`ip_vs_estimator` in net/netfilter/ipvs/ip_vs_est.c), and a reply may take a while.
const SETTLED: Duration = Duration::from_secs(6);
/// With no more attempts for so long it is not known any more whether they would stop.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// A place where packets stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// They arrive, and IPVS is not given them.
    BeforeIpvs,
    /// They are balanced, and nothing comes back through this director.
    NoReply,
}

/// What begins on one side, beside what it leads to on the other, since that last moved.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    begun: u64,
    led: u64,
    at_first: u64,
    /// Since when more has begun than when the other side last moved.
    since: Option<Duration>,
    /// When something last began.
    last: Duration,
}

impl Step {
    /// Returns how many led to nothing, once that is sure.
    fn see(&mut self, begun: u64, led: u64, now: Duration) -> Option<u64> {
        // A counter that is made anew begins at 0.
        if led != self.led || begun < self.begun {
            *self = Self { begun, led, at_first: begun, since: None, last: now };
            return None;
        }
        if begun > self.begun {
            self.begun = begun;
            self.last = now;
            self.since.get_or_insert(now);
        } else if now.saturating_sub(self.last) > FORGOTTEN {
            (self.at_first, self.since) = (begun, None);
        }
        let lost = begun - self.at_first;
        let sure = self.since.is_some_and(|since| now.saturating_sub(since) >= SETTLED);
        (sure && lost >= ENOUGH).then_some(lost)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    before: Step,
    after: Step,
}

/// One service as it is counted now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    /// What begins a connection, before any filter; `None` where it is not counted.
    pub(super) arrived: Option<u64>,
    /// IPVS's own.
    pub(super) stats: Stats,
    /// All of its replies come back through this director.
    pub(super) replies: bool,
}

/// As last seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Passing {
    looked: Option<Duration>,
    steps: BTreeMap<ServiceKey, Steps>,
    /// How many were lost when that was first told: each change of a text is a report.
    told: BTreeMap<ServiceKey, (Place, u64)>,
}

impl Passing {
    /// Whether it is time to look at so many services.
    pub(super) fn due(&self, services: usize, now: Duration) -> bool {
        let thousands = u32::try_from(services / 1000).unwrap_or(u32::MAX).max(1);
        let period = PERIOD.saturating_mul(thousands);
        self.looked.is_none_or(|then| now.saturating_sub(then) >= period)
    }

    /// Takes in what is counted for the services whose addresses this director carries.
    pub(super) fn see(&mut self, counts: &BTreeMap<ServiceKey, Count>, now: Duration) {
        self.looked = Some(now);
        self.steps.retain(|key, _| counts.contains_key(key));
        let mut found = BTreeMap::new();
        for (key, count) in counts {
            let first = !self.steps.contains_key(key);
            let steps = self.steps.entry(*key).or_default();
            let Stats { connections, in_packets, out_packets, .. } = count.stats;
            if first {
                let now_on =
                    |begun, led| Step { begun, led, at_first: begun, since: None, last: now };
                steps.before = now_on(count.arrived.unwrap_or(0), in_packets);
                steps.after = now_on(connections, out_packets);
                continue;
            }
            let arrived = count.arrived.unwrap_or(steps.before.begun);
            let before = steps.before.see(arrived, in_packets, now).map(|n| (Place::BeforeIpvs, n));
            let after = steps.after.see(connections, out_packets, now).map(|n| (Place::NoReply, n));
            if let Some(lost) = before.or(after.filter(|_| count.replies)) {
                found.insert(*key, lost);
            }
        }
        let told = std::mem::take(&mut self.told);
        let same = |key, place| told.get(key).copied().filter(|(was, _)| *was == place);
        self.told =
            found.iter().map(|(key, lost)| (*key, same(key, lost.0).unwrap_or(*lost))).collect();
    }

    /// Where packets stop, with how many had been lost when it was seen.
    pub(super) fn told(&self) -> impl Iterator<Item = (&ServiceKey, Place, u64)> {
        self.told.iter().map(|(key, (place, lost))| (key, *place, *lost))
    }
}

impl Place {
    /// One word.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::BeforeIpvs => reason::DROPPED_BEFORE_IPVS,
            Self::NoReply => reason::NO_REPLIES,
        }
    }

    /// For people, with what to do.
    pub(super) fn text(self, key: &ServiceKey, lost: u64) -> String {
        let ServiceKey::Address { protocol, address, port } = key else { return String::new() };
        match self {
            Self::BeforeIpvs => {
                let (family, name) =
                    (if address.is_ipv4() { "ip" } else { "ip6" }, word(*protocol));
                let ports = if *port == 0 {
                    format!("meta l4proto {name}")
                } else {
                    format!("{name} dport {port}")
                };
                format!(
                    "{lost} packets of clients for {key} arrived, and IPVS was given none of them: a filter on this director drops what \
                     comes in (INPUT of iptables, firewalld, ufw or nftables). Let it in; by nft, in the chain of hook input that drops: \
                     {family} daddr {address} {ports} accept"
                )
            }
            Self::NoReply => format!(
                "{lost} connections to {key} were balanced, and no reply came back through this director: the real servers do not answer, \
                 or by another way (their default route must lead to this director, or nat.masquerade), or a filter on this director \
                 drops what is forwarded (FORWARD)"
            ),
        }
    }
}

/// The services whose replies are known to come back by this director, if they come.
pub(super) fn replies(protocol: Protocol, destinations: &BTreeSet<(bool, bool)>) -> bool {
    // Datagrams need no answer.
    protocol != Protocol::Udp
        && !destinations.is_empty()
        && destinations.iter().all(|(masquerade, local)| *masquerade && !*local)
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
        _ => "tcp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: ServiceKey = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 0, 10)),
        port: 80,
    };

    /// Looks each second at what the closure counts: arrived, connections, packets in, packets out.
    fn watch(
        seconds: u64,
        counts: impl Fn(u64) -> (u64, u64, u64, u64),
    ) -> Vec<Option<(Place, u64)>> {
        let mut passing = Passing::default();
        let look = |second| {
            let (arrived, connections, in_packets, out_packets) = counts(second);
            let stats = Stats { connections, in_packets, out_packets, ..Stats::default() };
            let count = Count { arrived: Some(arrived), stats, replies: true };
            passing.see(&[(WEB, count)].into(), Duration::from_secs(second));
            passing.told().next().map(|(_, place, lost)| (place, lost))
        };
        (0..seconds).map(look).collect()
    }

    #[test]
    fn what_arrives_and_is_not_balanced_is_told_until_something_is() {
        // A client each second, nothing let in until 20.
        let told = watch(30, |s| {
            (s, s.saturating_sub(20), 3 * s.saturating_sub(20), 2 * s.saturating_sub(20))
        });
        let first = told.iter().position(Option::is_some).unwrap();
        assert_eq!((first, told[first]), (7, Some((Place::BeforeIpvs, 7))));
        assert_eq!(told[20], Some((Place::BeforeIpvs, 7)), "the text stays");
        assert_eq!(told[21], None);
    }

    #[test]
    fn counters_that_are_behind_and_a_few_lost_packets_tell_nothing() {
        assert!(
            watch(60, |s| (s, s.saturating_sub(3), 3 * s.saturating_sub(3), s.saturating_sub(3)))
                .iter()
                .all(Option::is_none)
        );
        assert!(watch(60, |s| (s.min(3), 0, 0, 0)).iter().all(Option::is_none));
        // After an idle hour.
        assert!(
            watch(60, |s| (
                s.saturating_sub(40),
                s.saturating_sub(42),
                s.saturating_sub(42),
                s.saturating_sub(42)
            ))
            .iter()
            .all(Option::is_none)
        );
    }

    #[test]
    fn what_is_balanced_and_not_answered_is_told_and_forgotten_when_nobody_tries_any_more() {
        let told = watch(120, |s| (s.min(30), s.min(30), s.min(30), 0));
        let first = told.iter().position(Option::is_some).unwrap();
        assert_eq!((first, told[first]), (7, Some((Place::NoReply, 7))));
        assert_eq!((told[89].is_some(), told[92]), (true, None));
    }

    #[test]
    fn a_table_that_is_made_anew_tells_nothing() {
        let told = watch(40, |s| (if s < 20 { 100 + s } else { s - 20 }, s, s, s));
        assert!(told.iter().all(Option::is_none), "{told:?}");
    }

    #[test]
    fn replies_pass_only_where_all_servers_are_elsewhere_and_by_nat() {
        let of = |it: &[(bool, bool)]| replies(Protocol::Tcp, &it.iter().copied().collect());
        assert!(of(&[(true, false)]));
        assert!(
            !of(&[])
                && !of(&[(false, false)])
                && !of(&[(true, true)])
                && !of(&[(true, false), (false, false)])
        );
        assert!(!replies(Protocol::Udp, &[(true, false)].into()));
    }
}
