//! Prometheus metrics; docs/metrics.md lists them.

mod observer;
mod registry;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kbnt_application::inventory::Summary;
use kbnt_domain::{OrderId, Timestamp};
use prometheus::{
    GaugeVec, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};
use registry::Registrar;

pub use registry::Described;

/// Products whose levels are shown; more would make too many series.
const PRODUCTS_MOST: usize = 1000;

/// Orders whose start is remembered until their end; of more than that the duration is not told.
const OPEN_MOST: usize = 100_000;

/// Everything that is counted and measured. One per process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
    placed: Mutex<HashMap<OrderId, Timestamp>>,
    orders_total: IntCounterVec,
    orders_pending: IntGauge,
    order_duration: HistogramVec,
    stock_level: IntGaugeVec,
    reservations_active: IntGauge,
    invariant_violations: IntGauge,
    writer_term: IntGauge,
    payment_duration: HistogramVec,
    notification_duration: HistogramVec,
    events_processed: IntCounterVec,
    events_written: IntCounterVec,
    event_age: HistogramVec,
    step_duration: HistogramVec,
    append_duration: HistogramVec,
    batch_records: HistogramVec,
    consumer_lag: IntGaugeVec,
    unreadable: IntCounterVec,
    fenced: IntCounterVec,
    log_retries: IntCounterVec,
    halted: IntCounterVec,
    replay_seconds: GaugeVec,
    replayed: IntGaugeVec,
    log_lines_dropped: IntCounter,
    http_duration: HistogramVec,
}

/// From half a millisecond to a minute.
const LATENCY: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// From ten microseconds to a second.
const STEPS: &[f64] = &[0.000_01, 0.000_05, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 1.0];

/// Records in one batch.
const BATCH: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// From a hundredth of a second to a day: an order may wait for its gateway until its reservation expires.
const ORDERS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 86_400.0];

