//! Metrics of snapshots.

use std::time::Duration;

use kbnt_application::Service;
use kbnt_domain::Timestamp;
use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use super::buckets::LATENCY;
use super::gauge;
use super::registry::{Made, Registrar};
use kbnt_application::ports::SnapshotEvent;

/// Metrics of the snapshots of each service.
#[derive(Debug)]
pub(super) struct Snapshots {
    total: IntCounterVec,
    taken: IntGaugeVec,
    bytes: IntGaugeVec,
    duration: HistogramVec,
}

impl Snapshots {
    pub(super) fn new(r: &mut Registrar) -> Made<Self> {
        Ok(Self {
            total: r.counters(
                "kbnt_snapshots_total",
                &["service", "outcome"],
                "Snapshots: kept, failed to be, restored at a start, or refused as of no use.",
            )?,
            taken: r.gauges(
                "kbnt_snapshot_timestamp_seconds",
                &["service"],
                "When the newest snapshot was taken, in seconds since 1970.",
            )?,
            bytes: r.gauges("kbnt_snapshot_bytes", &["service"], "Size of the newest snapshot.")?,
            duration: r.histograms(
                "kbnt_snapshot_duration_seconds",
                &["service", "step"],
                "How long a snapshot took: to copy the state while the service waits, and to keep it behind its back.",
                LATENCY,
            )?,
        })
    }

    pub(super) fn report(&self, service: Service, report: &SnapshotEvent<'_>) {
        let service = service.name();
        let count = |outcome| self.total.with_label_values(&[service, outcome]).inc();
        match *report {
            SnapshotEvent::Kept { taken, bytes, copied, took } => {
                count("kept");
                self.took(service, "copy", copied);
                self.took(service, "keep", took);
                self.newest(service, taken);
                self.bytes.with_label_values(&[service]).set(gauge(bytes));
                tracing::debug!(
                    operation = "snapshot-kept",
                    service,
                    bytes,
                    copied = copied.as_secs_f64(),
                    seconds = took.as_secs_f64(),
                    "a snapshot is kept"
                );
            }
            SnapshotEvent::Failed(error) => {
                count("failed");
                tracing::warn!(operation = "snapshot-failed", service, %error, "a snapshot could not be kept");
            }
            SnapshotEvent::Restored { taken, before } => {
                count("restored");
                self.newest(service, taken);
                let taken = taken.as_millis();
                tracing::info!(
                    operation = "snapshot-restored",
                    service,
                    taken,
                    before,
                    "begins with a snapshot"
                );
            }
            SnapshotEvent::Refused { before, why } => {
                count("refused");
                tracing::warn!(
                    operation = "snapshot-refused",
                    service,
                    before,
                    why,
                    "a snapshot is of no use: an older one is tried, then everything is folded"
                );
            }
        }
    }

    fn took(&self, service: &str, step: &str, took: Duration) {
        self.duration.with_label_values(&[service, step]).observe(took.as_secs_f64());
    }

    fn newest(&self, service: &str, taken: Timestamp) {
        self.taken.with_label_values(&[service]).set(taken.as_millis() / 1_000);
    }
}
