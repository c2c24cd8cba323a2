//! Objects that wait for a reconcile.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use kube::Resource;
use kube::runtime::reflector::Store;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::metrics::Metrics;

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

    /// Queues this object.
    pub fn push(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.insert(key.clone()) {
            // Only while the process ends is there no receiver.
            let _ = self.sender.send(key);
            self.metrics.queued(self.kind, waiting.len());
        }
    }

    /// Queues all objects of a store.
    pub fn push_all<K: Resource<DynamicType = ()> + Clone + 'static>(&self, store: &Store<K>) {
        for object in store.state() {
            self.push(
                object.meta().namespace.as_deref().unwrap_or_default(),
                object.meta().name.as_deref().unwrap_or_default(),
            );
        }
    }

    /// The reconcile of this object begins: later changes require another one.
    pub fn taken(&self, namespace: &str, name: &str) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&(namespace.to_owned(), name.to_owned()));
        self.metrics.queued(self.kind, waiting.len());
    }
}
