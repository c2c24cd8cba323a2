//! Records as bytes: what operators' tools and log lines write, past the state machines.

use async_trait::async_trait;
use kbnt_application::message::partition_of;
use kbnt_application::ports::{EventLog, LogError, RawRecord};
use kbnt_application::{Position, Topic};

/// A record as bytes, and where to.
#[derive(Clone, Debug)]
pub struct RawAppend {
    /// The topic.
    pub topic: Topic,
    /// The partition; `None` for that of the record's key.
    pub to: Option<u32>,
    /// What to write.
    pub record: RawRecord,
}

impl RawAppend {
    /// The partition that it goes to: the one it names, or that of its key; partition 0 without either.
    pub fn partition(&self) -> u32 {
        let of_key = |key: &[u8]| partition_of(key, self.topic.partitions());
        self.to.unwrap_or_else(|| self.record.key.as_deref().map_or(0, of_key))
    }
}

/// A log that also takes records as bytes.
#[async_trait]
pub trait RawLog: Send + Sync + 'static {
    /// Writes records as they are; returns once they would survive a crash of the log.
    async fn append_raw(&self, batch: Vec<RawAppend>) -> Result<Vec<Position>, LogError>;

    /// Writes a record some time soon, or never: for log lines, which must not hold up anybody. `false` if it was
    /// dropped at once, because too much is waiting already.
    fn offer(&self, append: RawAppend) -> bool;
}

/// A log in which people may leaf, from any record on.
pub trait BrowsableLog: EventLog + RawLog {
    /// At most `most` records of a partition from `offset` on, as they are, each with its offset.
    fn read_raw(
        &self,
        topic: Topic,
        partition: u32,
        offset: u64,
        most: usize,
    ) -> Result<Vec<(u64, RawRecord)>, LogError>;
}
