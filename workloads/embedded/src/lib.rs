//! The event log within one process: in memory, or durable in a directory.
//!
//! application-logs is the exception in both: it is kept in memory only, and only the newest lines of each
//! partition.

mod group;
mod journal;
mod partition;
mod reader;
mod store;
mod wake;
mod window;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use kbnt_application::intact::{Bounds, TopicId};
use kbnt_application::ports::{EventLog, GroupReader, LogError, LogReader, RawRecord};
use kbnt_application::{Append, Position, Service, Topic};
use kbnt_domain::Span;
use uuid::Uuid;

pub use journal::{OpenError, Proof, Recovery, Short, Tear};
use kbnt_wire::Bytes;
use kbnt_wire::raw::{BrowsableLog, RawAppend, RawLog};
use partition::Entry;
use store::Store;

/// The event log within one process. Cheap to clone.
#[derive(Clone)]
pub struct EmbeddedLog {
    store: Arc<Store>,
    bytes: Bytes,
}

impl EmbeddedLog {
    /// An empty log that is lost with the process, and until then keeps everything.
    pub fn in_memory() -> Self {
        Self::window(usize::MAX)
    }

    /// An empty log that is lost with the process. Of more than `most` records it keeps the newest, and all that a
    /// group which somebody has joined has not committed.
    pub fn window(most: usize) -> Self {
        Self::over(Store::in_memory(most))
    }

    /// Opens the log in `directory`, which is created if it does not exist; only one process can have it
    /// open. All acknowledged records are there again. An unfinished write at the end is cut off; any other
    /// damage is an error. So is an end before the durable one, as far as the files show it, unless the
    /// services can restore what is missing.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Store::open(directory).map(Self::over)
    }

    /// Opens the existing log in `directory` for writing.
    pub fn open_existing(directory: &Path) -> Result<Self, OpenError> {
        if store::holds_log(directory)? {
            Self::open(directory)
        } else {
            Err(OpenError::NothingThere(directory.to_owned()))
        }
    }

    /// Opens the log in `directory` as it is now, also while another process writes to it: creates, changes,
    /// cuts off and locks nothing, and refuses every append. [`EmbeddedLog::recovery`] reports damage at its
    /// end.
    pub fn open_to_read(directory: &Path) -> Result<Self, OpenError> {
        Store::open_to_read(directory).map(Self::over)
    }

    fn over(store: Store) -> Self {
        Self { store: Arc::new(store), bytes: Bytes::default() }
    }

    /// Whether a process has the log in `directory` open for writing.
    pub fn is_in_use(directory: &Path) -> bool {
        journal::Home::is_taken(directory)
    }

    /// The id of the log. It is the same for a directory and its copies; a log in memory has a new one in
    /// each process.
    pub fn id(&self) -> Uuid {
        self.store.id
    }

    /// Why nothing can be acknowledged now, for people: the disk is full or failed, or the directory or a
    /// file in it was removed, renamed or replaced while in use. Accesses the disk.
    pub fn trouble(&self) -> Option<String> {
        self.store.trouble()
    }

    /// What was found when it was opened.
    pub fn recovery(&self) -> &Recovery {
        &self.store.recovery
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Position>, LogError> {
        let mut entries = Vec::with_capacity(batch.len());
        for append in batch {
            let (topic, partition) = append.place();
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
