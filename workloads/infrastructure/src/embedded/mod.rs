//! The log in one process: in memory, or durable in a directory.
//!
//! Application-logs are the exception in both: they are kept in memory only, and only the newest lines of each
//! partition.

mod group;
mod journal;
mod partition;
mod reader;
mod store;
mod wake;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use kbnt_application::intact::{Bounds, TopicId};
use kbnt_application::message::{Classification, partition_of};
use kbnt_application::ports::{EventLog, GroupReader, LogError, LogReader, RawRecord};
use kbnt_application::{Append, Position, Route, Service, Topic};
use kbnt_domain::Span;

use crate::raw::{RawAppend, RawLog};
pub use journal::{OpenError, Recovery};
use partition::Entry;
use store::Store;

/// The log in one process. Cheap to clone.
#[derive(Clone)]
pub struct EmbeddedLog {
    store: Arc<Store>,
}

impl EmbeddedLog {
    /// An empty log that is gone with the process.
    pub fn in_memory() -> Self {
        Self { store: Arc::new(Store::in_memory()) }
    }

    /// The log in `directory`, which is made if it is not there; only one process can have it open. What was acknowledged
    /// is there again; an unfinished write is cut off the end, any other damage is an error.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Ok(Self { store: Arc::new(Store::open(directory)?) })
    }

    /// What opening found.
    pub fn recovery(&self) -> &Recovery {
        &self.store.recovery
    }

    /// At most `most` records of a partition from `offset` on, as bytes.
    pub fn read_raw(
        &self,
        topic: Topic,
        partition: u32,
        offset: u64,
        most: usize,
    ) -> Result<Vec<(u64, RawRecord)>, LogError> {
        self.store.partitions.raw(Position { topic, partition, offset }, most)
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Position>, LogError> {
        let mut entries = Vec::with_capacity(batch.len());
        for append in batch {
            let topic = Classification::of(&append.message.event).topic();
            let partition = match &append.route {
                Route::Key(key) => partition_of(key, topic.partitions()),
                Route::Partition(partition) => *partition,
            };
            entries.push((topic, partition, Entry::of(append)));
        }
        self.store.append(entries).await
    }

    fn pace(&self) -> Span {
        Span::default()
    }

    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError> {
        Ok(self.store.partitions.get(topic, partition)?.bounds())
    }

    async fn topic_id(&self, topic: Topic) -> Result<TopicId, LogError> {
        Ok(self.store.topic_id(topic))
    }

    async fn read(&self, from: Vec<Position>) -> Result<Box<dyn LogReader>, LogError> {
        Ok(Box::new(reader::Reader::new(&self.store, from)?))
    }

    async fn join(&self, service: Service) -> Result<Box<dyn GroupReader>, LogError> {
        Ok(Box::new(group::Member::join(&self.store, service)))
    }
}

#[async_trait]
impl RawLog for EmbeddedLog {
    async fn append_raw(&self, batch: Vec<RawAppend>) -> Result<Vec<Position>, LogError> {
        let entries = batch.into_iter().map(|append| {
            let partition = append.partition();
            (append.topic, partition, Entry::Raw(Arc::new(append.record)))
        });
        self.store.append(entries.collect()).await
    }

    fn offer(&self, append: RawAppend) -> bool {
        let partition = append.partition();
        self.store.keep_line(append.topic, partition, Entry::Raw(Arc::new(append.record)))
    }
}
