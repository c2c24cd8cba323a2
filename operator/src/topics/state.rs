//! The condition TopicsReady.

use crate::conditions::{Finding, list};
use crate::readiness::{State, View, grouped};

/// TopicsReady for these topics.
pub fn finding(views: &[View]) -> Finding {
    const TYPE: &str = "TopicsReady";
    let pick = |choose: fn(&State) -> Option<String>| grouped(views, choose);
    let held = pick(|state| match state {
        State::Held(holder) => Some(format!("belongs to {holder}")),
        _ => None,
    });
    if !held.is_empty() {
        let advice = "set another kafka.topicPrefix, or see \"Taking over a topic\" in the documentation";
        return Finding::no(TYPE, "TopicConflict", format!("{}; {advice}", list(&held)));
    }
    let failed = pick(|state| match state {
        State::Failed(reason, message) => Some(format!("{reason}: {message}")),
        _ => None,
    });
    if !failed.is_empty() {
        return Finding::no(TYPE, "TopicFailed", list(&failed));
    }
    let pending = pick(|state| match state {
        State::Pending(why) => Some(why.clone()),
        _ => None,
    });
    if !pending.is_empty() {
        return Finding::no(TYPE, "WaitingForTopics", list(&pending));
    }
    let left_alone = pick(|state| match state {
        State::LeftAlone(how) => Some((*how).into()),
        _ => None,
    });
    let exceptions = if left_alone.is_empty() { String::new() } else { format!("; {}", list(&left_alone)) };
    Finding::yes(TYPE, "TopicsReady", format!("{} of {} topics ready{exceptions}", views.len(), views.len()))
}

#[cfg(test)]
mod tests {
    use kbnt_crds::kafka_topic::KafkaTopicCondition;
    use kbnt_crds::{KafkaTopic, KafkaTopicStatus};

    use super::*;

    fn topic(generation: i64, observed: Option<i64>, conditions: &[(&str, &str, &str, &str)]) -> KafkaTopic {
        let conditions = conditions.iter().map(|(type_, status, reason, message)| KafkaTopicCondition {
            type_: (*type_).into(),
            status: (*status).into(),
            reason: Some((*reason).into()),
            message: Some((*message).into()),
            last_transition_time: None,
        });
        let mut topic = KafkaTopic {
            status: Some(KafkaTopicStatus {
                observed_generation: observed,
                conditions: conditions.collect(),
                ..KafkaTopicStatus::default()
            }),
            ..KafkaTopic::default()
        };
        topic.metadata.generation = Some(generation);
        topic
    }

    #[test]
    fn ready_counts_only_for_the_present_generation() {
        let ready = [("Ready", "True", "", "")];
        assert_eq!(State::of(&topic(2, Some(2), &ready)), State::Ready);
        assert!(matches!(State::of(&topic(2, Some(1), &ready)), State::Pending(_)));
        assert!(matches!(State::of(&topic(2, None, &ready)), State::Pending(_)));
        assert!(matches!(State::of(&topic(2, Some(2), &[])), State::Pending(_)));
        assert!(matches!(State::of(&KafkaTopic::default()), State::Pending(_)));
    }

    #[test]
    fn a_topic_that_is_left_alone_is_accepted_and_a_failure_has_the_words_of_strimzi() {
        assert!(State::of(&topic(1, Some(1), &[("Unmanaged", "True", "", "")])).is_usable());
        assert!(State::of(&topic(1, Some(1), &[("ReconciliationPaused", "True", "", "")])).is_usable());
        let failed =
            State::of(&topic(1, Some(1), &[("Ready", "False", "NotSupported", "no fewer partitions")]));
        assert!(!failed.is_usable());
        let found = finding(&[View { name: "a".into(), state: failed }]);
        assert_eq!(
            (found.reason.as_ref(), found.message.as_str()),
            ("TopicFailed", "a: NotSupported: no fewer partitions")
        );
    }

    #[test]
    fn the_worst_topic_gives_the_reason() {
        let view = |name: &str, state| View { name: name.into(), state };
        let ready = view("r", State::Ready);
        let pending = view("p", State::Pending("wait".into()));
        let failed = view("f", State::Failed("KafkaError".into(), "down".into()));
        let held = view("h", State::Held("VirtualStock a/b".into()));
        let reason = |views: &[&View]| finding(&views.iter().copied().cloned().collect::<Vec<_>>()).reason;
        assert_eq!(reason(&[&ready]), "TopicsReady");
        assert_eq!(reason(&[&ready, &pending]), "WaitingForTopics");
        assert_eq!(reason(&[&pending, &failed]), "TopicFailed");
        assert_eq!(reason(&[&failed, &held, &pending]), "TopicConflict");
        let message =
            finding(&[pending.clone(), View { name: "q".into(), ..pending.clone() }, ready]).message;
        assert_eq!(message, "p, q: wait");
    }
}
