//! The parts of a process that contribute readiness and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use kbnt_adapters::closed_orders::FjallArchive;
use kbnt_adapters::logging::Logging;
use kbnt_adapters::metrics::{Metrics, PRODUCTS_MOST};
use kbnt_application::Outbox;
use kbnt_application::inventory::InventoryMachine;
use kbnt_application::ports::{Clock, History as _};
use kbnt_domain::stock::{Portion, StockFilter};
use kbnt_embedded::EmbeddedLog;
use kbnt_http::{OrderViews, Part};
use kbnt_kafka::KafkaLog;
use kbnt_runtime::{Handle, HistoryView, View};

/// A machine without metrics of its own.
pub(super) struct Machine<M> {
    pub(super) name: &'static str,
    pub(super) handle: Handle<M>,
}

#[async_trait]
impl<M: Send + 'static> Part for Machine<M> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is_ready(&self) -> bool {
        self.handle.is_ready()
    }

    async fn refresh(&self) {}
}

/// The inventory.
pub(super) struct Inventory {
    pub(super) handle: Handle<InventoryMachine>,
    pub(super) metrics: Arc<Metrics>,
}

#[async_trait]
impl Part for Inventory {
    fn name(&self) -> &'static str {
        "inventory-service"
    }

    fn is_ready(&self) -> bool {
        self.handle.is_ready() || self.handle.is_standing_by()
    }

    async fn refresh(&self) {
        // If the service is no longer ready, the metrics keep their values.
        let portion = Portion { most: PRODUCTS_MOST, looks: PRODUCTS_MOST };
        let look = move |machine: &mut InventoryMachine, _: &mut Outbox| {
            (machine.summary(), machine.level_page(&StockFilter::default(), None, portion).levels)
        };
        if let Ok((summary, products)) = self.handle.call(look).await {
            // Thousands of series: not on a thread on which orders wait. It does not panic.
            let metrics = Arc::clone(&self.metrics);
            let _ = tokio::task::spawn_blocking(move || metrics.show_inventory(&summary, &products)).await;
        }
    }
}

/// The archive of closed orders. While it fails, they stay in memory.
pub(super) struct ClosedOrders {
    pub(super) archive: Arc<FjallArchive>,
    /// How many bytes it may take.
    pub(super) limit: Option<u64>,
    pub(super) metrics: Arc<Metrics>,
}

#[async_trait]
impl Part for ClosedOrders {
    fn name(&self) -> &'static str {
        "closed-orders"
    }

    fn is_ready(&self) -> bool {
        true
    }

    async fn refresh(&self) {
        // The decider may be at work on it: not on a thread on which requests wait. It does not panic.
        let (archive, limit, metrics) = (Arc::clone(&self.archive), self.limit, Arc::clone(&self.metrics));
        let show = move || {
            let bytes = archive.bytes().ok();
            let room = bytes.and_then(|bytes| archive.room(bytes, limit).ok());
            metrics.show_archive(bytes, room, archive.failures());
        };
        let _ = tokio::task::spawn_blocking(show).await;
    }
}

/// The orders.
pub(super) struct Orders {
    pub(super) view: View<OrderViews>,
    pub(super) metrics: Arc<Metrics>,
}

#[async_trait]
impl Part for Orders {
    fn name(&self) -> &'static str {
        "orders"
    }

    fn is_ready(&self) -> bool {
        self.view.is_ready()
    }

    async fn refresh(&self) {
        let (pending, limit) = self.view.read(|views| (views.book().counts().pending, views.admitted()));
        self.metrics.show_orders(pending, limit);
    }
}

/// The history of orders. Nothing is decided by it, so the process is ready without it.
pub(super) struct OrderHistory {
    pub(super) view: HistoryView,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
}

#[async_trait]
impl Part for OrderHistory {
    fn name(&self) -> &'static str {
        "order-history"
    }

    fn is_ready(&self) -> bool {
        true
    }

    async fn refresh(&self) {
        // If it cannot be read, the gauges of its size keep their values.
        let size = self.view.size().await.ok();
        self.metrics.show_history(self.view.standing(), self.clock.now(), size);
    }
}

/// The clock by which the process decides.
pub(super) struct SystemClock(pub(super) Arc<dyn Clock>);

#[async_trait]
impl Part for SystemClock {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn is_ready(&self) -> bool {
        self.0.off_by().is_none()
    }

    async fn refresh(&self) {}
}

/// The Kafka cluster.
pub(super) struct Cluster {
    pub(super) log: Arc<KafkaLog>,
    pub(super) metrics: Arc<Metrics>,
}

#[async_trait]
impl Part for Cluster {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn is_ready(&self) -> bool {
        self.log.is_up()
    }

    async fn refresh(&self) {
        self.metrics.show_kafka(self.log.is_up(), self.log.renewed_clients());
    }
}

/// The files of a log: whether they are still where they were opened, and writable.
pub(super) struct Files(pub(super) Arc<EmbeddedLog>);

#[async_trait]
impl Part for Files {
    fn name(&self) -> &'static str {
        "log-files"
    }

    fn is_ready(&self) -> bool {
        self.0.trouble().is_none()
    }

    async fn refresh(&self) {}
}

/// The seed file: whether all of it has been declared.
pub(super) struct Seed(pub(super) Arc<AtomicBool>);

#[async_trait]
impl Part for Seed {
    fn name(&self) -> &'static str {
        "seed-file"
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    async fn refresh(&self) {}
}

/// The log lines.
pub(super) struct Lines {
    pub(super) logging: Arc<Logging>,
    /// The log that they are copied to, if it may lose some.
    pub(super) log: Option<Arc<KafkaLog>>,
    pub(super) metrics: Arc<Metrics>,
}

#[async_trait]
impl Part for Lines {
    fn name(&self) -> &'static str {
        "logging"
    }

    fn is_ready(&self) -> bool {
        true
    }

    async fn refresh(&self) {
        let lost = self.log.as_ref().map_or(0, |log| log.lost_lines());
        self.metrics.show_dropped_lines(self.logging.dropped() + lost);
    }
}
