//! A producer, and the thread that takes in what became of its records.

use std::ops::Deref;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};

use crate::client::metadata::Ask;

use crate::client::thread::Stop;

/// How long one wait for acknowledgements lasts, and how long a stop may go unnoticed. In the last millisecond of each wait
/// rdkafka (0.39) looks again and again without a pause, which its own threaded producer does ten times a second, also when
/// it is idle; a little over whole milliseconds a wait without news ends before that.
const WAIT: Duration = Duration::from_micros(250_050);

/// A producer whose thread ends with it.
pub(crate) struct Polled<C: ProducerContext + 'static> {
    producer: Arc<BaseProducer<C>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl<C: ProducerContext + 'static> FromClientConfigAndContext<C> for Polled<C> {
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        let producer = Arc::new(BaseProducer::from_config_and_context(config, context)?);
        let (stop, polled) = (Stop::default(), Arc::clone(&producer));
        let told = stop.clone();
        let poll = move || {
            while !told.is_told() {
                polled.poll(WAIT);
            }
        };
        let thread = std::thread::Builder::new().name("kafka-acks".to_owned()).spawn(poll);
        let thread = thread.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { producer, stop, thread: Some(thread) })
    }
}

impl<C: ProducerContext + 'static> Deref for Polled<C> {
    type Target = BaseProducer<C>;

    fn deref(&self) -> &Self::Target {
        &self.producer
    }
}

impl<C: ProducerContext + 'static> Ask for Polled<C> {
    fn metadata(&self, topic: &str, within: Duration) -> KafkaResult<Metadata> {
        self.client().fetch_metadata(Some(topic), within)
    }
}

impl<C: ProducerContext + 'static> Drop for Polled<C> {
    /// Waits for the thread: the client must have ended before the process does.
    fn drop(&mut self) {
        self.stop.stop();
        // A thread that has panicked has ended as well.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
