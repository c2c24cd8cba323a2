//! Topic ids as they are given to a process.

use std::collections::BTreeMap;
use std::str::FromStr;

use thiserror::Error;

use super::{InvalidTopicId, TopicId};
use crate::message::Topic;

/// The ids that topics must have; a topic that is not here may have any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicIds(BTreeMap<Topic, TopicId>);

/// The text gives no topic ids.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidTopicIds {
    /// A part is not `name=id`.
    #[error("{0:?} is not NAME=ID")]
    NoPair(String),
    /// No topic has this name.
    #[error("there is no topic {0:?}; topics are named without prefix")]
    NoTopic(String),
    /// The same topic twice.
    #[error("{0} has two ids")]
    Twice(&'static str),
    /// An id is malformed.
    #[error("{0}: {1}")]
    NoId(&'static str, InvalidTopicId),
}

impl TopicIds {
    /// The id that `topic` must have, if it is given.
    pub fn get(&self, topic: Topic) -> Option<TopicId> {
        self.0.get(&topic).copied()
    }
}

impl FromIterator<(Topic, TopicId)> for TopicIds {
    fn from_iter<I: IntoIterator<Item = (Topic, TopicId)>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}

impl FromStr for TopicIds {
    type Err = InvalidTopicIds;

    /// Reads `order-events=ID,inventory-events=ID`; empty text gives none.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut ids = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let shown = |text: &str| text.chars().take(64).collect::<String>();
            let (name, id) = pair.split_once('=').ok_or_else(|| InvalidTopicIds::NoPair(shown(pair)))?;
            let topic = Topic::from_name(name).ok_or_else(|| InvalidTopicIds::NoTopic(shown(name)))?;
            let id = id.parse().map_err(|error| InvalidTopicIds::NoId(topic.name(), error))?;
            if ids.insert(topic, id).is_some() {
                return Err(InvalidTopicIds::Twice(topic.name()));
            }
        }
        Ok(Self(ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "WOl_vM4-QU2HyDFeU4Yg0w";

    #[test]
    fn ids_are_read_as_the_operator_gives_them() {
        let text = format!("order-events={ID}, audit-logs={ID}");
        let ids: TopicIds = text.parse().unwrap();
        assert_eq!(ids.get(Topic::OrderEvents).unwrap().to_string(), ID);
        assert_eq!(ids.get(Topic::AuditLogs), ids.get(Topic::OrderEvents));
        assert_eq!(ids.get(Topic::UserEvents), None);
        assert_eq!("".parse::<TopicIds>(), Ok(TopicIds::default()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, said) in [
            ("order-events".to_owned(), "NAME=ID"),
            (format!("orders={ID}"), "\"orders\""),
            ("order-events=abc".to_owned(), "\"abc\""),
            (format!("order-events={ID},order-events={ID}"), "two ids"),
        ] {
            let error = text.parse::<TopicIds>().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
