//! Prometheus metrics; docs/metrics.md lists them.

mod archive;
mod buckets;
mod business;
mod checkpoints;
mod edges;
mod history;
mod http;
mod machines;
mod observer;
mod registry;
mod shown;
mod snapshots;

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use archive::Archive;
use business::Business;
use checkpoints::Checkpoints;
use edges::Edges;
use history::History;
use kbnt_application::Service;
use kbnt_application::inventory::Summary;
use kbnt_application::ports::{HistorySize, Standing};
use kbnt_domain::stock::ProductLevel;
use kbnt_domain::{OrderId, Timestamp};
use machines::Machines;
use prometheus::{Registry, TextEncoder};
use registry::Registrar;
use shown::Shown;
use snapshots::Snapshots;

pub use registry::Described;

use crate::checkpoints::CheckpointEvent;

/// Products whose levels are exported; more would make too many series.
pub const PRODUCTS_MOST: usize = 1000;

/// Orders whose start is remembered until their end; beyond that, durations are not measured.
const OPEN_MOST: usize = 100_000;

/// All metrics of a process. One per process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
    business: Business,
    machines: Machines,
    snapshots: Snapshots,
    checkpoints: Checkpoints,
    archive: Archive,
    history: History,
    edges: Edges,
    shown: Shown,
}

impl Metrics {
    /// Registers all metrics. Fails only if two of them have the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let mut registrar = Registrar::default();
        let business = Business::new(&mut registrar)?;
        let machines = Machines::new(&mut registrar)?;
        // A series that starts with its first dead letter would show no increase.
        for topic in Service::Audit.inputs() {
            machines.dead_letters.with_label_values(&[topic.name()]);
        }
        Ok(Self {
            business,
            machines,
            snapshots: Snapshots::new(&mut registrar)?,
            checkpoints: Checkpoints::new(&mut registrar)?,
            archive: Archive::new(&mut registrar)?,
            history: History::new(&mut registrar)?,
            edges: Edges::new(&mut registrar)?,
            shown: Shown::default(),
            registry: registrar.registry,
            described: registrar.described,
        })
    }

    /// The registered metrics.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// All metrics, in the text format of Prometheus.
    pub fn render(&self) -> String {
        render(&self.registry)
    }

    /// Updates the inventory, with the first [`PRODUCTS_MOST`] products.
    pub fn show_inventory(&self, summary: &Summary, products: &[ProductLevel]) {
        self.business.stock_level.reset();
        for product in products.iter().take(PRODUCTS_MOST) {
            let id = product.product.as_str();
            for (kind, units) in [
                ("real", product.level.real),
                ("reserved", product.level.reserved),
                ("available", product.level.available()),
            ] {
                self.business.stock_level.with_label_values(&[id, kind]).set(gauge(units));
            }
        }
        self.business.reservations_active.set(gauge(summary.totals.active_reservations));
        self.business.invariant_violations.set(gauge(summary.violations.len() as u64));
        self.business.writer_term.set(gauge(summary.version.term));
    }

    /// Updates the number of orders that have not ended, and how many may be on their way to an answer of the inventory.
    pub fn show_orders(&self, pending: u64, admitted: u64) {
        self.business.orders_pending.set(gauge(pending));
        self.business.orders_admitted.set(gauge(admitted));
    }

    /// Updates how far the history of orders is behind at `now`, and how much is stored.
    pub fn show_history(&self, standing: Standing, now: Timestamp, size: Option<HistorySize>) {
        self.history.show(standing, now, size);
    }

    /// Updates the size of the archive of closed orders and the bytes that it may still take, if they can be told, and how often it
    /// failed since the start.
    pub fn show_archive(&self, bytes: Option<u64>, room: Option<u64>, failures: u64) {
        self.archive.show(bytes, room, failures);
    }

    /// A service will keep checkpoints, at most this often.
    pub fn begin_checkpoints(&self, service: Service, every: Duration) {
        self.checkpoints.begin(service, every);
    }

    /// Something was applied to the history of orders, which has checkpoints.
    pub fn history_applied(&self, as_of: Timestamp) {
        self.checkpoints.history_applied(as_of);
    }

    /// Counts and logs what became of a checkpoint.
    pub fn checkpoint(&self, service: Service, event: &CheckpointEvent) {
        self.checkpoints.report(service, event);
    }

    /// Updates the number of log lines dropped since the start.
    pub fn show_dropped_lines(&self, lines: u64) {
        self.edges.log_lines_dropped.inc_by(lines.saturating_sub(self.edges.log_lines_dropped.get()));
    }

    /// Updates whether the Kafka cluster answers, and how many of its clients were replaced since the start.
    pub fn show_kafka(&self, up: bool, renewed: u64) {
        self.edges.kafka_up.set(i64::from(up));
        let counter = &self.edges.kafka_clients_renewed;
        counter.inc_by(renewed.saturating_sub(counter.get()));
    }

    fn placed(&self) -> std::sync::MutexGuard<'_, HashMap<OrderId, Timestamp>> {
        self.business.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn render(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap_or_default()
}

/// A gauge's value; numbers of units stay far below the limit.
fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows `| name | kind | labels | help |` of the documentation's first table; the next one holds expressions.
    fn documented() -> Vec<Vec<String>> {
        include_str!("../../../../docs/metrics.md")
            .lines()
            .take_while(|line| !line.starts_with("## "))
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

    #[test]
    fn a_size_that_cannot_be_told_stays_what_it_was_and_failures_add_up() {
        let metrics = Metrics::new().unwrap();
        for (bytes, failures) in [(Some(5), 0), (Some(7), 2), (None, 3)] {
            metrics.show_archive(bytes, bytes.map(|bytes| 10 - bytes), failures);
        }
        let text = metrics.render();
        let shown: Vec<_> = text.lines().filter(|line| line.starts_with("kbnt_archive_")).collect();
        assert_eq!(
            shown,
            ["kbnt_archive_bytes 7", "kbnt_archive_failures_total 3", "kbnt_archive_room_bytes 3"]
        );
    }
}
