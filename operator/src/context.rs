//! What every reconcile has at hand.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::core::ApiResource;
use kube::runtime::reflector::Store;
use kube::{Client, Resource};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::cluster::{Events, Notes, Objects, Scope};
use crate::gate::Gate;
use crate::health::Health;
use crate::log::LogWatches;
use crate::metrics::Metrics;
use crate::services::{Address, Observers, OrderSummary, StockSummary};
use crate::topics::{JobNote, Reports, TopicNote};
use crate::users::{Rights, SecretNote, UserNote};
use crate::workloads::DeploymentNote;

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
    pub scaled: watch::Sender<Option<Arc<Notes<u64>>>>,
    /// Writes objects.
    pub objects: Objects,
    /// Writes events.
    pub events: Events,
    /// Bounds status writes.
    pub gate: Gate,
    /// Counts.
    pub metrics: Metrics,
    /// Whether the process lives.
    pub health: Health,
    /// What Jobs told of topics.
    pub reports: Reports,
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
    pub deployments: Arc<Notes<DeploymentNote>>,
    /// Fingerprints of the operator's Services.
    pub services: Arc<Notes<u64>>,
    /// Fingerprints of the operator's ServiceAccounts.
    pub accounts: Arc<Notes<u64>>,
    /// Fingerprints of the operator's ConfigMaps.
    pub configs: Arc<Notes<u64>>,
    /// Fingerprints of the operator's Roles.
    pub roles: Arc<Notes<u64>>,
    /// Fingerprints of the operator's RoleBindings.
    pub bindings: Arc<Notes<u64>>,
    /// Fingerprints of the operator's PodDisruptionBudgets.
    pub budgets: Arc<Notes<u64>>,
    /// Fingerprints of the operator's HorizontalPodAutoscalers.
    pub scalers: Arc<Notes<u64>>,
    /// The operator's Jobs.
    pub jobs: Arc<Notes<JobNote>>,
    /// The Secrets of users, Strimzi's and the copies.
    pub secrets: Arc<Notes<SecretNote>>,
}

/// The operator's KafkaUsers, in the version that the cluster serves.
#[derive(Clone)]
pub struct UserStore {
    /// Group, version and plural.
    pub resource: ApiResource,
    /// The users.
    pub notes: Arc<Notes<UserNote>>,
}

/// The operator's KafkaTopics, in the version that the cluster serves.
#[derive(Clone)]
pub struct TopicStore {
    /// Group, version and plural.
    pub resource: ApiResource,
    /// The topics.
    pub notes: Arc<Notes<TopicNote>>,
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
    pub fn scaled_objects(&self) -> Option<Arc<Notes<u64>>> {
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

/// Namespace and name.
pub type Key = (String, String);

/// Objects of one kind that wait for a reconcile, each at most once.
pub struct Queue {
    kind: &'static str,
    sender: UnboundedSender<Key>,
    waiting: Mutex<HashSet<Key>>,
    metrics: Metrics,
}

impl Queue {
    /// An empty queue for objects of this kind, and its other end.
    pub fn new(kind: &'static str, metrics: Metrics) -> (Arc<Self>, UnboundedReceiver<Key>) {
        let (sender, receiver) = unbounded_channel();
        (Arc::new(Self { kind, sender, waiting: Mutex::default(), metrics }), receiver)
    }

    /// This object is to be reconciled.
    pub fn push(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.insert(key.clone()) {
            // Nobody listens any more only while the process ends.
            let _ = self.sender.send(key);
            self.metrics.queued(self.kind, waiting.len());
        }
    }

    /// All objects of a store are to be reconciled.
    pub fn push_all<K: Resource<DynamicType = ()> + Clone + 'static>(&self, store: &Store<K>) {
        for object in store.state() {
            self.push(
                object.meta().namespace.as_deref().unwrap_or_default(),
                object.meta().name.as_deref().unwrap_or_default(),
            );
        }
    }

    /// The reconcile of this object begins: from here on, news make another one necessary.
    pub fn taken(&self, namespace: &str, name: &str) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&(namespace.to_owned(), name.to_owned()));
        self.metrics.queued(self.kind, waiting.len());
    }
}
