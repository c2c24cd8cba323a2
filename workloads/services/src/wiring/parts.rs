//! The parts of a process whose readiness and figures others want to see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use kbnt_application::Outbox;
use kbnt_application::inventory::InventoryMachine;
use kbnt_application::ports::Clock;
use kbnt_domain::stock::{Portion, StockFilter};
use kbnt_infrastructure::embedded::EmbeddedLog;
use kbnt_infrastructure::http::{OrderViews, Part};
use kbnt_infrastructure::kafka::KafkaLog;
use kbnt_infrastructure::logging::Logging;
use kbnt_infrastructure::metrics::{Metrics, PRODUCTS_MOST};
use kbnt_infrastructure::runtime::{Handle, View};

/// A machine without figures of its own.
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

    async fn refresh(&self, _metrics: &Arc<Metrics>) {}
}

/// The inventory.
pub(super) struct Inventory(pub(super) Handle<InventoryMachine>);

#[async_trait]
impl Part for Inventory {
    fn name(&self) -> &'static str {
        "inventory-service"
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready() || self.0.is_standing_by()
    }

    async fn refresh(&self, metrics: &Arc<Metrics>) {
        // Not ready any more: the figures stay as they were.
        let portion = Portion { most: PRODUCTS_MOST, looks: PRODUCTS_MOST };
        let look = move |machine: &mut InventoryMachine, _: &mut Outbox| {
            (machine.summary(), machine.level_page(&StockFilter::default(), None, portion).levels)
        };
        if let Ok((summary, products)) = self.0.call(look).await {
            // Thousands of series: not on a thread on which orders wait. It does not panic.
            let metrics = Arc::clone(metrics);
            let _ = tokio::task::spawn_blocking(move || metrics.show_inventory(&summary, &products)).await;
        }
    }
}

/// The orders.
pub(super) struct Orders(pub(super) View<OrderViews>);

#[async_trait]
impl Part for Orders {
    fn name(&self) -> &'static str {
        "orders"
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    async fn refresh(&self, metrics: &Arc<Metrics>) {
        metrics.show_pending(self.0.read(|views| views.book().counts().pending));
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

    async fn refresh(&self, _metrics: &Arc<Metrics>) {}
}

/// The cluster.
pub(super) struct Cluster(pub(super) Arc<KafkaLog>);

#[async_trait]
impl Part for Cluster {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn is_ready(&self) -> bool {
        self.0.is_up()
    }

    async fn refresh(&self, metrics: &Arc<Metrics>) {
        metrics.show_kafka(self.0.is_up(), self.0.renewed_clients());
    }
}

/// The files of a log: whether they are still where they were opened, and can be written.
pub(super) struct Files(pub(super) Arc<EmbeddedLog>);

#[async_trait]
impl Part for Files {
    fn name(&self) -> &'static str {
        "log-files"
    }

    fn is_ready(&self) -> bool {
        self.0.trouble().is_none()
    }

    async fn refresh(&self, _metrics: &Arc<Metrics>) {}
}

/// The seed file: whether all of it is declared.
pub(super) struct Seed(pub(super) Arc<AtomicBool>);

#[async_trait]
impl Part for Seed {
    fn name(&self) -> &'static str {
        "seed-file"
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    async fn refresh(&self, _metrics: &Arc<Metrics>) {}
}

/// The log lines.
pub(super) struct Lines {
    pub(super) logging: Arc<Logging>,
    /// Where they are copied to, if that may lose some.
    pub(super) log: Option<Arc<KafkaLog>>,
}

#[async_trait]
impl Part for Lines {
    fn name(&self) -> &'static str {
        "logging"
    }

    fn is_ready(&self) -> bool {
        true
    }

    async fn refresh(&self, metrics: &Arc<Metrics>) {
        let lost = self.log.as_ref().map_or(0, |log| log.lost_lines());
        metrics.show_dropped_lines(self.logging.dropped() + lost);
    }
}
