//! Metrics of the inventory's snapshots.

use std::time::Duration;

use kbnt_application::Service;
use kbnt_domain::Timestamp;
use prometheus::{HistogramVec, IntCounterVec, IntGauge};

use super::buckets::LATENCY;
use super::gauge;
use super::registry::{Made, Registrar};
use kbnt_application::ports::SnapshotEvent;

/// Metrics of the inventory's snapshots.
#[derive(Debug)]
pub(super) struct Snapshots {
    total: IntCounterVec,
    taken: IntGauge,
    bytes: IntGauge,
    duration: HistogramVec,
}

impl Snapshots {
    pub(super) fn new(r: &mut Registrar) -> Made<Self> {
        Ok(Self {
            total: r.counters(
                "kbnt_snapshots_total",
                &["outcome"],
                "Snapshots of the inventory: kept, failed to be, restored at a start, or refused as of no use.",
            )?,
            taken: r.gauge(
                "kbnt_snapshot_timestamp_seconds",
                "When the newest snapshot was taken, in seconds since 1970.",
            )?,
            bytes: r.gauge("kbnt_snapshot_bytes", "Size of the newest snapshot.")?,
            duration: r.histograms(
                "kbnt_snapshot_duration_seconds",
                &["step"],
                "How long a snapshot took: to copy the state while the writer waits, and to keep it behind its back.",
                LATENCY,
            )?,
        })
    }

    pub(super) fn report(&self, service: Service, report: &SnapshotEvent<'_>) {
        let (service, count) = (service.name(), |outcome| self.total.with_label_values(&[outcome]).inc());
        match *report {
            SnapshotEvent::Kept { taken, bytes, copied, took } => {
                count("kept");
                self.took("copy", copied);
                self.took("keep", took);
                self.newest(taken);
                self.bytes.set(gauge(bytes));
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
                self.newest(taken);
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

    fn took(&self, step: &str, took: Duration) {
        self.duration.with_label_values(&[step]).observe(took.as_secs_f64());
    }

    fn newest(&self, taken: Timestamp) {
        self.taken.set(taken.as_millis() / 1_000);
    }
}
