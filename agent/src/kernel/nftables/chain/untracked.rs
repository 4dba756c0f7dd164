//! The chains before connection tracking: what it shall not see, and what is counted as it arrives.
//!
//! The director sees one direction of what goes by direct routing or a tunnel. Tracked, all but the first packet of such a
//! connection is `invalid` (`tcp_new` and the table of states in nf_conntrack_proto_tcp.c), and many a firewall drops that.

use super::{Chain, Hook, RAW, filter};
use crate::kernel::nftables::message::Attributes;
use crate::kernel::nftables::rule::{Expressions, Side};
use crate::kernel::nftables::ruleset::{FAMILIES, Key, Part};
use lvs_ipvs::Family;

type Rule = (&'static str, Attributes);

/// The chains of [`Part::Untracked`].
pub(super) fn chains() -> Vec<Chain> {
    // What is to a VIP, and what a fellow director's or this one's own client gets as an answer.
    let prerouting = FAMILIES
        .into_iter()
        .flat_map(|family| [to(family), from(family), error_about(family, Side::Source)].concat());
    // What this node answers as a real server, and says about what cannot be sent on.
    let output = FAMILIES
        .into_iter()
        .flat_map(|family| [from(family), error_about(family, Side::Destination)].concat());
    vec![
        filter("untracked", Hook::PreRouting, RAW, prerouting.collect()),
        filter("untracked-output", Hook::LocalOut, RAW, output.collect()),
    ]
}

fn to(family: Family) -> Vec<Rule> {
    let key = || Expressions::of(family).key(family, Side::Destination);
    notrack("do not track what is for a service", family, key)
}

fn from(family: Family) -> Vec<Rule> {
    let key = || Expressions::of(family).key(family, Side::Source);
    notrack("do not track what a service answers", family, key)
}

fn error_about(family: Family, side: Side) -> Vec<Rule> {
    let key = || Expressions::of(family).undeliverable(family).inner_key(family, side);
    notrack("do not track errors about either", family, key)
}

fn notrack(comment: &'static str, family: Family, key: impl Fn() -> Expressions) -> Vec<Rule> {
    let sets = [Key::Port(family), Key::Packets(family)];
    let rule = |it| (comment, key().within(Part::Untracked.set_of(it)).notrack().accept().done());
    sets.map(rule).into()
}

/// The chains of [`Part::Arrivals`].
pub(super) fn arrivals() -> Vec<Chain> {
    let mut prerouting: Vec<Rule> = FAMILIES
        .into_iter()
        .flat_map(|family| [Side::Destination, Side::Source].map(|side| all_ports(family, side)))
        .collect();
    let output =
        FAMILIES.into_iter().map(|family| all_ports(family, Side::Source)).collect::<Vec<_>>();
    // Beginnings alone: who asks and is not answered asks again, while the connections that stand may go on.
    let midst = Expressions::default;
    prerouting.push(("begins nothing (TCP)", midst().in_the_midst_of_tcp().accept().done()));
    prerouting.push(("begins nothing (SCTP)", midst().in_the_midst_of_sctp().accept().done()));
    for family in FAMILIES {
        // Of a service of one port and one of all the first is meant, as IPVS has it (`ip_vs_service_find`).
        for key in [Key::Port(family), Key::Packets(family), Key::AllPorts(family)] {
            let rule = Expressions::of(family).key(family, Side::Destination);
            let rule = rule.within(Part::Arrivals.set_of(key)).accept().done();
            prerouting.push(("count what arrives", rule));
        }
    }
    vec![
        filter("arrivals", Hook::PreRouting, RAW, prerouting),
        filter("arrivals-output", Hook::LocalOut, RAW, output),
    ]
}

/// What is for all ports of a host and not for a service of its own: that one may have to be tracked.
fn all_ports(family: Family, side: Side) -> Rule {
    let others = [Key::Port(family), Key::Packets(family)].map(|it| Part::Arrivals.set_of(it));
    let mut rule = Expressions::of(family).host_key(family, side);
    rule = rule.within(Part::Arrivals.set_of(Key::Host(family))).key(family, side);
    for set in others {
        rule = rule.not_within(set);
    }
    ("do not track all ports", rule.notrack().done())
}
