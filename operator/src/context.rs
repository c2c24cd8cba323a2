//! What every reconcile has at hand.

use std::collections::HashSet;
use std::sync::Arc;

use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::Client;
use kube::core::ApiResource;
use kube::runtime::reflector::Store;
use tokio::sync::watch;

use crate::health::Health;
use crate::kube::{Events, MetadataCache, Objects, Scope};
use crate::log::LogWatches;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::service_client::{Address, Observers, OrderSummary, StockSummary};
use crate::status_throttle::StatusThrottle;
use crate::topics::{JobReports, ObservedJob, ObservedTopic};
use crate::user_rights::Rights;
use crate::users::{ObservedSecret, ObservedUser};
use crate::workloads::ObservedDeployment;

/// What every reconcile has at hand.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Image of the services.
    pub services_image: String,
    /// Where services answer.
    pub address: Address,
    /// Where Kafka clusters may be.
    pub kafka_scope: Scope,
    /// What watches show.
    pub stores: Stores,
    /// What the watch of KafkaTopics shows, while the cluster serves them.
    pub topics: watch::Sender<Option<TopicStore>>,
    /// What the watch of KafkaUsers shows, while the cluster serves them.
    pub users: watch::Sender<Option<UserStore>>,
    /// How far the operator may go for users.
    pub user_rights: Rights,
    /// What the watch of ScaledObjects shows, while KEDA is there.
    pub scaled: watch::Sender<Option<Arc<MetadataCache<u64>>>>,
    /// Writes objects.
    pub objects: Objects,
    /// Writes events.
    pub events: Events,
    /// Bounds status writes.
    pub status_throttle: StatusThrottle,
    /// Counts.
    pub metrics: Metrics,
    /// Whether the process lives.
    pub health: Health,
    /// What Jobs told of topics.
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

/// What watches show of objects that the operator reads or owns.
pub struct Stores {
    /// All VirtualStocks.
    pub stocks: Store<VirtualStock>,
    /// All OrderWorkflows.
    pub workflows: Store<OrderWorkflow>,
    /// The operator's Deployments.
    pub deployments: Arc<MetadataCache<ObservedDeployment>>,
    /// Fingerprints of the operator's Services.
    pub services: Arc<MetadataCache<u64>>,
    /// Fingerprints of the operator's ServiceAccounts.
    pub accounts: Arc<MetadataCache<u64>>,
    /// Fingerprints of the operator's ConfigMaps.
    pub configs: Arc<MetadataCache<u64>>,
    /// Fingerprints of the operator's Roles.
    pub roles: Arc<MetadataCache<u64>>,
    /// Fingerprints of the operator's RoleBindings.
    pub bindings: Arc<MetadataCache<u64>>,
    /// Fingerprints of the operator's PodDisruptionBudgets.
    pub budgets: Arc<MetadataCache<u64>>,
    /// Fingerprints of the operator's HorizontalPodAutoscalers.
    pub scalers: Arc<MetadataCache<u64>>,
    /// The operator's Jobs.
    pub jobs: Arc<MetadataCache<ObservedJob>>,
    /// The Secrets of users, Strimzi's and the copies.
    pub secrets: Arc<MetadataCache<ObservedSecret>>,
}

/// The operator's KafkaUsers, in the version that the cluster serves.
#[derive(Clone)]
pub struct UserStore {
    /// Group, version and plural.
    pub resource: ApiResource,
    /// The users.
    pub notes: Arc<MetadataCache<ObservedUser>>,
}

/// The operator's KafkaTopics, in the version that the cluster serves.
#[derive(Clone)]
pub struct TopicStore {
    /// Group, version and plural.
    pub resource: ApiResource,
    /// The topics.
    pub notes: Arc<MetadataCache<ObservedTopic>>,
}

impl Context {
    /// The operator's KafkaTopics, while the cluster serves them.
    pub fn topics(&self) -> Option<TopicStore> {
        self.topics.borrow().clone()
    }

    /// Sets what [`Context::topics`] gives, and wakes everybody whom it concerns.
    pub fn set_topics(&self, topics: Option<TopicStore>) {
        self.topics.send_replace(topics);
        self.wake_all();
    }

    /// The operator's KafkaUsers, while the cluster serves them.
    pub fn users(&self) -> Option<UserStore> {
        self.users.borrow().clone()
    }

    /// Fingerprints of the operator's ScaledObjects, while KEDA is there.
    pub fn scaled_objects(&self) -> Option<Arc<MetadataCache<u64>>> {
        self.scaled.borrow().clone()
    }

    /// Whether KEDA is there.
    pub fn has_keda(&self) -> bool {
        self.scaled.borrow().is_some()
    }

    /// Wakes every reconciler for every object.
    pub fn wake_all(&self) {
        self.stocks_changed();
        self.stock_queue.push_all(&self.stores.stocks);
    }

    /// Wakes the reconciler for every OrderWorkflow.
    pub fn stocks_changed(&self) {
        self.workflow_queue.push_all(&self.stores.workflows);
    }

    /// Lets go of what is kept for objects that are gone.
    pub fn forget_gone(&self) {
        let stocks = self.stores.stocks.state().into_iter().filter_map(|stock| stock.metadata.uid.clone());
        let workflows =
            self.stores.workflows.state().into_iter().filter_map(|flow| flow.metadata.uid.clone());
        let present: HashSet<String> = stocks.chain(workflows).collect();
        self.objects.retain(|uid| present.contains(uid));
        self.reports.retain(|uid| present.contains(uid));
        self.ledgers.retain(|uid| present.contains(uid));
        self.orders.retain(|uid| present.contains(uid));
        self.logs.retain(|uid| present.contains(uid));
        self.metrics.retain_logs(|uid| present.contains(uid));
    }
}
