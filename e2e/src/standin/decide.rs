//! Decides what to do about a `KafkaTopic`.

use std::collections::BTreeMap;

use kbnt_crds::kafka_topic::KafkaTopic;

use super::TopicState;

/// What a `KafkaTopic` and the broker's state require.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Create the topic.
    Create,
    /// Change the topic to the declared state.
    Update {
        /// Grow to this many partitions.
        partitions: Option<i32>,
        /// Set exactly this configuration; every other setting returns to the broker's default.
        config: Option<BTreeMap<String, String>>,
    },
    /// Nothing to do.
    Same,
    /// Kafka cannot do this: reason `NotSupported`, with this message. Everything else is changed all the
    /// same.
    NotSupported {
        /// The impossible change.
        message: String,
        /// Grow to this many partitions.
        partitions: Option<i32>,
        /// Set exactly this configuration.
        config: Option<BTreeMap<String, String>>,
    },
}

/// The topic's name in Kafka.
pub(super) fn topic_name(topic: &KafkaTopic) -> String {
    topic.spec.topic_name.clone().or_else(|| topic.metadata.name.clone()).unwrap_or_default()
}

/// The declared configuration as the broker writes it.
pub(super) fn declared_config(topic: &KafkaTopic) -> BTreeMap<String, String> {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    topic.spec.config.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// Compares the declaration with the present topic; `None` means that it does not exist.
pub fn decide(topic: &KafkaTopic, found: Option<&TopicState>) -> Decision {
    let name = topic_name(topic);
    if let Some(before) = topic.status.as_ref().and_then(|status| status.topic_name.as_ref())
        && *before != name
    {
        return Decision::not_supported("Changing spec.topicName is not supported", None, None);
    }
    let Some(found) = found else { return Decision::Create };
    let declared = declared_config(topic);
    let config = (declared != found.config).then_some(declared);
    let partitions = topic.spec.partitions.filter(|wanted| *wanted != found.partitions);
    if partitions.is_some_and(|wanted| wanted < found.partitions) {
        return Decision::not_supported("Decreasing partitions not supported", None, config);
    }
    if topic.spec.replicas.is_some_and(|wanted| wanted != found.replicas) {
        let all: Vec<_> = (0..found.partitions).collect();
        let message = format!("Replication factor change not supported, but required for partitions {all:?}");
        return Decision::not_supported(&message, partitions, config);
    }
    if partitions.is_none() && config.is_none() {
        Decision::Same
    } else {
        Decision::Update { partitions, config }
    }
}

impl Decision {
    fn not_supported(
        message: &str,
        partitions: Option<i32>,
        config: Option<BTreeMap<String, String>>,
    ) -> Self {
        Self::NotSupported { message: message.to_owned(), partitions, config }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbnt_crds::kafka_topic::{KafkaTopicSpec, KafkaTopicStatus};

    fn declared(partitions: i32, retention: &str) -> KafkaTopic {
        let mut topic = KafkaTopic::default();
        topic.metadata.name = Some("user-events".to_owned());
        topic.spec = KafkaTopicSpec {
            partitions: Some(partitions),
            replicas: Some(1),
            config: [("retention.ms".to_owned(), retention.into())].into(),
            ..KafkaTopicSpec::default()
        };
        topic
    }

    fn found(partitions: i32) -> TopicState {
        let config = [("retention.ms".to_owned(), "-1".to_owned())].into();
        TopicState { id: "WOl_vM4-QU2HyDFeU4Yg0w".to_owned(), partitions, replicas: 1, config }
    }

    #[test]
    fn what_is_declared_decides() {
        let grown = Decision::Update { partitions: Some(5), config: None };
        let configured = Decision::Update {
            partitions: None,
            config: Some([("retention.ms".to_owned(), "60000".to_owned())].into()),
        };
        let smaller = Decision::not_supported("Decreasing partitions not supported", None, None);
        let other = Some([("retention.ms".to_owned(), "60000".to_owned())].into());
        let smaller_and_configured =
            Decision::not_supported("Decreasing partitions not supported", None, other);
        for (topic, found, decision) in [
            (declared(3, "-1"), None, Decision::Create),
            (declared(3, "-1"), Some(found(3)), Decision::Same),
            (declared(5, "-1"), Some(found(3)), grown),
            (declared(2, "-1"), Some(found(3)), smaller),
            (declared(2, "60000"), Some(found(3)), smaller_and_configured),
            (declared(3, "60000"), Some(found(3)), configured),
        ] {
            assert_eq!(decide(&topic, found.as_ref()), decision);
        }
    }

    #[test]
    fn a_topic_cannot_be_renamed_or_replicated_anew() {
        let mut renamed = declared(3, "-1");
        renamed.status =
            Some(KafkaTopicStatus { topic_name: Some("other".to_owned()), ..KafkaTopicStatus::default() });
        let refused = Decision::not_supported("Changing spec.topicName is not supported", None, None);
        assert_eq!(decide(&renamed, Some(&found(3))), refused);

        let mut copied = declared(3, "-1");
        copied.spec.replicas = Some(3);
        assert!(matches!(
            decide(&copied, Some(&found(3))),
            Decision::NotSupported { partitions: None, config: None, .. }
        ));
        // It grows all the same, as with Strimzi.
        copied.spec.partitions = Some(5);
        assert!(matches!(
            decide(&copied, Some(&found(3))),
            Decision::NotSupported { partitions: Some(5), config: None, .. }
        ));
    }
}
