//! A director that refuses every client although its table is well.

use std::time::{Duration, Instant};

use super::net::{Net, vips};

/// From a broken path to Served=False.
const PROMISE: Duration = Duration::from_secs(10);

pub(crate) fn a_path_that_is_broken_is_told_and_taken_back(net: &mut Net) {
    let vip = vips().next().expect("a VIP");
    let name = super::net::name_of(&vip);
    net.service_says(&name, "Served", "True", "Served", "was answered in");
    let waited =
        net.cluster.kubectl(&format!("wait --for=condition=Served lvsvs/{name} --timeout=5s"));
    waited.unwrap_or_else(|e| panic!("{e:#}"));
    let node = net.nodes[net.holder(&vip)].clone();
    node.sh(
        "nft 'add table ip broken; add chain ip broken c { type filter hook input priority 0; }; \
         add rule ip broken c tcp dport 80 drop'",
    )
    .expect("a firewall");
    let since = Instant::now();
    let told = net.service_says(&name, "Served", "False", "NoAnswer", node.name());
    println!("Served=False after {:?}: {told}", since.elapsed());
    assert!(since.elapsed() <= PROMISE, "{:?}", since.elapsed());
    net.service_says(&name, "Available", "False", "NotServed", "not served");
    net.service_says(&name, "Programmed", "True", "Programmed", "");
    let events = net.cluster.kubectl("get events --field-selector reason=NoAnswer -o name");
    assert!(events.is_ok_and(|events| !events.trim().is_empty()), "an event of it");
    node.sh("nft delete table ip broken").expect("no firewall any more");
    net.service_says(&name, "Served", "True", "Served", "was answered");
    net.service_says(&name, "Available", "True", "Available", "Clients are served");
}
