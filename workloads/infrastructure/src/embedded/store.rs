//! All partitions, and what the groups have committed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kbnt_application::ports::{Commit, LogError};
use kbnt_application::{Position, Service, Topic};

use super::group::Groups;
use super::partition::{Entry, Partition};
use super::wake::{Topics, Waiters};

/// Lines of application-logs that are kept, a partition.
const LINES_KEPT: usize = 10_000;

/// Of each topic and partition.
type Commits = HashMap<(Topic, u32), Commit>;

/// The log's contents.
pub(super) struct Store {
    partitions: Vec<Vec<Partition>>,
    commits: Mutex<HashMap<Service, Commits>>,
    pub(super) waiters: Waiters,
    pub(super) groups: Groups,
}

impl Store {
    pub(super) fn in_memory() -> Self {
        let of = |topic: Topic| (0..topic.partitions()).map(|number| Partition::new(topic, number)).collect();
        Self {
            partitions: Topic::ALL.into_iter().map(of).collect(),
            commits: Mutex::default(),
            waiters: Waiters::default(),
            groups: Groups::default(),
        }
    }

    pub(super) fn partition(&self, topic: Topic, number: u32) -> Result<&Partition, LogError> {
        let partitions = self.partitions.get(topic as usize);
        partitions
            .and_then(|partitions| partitions.get(number as usize))
            .ok_or_else(|| LogError::NoSuchPartition { topic: topic.name().to_owned(), partition: number })
    }

    /// Writes `entries` in order.
    pub(super) async fn append(&self, entries: Vec<(Topic, u32, Entry)>) -> Result<Vec<Position>, LogError> {
        for (topic, partition, _) in &entries {
            self.partition(*topic, *partition)?;
        }
        let topics: Topics = entries.iter().map(|(topic, ..)| *topic).collect();
        let mut positions = Vec::with_capacity(entries.len());
        for (topic, partition, entry) in entries {
            positions.push(self.partition(topic, partition)?.push(entry, usize::MAX));
        }
        self.waiters.ring(topics);
        Ok(positions)
    }

    /// Keeps a log line in memory; whether there is such a partition.
    pub(super) fn keep_line(&self, topic: Topic, partition: u32, entry: Entry) -> bool {
        let Ok(partition) = self.partition(topic, partition) else { return false };
        partition.push(entry, LINES_KEPT);
        self.waiters.ring(std::iter::once(topic).collect());
        true
    }

    /// What `service` has committed for a partition number of its inputs.
    pub(super) fn committed(&self, service: Service, partition: u32) -> Vec<Commit> {
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let of_service = commits.get(&service).into_iter().flatten();
        of_service.filter(|((_, number), _)| *number == partition).map(|(_, commit)| commit.clone()).collect()
    }

    pub(super) fn commit(&self, service: Service, commits: Vec<Commit>) {
        let mut all = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let of_service = all.entry(service).or_default();
        for commit in commits {
            of_service.insert((commit.next.topic, commit.next.partition), commit);
        }
    }
}
