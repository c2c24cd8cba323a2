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
use uuid::Uuid;

pub use journal::{OpenError, Proof, Recovery, Short, Tear};
use kbnt_wire::Bytes;
use kbnt_wire::raw::{BrowsableLog, RawAppend, RawLog};
use partition::Entry;
use store::Store;

/// The log in one process. Cheap to clone.
#[derive(Clone)]
pub struct EmbeddedLog {
    store: Arc<Store>,
    bytes: Bytes,
}

impl EmbeddedLog {
    /// An empty log that is gone with the process.
    pub fn in_memory() -> Self {
        Self::over(Store::in_memory())
    }

    /// The log in `directory`, which is made if it is not there; only one process can have it open. What was acknowledged
    /// is there again; an unfinished write is cut off the end, any other damage is an error. So is an end before what was durable
    /// once, as far as the files tell, unless the services can make good what is missing.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Store::open(directory).map(Self::over)
    }

    /// The log in `directory` if there is one, to write to it.
    pub fn open_existing(directory: &Path) -> Result<Self, OpenError> {
        if store::holds_log(directory)? {
            Self::open(directory)
        } else {
            Err(OpenError::NothingThere(directory.to_owned()))
        }
    }

    /// The log in `directory` as it is now, also beside a process that writes to it: nothing is created, changed, cut off or
    /// locked, and every append is refused. What is wrong at its end stands in [`EmbeddedLog::recovery`].
    pub fn open_to_read(directory: &Path) -> Result<Self, OpenError> {
        Store::open_to_read(directory).map(Self::over)
    }

    fn over(store: Store) -> Self {
        Self { store: Arc::new(store), bytes: Bytes::default() }
    }

    /// Whether some process has the log in `directory` open to write to it.
    pub fn is_in_use(directory: &Path) -> bool {
        journal::Home::is_taken(directory)
    }

    /// Which log it is. It stays the same for a directory and its copies; a log in memory has another one in each process.
    pub fn id(&self) -> Uuid {
        self.store.id
    }

    /// Why nothing can be acknowledged now, for people: the disk is full or failed, or the directory or a file in it was
    /// removed, renamed or replaced while it is in use. It touches the disk.
    pub fn trouble(&self) -> Option<String> {
        self.store.trouble()
    }

    /// What opening found.
    pub fn recovery(&self) -> &Recovery {
        &self.store.recovery
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
        Ok(Box::new(reader::Reader::new(&self.store, from, self.bytes)?))
    }

    fn with_bytes(&self) -> Arc<dyn EventLog> {
        Arc::new(Self { store: Arc::clone(&self.store), bytes: Bytes::Kept })
    }

    async fn join(&self, service: Service) -> Result<Box<dyn GroupReader>, LogError> {
        Ok(Box::new(group::Member::join(&self.store, service, self.bytes)))
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

impl BrowsableLog for EmbeddedLog {
    fn read_raw(
        &self,
        topic: Topic,
        partition: u32,
        offset: u64,
        most: usize,
    ) -> Result<Vec<(u64, RawRecord)>, LogError> {
        self.store.partitions.raw(Position { topic, partition, offset }, most)
    }
}
