//! A client that can be renewed, that is replaced by a new one, while it is in use.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kbnt_application::ports::LogError;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::connection_health::ConnectionHealth;
use super::metadata::MetadataClient;
use super::thread::spawn;

type Factory<C> = Box<dyn Fn(&Arc<ConnectionHealth>) -> Result<C, LogError> + Send + Sync>;

/// The current client, and the factory for the next one.
pub(crate) struct RenewableClient<C> {
    factory: Factory<C>,
    current: Mutex<Arc<ClientInstance<C>>>,
    health: Arc<ConnectionHealth>,
}

/// A client that is current, or was until it was retired.
pub(crate) struct ClientInstance<C> {
    client: C,
    retired: CancellationToken,
}

impl<C> ClientInstance<C> {
    /// Whether a new client has replaced this one.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.is_cancelled()
    }

    /// Completes when a new client has replaced this one.
    pub(crate) fn retired(&self) -> WaitForCancellationFuture<'_> {
        self.retired.cancelled()
    }
}

impl<C> Deref for ClientInstance<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.client
    }
}

impl<C: MetadataClient + Send + Sync + 'static> RenewableClient<C> {
    /// Creates the first client.
    pub(crate) fn new(
        health: Arc<ConnectionHealth>,
        factory: impl Fn(&Arc<ConnectionHealth>) -> Result<C, LogError> + Send + Sync + 'static,
    ) -> Result<Self, LogError> {
        let current = ClientInstance { client: factory(&health)?, retired: CancellationToken::new() };
        Ok(Self { factory: Box::new(factory), current: Mutex::new(Arc::new(current)), health })
    }

    pub(crate) fn current(&self) -> Arc<ClientInstance<C>> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The health of the current client.
    pub(crate) fn health(&self) -> &ConnectionHealth {
        &self.health
    }

    /// Replaces `old` with a new client. Does nothing if `old` is no longer the current client.
    pub(crate) fn renew(&self, old: &Arc<ClientInstance<C>>) -> Result<(), LogError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, old) {
            let client = (self.factory)(&self.health)?;
            let new = ClientInstance { client, retired: CancellationToken::new() };
            let old = std::mem::replace(&mut *current, Arc::new(new));
            drop(current);
            self.health.record_renewal();
            old.retired.cancel();
            close_when_unused(old)?;
        }
        Ok(())
    }

    /// Renews the client if it is due for renewal, and probes the cluster if a probe is due.
    pub(crate) fn maintain(&self, topic: &str) {
        let current = self.current();
        if self.health.is_renewal_due() {
            if let Err(error) = self.renew(&current) {
                tracing::warn!(client = self.health.client(), %error, "cannot renew a Kafka client");
            }
        } else if self.health.take_probe() {
            self.health.record_probe(current.probe(topic));
        }
    }
}

/// Closes a client on a thread of its own once it is no longer in use. That can take a while.
fn close_when_unused<C: Send + Sync + 'static>(client: Arc<ClientInstance<C>>) -> Result<(), LogError> {
    spawn("kafka-close", move || {
        while Arc::strong_count(&client) > 1 {
            std::thread::sleep(Duration::from_millis(50));
        }
    })
}
