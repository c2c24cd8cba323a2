//! The answer of a service at `GET /v1/log`: the state of the log that it works on.

use serde::Deserialize;

/// The report of one service.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LogReport {
    /// Whether all topics that it uses have the records that it needs.
    pub intact: bool,
    /// What is wrong.
    #[serde(default)]
    pub damage: Vec<Damage>,
}

/// What is wrong with a topic or one of its partitions.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Damage {
    /// The service that found it.
    #[serde(default)]
    pub service: String,
    /// The topic.
    pub topic: String,
    /// The partition; none if the damage concerns the topic.
    #[serde(default)]
    pub partition: Option<i64>,
    /// `cut`: it begins after the wanted offset. `short`: it ends before the known end. `replaced`: another
    /// topic has its name.
    pub kind: String,
    /// The offset that is needed.
    #[serde(default)]
    pub wanted: Option<u64>,
    /// The offset that is there instead.
    #[serde(default)]
    pub found: Option<u64>,
    /// Id of the topic that the service knows.
    #[serde(default)]
    pub known_topic_id: Option<String>,
    /// Id of the topic that exists.
    #[serde(default)]
    pub topic_id: Option<String>,
    /// Message for people.
    #[serde(default)]
    pub message: String,
}

impl LogReport {
    /// Adds the report of another pod of the same service.
    pub fn merge(&mut self, other: Self) {
        self.intact &= other.intact;
        for damage in other.damage {
            if !self.damage.contains(&damage) {
                self.damage.push(damage);
            }
        }
    }
}

impl Damage {
    /// A description for people, with the numbers even if the service's message has none.
    pub fn describe(&self) -> String {
        if !self.message.is_empty() {
            return self.message.clone();
        }
        let offset = |offset: Option<u64>| offset.map_or_else(|| "?".to_owned(), |offset| offset.to_string());
        let id = |id: &Option<String>| id.clone().unwrap_or_else(|| "?".to_owned());
        let place = match self.partition {
            Some(partition) => format!("{}/{partition}", self.topic),
            None => self.topic.clone(),
        };
        match self.kind.as_str() {
            "replaced" => {
                format!("{place} is {} and was {}", id(&self.topic_id), id(&self.known_topic_id))
            }
            "cut" => {
                format!("{place} begins at {}, and {} is wanted", offset(self.found), offset(self.wanted))
            }
            "short" => {
                format!("{place} ends at {}, and {} is known", offset(self.found), offset(self.wanted))
            }
            other => format!("{place}: {other}"),
        }
    }

    /// Reason for the condition, in CamelCase.
    pub fn reason(&self) -> &'static str {
        match self.kind.as_str() {
            "replaced" => "TopicReplaced",
            "cut" => "LogCut",
            "short" => "LogShort",
            _ => "LogDamaged",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_is_read_as_the_contract_writes_it() {
        let report: LogReport = serde_json::from_value(json!({"intact": false, "damage": [
            {"service": "inventory-service", "topic": "inventory-events", "partition": 2, "kind": "cut", "wanted": 0,
             "found": 40, "knownTopicId": null, "topicId": null, "message": ""},
            {"service": "inventory-service", "topic": "order-events", "partition": null, "kind": "replaced", "wanted": null,
             "found": null, "knownTopicId": "a", "topicId": "b", "message": ""},
        ]}))
        .unwrap();
        let described: Vec<_> =
            report.damage.iter().map(|damage| (damage.reason(), damage.describe())).collect();
        assert_eq!(
            described,
            [
                ("LogCut", "inventory-events/2 begins at 40, and 0 is wanted".to_owned()),
                ("TopicReplaced", "order-events is b and was a".to_owned()),
            ]
        );
        let mut merged: LogReport = serde_json::from_value(json!({"intact": true, "damage": []})).unwrap();
        merged.merge(report.clone());
        merged.merge(report.clone());
        assert_eq!(merged, report);
    }
}
