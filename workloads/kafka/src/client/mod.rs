//! What all Kafka clients of the process share: configuration, credentials, health and renewal.

pub(crate) mod config;
pub(crate) mod connection_health;
pub(crate) mod error;
pub(crate) mod metadata;
pub(crate) mod renewable;
pub(crate) mod security;
pub(crate) mod supervisor;
pub(crate) mod thread;

use std::time::Duration;

use kbnt_application::Topic;
use rdkafka::Offset;

/// Timeout of one request to a broker.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A partition of a topic.
pub(crate) type TopicPartition = (Topic, u32);

/// A partition number in the type of librdkafka. No topic has more partitions than fit into it.
pub(crate) fn partition_id(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// An offset in the type of librdkafka.
pub(crate) fn kafka_offset(offset: u64) -> Offset {
    Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX))
}
