//! A cache of decoded records that this process has just written or read, so that its readers need not decode them again. State
//! machines read back the events that they wrote, and a read model reads the same topics as the machine beside it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::FixedState;
use foldhash::quality::RandomState;
use kbnt_application::message::Message;
use kbnt_application::{Append, Delivered, Position, Topic};
use kbnt_wire::Bytes;

use crate::client::TopicPartition;

/// The number of records cached per topic, shared by its partitions; the newest stay. Readers are a few batches apart. One that is
/// further behind decodes its records itself.
const CAPACITY: usize = 3_000;

/// Decoded records that some reader has yet to read.
#[derive(Debug, Default)]
pub(crate) struct RecordCache {
    /// Random in each process, so that an outsider cannot construct two values with the same digest.
    seed: RandomState,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    readers: HashMap<Topic, usize>,
    partitions: HashMap<TopicPartition, PartitionEntries>,
}

/// The records of a partition by their values. Offsets would not do as keys: a record's offset is unknown when it is sent, and a
/// reader may read it before its writer gets the acknowledgement.
#[derive(Debug, Default)]
struct PartitionEntries {
    by_value: HashMap<Digest, Entry, FixedState>,
    /// Oldest first, including records that every reader has read.
    order: VecDeque<Digest>,
}

#[derive(Debug)]
struct Entry {
    /// Only of a record that was read: its id can depend on its offset, so another record with the same value is not the same.
    offset: Option<u64>,
    message: Arc<Message>,
    source: Option<Position>,
    /// The number of readers that have yet to read it.
    readers: usize,
}

/// The digest of a record's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Digest(u64);

/// A reader of topics. Its topics are cached until it is dropped.
pub(crate) struct CacheReader {
    cache: Arc<RecordCache>,
    topics: BTreeSet<Topic>,
    /// Whether the reader needs the bytes of records, too.
    pub(crate) bytes: Bytes,
}

impl Entries {
    fn insert(&mut self, partition: TopicPartition, digest: Digest, entry: Entry) {
        let entries = self.partitions.entry(partition).or_default();
        entries.by_value.insert(digest, entry);
        entries.order.push_back(digest);
        while entries.order.len() > CAPACITY / partition.0.partitions() as usize {
            entries.order.pop_front().map(|oldest| entries.by_value.remove(&oldest));
        }
    }

    /// Returns the record at `at` to one of its readers, and removes it once all have it.
    fn take(
        &mut self,
        at: Position,
        digest: impl FnOnce() -> Digest,
    ) -> Option<(Arc<Message>, Option<Position>)> {
        let partition = (at.topic, at.partition);
        let by_value = self.partitions.get_mut(&partition).map(|entries| &mut entries.by_value)?;
        if by_value.is_empty() {
            return None;
        }
        let digest = digest();
        let entry = by_value
            .get_mut(&digest)
            .filter(|entry| entry.offset.is_none_or(|offset| offset == at.offset))?;
        entry.readers -= 1;
        if entry.readers > 0 {
            return Some((Arc::clone(&entry.message), entry.source));
        }
        by_value.remove(&digest).map(|entry| (entry.message, entry.source))
    }
}

impl RecordCache {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest(&self, value: &[u8]) -> Digest {
        Digest(self.seed.hash_one(value))
    }

    /// Registers a reader of these topics.
    pub(crate) fn reader(self: &Arc<Self>, topics: BTreeSet<Topic>, bytes: Bytes) -> CacheReader {
        let mut entries = self.entries();
        for topic in &topics {
            *entries.readers.entry(*topic).or_default() += 1;
        }
        CacheReader { cache: Arc::clone(self), topics, bytes }
    }

    /// Caches a record that is about to be written, for each reader of its topic.
    pub(crate) fn insert_written(&self, partition: TopicPartition, append: &Append, value: &[u8]) {
        let mut entries = self.entries();
        if let Some(readers) = entries.readers.get(&partition.0).copied() {
            let (message, source) = (Arc::clone(&append.message), append.source);
            entries.insert(partition, self.digest(value), Entry { offset: None, message, source, readers });
        }
    }
}

impl CacheReader {
    /// Returns the record at `at` with this value, if it is cached.
    pub(crate) fn take(&self, at: Position, value: &[u8]) -> Option<Delivered> {
        let (message, source) = self.cache.entries().take(at, || self.cache.digest(value))?;
        Some(Delivered { at, message, source, raw: None })
    }

    /// Caches a record that this reader has decoded, for the other readers of its topic.
    pub(crate) fn share(&self, delivered: &Delivered, value: &[u8]) {
        let Position { topic, partition, offset } = delivered.at;
        let mut entries = self.cache.entries();
        let readers = entries.readers.get(&topic).map_or(0, |readers| readers.saturating_sub(1));
        if readers > 0 {
            let (message, source) = (Arc::clone(&delivered.message), delivered.source);
            let entry = Entry { offset: Some(offset), message, source, readers };
            entries.insert((topic, partition), self.cache.digest(value), entry);
        }
    }
}