impl Metrics {
    /// Registers everything. It fails only if two metrics had one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let mut r = Registrar::default();
        Ok(Self {
            placed: Mutex::default(),
            orders_total: r.counters(
                "kbnt_orders_total",
                &["status"],
                "Orders that ended, by status: confirmed, rejected or cancelled.",
            )?,
            orders_pending: r.gauge("kbnt_orders_pending", "Orders that have not ended yet.")?,
            order_duration: r.histograms(
                "kbnt_order_duration_seconds",
                &["status"],
                "From the placing of an order to its end, of orders whose user may order.",
                ORDERS,
            )?,
            stock_level: r.gauges(
                "kbnt_stock_level",
                &["product", "kind"],
                "Units of a product: real, reserved and available. At most 1,000 products.",
            )?,
            reservations_active: r.gauge("kbnt_reservations_active", "Reservations that hold units.")?,
            invariant_violations: r.gauge(
                "kbnt_invariant_violations",
                "What is wrong with the stock ledger; anything but 0 is a bug.",
            )?,
            writer_term: r.gauge("kbnt_writer_term", "The term of the elected writer of the inventory.")?,
            payment_duration: r.histograms(
                "kbnt_payment_duration",
                &["operation", "outcome"],
                "Seconds that one attempt at the payment gateway took.",
                LATENCY,
            )?,
            notification_duration: r.histograms(
                "kbnt_notification_duration_seconds",
                &["outcome"],
                "How long one attempt to tell a customer took.",
                LATENCY,
            )?,
            events_processed: r.counters(
                "kbnt_events_processed_total",
                &["topic"],
                "Records handled, by topic.",
            )?,
            events_written: r.counters(
                "kbnt_events_written_total",
                &["topic"],
                "Records written and durable, by topic.",
            )?,
            event_age: r.histograms(
                "kbnt_event_age_seconds",
                &["service"],
                "Age of a record when it was handled.",
                LATENCY,
            )?,
            step_duration: r.histograms(
                "kbnt_step_duration_seconds",
                &["service"],
                "How long the steps over one batch took, without input and output.",
                STEPS,
            )?,
            append_duration: r.histograms(
                "kbnt_append_duration_seconds",
                &["service"],
                "How long it took until what one batch wrote was durable.",
                LATENCY,
            )?,
            batch_records: r.histograms(
                "kbnt_batch_records",
                &["service"],
                "Records in one batch.",
                BATCH,
            )?,
            consumer_lag: r.gauges(
                "kbnt_consumer_lag",
                &["service", "topic", "partition"],
                "Records of an input partition that are still to be handled.",
            )?,
            unreadable: r.counters(
                "kbnt_unreadable_records_total",
                &["service", "topic"],
                "Records that could not be understood and were passed over.",
            )?,
            fenced: r.counters(
                "kbnt_fenced_records_total",
                &["service"],
                "Records of a writer that had been fenced before; they were dropped.",
            )?,
            log_retries: r.counters(
                "kbnt_log_retries_total",
                &["service", "stage"],
                "Times that the log could not read, append or commit and was tried again.",
            )?,
            halted: r.counters(
                "kbnt_halted_total",
                &["service", "reason"],
                "Times that a service stopped itself: fenced by a newer writer, or broken by a bug.",
            )?,
            replay_seconds: r.seconds(
                "kbnt_replay_seconds",
                &["service", "partition"],
                "How long it took to fold a partition's state before handling input.",
            )?,
            replayed: r.gauges(
                "kbnt_replayed_records",
                &["service", "partition"],
                "Records that were folded for that.",
            )?,
            log_lines_dropped: r.counter(
                "kbnt_log_lines_dropped_total",
                "Log lines that found no place in a buffer, on the way to stdout or to application-logs.",
            )?,
            http_duration: r.histograms(
                "kbnt_http_request_duration_seconds",
                &["method", "route", "status"],
                "How long requests took, by route and status.",
                LATENCY,
            )?,
            registry: r.registry,
            described: r.described,
        })
    }

    /// What is registered.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// Shows the inventory as it is now.
    pub fn show_inventory(&self, summary: &Summary) {
        self.stock_level.reset();
        for product in summary.products.iter().take(PRODUCTS_MOST) {
            let id = product.product.as_str();
            for (kind, units) in [
                ("real", product.level.real),
                ("reserved", product.level.reserved),
                ("available", product.level.available()),
            ] {
                self.stock_level.with_label_values(&[id, kind]).set(gauge(units));
            }
        }
        self.reservations_active.set(gauge(summary.totals.active_reservations));
        self.invariant_violations.set(gauge(summary.violations.len() as u64));
        self.writer_term.set(gauge(summary.version.term));
    }

    /// Shows how many orders have not ended.
    pub fn show_pending(&self, orders: u64) {
        self.orders_pending.set(gauge(orders));
    }

    /// Shows how many log lines found no place since the start.
    pub fn show_dropped_lines(&self, lines: u64) {
        self.log_lines_dropped.inc_by(lines.saturating_sub(self.log_lines_dropped.get()));
    }

    /// Counts an answered request.
    pub fn http_answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let status = status.to_string();
        self.http_duration.with_label_values(&[method, route, &status]).observe(took.as_secs_f64());
    }

    fn placed(&self) -> std::sync::MutexGuard<'_, HashMap<OrderId, Timestamp>> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A gauge's value; counts of units stay far below the edge.
fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows `| name | kind | labels | help |` of the documentation.
    fn documented() -> Vec<Vec<String>> {
        include_str!("../../../../docs/metrics.md")
            .lines()
            .filter(|line| line.starts_with("| `kbnt_"))
            .map(|line| {
                line.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect()
            })
            .collect()
    }

    #[test]
    fn the_documentation_lists_exactly_what_is_registered() {
        let metrics = Metrics::new().unwrap();
        let registered: Vec<Vec<String>> = metrics
            .described()
            .iter()
            .map(|d| vec![d.name.into(), d.kind.into(), d.labels.join(", "), d.help.into()])
            .collect();
        assert_eq!(documented(), registered);
    }
}
