//! Where packets stop, by what a director counts of its clients' own: it needs nobody who asks, so it holds for one that is alone.

use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::scenario::{NatNet, Standalone};

use super::places::{NO_FORWARD, NO_INPUT, TABLE_AWAY};

/// What a client of today does: it tries again and again.
fn in_vain(net: &NatNet) {
    for _ in 0..8 {
        assert!(net.client.get(NatNet::WEB).is_err(), "a client is served");
    }
}

#[test]
fn a_director_that_is_alone_tells_where_its_clients_packets_stop() {
    let guest = Guest::kernel().virtual_time().limit(Duration::from_secs(300));
    in_guest(guest, || -> anyhow::Result<()> {
        let net = NatNet::new();
        let agent = Standalone::start(&net.director);
        agent.put_example("nat.yaml");
        agent.wait_for("web", "Available", "True");
        net.client.get(NatNet::WEB)?;
        agent.wait_for_told("web", "Served", "Unknown", "cannot ask itself");
        for (by, told) in [(NO_INPUT, "IPVS was given none"), (NO_FORWARD, "no reply came back")] {
            net.director.sh(by)?;
            in_vain(&net);
            agent.wait_for_told("web", "Served", "False", told);
            agent.wait_for_told("web", "Available", "False", told);
            agent.wait_for_told("web", "Degraded", "True", told);
            net.director.sh(TABLE_AWAY)?;
            net.client.get(NatNet::WEB)?;
            agent.wait_for_told("web", "Served", "Unknown", "cannot ask itself");
            agent.wait_for_told("web", "Degraded", "False", "Nothing needs attention");
        }
        Ok(())
    });
}
