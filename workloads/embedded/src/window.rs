//! What a log in memory keeps: the newest records, and all that a service has not read yet.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use kbnt_application::{Position, Topic};

use super::partition::Entry;
use super::store::Partitions;

/// The newest records of all topics, as a queue.
#[derive(Debug)]
pub(super) struct Window {
    /// More are kept only as long as somebody has not read them.
    most: usize,
    /// Where the records lie that count, the oldest first.
    kept: Mutex<VecDeque<(Topic, u32)>>,
}

impl Window {
    /// At most so many records, if everybody has read them.
    pub(super) fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    /// Adds records in their order, each to its partition, which must exist; then drops the oldest ones beyond the window, up to the
    /// first that is not read: `is_read` says whether all who must read a record have done so.
    pub(super) fn push(
        &self,
        partitions: &Partitions,
        entries: Vec<(Topic, u32, Entry)>,
        is_read: impl Fn(Position) -> bool,
    ) -> Vec<Position> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut positions = Vec::with_capacity(entries.len());
        for (topic, partition, entry) in entries {
            if let Ok(found) = partitions.get(topic, partition) {
                positions.push(found.push(entry, None));
                // The newest lines of application-logs are kept by a rule of their own.
                if topic != Topic::ApplicationLogs {
                    kept.push_back((topic, partition));
                }
            }
        }
        while kept.len() > self.most
            && let Some((topic, number)) = kept.front().copied()
            && let Ok(partition) = partitions.get(topic, number)
            && is_read(partition.at(partition.bounds().first))
        {
            kept.pop_front();
            partition.drop_first();
        }
        positions
    }
}
