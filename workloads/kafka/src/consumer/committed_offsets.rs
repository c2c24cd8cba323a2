//! Committed offsets, each with the id of its topic.
//!
//! A consumer group stores offsets by topic name. After a topic is deleted and created again, offsets of the old topic can remain, or
//! a member that has not noticed can commit them. They say nothing about the new topic, so each commit names the id of its topic.

use std::collections::BTreeMap;

use kbnt_application::Position;
use kbnt_application::intact::TopicId;
use kbnt_application::ports::{Commit, ReplacedTopic};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::config::KafkaConfig;
use crate::client::{TopicPartition, kafka_offset, partition_id};

/// Prefix of the topic id in the metadata of a commit.
const TOPIC_ID_PREFIX: &str = "topic-id=";

/// The topic id of each partition that is read, as of its assignment.
#[derive(Debug, Default)]
pub(crate) struct TopicIds(BTreeMap<TopicPartition, TopicId>);

/// The committed offset of a partition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub(crate) commit: Commit,
    /// The id of its topic; `None` in commits of version 0.1.0.
    pub(crate) topic_id: Option<TopicId>,
}

impl TopicIds {
    /// Sets the topic id of a partition; `None` if the topic does not exist.
    pub(crate) fn set(&mut self, partition: TopicPartition, id: Option<TopicId>) {
        match id {
            Some(id) => self.0.insert(partition, id),
            None => self.0.remove(&partition),
        };
    }

    /// The topic that has replaced the topic of this offset, if any.
    pub(crate) fn replacement(&self, offset: &CommittedOffset) -> Option<ReplacedTopic> {
        let Position { topic, partition, .. } = offset.commit.next;
        let (known, found) = (offset.topic_id?, *self.0.get(&(topic, partition))?);
        (known != found).then_some(ReplacedTopic { topic, known, found })
    }

    /// The commits as librdkafka stores them.
    pub(crate) fn partition_list<'a>(
        &self,
        config: &KafkaConfig,
        commits: impl IntoIterator<Item = &'a Commit>,
    ) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for Commit { next, note } in commits {
            let partition = partition_id(next.partition);
            let mut element = list.add_partition(&config.topic_name(next.topic), partition);
            // The offset is in range, so this cannot fail.
            let _ = element.set_offset(kafka_offset(next.offset));
            element.set_metadata(metadata(self.0.get(&(next.topic, next.partition)), note));
        }
        list
    }
}

impl CommittedOffset {
    /// Reads an element of the group's answer; `None` if nothing was committed for the partition.
    pub(crate) fn read(config: &KafkaConfig, element: &TopicPartitionListElem<'_>) -> Option<Self> {
        let Offset::Offset(offset) = element.offset() else { return None };
        let next = Position {
            topic: config.topic_of(element.topic())?,
            partition: u32::try_from(element.partition()).ok()?,
            offset: u64::try_from(offset).ok()?,
        };
        let (topic_id, note) = parse(element.metadata());
        Some(Self { commit: Commit { next, note: note.to_owned() }, topic_id })
    }
}

fn metadata(id: Option<&TopicId>, note: &str) -> String {
    id.map_or_else(|| note.to_owned(), |id| format!("{TOPIC_ID_PREFIX}{id} {note}"))
}

fn parse(metadata: &str) -> (Option<TopicId>, &str) {
    let parts = metadata.strip_prefix(TOPIC_ID_PREFIX).and_then(|rest| rest.split_once(' '));
    let parsed = parts.and_then(|(id, note)| Some((Some(id.parse().ok()?), note)));
    parsed.unwrap_or((None, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_the_topic_stands_before_the_note() {
        let id = TopicId::from_bytes([7; 16]);
        for note in ["", "3 writer-b 0011aabbccdd"] {
            assert_eq!(parse(&metadata(Some(&id), note)), (Some(id), note));
            assert_eq!(parse(&metadata(None, note)), (None, note));
        }
        for odd in ["topic-id=", "topic-id=? 3 a", "topic-id=AAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(parse(odd), (None, odd));
        }
    }
}
