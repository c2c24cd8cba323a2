//! Creates clients, and asks the cluster through them for metadata and watermarks.

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

use super::connection_health::ConnectionHealth;
use super::{REQUEST_TIMEOUT, error, partition_id};

/// Timeout of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Pause before another request for a partition that has no leader.
const LEADER_RETRY: Duration = Duration::from_millis(100);

/// A client context that records the health of the connection.
pub(crate) struct HealthContext {
    health: Arc<ConnectionHealth>,
}

impl HealthContext {
    pub(crate) fn new(health: &Arc<ConnectionHealth>) -> Self {
        Self { health: Arc::clone(health) }
    }
}

impl ClientContext for HealthContext {
    fn error(&self, error: KafkaError, reason: &str) {
        record_error(&self.health, &error, reason);
    }
}

impl ConsumerContext for HealthContext {}

/// Logs an error that concerns a whole client, and records it if it means that no broker can be reached.
pub(crate) fn record_error(health: &ConnectionHealth, error: &KafkaError, reason: &str) {
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
        health.record_unreachable();
    }
    tracing::debug!(client = health.client(), %error, reason, "Kafka client error");
}

/// Creates a client with these settings.
pub(crate) fn create<C: ClientContext, T: FromClientConfigAndContext<C>>(
    config: &ClientConfig,
    context: C,
) -> Result<T, LogError> {
    config.create_with_context(context).map_err(|error| error::of_client(&error))
}

/// A client that can fetch the cluster's metadata.
pub(crate) trait MetadataClient {
    fn metadata(&self, topic: &str, timeout: Duration) -> KafkaResult<Metadata>;

    /// Whether a cluster with brokers responds. A client whose metadata once listed no broker never hears from one again
    /// (confluentinc/librdkafka#5301).
    fn probe(&self, topic: &str) -> bool {
        self.metadata(topic, PROBE_TIMEOUT).is_ok_and(|metadata| !metadata.brokers().is_empty())
    }

    /// Whether the cluster has this partition; false if the cluster does not respond.
    fn has_partition(&self, topic: &str, partition: u32) -> bool {
        let Ok(metadata) = self.metadata(topic, REQUEST_TIMEOUT) else { return false };
        let described = metadata.topics().iter().find(|described| described.name() == topic);
        described.is_some_and(|topic| topic.partitions().iter().any(|p| p.id() == partition_id(partition)))
    }
}

impl<C: ConsumerContext> MetadataClient for BaseConsumer<C> {
    fn metadata(&self, topic: &str, timeout: Duration) -> KafkaResult<Metadata> {
        self.fetch_metadata(Some(topic), timeout)
    }
}

/// The first and end offsets of a partition. A new partition has no leader for a moment, so the request is repeated
/// within [`REQUEST_TIMEOUT`].
pub(crate) fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: u32,
) -> KafkaResult<Bounds> {
    let started = Instant::now();
    let (first, end) = loop {
        match consumer.fetch_watermarks(topic, partition_id(partition), REQUEST_TIMEOUT) {
            Err(error) if is_leaderless(&error) && started.elapsed() < REQUEST_TIMEOUT => {
                std::thread::sleep(LEADER_RETRY);
            }
            answer => break answer?,
        }
    };
    Ok(Bounds { first: u64::try_from(first).unwrap_or(0), end: u64::try_from(end).unwrap_or(0) })
}

fn is_leaderless(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable))
}

/// Returns the [`watermarks`], and requests a renewal of a client that cannot find a partition which the cluster has.
///
/// After an outage a broker may list the partitions of a topic in any order. librdkafka (2.12,
/// `rd_kafka_metadata_cache_topic_update_merge_partitions`) caches them in that order, but looks partitions up as if they were sorted.
/// It does not find some of them for as long as it caches the topic.
pub(crate) fn watermarks_or_renewal<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    health: &ConnectionHealth,
    topic: &str,
    partition: u32,
) -> Result<Bounds, LogError> {
    watermarks(consumer, topic, partition).map_err(|error| {
        let unknown = error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition);
        if unknown && consumer.has_partition(topic, partition) {
            health.request_renewal();
            return LogError::Unavailable(format!(
                "the Kafka client does not find partition {partition} of {topic}"
            ));
        }
        error::of_partition(&error, topic, partition)
    })
}
