//! Offsets that are committed, each with the id of the topic that it is an offset of.
//!
//! A group keeps offsets by the topic's name. Where a topic is deleted and made again, those of the one before can survive, or be
//! committed by a member that has not noticed: they say nothing about the topic that is there now.

use std::collections::BTreeMap;

use kbnt_application::intact::TopicId;
use kbnt_application::ports::{Commit, ReplacedTopic};
use kbnt_application::{Position, Topic};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::config::KafkaConfig;
use crate::client::number;

/// What stands before the id in the metadata of a commit.
const ID: &str = "topic-id=";

/// Of which topic each partition is that is read: the id that it had when that began.
#[derive(Debug, Default)]
pub(crate) struct Ids(BTreeMap<(Topic, u32), TopicId>);

/// What the group has committed for a partition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) commit: Commit,
    /// The topic of which it is an offset; commits of version 0.1.0 do not say so.
    pub(crate) id: Option<TopicId>,
}

impl Ids {
    /// A partition is about to be read; its topic has this id, if it is there.
    pub(crate) fn note(&mut self, place: (Topic, u32), id: Option<TopicId>) {
        match id {
            Some(id) => self.0.insert(place, id),
            None => self.0.remove(&place),
        };
    }

    /// The topic of this name that is there now, if the commit is one of another.
    pub(crate) fn replaced(&self, committed: &Committed) -> Option<ReplacedTopic> {
        let Position { topic, partition, .. } = committed.commit.next;
        let (known, found) = (committed.id?, *self.0.get(&(topic, partition))?);
        (known != found).then_some(ReplacedTopic { topic, known, found })
    }

    /// As librdkafka stores it.
    pub(crate) fn list<'a>(
        &self,
        config: &KafkaConfig,
        commits: impl IntoIterator<Item = &'a Commit>,
    ) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for Commit { next, note } in commits {
            let mut element = list.add_partition(&config.topic_name(next.topic), number(next.partition));
            // The offset is in range, so this cannot fail.
            let _ = element.set_offset(offset(next.offset));
            element.set_metadata(metadata(self.0.get(&(next.topic, next.partition)), note));
        }
        list
    }
}

impl Committed {
    /// What the group has answered; `None` if nothing was committed.
    pub(crate) fn read(config: &KafkaConfig, element: &TopicPartitionListElem<'_>) -> Option<Self> {
        let Offset::Offset(offset) = element.offset() else { return None };
        let next = Position {
            topic: config.topic_of(element.topic())?,
            partition: u32::try_from(element.partition()).ok()?,
            offset: u64::try_from(offset).ok()?,
        };
        let (id, note) = split(element.metadata());
        Some(Self { commit: Commit { next, note: note.to_owned() }, id })
    }
}

/// An offset as librdkafka has it.
pub(crate) fn offset(offset: u64) -> Offset {
    Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX))
}

fn metadata(id: Option<&TopicId>, note: &str) -> String {
    id.map_or_else(|| note.to_owned(), |id| format!("{ID}{id} {note}"))
}

fn split(metadata: &str) -> (Option<TopicId>, &str) {
    let told = metadata.strip_prefix(ID).and_then(|rest| rest.split_once(' '));
    let read = told.and_then(|(id, note)| Some((Some(id.parse().ok()?), note)));
    read.unwrap_or((None, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_the_topic_stands_before_the_note() {
        let id = TopicId::from_bytes([7; 16]);
        for note in ["", "3 writer-b 0011aabbccdd"] {
            assert_eq!(split(&metadata(Some(&id), note)), (Some(id), note));
            assert_eq!(split(&metadata(None, note)), (None, note));
        }
        for odd in ["topic-id=", "topic-id=? 3 a", "topic-id=AAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(split(odd), (None, odd));
        }
    }
}
