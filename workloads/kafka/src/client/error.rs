//! What Kafka's errors mean to us.

use kbnt_application::ports::LogError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// An error of a client as a whole.
pub(crate) fn of_client(error: &KafkaError) -> LogError {
    match error {
        KafkaError::ClientConfig(..)
        | KafkaError::ClientCreation(_)
        | KafkaError::MessageConsumptionFatal(_) => LogError::Refused(error.to_string()),
        _ => match error.rdkafka_error_code() {
            Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => {
                LogError::TooLarge(error.to_string())
            }
            // Nothing that waiting or a new permission would change.
            Some(
                Code::InvalidRecord | Code::InvalidTopic | Code::UnsupportedVersion | Code::FencedInstanceId,
            ) => LogError::Refused(error.to_string()),
            _ => LogError::Unavailable(error.to_string()),
        },
    }
}

/// An error about a partition.
pub(crate) fn on_partition(error: &KafkaError, topic: &str, partition: u32) -> LogError {
    match error.rdkafka_error_code() {
        Some(
            Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopicId,
        ) => LogError::NoSuchPartition { topic: topic.to_owned(), partition },
        _ => of_client(error),
    }
}
