//! Whether the topics and users that others make for the operator are ready, according to Strimzi or a Job.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::KafkaTopic;
use kbnt_crds::kafka_topic::KafkaTopicCondition;

use crate::conditions::list;

/// Whether a topic or user is ready.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// It can be used.
    Ready,
    /// Somebody asked Strimzi to leave it alone, and is responsible for it.
    LeftAlone(&'static str),
    /// No report yet.
    Pending(String),
    /// Strimzi or the Job reports a failure: reason and message.
    Failed(String, String),
    /// It belongs to another owner, named here.
    Held(String),
}

impl State {
    /// The state in the status of a KafkaTopic.
    pub fn of(topic: &KafkaTopic) -> Self {
        let status = topic.status.as_ref();
        let status = status.map(|status| (status.observed_generation, status.conditions.as_slice()));
        Self::from_status(&topic.metadata, status, "Topic Operator")
    }

    /// The state in a status that the `controller` of Strimzi writes: its generation and conditions.
    pub fn from_status(
        meta: &ObjectMeta,
        status: Option<(Option<i64>, &[KafkaTopicCondition])>,
        controller: &str,
    ) -> Self {
        let Some((observed, conditions)) = status else {
            return Self::Pending(format!("Strimzi has not seen it yet: is its {controller} running?"));
        };
        if meta.deletion_timestamp.is_some() {
            return Self::Pending("it is being deleted".into());
        }
        // A status of an earlier generation says nothing about this one.
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

/// A topic or user, and whether it is ready.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct View {
    /// Name, with the prefix.
    pub name: String,
    /// Whether it is ready.
    pub state: State,
}

/// The views for which `choose` returns a text, with that text. Views with the same text are grouped.
pub fn grouped(views: &[View], choose: fn(&State) -> Option<String>) -> Vec<String> {
    let mut names = BTreeMap::<String, Vec<&str>>::new();
    for view in views {
        if let Some(why) = choose(&view.state) {
            names.entry(why).or_default().push(&view.name);
        }
    }
    names.into_iter().map(|(why, names)| format!("{}: {why}", list(&names))).collect()
}
