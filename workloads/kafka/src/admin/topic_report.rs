//! The topics that are wanted, and reports on their state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A topic as it should be.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct WantedTopic {
    /// Its full name.
    pub name: String,
    /// The number of partitions.
    pub partitions: i32,
    /// The number of replicas of each partition.
    pub replicas: i32,
    /// Its settings. All others stay as they are.
    #[serde(default)]
    pub configs: BTreeMap<String, String>,
}

/// A topic and its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicReport {
    /// Its full name.
    pub name: String,
    /// Its state.
    #[serde(flatten)]
    pub state: TopicState,
}

/// The state of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum TopicState {
    /// It was as it should be.
    Ready,
    /// It was created.
    Created,
    /// Its settings were changed, and it is now as it should be.
    Altered {
        /// Says which pinned settings somebody had changed.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// It is not as it should be, and a retry does not help: either the topic or what is wanted must change.
    Wrong {
        /// The reason in one word, as Strimzi has it.
        reason: Reason,
        /// The reason in a sentence.
        message: String,
    },
    /// It is not as it should be, or its state is unknown. A retry may succeed.
    Failed {
        /// The reason in one word, as Strimzi has it.
        reason: Reason,
        /// The reason in a sentence.
        message: String,
    },
}

/// Why a topic is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Reason {
    /// It exists, and cannot be changed without harm to its records.
    NotSupported,
    /// The cluster refuses, or cannot be reached.
    KafkaError,
}

impl TopicState {
    /// Whether the topic can be used.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Ready | Self::Created | Self::Altered { .. })
    }

    /// Whether a retry may succeed.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_its_state_in_one_word() {
        let json = |state| serde_json::to_string(&TopicReport { name: "a".into(), state }).unwrap();
        assert_eq!(json(TopicState::Created), r#"{"name":"a","state":"created"}"#);
        assert_eq!(
            json(TopicState::Wrong { reason: Reason::NotSupported, message: "m".into() }),
            r#"{"name":"a","state":"wrong","reason":"NotSupported","message":"m"}"#
        );
    }
}
