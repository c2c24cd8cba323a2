//! The status that Strimzi would write.

use chrono::{DateTime, SecondsFormat, Utc};
use kbnt_crds::kafka_topic::{KafkaTopic, KafkaTopicCondition, KafkaTopicStatus};

/// What a reconciliation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ready,
    Unmanaged,
    Paused,
    Failed { reason: &'static str, message: String },
}

/// The status for `topic`, with the time of the last change kept where nothing changed.
pub(super) fn status(
    topic: &KafkaTopic,
    name: &str,
    verdict: &Verdict,
    now: DateTime<Utc>,
) -> KafkaTopicStatus {
    let (type_, value, reason, message) = match verdict {
        Verdict::Ready => ("Ready", "True", None, None),
        Verdict::Unmanaged => ("Unmanaged", "True", None, None),
        Verdict::Paused => ("ReconciliationPaused", "True", None, None),
        Verdict::Failed { reason, message } => ("Ready", "False", Some(*reason), Some(message.clone())),
    };
    let same = topic.condition(type_).filter(|before| {
        before.status == value && before.reason.as_deref() == reason && before.message == message
    });
    let since = same.and_then(|before| before.last_transition_time.clone());
    // A topic that was made keeps its first name in the status: a rename is told from it.
    let before = topic.status.as_ref().and_then(|status| status.topic_name.clone());
    KafkaTopicStatus {
        observed_generation: topic.metadata.generation,
        conditions: vec![KafkaTopicCondition {
            type_: type_.to_owned(),
            status: value.to_owned(),
            reason: reason.map(str::to_owned),
            message,
            last_transition_time: since.or_else(|| Some(now.to_rfc3339_opts(SecondsFormat::Secs, true))),
        }],
        topic_name: match verdict {
            Verdict::Ready => Some(name.to_owned()),
            _ => before,
        },
        topic_id: None,
    }
}
