//! The producer of log lines. It never blocks: it drops lines for which it has no room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kbnt_application::ports::LogError;
use kbnt_wire::raw::RawAppend;
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, ProducerContext};

use super::polled_producer::PolledProducer;
use crate::client::config::KafkaConfig;
use crate::client::connection_health::ConnectionHealth;
use crate::client::metadata;
use crate::client::partition_id;
use crate::client::renewable::RenewableClient;
use crate::client::supervisor::ClientSupervisor;

/// Sends log lines to Kafka.
pub(crate) struct LogLineProducer {
    config: Arc<KafkaConfig>,
    pub(crate) producer: RenewableClient<PolledProducer<LossContext>>,
    lost: Arc<AtomicU64>,
}

/// Counts the lines that are not delivered.
pub(crate) struct LossContext {
    lost: Arc<AtomicU64>,
    health: Arc<ConnectionHealth>,
}

impl ClientContext for LossContext {
    /// Logs nothing, as it would produce more lines to send.
    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ProducerContext for LossContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.health.record_response();
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl LogLineProducer {
    /// Creates the producer.
    pub(crate) fn new(
        config: &Arc<KafkaConfig>,
        supervisor: &Arc<ClientSupervisor>,
    ) -> Result<Self, LogError> {
        let lost = Arc::new(AtomicU64::new(0));
        let (settings, credentials) = (config.log_line_producer(), Arc::clone(supervisor));
        let counter = Arc::clone(&lost);
        let factory = move |health: &Arc<ConnectionHealth>| {
            let context = LossContext { lost: Arc::clone(&counter), health: Arc::clone(health) };
            metadata::create(&credentials.with_credentials(settings.clone()), context)
        };
        let producer = RenewableClient::new(supervisor.register("log-lines"), factory)?;
        Ok(Self { config: Arc::clone(config), producer, lost })
    }

    /// Sends a line; returns false if there is no room for it.
    pub(crate) fn offer(&self, append: &RawAppend) -> bool {
        let topic = self.config.topic_name(append.topic);
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic);
        record.key = append.record.key.as_deref();
        record.payload = append.record.value.as_deref();
        record.partition = append.to.map(partition_id);
        self.producer.current().send(record).is_ok()
    }

    /// The number of lines that were accepted and not delivered.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}
