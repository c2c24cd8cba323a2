//! What every reconcile needs.

use std::sync::Arc;

use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::Resource;

use crate::health::Health;
use crate::kube::Events;
use crate::log::LogWatches;
use crate::metrics::Metrics;
use crate::owned::Cluster;
use crate::queue::Queue;
use crate::resources::Resources;
use crate::service_client::{Address, Observers, OrderSummary, StockSummary};
use crate::status::StatusWriter;
use crate::topics::{JobReports, TopicContext};
use crate::user_rights::Rights;

/// What every reconcile needs.
pub struct Context {
    /// The Kubernetes cluster.
    pub cluster: Arc<Cluster>,
    /// All resources.
    pub resources: Resources,
    /// Image of the services.
    pub services_image: String,
    /// Where services answer.
    pub address: Address,
    /// How far the operator may go for users.
    pub user_rights: Rights,
    /// Writes events.
    pub events: Events,
    /// Writes statuses.
    pub status: StatusWriter,
    /// Metrics of the operator.
    pub metrics: Metrics,
    /// Liveness and readiness of the process.
    pub health: Health,
    /// What Jobs reported of topics.
    pub reports: JobReports,
    /// Watches ledgers.
    pub ledgers: Observers<StockSummary>,
    /// Watches order counts.
    pub orders: Observers<OrderSummary>,
    /// Asks services what they find in the log.
    pub logs: LogWatches,
    /// Wakes the reconciler of VirtualStocks.
    pub stock_queue: Arc<Queue>,
    /// Wakes the reconciler of OrderWorkflows.
    pub workflow_queue: Arc<Queue>,
}

impl Context {
    /// What is needed to make topics.
    pub fn topic_context(&self) -> TopicContext<'_> {
        TopicContext { cluster: &self.cluster, resources: &self.resources, reports: &self.reports }
    }

    /// Wakes the reconciler of this object, if there is one of its kind.
    pub fn wake(&self, kind: &str, namespace: &str, name: &str) {
        if kind == VirtualStock::kind(&()) {
            self.stock_queue.push(namespace, name);
        } else if kind == OrderWorkflow::kind(&()) {
            self.workflow_queue.push(namespace, name);
        }
    }

    /// Wakes every reconciler for every object.
    pub fn wake_all(&self) {
        self.workflow_queue.push_all(&self.resources.workflows);
        self.stock_queue.push_all(&self.resources.stocks);
    }

    /// Drops what is kept for objects that no longer exist.
    pub fn forget_gone(&self) {
        let present = self.resources.uids();
        self.cluster.objects.retain(|uid| present.contains(uid));
        self.reports.retain(|uid| present.contains(uid));
        self.ledgers.retain(|uid| present.contains(uid));
        self.orders.retain(|uid| present.contains(uid));
        self.logs.retain(|uid| present.contains(uid));
        self.metrics.retain_logs(|uid| present.contains(uid));
    }
}
