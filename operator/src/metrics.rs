//! The operator's metrics.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use prometheus::{
    Encoder, Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::ownership::Owner;

/// The operator's metrics. Clones share the same counters.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    duration: HistogramVec,
    reads: IntCounterVec,
    writes: IntCounterVec,
    queue: IntGaugeVec,
    unreadable: IntCounterVec,
    leader: Gauge,
    damaged: IntGaugeVec,
    /// Labels of the resources with a damaged log, by UID.
    damaged_logs: Arc<Mutex<HashMap<String, [String; 3]>>>,
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let reconciles = counter(
            "kbnt_operator_reconciles_total",
            "Reconciles, by what came of them",
            &["kind", "outcome"],
        )?;
        let reads =
            counter("kbnt_operator_api_reads_total", "Reads from the API server", &["resource", "code"])?;
        let writes = counter(
            "kbnt_operator_api_writes_total",
            "Writes to the API server",
            &["method", "resource", "code"],
        )?;
        let unreadable =
            counter("kbnt_operator_unreadable_objects_total", "Objects that could not be read", &["kind"])?;
        let duration = HistogramVec::new(
            HistogramOpts::new("kbnt_operator_reconcile_duration_seconds", "Time that a reconcile took")
                .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]),
            &["kind"],
        )?;
        let queue = IntGaugeVec::new(
            Opts::new("kbnt_operator_queue_depth", "Objects that wait for a reconcile"),
            &["kind"],
        )?;
        let leader = Gauge::new("kbnt_operator_leader", "1 while this process is the leader")?;
        let damaged = IntGaugeVec::new(
            Opts::new("kbnt_operator_log_damaged", "1 for each resource whose LogIntact is False"),
            &["kind", "namespace", "name"],
        )?;
        registry.register(Box::new(damaged.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(queue.clone()))?;
        registry.register(Box::new(leader.clone()))?;
        let damaged_logs = Arc::default();
        Ok(Self {
            registry,
            reconciles,
            duration,
            reads,
            writes,
            queue,
            unreadable,
            leader,
            damaged,
            damaged_logs,
        })
    }

    /// A reconcile ended after this many seconds.
    pub fn reconciled(&self, kind: &str, outcome: &str, seconds: f64) {
        self.reconciles.with_label_values(&[kind, outcome]).inc();
        self.duration.with_label_values(&[kind]).observe(seconds);
    }

    /// The API server answered a read with this code, or with none (0).
    pub fn api_read(&self, resource: &str, code: u16) {
        self.reads.with_label_values(&[resource, &code.to_string()]).inc();
    }

    /// The API server answered a write with this code, or with none (0).
    pub fn api_write(&self, method: &Method, resource: &str, code: u16) {
        self.writes.with_label_values(&[method.as_str(), resource, &code.to_string()]).inc();
    }

    /// This many objects wait for a reconcile.
    pub fn queued(&self, kind: &str, objects: usize) {
        self.queue.with_label_values(&[kind]).set(i64::try_from(objects).unwrap_or(i64::MAX));
    }

    /// An object could not be read.
    pub fn unreadable(&self, kind: &str) {
        self.unreadable.with_label_values(&[kind]).inc();
    }

    /// Whether this process is the leader.
    pub fn leader(&self, leads: bool) {
        self.leader.set(if leads { 1.0 } else { 0.0 });
    }

    /// Records whether the log of this resource is damaged. Only resources with a damaged log have a series.
    pub fn log_damaged(&self, owner: &Owner, damaged: bool) {
        let labels = [owner.kind.clone(), owner.namespace.clone(), owner.name.clone()];
        let mut logs = self.damaged_logs.lock().unwrap_or_else(PoisonError::into_inner);
        if damaged {
            self.damaged.with_label_values(&labels).set(1);
            logs.insert(owner.uid.clone(), labels);
        } else if let Some(labels) = logs.remove(&owner.uid) {
            // The series exists: its labels were in the map.
            let _ = self.damaged.remove_label_values(&labels);
        }
    }

    /// Drops the series of resources that no longer exist.
    pub fn retain_logs(&self, exists: impl Fn(&str) -> bool) {
        let mut logs = self.damaged_logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.retain(|uid, labels| {
            let keep = exists(uid);
            if !keep {
                // As above.
                let _ = self.damaged.remove_label_values(labels);
            }
            keep
        });
    }

    /// Renders the metrics in the text format of Prometheus.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
