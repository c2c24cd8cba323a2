//! From where the log is still read by whoever begins with a checkpoint.

use std::collections::BTreeMap;

use kbnt_application::{Position, Topic};
use serde::{Deserialize, Serialize};

/// Of each topic and partition the first offset that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Reads(BTreeMap<String, BTreeMap<u32, u64>>);

impl Reads {
    /// The earliest of these positions in each partition.
    pub(super) fn of(positions: &[Position]) -> Self {
        let mut reads = BTreeMap::<String, BTreeMap<u32, u64>>::new();
        for Position { topic, partition, offset } in positions.iter().copied() {
            let of_topic = reads.entry(topic.name().to_owned()).or_default();
            let first = of_topic.entry(partition).or_insert(offset);
            *first = offset.min(*first);
        }
        Self(reads)
    }

    /// Whether there are such partitions.
    pub(super) fn is_sound(&self) -> bool {
        self.0.iter().all(|(name, partitions)| {
            let of = Topic::from_name(name).map_or(0, Topic::partitions);
            partitions.keys().all(|partition| *partition < of)
        })
    }

    pub(super) fn positions(&self) -> impl Iterator<Item = Position> {
        self.0.iter().filter_map(|(name, partitions)| Some((Topic::from_name(name)?, partitions))).flat_map(
            |(topic, partitions)| {
                partitions.iter().map(move |(&partition, &offset)| Position { topic, partition, offset })
            },
        )
    }
}
