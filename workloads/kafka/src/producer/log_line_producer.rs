//! Writes log lines, as far as there is room for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kbnt_application::ports::LogError;
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, ProducerContext};

use super::polled_producer::Polled;
use crate::client::config::KafkaConfig;
use crate::client::connection_health::Life;
use crate::client::metadata as client;
use crate::client::number;
use crate::client::renewable::Replaceable;
use crate::client::supervisor::Watch;
use kbnt_wire::raw::RawAppend;

/// A producer that never holds anybody up.
pub(crate) struct Lines {
    config: Arc<KafkaConfig>,
    pub(crate) producer: Replaceable<Polled<Losses>>,
    lost: Arc<AtomicU64>,
}

/// Counts lines that were not delivered.
pub(crate) struct Losses {
    lost: Arc<AtomicU64>,
    life: Arc<Life>,
}

impl ClientContext for Losses {
    /// Silent: what it says would become lines that it is to write.
    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ProducerContext for Losses {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.life.heard();
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Lines {
    pub(crate) fn new(config: &Arc<KafkaConfig>, watch: &Arc<Watch>) -> Result<Self, LogError> {
        let lost = Arc::new(AtomicU64::new(0));
        let (settings, watching, losing) = (config.lines(), Arc::clone(watch), Arc::clone(&lost));
        let make = move |life: &Arc<Life>| {
            let losses = Losses { lost: Arc::clone(&losing), life: Arc::clone(life) };
            client::create(&watching.with_credentials(settings.clone()), losses)
        };
        let producer = Replaceable::new(watch.life("lines"), make)?;
        Ok(Self { config: Arc::clone(config), producer, lost })
    }

    /// Takes a line if there is room.
    pub(crate) fn offer(&self, append: &RawAppend) -> bool {
        let topic = self.config.topic_name(append.topic);
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic);
        record.key = append.record.key.as_deref();
        record.payload = append.record.value.as_deref();
        record.partition = append.to.map(number);
        self.producer.current().send(record).is_ok()
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}
