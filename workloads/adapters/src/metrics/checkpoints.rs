//! Metrics of checkpoints.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kbnt_application::Service;
use kbnt_domain::Timestamp;
use prometheus::{IntCounterVec, IntGaugeVec};

use super::gauge;
use super::registry::{Made, Registrar};
use crate::checkpoints::CheckpointEvent;

/// Metrics of the checkpoints of each service.
#[derive(Debug)]
pub(super) struct Checkpoints {
    total: IntCounterVec,
    taken: IntGaugeVec,
    interval: IntGaugeVec,
    history: IntGaugeVec,
}

impl Checkpoints {
    pub(super) fn new(r: &mut Registrar) -> Made<Self> {
        Ok(Self {
            total: r.counters(
                "kbnt_checkpoints_total",
                &["service", "outcome"],
                "Checkpoints: kept, covered by one of another process, failed to be kept, or fetched at a start.",
            )?,
            taken: r.gauges(
                "kbnt_checkpoint_timestamp_seconds",
                &["service"],
                "When the newest checkpoint that the process knows of was taken, or else when it started, in seconds since 1970.",
            )?,
            interval: r.gauges(
                "kbnt_checkpoint_interval_seconds",
                &["service"],
                "How far apart checkpoints are at least.",
            )?,
            history: r.gauges(
                "kbnt_history_applied_timestamp_seconds",
                &["service"],
                "Of when the history of orders is since something was last applied to it, where it has checkpoints, in seconds since 1970.",
            )?,
        })
    }

    /// A service will keep checkpoints, at most this often.
    pub(super) fn begin(&self, service: Service, every: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.taken.with_label_values(&[service.name()]).set(gauge(now.as_secs()));
        self.interval.with_label_values(&[service.name()]).set(gauge(every.as_secs()));
    }

    /// Something was applied to the history of orders.
    pub(super) fn history_applied(&self, as_of: Timestamp) {
        self.history.with_label_values(&[Service::Order.name()]).set(as_of.as_millis() / 1_000);
    }

    pub(super) fn report(&self, service: Service, event: &CheckpointEvent) {
        let (service, seconds) = (service.name(), |took: Duration| took.as_secs_f64());
        let count = |outcome| self.total.with_label_values(&[service, outcome]).inc();
        let newest =
            |taken: Timestamp| self.taken.with_label_values(&[service]).set(taken.as_millis() / 1_000);
        match event {
            CheckpointEvent::Kept { taken, number, bytes, took } => {
                count("kept");
                newest(*taken);
                tracing::info!(
                    operation = "checkpoint-kept",
                    service,
                    checkpoint = number,
                    bytes,
                    seconds = seconds(*took),
                    "a checkpoint is kept"
                );
            }
            CheckpointEvent::Covered { by } => {
                count("covered");
                newest(*by);
            }
            CheckpointEvent::Failed(error) => {
                count("failed");
                tracing::warn!(
                    operation = "checkpoint-failed",
                    service,
                    %error,
                    class = ?error.class(),
                    "a checkpoint could not be kept"
                );
            }
            CheckpointEvent::Fetched { taken, number, orders, took } => {
                count("fetched");
                newest(*taken);
                let (taken, seconds) = (taken.as_millis(), seconds(*took));
                tracing::info!(
                    operation = "checkpoint-fetched",
                    service,
                    checkpoint = number,
                    taken,
                    orders,
                    seconds,
                    "a checkpoint is fetched"
                );
            }
        }
    }
}
