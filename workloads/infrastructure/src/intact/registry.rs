//! What is wrong with the log, for everybody in the process who wants to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kbnt_application::intact::Damage;
use kbnt_application::{Position, Service, Topic};

use super::ids::TopicIds;

/// What the services of a process have found out about the log. One per process.
#[derive(Debug, Default)]
pub struct Integrity {
    /// The ids that topics must have.
    pub(super) given: TopicIds,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    damage: Vec<Damage>,
    watched: BTreeSet<Topic>,
    /// Topics that were there and are not.
    absent: BTreeSet<Topic>,
    passed_over: BTreeMap<Topic, u64>,
}

impl Integrity {
    /// Nothing is wrong yet; topics must have the ids that are `given`.
    pub fn new(given: TopicIds) -> Self {
        Self { given, found: Mutex::default() }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong: of each service what stopped it first, and what was found out about the same topic since.
    pub fn damage(&self) -> Vec<Damage> {
        self.found().damage.clone()
    }

    /// What is wrong with any of these topics, whoever has found it out.
    pub(super) fn damage_of(&self, topics: &BTreeSet<Topic>) -> Option<Damage> {
        self.found().damage.iter().find(|damage| topics.contains(&damage.topic)).copied()
    }

    /// Whether nothing is wrong, and every topic is there that was there before.
    pub fn is_intact(&self) -> bool {
        let found = self.found();
        found.damage.is_empty() && found.absent.is_empty()
    }

    /// Every topic that is watched, and whether it is intact.
    pub fn topics(&self) -> Vec<(Topic, bool)> {
        let found = self.found();
        let is_intact =
            |topic| !found.absent.contains(&topic) && found.damage.iter().all(|damage| damage.topic != topic);
        found.watched.iter().map(|topic| (*topic, is_intact(*topic))).collect()
    }

    /// How many records of each topic expired before they were read.
    pub fn passed_over(&self) -> Vec<(Topic, u64)> {
        self.found().passed_over.iter().map(|(topic, records)| (*topic, *records)).collect()
    }

    pub(super) fn watch(&self, topics: &[Topic]) {
        self.found().watched.extend(topics);
    }

    /// Notes that something is wrong, and says so once.
    pub(super) fn note(&self, damage: Damage) {
        {
            let mut found = self.found();
            if found.damage.contains(&damage) {
                return;
            }
            let same = |known: &Damage| {
                (known.service, known.topic, known.fault.kind(), known.fault.partition())
                    == (damage.service, damage.topic, damage.fault.kind(), damage.fault.partition())
            };
            found.damage.retain(|known| !same(known));
            found.damage.push(damage);
        }
        let (wanted, found) = damage.fault.offsets().unzip();
        let (known_id, id) = damage.fault.ids().unzip();
        tracing::error!(
            operation = "log-damaged",
            service = damage.service.name(),
            topic = damage.topic.name(),
            partition = damage.fault.partition(),
            kind = damage.fault.kind(),
            wanted,
            found,
            known_topic_id = known_id.map(|id| id.to_string()),
            topic_id = id.map(|id| id.to_string()),
            "{damage}"
        );
    }

    /// Notes whether a topic that was there is there.
    pub(super) fn note_presence(&self, topic: Topic, present: bool) {
        let changed = {
            let mut found = self.found();
            if present { found.absent.remove(&topic) } else { found.absent.insert(topic) }
        };
        if changed && present {
            tracing::info!(operation = "topic-back", topic = topic.name(), "the topic is there again");
        } else if changed {
            let topic = topic.name();
            tracing::error!(
                operation = "topic-gone",
                topic,
                "the topic was there and is not: nothing is written to it"
            );
        }
    }

    /// Whether a topic that was there is not.
    pub(super) fn is_absent(&self, topic: Topic) -> bool {
        self.found().absent.contains(&topic)
    }

    /// Notes that records expired before `service` had read them.
    pub(super) fn note_passed_over(&self, service: Service, from: Position, records: u64) {
        *self.found().passed_over.entry(from.topic).or_default() += records;
        tracing::warn!(
            operation = "records-expired",
            service = service.name(),
            topic = from.topic.name(),
            partition = from.partition,
            offset = from.offset,
            records,
            "records expired before they were read"
        );
    }
}
