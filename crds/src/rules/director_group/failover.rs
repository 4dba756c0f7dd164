//! How directors take over from each other.

use super::super::net::ip;
use super::{Rule, blame_if};
use crate::{ConnectionSync, DirectorGroupSpec, Failover, VirtualRouterIds};

pub(super) const RULES: &[Rule<DirectorGroupSpec>] = &[
    Rule {
        at: "failover.advertisementIntervalMilliseconds",
        blames: "",
        // Not the schema's minimum and maximum: they could not say why.
        cel: "self >= 10 && self <= 40950 && self % 10 == 0",
        message: "VRRP counts in hundredths of a second, in a field of 12 bits: give 10 to 40950 milliseconds, \
                  in steps of 10",
        broken: |spec| {
            let interval = failover(spec).and_then(|f| f.advertisement_interval_milliseconds);
            let wrong = |millis: i32| !(10..=40950).contains(&millis) || millis % 10 != 0;
            let field = "failover.advertisementIntervalMilliseconds";
            blame_if(interval.is_some_and(wrong), field)
        },
    },
    Rule {
        at: "failover",
        blames: ".preemptDelaySeconds",
        cel: "!has(self.preempt) || self.preempt || !has(self.preemptDelaySeconds)",
        message: "of no effect with preempt: false, since nothing is taken back; leave one of them out",
        broken: |spec| {
            let useless =
                |f: &Failover| f.preempt == Some(false) && f.preempt_delay_seconds.is_some();
            blame_if(failover(spec).is_some_and(useless), "failover.preemptDelaySeconds")
        },
    },
    Rule {
        at: "failover.virtualRouterIDs",
        blames: "",
        cel: "self.first <= self.last",
        message: "first is greater than last; write the smaller one first",
        broken: |spec| {
            blame_if(ids(spec).is_some_and(|ids| ids.first > ids.last), "failover.virtualRouterIDs")
        },
    },
    Rule {
        at: "failover.virtualRouterIDs",
        blames: "",
        cel: "self.first > self.last || self.last - self.first >= 2",
        message: "too few: a group of n directors needs n * min(n-1, 7) + 1 ids, which is 3 for two directors",
        broken: |spec| {
            let few = |ids: &VirtualRouterIds| (0..2).contains(&(ids.last - ids.first));
            blame_if(ids(spec).is_some_and(few), "failover.virtualRouterIDs")
        },
    },
    Rule {
        at: "",
        blames: ".failover.virtualRouterIDs",
        // Below three, that is told already.
        cel: "!has(self.members) || self.members.size() < 3 || !has(self.failover) \
              || !has(self.failover.virtualRouterIDs) \
              || self.failover.virtualRouterIDs.last - self.failover.virtualRouterIDs.first < 2 \
              || self.failover.virtualRouterIDs.last - self.failover.virtualRouterIDs.first \
              >= self.members.size() * (self.members.size() < 8 ? self.members.size() - 1 : 7)",
        message: "too few for so many members: n of them need n * min(n-1, 7) + 1 ids, which is 7 for three and \
                  13 for four",
        broken: |spec| {
            let needed = spec.members.len() * spec.members.len().saturating_sub(1).min(7);
            let few = |ids: &VirtualRouterIds| {
                let more = usize::try_from(ids.last - ids.first).unwrap_or(0);
                (2..needed).contains(&more)
            };
            let several = spec.members.len() > 2;
            blame_if(several && ids(spec).is_some_and(few), "failover.virtualRouterIDs")
        },
    },
    Rule {
        at: "connectionSync.multicastGroup",
        blames: "",
        cel: "isIP(self) && (cidr('224.0.0.0/4').containsIP(ip(self)) || cidr('ff00::/8').containsIP(ip(self)))",
        message: "not a multicast address; write one such as 239.1.1.1 or ff02::81",
        broken: |spec| {
            let group = sync(spec).and_then(|s| s.multicast_group.as_deref());
            let wrong = |g: &str| ip(g).is_none_or(|address| !address.is_multicast());
            blame_if(group.is_some_and(wrong), "connectionSync.multicastGroup")
        },
    },
];

fn failover(spec: &DirectorGroupSpec) -> Option<&Failover> {
    spec.failover.as_ref()
}

fn ids(spec: &DirectorGroupSpec) -> Option<&VirtualRouterIds> {
    failover(spec)?.virtual_router_ids.as_ref()
}

fn sync(spec: &DirectorGroupSpec) -> Option<&ConnectionSync> {
    spec.connection_sync.as_ref()
}
