//! The status that Strimzi would write.

use chrono::{DateTime, SecondsFormat, Utc};
use kbnt_crds::kafka_topic::{KafkaTopic, KafkaTopicCondition, KafkaTopicStatus};

/// The result of a reconciliation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ready { id: String },
    Unmanaged,
    Paused,
    Failed { reason: &'static str, message: String },
}

/// The status for `topic`. If nothing changed, the time of the last change stays.
pub(super) fn status(
    topic: &KafkaTopic,
    name: &str,
    verdict: &Verdict,
    now: DateTime<Utc>,
) -> KafkaTopicStatus {
    let (type_, value, reason, message) = match verdict {
        Verdict::Ready { .. } => ("Ready", "True", None, None),
        Verdict::Unmanaged => ("Unmanaged", "True", None, None),
        Verdict::Paused => ("ReconciliationPaused", "True", None, None),
        Verdict::Failed { reason, message } => ("Ready", "False", Some(*reason), Some(message.clone())),
    };
    let same = topic.condition(type_).filter(|before| {
        before.status == value && before.reason.as_deref() == reason && before.message == message
    });
    let since = same.and_then(|before| before.last_transition_time.clone());
    // The status keeps the first name of a topic, which reveals a rename. An unmanaged topic has none.
    let before = topic.status.clone().unwrap_or_default();
    let (topic_name, topic_id) = match verdict {
        Verdict::Ready { id } => (Some(name.to_owned()), Some(id.clone())),
        Verdict::Unmanaged => (None, None),
        Verdict::Paused | Verdict::Failed { .. } => (before.topic_name, before.topic_id),
    };
    KafkaTopicStatus {
        observed_generation: topic.metadata.generation,
        conditions: vec![KafkaTopicCondition {
            type_: type_.to_owned(),
            status: value.to_owned(),
            reason: reason.map(str::to_owned),
            message,
            last_transition_time: since.or_else(|| Some(now.to_rfc3339_opts(SecondsFormat::Secs, true))),
        }],
        topic_name,
        topic_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_there_while_the_topic_is_managed() {
        let mut topic = KafkaTopic::default();
        let mut shown = |verdict: &Verdict| {
            let status = status(&topic, "user-events", verdict, DateTime::UNIX_EPOCH);
            topic.status = Some(status.clone());
            (status.topic_name, status.topic_id)
        };
        let known = (Some("user-events".to_owned()), Some("id".to_owned()));
        let failed = Verdict::Failed { reason: "KafkaError", message: "away".into() };
        assert_eq!(shown(&Verdict::Ready { id: "id".into() }), known);
        assert_eq!(shown(&failed), known);
        assert_eq!(shown(&Verdict::Paused), known);
        assert_eq!(shown(&Verdict::Unmanaged), (None, None));
    }
}
