//! How far the log is applied.

use std::collections::BTreeMap;

use kbnt_domain::Timestamp;

use crate::intact::TopicId;
use crate::message::Topic;
use crate::ports::Mark;

/// How far the log is applied, and which log it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Grows by one with each batch.
    pub revision: u64,
    /// Everything that was in the log at this time is applied.
    pub as_of: Option<Timestamp>,
    /// The topics that it was folded from.
    pub topics: BTreeMap<Topic, TopicId>,
    /// Each partition of which something is applied.
    pub partitions: BTreeMap<(Topic, u32), Reached>,
}

/// How far a partition is applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The next offset.
    pub next: u64,
    /// The last record that was understood. A log that has another one there is not this log.
    pub last: Option<Mark>,
    /// Which writer's records count from here on: see [`TermFence::note`](crate::fence::TermFence::note).
    pub note: String,
}

impl Progress {
    /// The next offset of a partition.
    pub fn next(&self, topic: Topic, partition: u32) -> u64 {
        self.partitions.get(&(topic, partition)).map_or(0, |reached| reached.next)
    }

    /// The last record of each partition that was understood.
    pub fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.partitions.values().filter_map(|reached| reached.last.as_ref())
    }
}
