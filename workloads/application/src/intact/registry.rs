//! What is wrong with the log, for everybody in the process who wants to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Damage, TopicId, TopicIds};
use crate::message::Topic;

/// What the services of a process have found out about the log. One per process.
#[derive(Debug, Default)]
pub struct Integrity {
    /// The ids that topics must have.
    given: TopicIds,
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
    pub fn damage_of(&self, topics: &BTreeSet<Topic>) -> Option<Damage> {
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

    /// The id that `topic` must have, if it is given.
    pub fn given(&self, topic: Topic) -> Option<TopicId> {
        self.given.get(topic)
    }

    /// These topics are watched from now on.
    pub fn watch(&self, topics: &[Topic]) {
        self.found().watched.extend(topics);
    }

    /// Notes that something is wrong; whether that is new.
    pub fn note(&self, damage: Damage) -> bool {
        let mut found = self.found();
        if found.damage.contains(&damage) {
            return false;
        }
        let same = |known: &Damage| {
            (known.service, known.topic, known.fault.kind(), known.fault.partition())
                == (damage.service, damage.topic, damage.fault.kind(), damage.fault.partition())
        };
        found.damage.retain(|known| !same(known));
        found.damage.push(damage);
        true
    }

    /// Notes whether a topic that was there is there; whether that is new.
    pub fn note_presence(&self, topic: Topic, present: bool) -> bool {
        let mut found = self.found();
        if present { found.absent.remove(&topic) } else { found.absent.insert(topic) }
    }

    /// Whether a topic that was there is not.
    pub fn is_absent(&self, topic: Topic) -> bool {
        self.found().absent.contains(&topic)
    }

    /// Notes that so many records of a topic expired before they were read.
    pub fn note_passed_over(&self, topic: Topic, records: u64) {
        *self.found().passed_over.entry(topic).or_default() += records;
    }
}
