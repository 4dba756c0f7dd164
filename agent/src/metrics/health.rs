//! Figures of the checks of real servers.

use super::{Kind, OperationLabels, result};
use lvs_crds::LVSNodeStatus;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Default)]
pub(super) struct Health {
    checks: Family<OperationLabels, Counter>,
    turns: Family<Kind, Counter>,
    checked: Gauge,
    down: Gauge,
}

impl Health {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "health_checks",
            "Checks of real servers, by kind (tcp, http, grpc, dns, udp, icmp, smtp) and result (done, failed)",
            self.checks.clone(),
        );
        registry.register(
            "health_transitions",
            "Times that what is checked turned, by what it is then (up, down)",
            self.turns.clone(),
        );
        registry.register(
            "checked_real_servers",
            "Real servers of VirtualServices that this node checks",
            self.checked.clone(),
        );
        registry.register(
            "down_real_servers",
            "Real servers of these that are down, which get no new connections from this node",
            self.down.clone(),
        );
    }

    pub(super) fn state(&self, status: &LVSNodeStatus) {
        let (checked, down) =
            status.health.as_ref().map_or((0, 0), |health| (health.checked, health.down_count));
        self.checked.set(i64::from(checked));
        self.down.set(i64::from(down));
    }
}

impl super::Metrics {
    /// What is checked has turned.
    pub fn turned(&self, up: bool) {
        self.health.turns.get_or_create(&Kind { kind: if up { "up" } else { "down" } }).inc();
    }

    /// A check is over.
    pub fn health_checked(&self, kind: &'static str, passed: bool) {
        let labels = OperationLabels { kind, result: result(passed) };
        self.health.checks.get_or_create(&labels).inc();
    }
}
