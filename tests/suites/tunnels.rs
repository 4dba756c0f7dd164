//! Real servers behind tunnels, and directors and caches that take packets to anybody's address, on a real kernel.

#[path = "tunnels/caches.rs"]
mod caches;
#[path = "tunnels/modes.rs"]
mod modes;
#[path = "tunnels/refusals.rs"]
mod refusals;

use lvs_agent::kernel::{FixtureError, Tunnels};
use lvs_agent::state::{Fixture, FixtureKind};
use lvs_tests::net::Node;
use std::collections::BTreeSet;

/// Everything on a node that fixtures change, as text. Fallback devices are left out: the kernel makes them by itself
/// with the first device of their kind.
fn everything(node: &Node) -> String {
    let links = "ip -br link | awk '{print $1}' | cut -d@ -f1 | grep -vE '^(tunl0|sit0|ip6tnl0|gre0|gretap0|erspan0|ip6gre0)$'";
    let addresses = "ip -o addr | sed 's/valid_lft.*//'";
    let routes = "ip route show table all; ip -6 route show table all";
    [links, addresses, "ip rule; ip -6 rule", routes, "ip fou show 2>&1 || true"]
        .map(|command| node.sh(command).expect(command))
        .join("--\n")
}

/// Makes fixtures in a node; all have to stand afterwards.
#[track_caller]
fn make(node: &Node, fixtures: &[Fixture]) {
    let results = node.run(|| Tunnels::default().add(fixtures));
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let standing = standing(node);
    let missing: Vec<_> = fixtures.iter().filter(|it| !standing.contains(it)).collect();
    assert!(missing.is_empty(), "{missing:?} of {standing:?}");
}

/// Removes fixtures from a node; none may stand afterwards.
#[track_caller]
fn unmake(node: &Node, fixtures: &[Fixture]) {
    let results = node.run(|| Tunnels::default().remove(fixtures));
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(fixtures.iter().all(|it| !standing(node).contains(it)));
}

fn standing(node: &Node) -> BTreeSet<Fixture> {
    let kinds = [FixtureKind::Tunnel, FixtureKind::Gue, FixtureKind::LocalDelivery].into();
    node.run(|| Tunnels::default().standing(&kinds)).expect("what stands")
}

fn reason(result: &Result<(), FixtureError>) -> String {
    result.as_ref().map_or_else(ToString::to_string, |()| "ok".to_owned())
}
