//! A producer with a thread that polls it for delivery reports.

use std::ops::Deref;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};

use crate::client::metadata::MetadataClient;
use crate::client::thread::StopFlag;

/// How long one poll waits, and so how long a stop may go unnoticed. In the last millisecond of a poll rdkafka (0.39) spins, which
/// its own threaded producer does ten times a second even when idle. A timeout slightly above whole milliseconds avoids that.
const POLL_TIMEOUT: Duration = Duration::from_micros(250_050);

/// A producer whose polling thread ends with it.
pub(crate) struct PolledProducer<C: ProducerContext + 'static> {
    producer: Arc<BaseProducer<C>>,
    stop: StopFlag,
    thread: Option<JoinHandle<()>>,
}

impl<C: ProducerContext + 'static> FromClientConfigAndContext<C> for PolledProducer<C> {
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        let producer = Arc::new(BaseProducer::from_config_and_context(config, context)?);
        let stop = StopFlag::default();
        let (polled, stopped) = (Arc::clone(&producer), stop.clone());
        let poll = move || {
            while !stopped.is_set() {
                polled.poll(POLL_TIMEOUT);
            }
        };
        let thread = std::thread::Builder::new().name("kafka-acks".to_owned()).spawn(poll);
        let thread = thread.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { producer, stop, thread: Some(thread) })
    }
}

impl<C: ProducerContext + 'static> Deref for PolledProducer<C> {
    type Target = BaseProducer<C>;

    fn deref(&self) -> &Self::Target {
        &self.producer
    }
}

impl<C: ProducerContext + 'static> MetadataClient for PolledProducer<C> {
    fn metadata(&self, topic: &str, timeout: Duration) -> KafkaResult<Metadata> {
        self.client().fetch_metadata(Some(topic), timeout)
    }
}

impl<C: ProducerContext + 'static> Drop for PolledProducer<C> {
    /// Waits for the thread, as the client must be closed before the process exits.
    fn drop(&mut self) {
        self.stop.set();
        // A thread that panicked has ended, too.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
