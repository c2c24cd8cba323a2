//! What all clients of the cluster have in common.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kbnt_application::intact::Bounds;
use kbnt_application::ports::LogError;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use crate::client::connection_health::Life;
use crate::client::{ASK, error, number};

/// How long a broker may take to say that it is there.
const PRESENCE: Duration = Duration::from_secs(3);

/// After which time a partition without a leader is asked for again.
const BETWEEN_LEADERS: Duration = Duration::from_millis(100);

/// Notes whether brokers can be reached.
pub(crate) struct Context {
    life: Arc<Life>,
}

impl Context {
    pub(crate) fn new(life: &Arc<Life>) -> Self {
        Self { life: Arc::clone(life) }
    }
}

/// Takes note of an error that concerns a client as a whole.
pub(crate) fn note(life: &Life, error: &KafkaError, reason: &str) {
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
        life.lost();
    }
    tracing::debug!(client = life.name(), %error, reason, "Kafka client");
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        note(&self.life, &error, reason);
    }
}

impl ConsumerContext for Context {}

/// A client with these settings.
pub(crate) fn create<C: ClientContext, T: FromClientConfigAndContext<C>>(
    config: &ClientConfig,
    context: C,
) -> Result<T, LogError> {
    config.create_with_context(context).map_err(|error| error::of_client(&error))
}

/// A client that can be asked about the cluster.
pub(crate) trait Ask {
    fn metadata(&self, topic: &str, within: Duration) -> KafkaResult<Metadata>;

    /// Whether a cluster with brokers answers it. A client that was told of a cluster without any never hears from one
    /// again (confluentinc/librdkafka#5301).
    fn is_answered(&self, topic: &str) -> bool {
        self.metadata(topic, PRESENCE).is_ok_and(|metadata| !metadata.brokers().is_empty())
    }

    /// Whether the cluster has such a partition; one that cannot be asked for now is not seen.
    fn has(&self, topic: &str, partition: u32) -> bool {
        let Ok(metadata) = self.metadata(topic, ASK) else { return false };
        let described = metadata.topics().iter().find(|described| described.name() == topic);
        described.is_some_and(|topic| topic.partitions().iter().any(|p| p.id() == number(partition)))
    }
}

/// What is kept of a partition. One that has no leader yet, as right after its topic was made, gets one within the time of a question.
pub(crate) fn kept<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: u32,
) -> KafkaResult<Bounds> {
    let asked = Instant::now();
    let (first, end) = loop {
        match consumer.fetch_watermarks(topic, number(partition), ASK) {
            Err(error) if is_between_leaders(&error) && asked.elapsed() < ASK => {
                std::thread::sleep(BETWEEN_LEADERS);
            }
            answer => break answer?,
        }
    };
    Ok(Bounds { first: u64::try_from(first).unwrap_or(0), end: u64::try_from(end).unwrap_or(0) })
}

fn is_between_leaders(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable))
}

/// What is [`kept`]; a client that misses a partition which the cluster has is condemned.
///
/// After an outage a broker names the partitions of a topic in any order. librdkafka (2.12,
/// `rd_kafka_metadata_cache_topic_update_merge_partitions`) takes over that order, looks a partition up as if they were sorted, and does not
/// find it for as long as it remembers the topic.
pub(crate) fn kept_or_condemned<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    life: &Life,
    topic: &str,
    partition: u32,
) -> Result<Bounds, LogError> {
    kept(consumer, topic, partition).map_err(|error| {
        let unknown = error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition);
        if unknown && consumer.has(topic, partition) {
            life.condemn();
            return LogError::Unavailable(format!(
                "a Kafka client has lost partition {partition} of {topic}"
            ));
        }
        error::on_partition(&error, topic, partition)
    })
}

impl<C: ConsumerContext> Ask for BaseConsumer<C> {
    fn metadata(&self, topic: &str, within: Duration) -> KafkaResult<Metadata> {
        self.fetch_metadata(Some(topic), within)
    }
}
