//! The chains of our table's parts, and the rules in them.

mod untracked;

use super::message::Attributes;
use super::rule::{Expressions, Side, Tuple};
use super::ruleset::{DIRECTORS, FAMILIES, FOREIGN, FOREIGN_PASSING, Key, Part, TABLE, TUNNELS};
use lvs_ipvs::Family;

/// `enum nf_inet_hooks`
#[derive(Clone, Copy, Debug)]
pub(super) enum Hook {
    PreRouting = 0,
    LocalIn = 1,
    Forward = 2,
    LocalOut = 3,
    PostRouting = 4,
}

/// `NF_IP_PRI_RAW`: before connection tracking, at -200.
pub(super) const RAW: i32 = -300;
/// `NF_IP_PRI_MANGLE`: before IPVS, which takes packets from LOCAL_IN at 98 and from LOCAL_OUT at -99 (`ip_vs_ops4`).
const MANGLE: i32 = -150;
/// `NF_IP_PRI_NAT_SRC`
const NAT_SOURCE: i32 = 100;
/// After IPVS, which translates what passes through at [`NAT_SOURCE`] (`ip_vs_ops4`).
const TRANSLATED: i32 = NAT_SOURCE + 1;

/// A chain at one of netfilter's hooks.
pub(super) struct Chain {
    pub(super) name: &'static str,
    kind: &'static str,
    hook: Hook,
    priority: i32,
    /// Each with a comment, by which it is known again: a rule that changes needs another one.
    pub(super) rules: Vec<(&'static str, Attributes)>,
}

impl Chain {
    /// The attributes of the message that makes it, without rules.
    pub(super) fn creation(&self) -> Attributes {
        let hook = Attributes::new()
            .number(1, self.hook as u32)
            .number(2, u32::from_be_bytes(self.priority.to_be_bytes()));
        // NFTA_CHAIN_TABLE, _NAME, _HOOK, _TYPE
        Attributes::new().text(1, TABLE).text(3, self.name).nest(4, &hook).text(7, self.kind)
    }
}

/// A chain that only looks, marks or drops.
pub(super) fn filter(
    name: &'static str,
    hook: Hook,
    priority: i32,
    rules: Vec<(&'static str, Attributes)>,
) -> Chain {
    Chain { name, kind: "filter", hook, priority, rules }
}

impl Part {
    /// Its chains.
    pub(super) fn chains(self) -> Vec<Chain> {
        match self {
            Part::Marks => {
                let mark = |rule: Expressions, family| {
                    rule.key(family, Side::Destination).map(self.set(family)).set_mark()
                };
                let foreign = |family| {
                    let rule = Expressions::of(family).not_from_loopback().marked();
                    mark(rule, family).count(FOREIGN).done()
                };
                // The rest, and what `foreign` has marked: it gets the same mark again.
                let any = |family| mark(Expressions::of(family), family).done();
                let rules = vec![
                    ("count foreign marks, IPv4", foreign(Family::V4)),
                    ("count foreign marks, IPv6", foreign(Family::V6)),
                    ("mark, IPv4", any(Family::V4)),
                    ("mark, IPv6", any(Family::V6)),
                ];
                let local = rules.iter().skip(2).cloned().collect();
                vec![
                    filter("mark-input", Hook::LocalIn, MANGLE, rules),
                    // From the node's own clients. What IPVS has sent on comes by here too, with our mark: not counted.
                    filter("mark-output", Hook::LocalOut, MANGLE, local),
                ]
            }
            Part::NetworkMarks => {
                // What goes to the node itself does not pass through: VIPs of services without a mark, which IPVS
                // looks for after the mark, and the node's own programs. Nor does what the node sends.
                let mark = |rule: Expressions, family| {
                    let rule = rule.key(family, Side::Destination).map(self.set(family));
                    rule.not_to_this_node().set_mark()
                };
                let foreign = |family| {
                    let rule = Expressions::of(family).not_from_loopback().marked();
                    mark(rule, family).count(FOREIGN_PASSING).done()
                };
                let any = |family| mark(Expressions::of(family), family).done();
                let rules = vec![
                    ("count foreign marks that pass through, IPv4", foreign(Family::V4)),
                    ("count foreign marks that pass through, IPv6", foreign(Family::V6)),
                    ("mark what passes through, IPv4", any(Family::V4)),
                    ("mark what passes through, IPv6", any(Family::V6)),
                ];
                // Before hosts, whose mark then counts.
                vec![filter("mark-passing", Hook::LocalIn, MANGLE - 1, rules)]
            }
            Part::Balanced => {
                let mut rules = Vec::new();
                for family in FAMILIES {
                    let from = || Expressions::of(family).sent_from(DIRECTORS);
                    let out_of = || Expressions::of(family).received_by(TUNNELS);
                    for key in [Key::Packets(family), Key::AllPorts(family), Key::Network(family)] {
                        let set = self.set_of(key);
                        let mark = |rule: Expressions| {
                            rule.key(family, Side::Destination).map(set).set_mark().done()
                        };
                        rules.push(("mark what another director sent", mark(from())));
                        rules.push(("mark what was in a tunnel", mark(out_of())));
                    }
                }
                // After the marks of services, which it replaces.
                vec![filter("mark-balanced", Hook::LocalIn, MANGLE + 1, rules)]
            }
            Part::Untracked => untracked::chains(),
            Part::Arrivals => untracked::arrivals(),
            Part::Masquerade | Part::AllPortsMasquerade => {
                // IPVS alters the tuple of the replies of what it sends by NAT, and of nothing else
                // (ip_vs_update_conntrack): direct routing and tunnels keep the client's address.
                let rule = |family| {
                    let set = self.set(family);
                    Expressions::of(family)
                        .tuple_key(family, Tuple::Original, Side::Destination)
                        .within(set)
                        .tuple_key(family, Tuple::Reply, Side::Source)
                        .not_within(set)
                        .masquerade()
                        .done()
                };
                let rules = vec![
                    ("masquerade, IPv4", rule(Family::V4)),
                    ("masquerade, IPv6", rule(Family::V6)),
                ];
                let name = match self {
                    Part::AllPortsMasquerade => "all-ports-masquerade",
                    _ => "masquerade",
                };
                let (kind, hook) = ("nat", Hook::PostRouting);
                vec![Chain { name, kind, hook, priority: NAT_SOURCE, rules }]
            }
            Part::Outgoing => {
                // What IPVS has translated has its VIP's address by now, and is no more from within.
                let rule = |family| {
                    let from = Expressions::of(family).key(family, Side::Source);
                    let from = from.within(self.set(family));
                    from.key(family, Side::Destination)
                        .not_within(self.set(family))
                        .masquerade()
                        .done()
                };
                let rules = vec![
                    ("masquerade what leaves, IPv4", rule(Family::V4)),
                    ("masquerade what leaves, IPv6", rule(Family::V6)),
                ];
                let (name, kind, hook) = ("outgoing", "nat", Hook::PostRouting);
                vec![Chain { name, kind, hook, priority: NAT_SOURCE, rules }]
            }
            Part::UnknownReplies => {
                // What IPVS has known has its VIP's address by now. Of the rest a reply to somebody who has asked the real
                // server itself passes: connection tracking has seen him ask. It takes what comes in the midst of a connection
                // for its beginning, and a SYN-ACK without a SYN for invalid.
                let from = |family| {
                    let rule = Expressions::of(family).key(family, Side::Source);
                    rule.within(self.set(family))
                };
                let rules = FAMILIES.into_iter().flat_map(|family| {
                    [
                        ("drop what nobody began", from(family).invalid().drop().done()),
                        ("drop what nobody asked for", from(family).not_a_reply().drop().done()),
                    ]
                });
                vec![filter("unknown-replies", Hook::Forward, TRANSLATED, rules.collect())]
            }
            Part::SegmentSizes | Part::AllPortsSegmentSizes | Part::NetworkSegmentSizes => {
                let rule = |family| {
                    let rule = Expressions::default().syn().only(family).key(family, Side::Source);
                    rule.map(self.set(family)).lower_segment_size().done()
                };
                let rules = vec![
                    ("segment size, IPv4", rule(Family::V4)),
                    ("segment size, IPv6", rule(Family::V6)),
                ];
                let name = match self {
                    Part::AllPortsSegmentSizes => "all-ports-segment-size",
                    Part::NetworkSegmentSizes => "network-segment-size",
                    _ => "segment-size",
                };
                vec![filter(name, Hook::LocalOut, MANGLE, rules)]
            }
        }
    }
}
