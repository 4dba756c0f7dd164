//! What /metrics says.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Duration;

/// The operator's metrics; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    reconciles: Family<Kind, Counter>,
    reconcile_seconds: Family<Kind, Histogram, fn() -> Histogram>,
    reconcile_errors: Family<Kind, Counter>,
    writes: Family<Write, Counter>,
    watch_errors: Family<Kind, Counter>,
    objects: Family<Kind, Gauge>,
    leader: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    kind: &'static str,
    operation: &'static str,
    result: String,
}

impl Default for Metrics {
    fn default() -> Self {
        // 10 us to 0.3 s: deciding is memory work.
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(1e-5, 2.0, 15));
        Self {
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(histogram),
            reconcile_errors: Family::default(),
            writes: Family::default(),
            watch_errors: Family::default(),
            objects: Family::default(),
            leader: Gauge::default(),
        }
    }
}

impl Metrics {
    /// The page of /metrics.
    pub fn page(&self) -> String {
        let mut registry = Registry::with_prefix("lvs_operator");
        let of = &mut registry;
        of.register("reconciles", "Decisions about an object", self.reconciles.clone());
        of.register(
            "reconcile_seconds",
            "Time one decision took, without its writes",
            self.reconcile_seconds.clone(),
        );
        of.register(
            "reconcile_errors",
            "Decisions whose writes failed; they are repeated",
            self.reconcile_errors.clone(),
        );
        of.register(
            "api_writes",
            "Writes to the API server by result: ok, the HTTP status, or error",
            self.writes.clone(),
        );
        of.register(
            "watch_errors",
            "Watches that broke; they are resumed",
            self.watch_errors.clone(),
        );
        of.register("objects", "Objects known", self.objects.clone());
        of.register("leader", "1 while this replica is the active one", self.leader.clone());
        let mut page = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut page, &registry);
        page
    }

    /// A decision about an object of this kind was made.
    pub fn reconciled(&self, kind: &'static str, took: Duration) {
        self.reconciles.get_or_create(&Kind { kind }).inc();
        self.reconcile_seconds.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
    }

    /// A decision's writes failed.
    pub fn reconcile_failed(&self, kind: &'static str) {
        self.reconcile_errors.get_or_create(&Kind { kind }).inc();
    }

    /// A write ended.
    pub fn wrote<T>(
        &self,
        kind: &'static str,
        operation: &'static str,
        result: &Result<T, kube::Error>,
    ) {
        let result = match result {
            Ok(_) => "ok".to_owned(),
            Err(kube::Error::Api(status)) => status.code.to_string(),
            Err(_) => "error".to_owned(),
        };
        self.writes.get_or_create(&Write { kind, operation, result }).inc();
    }

    /// A watch broke.
    pub fn watch_failed(&self, kind: &'static str) {
        self.watch_errors.get_or_create(&Kind { kind }).inc();
    }

    /// So many objects of a kind are known.
    pub fn objects(&self, kind: &'static str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.objects.get_or_create(&Kind { kind }).set(count);
    }

    /// Whether this replica is the active one.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }
}
