//! How a real server is picked for what: the scheduler's flags, and single datagrams.

use super::{Rule, blame_if};
use crate::{Forwarding, Protocol, SchedulerFlag, VirtualServiceSpec};

pub(super) const RULES: &[Rule<VirtualServiceSpec>] = &[
    Rule {
        at: "",
        blames: ".schedulerFlags",
        cel: "self.scheduler == 'sh' || !has(self.schedulerFlags) \
              || !self.schedulerFlags.exists(f, f in ['shFallback', 'shPort'])",
        message: "shFallback and shPort are options of the scheduler sh; leave them out, or set \
                  scheduler: sh",
        broken: |spec| foreign_flag(spec, &[SchedulerFlag::ShFallback, SchedulerFlag::ShPort]),
    },
    Rule {
        at: "",
        blames: ".schedulerFlags",
        cel: "self.scheduler == 'mh' || !has(self.schedulerFlags) \
              || !self.schedulerFlags.exists(f, f in ['mhFallback', 'mhPort'])",
        message: "mhFallback and mhPort are options of the scheduler mh; leave them out, or set \
                  scheduler: mh",
        broken: |spec| foreign_flag(spec, &[SchedulerFlag::MhFallback, SchedulerFlag::MhPort]),
    },
    Rule {
        at: "",
        blames: ".onePacket",
        cel: "!has(self.onePacket) || !self.onePacket || self.ports.all(p, p.protocol == 'UDP')",
        message: "IPVS balances single packets of UDP only; set protocol: UDP at every port, or leave onePacket out",
        broken: |spec| {
            let other = spec.ports.iter().any(|p| p.protocol != Protocol::UDP);
            blame_if(spec.one_packet && other, "onePacket")
        },
    },
    Rule {
        at: "",
        blames: ".onePacket",
        // A one-packet connection is not hashed (ip_vs_conn_hash, net/netfilter/ipvs/ip_vs_conn.c): no reply finds it.
        cel: "!has(self.onePacket) || !self.onePacket || self.forwarding != 'NAT'",
        message: "with NAT replies would leave with the real server's address, since no connection is kept that \
                  translates them back; set forwarding: DR or TUN, or leave onePacket out",
        broken: |spec| blame_if(spec.one_packet && spec.forwarding == Forwarding::NAT, "onePacket"),
    },
];

fn foreign_flag(spec: &VirtualServiceSpec, flags: &[SchedulerFlag]) -> Vec<String> {
    let foreign = |f: &&SchedulerFlag| flags.contains(f) && f.scheduler() != spec.scheduler;
    blame_if(spec.scheduler_flags.iter().any(|f| foreign(&f)), "schedulerFlags")
}
