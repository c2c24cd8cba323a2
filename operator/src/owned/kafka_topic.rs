//! What is kept of a KafkaTopic.

use kbnt_crds::KafkaTopic;

use crate::ownership::Owner;
use crate::readiness::State;

/// What is kept of a KafkaTopic.
#[derive(Clone, Debug)]
pub struct ObservedTopic {
    /// The owner that is written on it.
    pub owner: Option<Box<str>>,
    /// Whether it is ready.
    pub state: State,
    /// Its id in Kafka, once Strimzi has reported it.
    pub topic_id: Option<Box<str>>,
}

impl ObservedTopic {
    /// Extracts it from a KafkaTopic.
    pub fn of(topic: &KafkaTopic) -> Self {
        Self {
            owner: Owner::signature(&topic.metadata).map(Into::into),
            state: State::of(topic),
            topic_id: topic.status.as_ref().and_then(|status| status.topic_id.as_deref()).map(Into::into),
        }
    }
}
