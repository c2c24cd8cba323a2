//! How a topic fares, as those tell who make it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::KafkaTopic;
use kbnt_crds::kafka_topic::KafkaTopicCondition;

use super::Owner;
use crate::cluster::fingerprint;
use crate::conditions::{Finding, list};

/// How a topic fares.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// It can be used.
    Ready,
    /// It is left alone at somebody's request, who answers for it.
    LeftAlone(&'static str),
    /// Nobody has said yet.
    Pending(String),
    /// Whoever makes it says why not: reason and message.
    Failed(String, String),
    /// It belongs to somebody else, whom this names.
    Held(String),
}

impl State {
    /// What the status of a KafkaTopic says.
    pub fn of(topic: &KafkaTopic) -> Self {
        let status = topic.status.as_ref();
        let told = status.map(|status| (status.observed_generation, status.conditions.as_slice()));
        Self::told(&topic.metadata, told, "Topic Operator")
    }

    /// What the status of an object says that `teller` of Strimzi writes: the generation that it speaks of, and conditions.
    pub fn told(
        meta: &ObjectMeta,
        status: Option<(Option<i64>, &[KafkaTopicCondition])>,
        teller: &str,
    ) -> Self {
        let Some((observed, conditions)) = status else {
            return Self::Pending(format!("Strimzi has not seen it yet: is its {teller} running?"));
        };
        if meta.deletion_timestamp.is_some() {
            return Self::Pending("it is being deleted".into());
        }
        // What Strimzi says of an earlier generation says nothing of this one.
        if observed != meta.generation {
            return Self::Pending("Strimzi has not seen its latest change yet".into());
        }
        let condition = |type_: &str| conditions.iter().find(|condition| condition.type_ == type_);
        let is = |type_: &str| condition(type_).is_some_and(|condition| condition.status == "True");
        if is("Unmanaged") {
            return Self::LeftAlone("Unmanaged");
        }
        if is("ReconciliationPaused") {
            return Self::LeftAlone("ReconciliationPaused");
        }
        match condition("Ready") {
            Some(condition) if condition.status == "True" => Self::Ready,
            Some(condition) if condition.status == "False" => Self::Failed(
                condition.reason.clone().unwrap_or_else(|| "NotReady".into()),
                condition.message.clone().unwrap_or_default(),
            ),
            _ => Self::Pending("Strimzi has not said whether it is ready".into()),
        }
    }

    /// Whether the topic can be used.
    pub fn is_usable(&self) -> bool {
        matches!(self, Self::Ready | Self::LeftAlone(_))
    }
}

/// What is kept of a KafkaTopic.
#[derive(Clone, Debug)]
pub struct TopicNote {
    /// Differs when anything but the status differs.
    pub fingerprint: u64,
    /// What is written on it about its owner.
    pub owner: Option<Box<str>>,
    /// How it fares.
    pub state: State,
    /// Its id in Kafka, once Strimzi has said it.
    pub topic_id: Option<Box<str>>,
}

impl TopicNote {
    /// Of a KafkaTopic.
    pub fn of(topic: &KafkaTopic) -> Self {
        Self {
            fingerprint: fingerprint(&topic.metadata),
            owner: Owner::signature(&topic.metadata).map(Into::into),
            state: State::of(topic),
            topic_id: topic.status.as_ref().and_then(|status| status.topic_id.as_deref()).map(Into::into),
        }
    }
}

/// A topic and how it fares.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct View {
    /// Name, prefix and all.
    pub name: String,
    /// How it fares.
    pub state: State,
}

/// Those of which `choose` has something to say, and what. What is the same with several of them is said once.
pub fn grouped(views: &[View], choose: fn(&State) -> Option<String>) -> Vec<String> {
    let mut names = BTreeMap::<String, Vec<&str>>::new();
    for view in views {
        if let Some(why) = choose(&view.state) {
            names.entry(why).or_default().push(&view.name);
        }
    }
    names.into_iter().map(|(why, names)| format!("{}: {why}", list(&names))).collect()
}

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
    let note = if left_alone.is_empty() { String::new() } else { format!("; {}", list(&left_alone)) };
    Finding::yes(TYPE, "TopicsReady", format!("{} of {} topics ready{note}", views.len(), views.len()))
}

#[cfg(test)]
mod tests {
    use kbnt_crds::KafkaTopicStatus;

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