impl Drop for CacheReader {
    fn drop(&mut self) {
        let mut entries = self.cache.entries();
        for topic in &self.topics {
            let readers = entries.readers.get_mut(topic).map_or(0, |readers| {
                *readers -= 1;
                *readers
            });
            if readers == 0 {
                entries.readers.remove(topic);
                entries.partitions.retain(|(cached, _), _| cached != topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kbnt_application::{Route, Service, Trace};
    use kbnt_domain::event::OrderCancelRequested;
    use kbnt_domain::{EventId, OrderId, Timestamp};

    use super::*;

    const PARTITION: TopicPartition = (Topic::OrderEvents, 1);

    fn append(number: u64) -> Append {
        let id = EventId::named(&number.to_string());
        let event = OrderCancelRequested { order: OrderId::from_uuid(*id.as_uuid()) }.into();
        let (at, trace) = (Timestamp::from_millis(1), Trace::root(&id));
        let message = Message { id, at, service: Service::Order, cause: None, trace, writer: None, event };
        Append { message: Arc::new(message), route: Route::Partition(PARTITION.1), source: None }
    }

    fn value(number: u64) -> Vec<u8> {
        number.to_string().into_bytes()
    }

    fn write(cache: &RecordCache, number: u64) {
        cache.insert_written(PARTITION, &append(number), &value(number));
    }

    fn at(offset: u64) -> Position {
        Position { topic: PARTITION.0, partition: PARTITION.1, offset }
    }

    /// Whether this record is cached. A record from the cache must be the right one.
    fn is_cached(reader: &CacheReader, number: u64) -> bool {
        let at = at(1_000 + number);
        let cached = reader.take(at, &value(number));
        assert!(cached.iter().all(|cached| cached.at == at && cached.message == append(number).message));
        cached.is_some()
    }

    #[test]
    fn what_is_written_is_cached_once_whatever_its_offset() {
        let cache = Arc::new(RecordCache::default());
        let reader = cache.reader([PARTITION.0].into(), Bytes::Left);
        (0..2).for_each(|number| write(&cache, number));
        assert!(is_cached(&reader, 1));
        assert!(!is_cached(&reader, 1), "it was read back");
        let elsewhere = Position { topic: PARTITION.0, partition: 0, offset: 0 };
        assert!(reader.take(elsewhere, &value(0)).is_none(), "it was written to another partition");
        assert!(is_cached(&reader, 0));
    }

    #[test]
    fn what_one_has_read_is_cached_for_the_others_once_each() {
        let cache = Arc::new(RecordCache::default());
        let [first, second, third] = [(); 3].map(|()| cache.reader([PARTITION.0].into(), Bytes::Left));
        let source = Some(at(7));
        let read = |number| {
            let delivered =
                Delivered { at: at(1_000 + number), message: append(number).message, source, raw: None };
            first.share(&delivered, &value(number));
        };
        read(0);
        let cached = second.take(at(1_000), &value(0)).unwrap();
        assert_eq!((cached.source, cached.message), (source, append(0).message));
        assert!(is_cached(&third, 0));
        assert!(!is_cached(&third, 0), "all have read it");
        drop((second, third));
        read(1);
        assert!(!is_cached(&first, 1), "nobody else reads it");
    }

    #[test]
    fn another_record_with_the_value_of_one_that_was_read_is_not_cached() {
        let cache = Arc::new(RecordCache::default());
        let [first, second] = [(); 2].map(|()| cache.reader([PARTITION.0].into(), Bytes::Left));
        first.share(
            &Delivered { at: at(1_000), message: append(0).message, source: None, raw: None },
            &value(0),
        );
        assert!(first.take(at(1_001), &value(0)).is_none(), "its id may come from where it lies");
        assert!(is_cached(&second, 0));
    }

    #[test]
    fn what_nobody_reads_is_not_cached() {
        let cache = Arc::new(RecordCache::default());
        write(&cache, 0);
        let (first, second) = (
            cache.reader([PARTITION.0].into(), Bytes::Left),
            cache.reader([PARTITION.0, Topic::UserEvents].into(), Bytes::Left),
        );
        assert!(!is_cached(&first, 0), "it was written before");
        write(&cache, 1);
        drop((first, second));
        assert!(!is_cached(&cache.reader([PARTITION.0].into(), Bytes::Left), 1));
    }

    #[test]
    fn the_newest_stay_in_the_cache() {
        let cache = Arc::new(RecordCache::default());
        let reader = cache.reader([PARTITION.0].into(), Bytes::Left);
        (0..=CAPACITY as u64 / 3).for_each(|number| write(&cache, number));
        assert!(!is_cached(&reader, 0));
        assert!(is_cached(&reader, 1));
    }
}
