//! What all clients of the cluster have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kbnt_application::ports::LogError;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::error;

/// Whether the cluster answers, as far as any client of this process knows.
#[derive(Debug, Default)]
pub(super) struct Health {
    down: AtomicBool,
}

impl Health {
    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    pub(super) fn set_down(&self, down: bool) {
        if self.down.swap(down, Ordering::Relaxed) != down {
            if down {
                tracing::warn!("no Kafka broker can be reached; trying again");
            } else {
                tracing::info!("Kafka answers again");
            }
        }
    }

    /// What to tell a reader that found nothing.
    pub(super) fn check(&self) -> Result<(), LogError> {
        if self.is_down() {
            return Err(LogError::Unavailable("no broker can be reached".to_owned()));
        }
        Ok(())
    }
}

/// Notes whether brokers can be reached.
pub(super) struct Context {
    pub(super) health: Arc<Health>,
}

impl Context {
    pub(super) fn new(health: &Arc<Health>) -> Self {
        Self { health: Arc::clone(health) }
    }
}

/// Takes note of an error that concerns a client as a whole.
pub(super) fn note(health: &Health, error: &KafkaError, reason: &str) {
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
        health.set_down(true);
    }
    tracing::debug!(%error, reason, "Kafka client");
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        note(&self.health, &error, reason);
    }
}

impl ConsumerContext for Context {}

/// A client with these settings.
pub(super) fn create<C: ClientContext, T: FromClientConfigAndContext<C>>(
    config: &ClientConfig,
    context: C,
) -> Result<T, LogError> {
    config.create_with_context(context).map_err(|error| error::of_client(&error))
}
