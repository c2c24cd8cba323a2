//! Metrics of the history of orders.

use kbnt_application::Service;
use kbnt_application::ports::{HistoryReport, HistorySize, Standing};
use kbnt_domain::Timestamp;
use prometheus::{HistogramVec, IntCounter, IntGauge};

use super::buckets::LATENCY;
use super::gauge;
use super::registry::{Made, Registrar};

/// Metrics of the history of orders.
#[derive(Debug)]
pub(super) struct History {
    lag_seconds: IntGauge,
    lag_records: IntGauge,
    orders: IntGauge,
    bytes: IntGauge,
    rebuilds: IntCounter,
    failures: IntCounter,
    apply_duration: HistogramVec,
}

impl History {
    pub(super) fn new(r: &mut Registrar) -> Made<Self> {
        Ok(Self {
            lag_seconds: r.gauge(
                "kbnt_history_lag_seconds",
                "For how long the history of orders may not show what was in the log.",
            )?,
            lag_records: r.gauge(
                "kbnt_history_lag_records",
                "Records that were to be applied to the history when it last looked; while it is built, how many are left.",
            )?,
            orders: r.gauge("kbnt_history_orders", "Orders in the history.")?,
            bytes: r.gauge("kbnt_history_bytes", "Size of the history on disk.")?,
            rebuilds: r.counter(
                "kbnt_history_rebuilds_total",
                "Times that the stored history was set aside and built anew from the log.",
            )?,
            failures: r.counter(
                "kbnt_history_failures_total",
                "Times that the history could not be read or written and was tried again.",
            )?,
            apply_duration: r.histograms(
                "kbnt_history_apply_duration_seconds",
                &[],
                "How long it took to apply one batch of records to the history.",
                LATENCY,
            )?,
        })
    }

    pub(super) fn show(&self, standing: Standing, now: Timestamp, size: Option<HistorySize>) {
        if let Some(as_of) = standing.as_of {
            self.lag_seconds.set(gauge(now.since(as_of).as_millis() / 1_000));
        }
        self.lag_records.set(gauge(standing.lag));
        if let Some(size) = size {
            self.orders.set(gauge(size.orders));
            self.bytes.set(gauge(size.bytes));
        }
    }

    pub(super) fn report(&self, report: &HistoryReport<'_>) {
        let service = Service::Order.name();
        match *report {
            HistoryReport::Resumed { applied } => tracing::info!(
                operation = "history-resumed",
                service,
                records = applied,
                "the history of orders goes on after these records"
            ),
            HistoryReport::Turn { applies } => tracing::info!(
                operation = "history-turn",
                service,
                applies,
                "of the processes that share the history of orders, this one applies the log, or follows the one that does"
            ),
            HistoryReport::Rebuilt { why } => {
                self.rebuilds.inc();
                tracing::warn!(
                    operation = "history-refused",
                    service,
                    why,
                    "the stored history is set aside, and is built anew from the log"
                );
            }
            HistoryReport::Building { applied, left } => tracing::info!(
                operation = "history-building",
                service,
                records = applied,
                left,
                "the history of orders is being built"
            ),
            HistoryReport::CaughtUp { applied, took } => tracing::info!(
                operation = "history-ready",
                service,
                records = applied,
                seconds = took.as_secs_f64(),
                "the history of orders has all that was in the log"
            ),
            HistoryReport::Applied { records, took } => {
                self.apply_duration.with_label_values::<&str>(&[]).observe(took.as_secs_f64());
                tracing::debug!(
                    operation = "history-applied",
                    service,
                    records,
                    seconds = took.as_secs_f64(),
                    "a batch is applied to the history"
                );
            }
            HistoryReport::Expired { orders } => tracing::debug!(
                operation = "history-expired",
                service,
                orders,
                "orders that are older than they are kept were dropped from the history"
            ),
            HistoryReport::Failed(error) => {
                self.failures.inc();
                tracing::warn!(
                    operation = "history-failed", service, %error,
                    "the history of orders could not be read or written; it is tried again"
                );
            }
        }
    }
}
