//! Maps errors of librdkafka to those of the log.

use kbnt_application::ports::LogError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// Maps an error that concerns a whole client.
pub(crate) fn of_client(error: &KafkaError) -> LogError {
    match error {
        KafkaError::ClientConfig(..)
        | KafkaError::ClientCreation(_)
        | KafkaError::MessageConsumptionFatal(_) => LogError::Refused(error.to_string()),
        _ => match error.rdkafka_error_code() {
            Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => {
                LogError::TooLarge(error.to_string())
            }
            // Neither a retry nor a new permission would help.
            Some(
                Code::InvalidRecord | Code::InvalidTopic | Code::UnsupportedVersion | Code::FencedInstanceId,
            ) => LogError::Refused(error.to_string()),
            _ => LogError::Unavailable(error.to_string()),
        },
    }
}

/// Maps an error that concerns one partition.
pub(crate) fn of_partition(error: &KafkaError, topic: &str, partition: u32) -> LogError {
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
