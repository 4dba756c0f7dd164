//! Figures for `/metrics`.

mod health;

use crate::failover::Figures;
use crate::kernel::Requests;
use crate::probe;
use crate::state::Op;
use lvs_ipvs::Operation;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Upper bounds of the histograms, in seconds.
const BUCKETS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OperationLabels {
    kind: &'static str,
    result: &'static str,
}

/// All figures of one agent.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Kind, Counter>,
    operations: Family<OperationLabels, Counter>,
    drift: Counter,
    audit: Histogram,
    step: Histogram,
    version: Gauge,
    size: Family<Kind, Gauge>,
    failures: Gauge,
    connections: Gauge,
    buckets: Gauge,
    reports: Family<OperationLabels, Counter>,
    advertisements: Family<Kind, Counter>,
    dropped: Family<Kind, Counter>,
    transitions: Counter,
    stalls: Counter,
    active: Gauge,
    live_peers: Gauge,
    probes: Family<OperationLabels, Counter>,
    probe_packets: Counter,
    probed: Gauge,
    unanswered: Gauge,
    health: health::Health,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("lvs_agent"),
            requests: Family::default(),
            operations: Family::default(),
            drift: Counter::default(),
            audit: Histogram::new(BUCKETS),
            step: Histogram::new(BUCKETS),
            version: Gauge::default(),
            size: Family::default(),
            failures: Gauge::default(),
            connections: Gauge::default(),
            buckets: Gauge::default(),
            reports: Family::default(),
            advertisements: Family::default(),
            dropped: Family::default(),
            transitions: Counter::default(),
            stalls: Counter::default(),
            active: Gauge::default(),
            live_peers: Gauge::default(),
            probes: Family::default(),
            probe_packets: Counter::default(),
            probed: Gauge::default(),
            unanswered: Gauge::default(),
            health: health::Health::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "kernel_requests",
            "Requests to the kernel: ipvs, route, failover (floating addresses), nftables, link (tunnels) and rule (policy routing) over netlink, table reads of /proc/net/ip_vs, sysctls",
            self.requests.clone(),
        );
        registry.register(
            "operations",
            "Changes of the kernel by kind and result (done, failed)",
            self.operations.clone(),
        );
        registry.register(
            "drift_repairs",
            "Audits that found something of ours changed by somebody else",
            self.drift.clone(),
        );
        registry.register_with_unit(
            "audit_duration",
            "Reading and comparing the whole kernel state",
            Unit::Seconds,
            self.audit.clone(),
        );
        registry.register_with_unit(
            "step_duration",
            "From news to a kernel that has been read back",
            Unit::Seconds,
            self.step.clone(),
        );
        registry.register(
            "programmed_resource_version",
            "Newest slice that the kernel has been read back against",
            self.version.clone(),
        );
        registry.register(
            "objects",
            "What the agent holds in the kernel: services, destinations, addresses",
            self.size.clone(),
        );
        registry.register("failures", "What could not be programmed", self.failures.clone());
        registry.register(
            "connections",
            "Connections of all destinations in IPVS's table, foreign ones too, at the last audit",
            self.connections.clone(),
        );
        registry.register(
            "connection_table_buckets",
            "Buckets of IPVS's table of connections",
            self.buckets.clone(),
        );
        registry.register(
            "reports",
            "Reports written to the API server or the status file, by result",
            self.reports.clone(),
        );
        self.register_failover();
    }

    fn register_failover(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "vrrp_advertisements",
            "Advertisements sent (one a virtual router, to however many directors) and received",
            self.advertisements.clone(),
        );
        registry.register(
            "vrrp_dropped",
            "VRRP packets that were not taken in, by cause",
            self.dropped.clone(),
        );
        registry.register(
            "vrrp_transitions",
            "Changes of virtual routers between Active, Standby and out of service",
            self.transitions.clone(),
        );
        registry.register(
            "vrrp_stalls",
            "Times that all addresses were let go because the agent had not run for too long",
            self.stalls.clone(),
        );
        registry.register(
            "vrrp_active_routers",
            "Virtual routers that this node carries",
            self.active.clone(),
        );
        registry.register(
            "vrrp_live_peers",
            "Other directors that are heard",
            self.live_peers.clone(),
        );
        self.register_probes();
    }

    fn register_probes(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "probes",
            "Connections to VIPs of other directors, by result (done, failed)",
            self.probes.clone(),
        );
        registry.register(
            "probe_packets",
            "Packets sent for them, ARP and neighbour discovery included",
            self.probe_packets.clone(),
        );
        registry.register(
            "probed_services",
            "Services (a VIP and port each) that this node asks while others carry them",
            self.probed.clone(),
        );
        registry.register(
            "unanswered_services",
            "Services of these that are not answered",
            self.unanswered.clone(),
        );
        self.health.register(registry);
    }

    /// What the thread that asks VIPs has counted so far.
    pub fn probes(&self, figures: &probe::Figures) {
        let of = |result, total| {
            let labels = OperationLabels { kind: "tcp", result };
            self.probes.get_or_create(&labels).inner().store(total, Ordering::Relaxed);
        };
        of("done", figures.answered);
        of("failed", figures.unanswered);
        self.probe_packets.inner().store(figures.packets, Ordering::Relaxed);
        self.probed.set(i64::try_from(figures.services).unwrap_or(i64::MAX));
    }

    /// What the thread that carries floating addresses has counted so far.
    pub fn failover(&self, figures: &Figures) {
        // The thread counts for itself; the counters follow it.
        let follow = |counter: &Counter, total| counter.inner().store(total, Ordering::Relaxed);
        let of = |family: &Family<Kind, Counter>, kind, total| {
            follow(&family.get_or_create(&Kind { kind }), total);
        };
        of(&self.advertisements, "sent", figures.sent);
        of(&self.advertisements, "received", figures.received);
        of(&self.requests, "failover", figures.requests);
        for (cause, total) in &figures.dropped {
            of(&self.dropped, cause, *total);
        }
        follow(&self.transitions, figures.transitions);
        follow(&self.stalls, figures.stalls);
        let gauge = |gauge: &Gauge, value| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge(&self.active, figures.active);
        gauge(&self.live_peers, figures.live_peers);
    }

    /// One change of the kernel.
    pub fn operation(&self, op: &Op, done: bool) {
        let kind = match op {
            Op::SetSysctl { .. } => "set_sysctl",
            Op::RestoreSysctl { .. } => "restore_sysctl",
            Op::AddAddress(_) => "add_address",
            Op::DelAddress(_) => "delete_address",
            Op::AddFixture(_) => "add_fixture",
            Op::DelFixture(_) => "delete_fixture",
            Op::Ipvs(Operation::NewService(_)) => "add_service",
            Op::Ipvs(Operation::SetService(_)) => "set_service",
            Op::Ipvs(Operation::DelService(_)) => "delete_service",
            Op::Ipvs(Operation::NewDestination { .. }) => "add_destination",
            Op::Ipvs(Operation::SetDestination { .. }) => "set_destination",
            Op::Ipvs(Operation::DelDestination { .. }) => "delete_destination",
            Op::Ipvs(_) => "other",
        };
        self.operations.get_or_create(&OperationLabels { kind, result: result(done) }).inc();
    }

    /// One report, written or not.
    pub fn report(&self, kind: &'static str, done: bool) {
        self.reports.get_or_create(&OperationLabels { kind, result: result(done) }).inc();
    }

    /// An audit has ended.
    pub fn audited(&self, took: Duration) {
        self.audit.observe(took.as_secs_f64());
    }

    /// A step has ended.
    pub fn stepped(&self, took: Duration) {
        self.step.observe(took.as_secs_f64());
    }

    /// Drift was found.
    pub fn drifted(&self) {
        self.drift.inc();
    }

    /// The state after a step.
    pub fn state(&self, status: &lvs_crds::LVSNodeStatus, requests: Requests) {
        let version = status.programmed.as_ref();
        let version = version.and_then(|programmed| programmed.resource_version.parse().ok());
        self.version.set(version.unwrap_or(0));
        self.failures.set(i64::from(status.failure_count));
        let unanswered = status.probes.iter().map(|probes| i64::from(probes.unanswered_count));
        self.unanswered.set(unanswered.sum());
        self.health.state(status);
        let table = status.table.clone().unwrap_or_default();
        self.connections.set(table.connections);
        let buckets = status.kernel.as_ref().and_then(|kernel| kernel.connection_table_size);
        self.buckets.set(i64::from(buckets.unwrap_or(0)));
        for (kind, size) in [
            ("services", table.services),
            ("destinations", table.destinations),
            ("addresses", table.vips),
        ] {
            self.size.get_or_create(&Kind { kind }).set(i64::from(size));
        }
        for (kind, total) in [
            ("ipvs", requests.ipvs),
            ("route", requests.route),
            ("table_read", requests.table_reads),
            ("sysctl", requests.sysctls),
            ("nftables", requests.nftables),
            ("link", requests.links),
            ("rule", requests.rules),
        ] {
            // The kernel counts for itself; the counter follows it.
            let counter = self.requests.get_or_create(&Kind { kind });
            counter.inner().store(total, Ordering::Relaxed);
        }
    }

    /// The OpenMetrics text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn result(done: bool) -> &'static str {
    if done { "done" } else { "failed" }
}
