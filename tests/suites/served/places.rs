//! Paths that are broken in places that no table shows: in each a client gets nothing, and the status says so.

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::Node;
use lvs_tests::scenario::Directors;

use super::{PROMISE, VIP, WEB, dr, nat, says};

/// How a path is broken, on the director that carries the VIP or on the real server, and how it is mended.
struct Break {
    what: &'static str,
    on_server: bool,
    by: &'static str,
    mended_by: &'static str,
    told: &'static str,
}

const fn at_director(what: &'static str, by: &'static str, mended_by: &'static str) -> Break {
    Break { what, on_server: false, by, mended_by, told: "TCP/80" }
}

const fn at_server(what: &'static str, by: &'static str, mended_by: &'static str) -> Break {
    Break { what, on_server: true, by, mended_by, told: "TCP/80" }
}

pub(super) const NO_INPUT: &str = "nft 'add table ip broken; add chain ip broken c { type filter hook input priority 0; }; \
                        add rule ip broken c tcp dport 80 drop'";
pub(super) const NO_FORWARD: &str = "nft 'add table ip broken; add chain ip broken c { type filter hook forward priority 0; policy drop; }'";
const REJECTED: &str = "nft 'add table ip broken; add chain ip broken c { type filter hook input priority 0; }; \
                        add rule ip broken c tcp dport 80 reject with icmp admin-prohibited'";
pub(super) const TABLE_AWAY: &str = "nft delete table ip broken";

/// Each is told, and is well again when it is mended.
fn each(net: &Directors, breaks: &[Break]) -> anyhow::Result<()> {
    let carrier = net.holder(VIP);
    let asks = 1 - carrier;
    says(net, asks, "True", "was answered");
    for it in breaks {
        println!("{}", it.what);
        let node: &Node = if it.on_server { &net.servers[0] } else { &net.nodes[carrier] };
        node.sh(it.by)?;
        says(net, asks, "False", it.told);
        // One that knows whom to send to may still be; a new one asks first.
        // An announcement of just then teaches it whom, so that a second one may have to try.
        let refused = || {
            let flushed = net.client.sh("ip neigh flush all").is_ok();
            flushed && net.client.get(WEB).is_err()
        };
        eventually(&format!("{}: no client", it.what), PROMISE, refused, |refused| *refused);
        node.sh(it.mended_by)?;
        says(net, asks, "True", "was answered");
    }
    Ok(())
}

#[test]
fn what_breaks_direct_routing_is_told() {
    in_guest(
        Guest::kernel().virtual_time().limit(std::time::Duration::from_secs(300)),
        || -> anyhow::Result<()> {
            let rejected = Break {
                told: "administratively prohibited",
                ..at_director("INPUT rejects", REJECTED, TABLE_AWAY)
            };
            each(
                &dr(),
                &[
                    at_director("INPUT drops", NO_INPUT, TABLE_AWAY),
                    rejected,
                    at_server(
                        "the VIP is missing on lo",
                        "ip address del 192.168.0.10/32 dev lo",
                        "ip address add 192.168.0.10/32 dev lo",
                    ),
                    at_server(
                        "the real server is down",
                        "ip link set eth0 down",
                        "ip link set eth0 up",
                    ),
                    Break {
                        told: "nobody answers ARP",
                        ..at_director(
                            "arp_ignore=8",
                            "sysctl -q -w net.ipv4.conf.eth0.arp_ignore=8; ip neigh flush all",
                            "sysctl -q -w net.ipv4.conf.eth0.arp_ignore=0",
                        )
                    },
                ],
            )
        },
    );
}

#[test]
fn what_breaks_nat_is_told() {
    in_guest(
        Guest::kernel().virtual_time().limit(std::time::Duration::from_secs(300)),
        || -> anyhow::Result<()> {
            each(
                &nat(),
                &[
                    at_director("FORWARD drops, as docker's policy", NO_FORWARD, TABLE_AWAY),
                    at_director("INPUT drops", NO_INPUT, TABLE_AWAY),
                    at_director(
                        "forwarding=0 of one interface",
                        "sysctl -q -w net.ipv4.conf.eth1.forwarding=0",
                        "sysctl -q -w net.ipv4.conf.eth1.forwarding=1",
                    ),
                ],
            )
        },
    );
}
