//! What this process writes, or has read a moment ago, for its other readers: what they read again need not be decoded again. State
//! machines read back what they decided, and a read model reads the same topics as the machine beside it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::FixedState;
use foldhash::quality::RandomState;
use kbnt_application::message::Message;
use kbnt_application::{Append, Delivered, Position, Topic};

use crate::client::Place;
use kbnt_wire::Bytes;

/// Records that are kept of one topic, the newest of each partition. Readers are a few batches apart; one that is further behind
/// decodes.
const MOST: usize = 3_000;

/// Records that somebody has yet to read.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Drawn for this process: nobody can make two values with one digest who does not know it.
    seed: RandomState,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    readers: HashMap<Topic, usize>,
    partitions: HashMap<Place, Records>,
}

/// Records of a partition by their values. Where a record will lie is not known when it is sent, and it may be read before its
/// writer hears of it.
#[derive(Debug, Default)]
struct Records {
    by_value: HashMap<Digest, Record, FixedState>,
    /// Oldest first, also those that all have read.
    order: VecDeque<Digest>,
}

#[derive(Debug)]
struct Record {
    /// Where it lies, of one that was read: another one with the same value has another id where the value has none.
    offset: Option<u64>,
    message: Arc<Message>,
    source: Option<Position>,
    /// How many have yet to read it.
    readers: usize,
}

/// Of a record's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Digest(u64);

/// A reader of topics; they count as read until it is dropped.
pub(crate) struct Reading {
    known: Arc<Known>,
    topics: BTreeSet<Topic>,
    /// Whether the bytes are handed over, too.
    pub(crate) bytes: Bytes,
}

impl Kept {
    fn keep(&mut self, place: Place, digest: Digest, record: Record) {
        let records = self.partitions.entry(place).or_default();
        records.by_value.insert(digest, record);
        records.order.push_back(digest);
        while records.order.len() > MOST / place.0.partitions() as usize {
            records.order.pop_front().map(|oldest| records.by_value.remove(&oldest));
        }
    }

    /// The record at `at`, for one of its readers.
    fn take(
        &mut self,
        at: Position,
        digest: impl FnOnce() -> Digest,
    ) -> Option<(Arc<Message>, Option<Position>)> {
        let place = (at.topic, at.partition);
        let records = self.partitions.get_mut(&place).map(|records| &mut records.by_value)?;
        if records.is_empty() {
            return None;
        }
        let digest = digest();
        let record = records
            .get_mut(&digest)
            .filter(|record| record.offset.is_none_or(|offset| offset == at.offset))?;
        record.readers -= 1;
        if record.readers > 0 {
            return Some((Arc::clone(&record.message), record.source));
        }
        records.remove(&digest).map(|record| (record.message, record.source))
    }
}

impl Known {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest(&self, value: &[u8]) -> Digest {
        Digest(self.seed.hash_one(value))
    }

    /// Somebody reads these topics.
    pub(crate) fn read(self: &Arc<Self>, topics: BTreeSet<Topic>, bytes: Bytes) -> Reading {
        let mut kept = self.kept();
        for topic in &topics {
            *kept.readers.entry(*topic).or_default() += 1;
        }
        Reading { known: Arc::clone(self), topics, bytes }
    }

    /// Keeps what is about to be written to a partition, for whoever reads it.
    pub(crate) fn written(&self, place: Place, append: &Append, value: &[u8]) {
        let mut kept = self.kept();
        if let Some(readers) = kept.readers.get(&place.0).copied() {
            let (message, source) = (Arc::clone(&append.message), append.source);
            kept.keep(place, self.digest(value), Record { offset: None, message, source, readers });
        }
    }
}

impl Reading {
    /// What the record at `at` with this value says, if this process wrote or read it a moment ago.
    pub(crate) fn known(&self, at: Position, value: &[u8]) -> Option<Delivered> {
        let (message, source) = self.known.kept().take(at, || self.known.digest(value))?;
        Some(Delivered { at, message, source, raw: None })
    }

    /// Keeps what was read for the others that read it.
    pub(crate) fn read(&self, delivered: &Delivered, value: &[u8]) {
        let Position { topic, partition, offset } = delivered.at;
        let mut kept = self.known.kept();
        let readers = kept.readers.get(&topic).map_or(0, |readers| readers.saturating_sub(1));
        if readers > 0 {
            let (message, source) = (Arc::clone(&delivered.message), delivered.source);
            let record = Record { offset: Some(offset), message, source, readers };
            kept.keep((topic, partition), self.known.digest(value), record);
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut kept = self.known.kept();
        for topic in &self.topics {
            let readers = kept.readers.get_mut(topic).map_or(0, |readers| {
                *readers -= 1;
                *readers
            });
            if readers == 0 {
                kept.readers.remove(topic);
                kept.partitions.retain(|(kept, _), _| kept != topic);
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

    const PLACE: Place = (Topic::OrderEvents, 1);

    fn append(number: u64) -> Append {
        let id = EventId::named(&number.to_string());
        let event = OrderCancelRequested { order: OrderId::from_uuid(*id.as_uuid()) }.into();
        let (at, trace) = (Timestamp::from_millis(1), Trace::root(&id));
        let message = Message { id, at, service: Service::Order, cause: None, trace, writer: None, event };
        Append { message: Arc::new(message), route: Route::Partition(PLACE.1), source: None }
    }

    fn value(number: u64) -> Vec<u8> {
        number.to_string().into_bytes()
    }

    fn write(all: &Known, number: u64) {
        all.written(PLACE, &append(number), &value(number));
    }

    fn at(offset: u64) -> Position {
        Position { topic: PLACE.0, partition: PLACE.1, offset }
    }

    /// Whether this record is known; what is known must be that record.
    fn known(reading: &Reading, number: u64) -> bool {
        let at = at(1_000 + number);
        let known = reading.known(at, &value(number));
        assert!(known.iter().all(|known| known.at == at && known.message == append(number).message));
        known.is_some()
    }

    #[test]
    fn what_is_written_is_known_once_wherever_it_lies() {
        let all = Arc::new(Known::default());
        let reading = all.read([PLACE.0].into(), Bytes::Left);
        (0..2).for_each(|number| write(&all, number));
        assert!(known(&reading, 1));
        assert!(!known(&reading, 1), "it was read back");
        let elsewhere = Position { topic: PLACE.0, partition: 0, offset: 0 };
        assert!(reading.known(elsewhere, &value(0)).is_none(), "it was written to another partition");
        assert!(known(&reading, 0));
    }

    #[test]
    fn what_one_has_read_is_known_to_the_others_once_each() {
        let all = Arc::new(Known::default());
        let [first, second, third] = [(); 3].map(|()| all.read([PLACE.0].into(), Bytes::Left));
        let source = Some(at(7));
        let read = |number| {
            let delivered =
                Delivered { at: at(1_000 + number), message: append(number).message, source, raw: None };
            first.read(&delivered, &value(number));
        };
        read(0);
        let told = second.known(at(1_000), &value(0)).unwrap();
        assert_eq!((told.source, told.message), (source, append(0).message));
        assert!(known(&third, 0));
        assert!(!known(&third, 0), "all have read it");
        drop((second, third));
        read(1);
        assert!(!known(&first, 1), "nobody else reads it");
    }

    #[test]
    fn another_record_with_the_value_of_one_that_was_read_is_not_known() {
        let all = Arc::new(Known::default());
        let [first, second] = [(); 2].map(|()| all.read([PLACE.0].into(), Bytes::Left));
        first.read(
            &Delivered { at: at(1_000), message: append(0).message, source: None, raw: None },
            &value(0),
        );
        assert!(first.known(at(1_001), &value(0)).is_none(), "its id may come from where it lies");
        assert!(known(&second, 0));
    }

    #[test]
    fn what_nobody_reads_is_not_kept() {
        let all = Arc::new(Known::default());
        write(&all, 0);
        let (first, second) = (
            all.read([PLACE.0].into(), Bytes::Left),
            all.read([PLACE.0, Topic::UserEvents].into(), Bytes::Left),
        );
        assert!(!known(&first, 0), "it was written before");
        write(&all, 1);
        drop((first, second));
        assert!(!known(&all.read([PLACE.0].into(), Bytes::Left), 1));
    }

    #[test]
    fn the_newest_are_kept() {
        let all = Arc::new(Known::default());
        let reading = all.read([PLACE.0].into(), Bytes::Left);
        (0..=MOST as u64 / 3).for_each(|number| write(&all, number));
        assert!(!known(&reading, 0));
        assert!(known(&reading, 1));
    }
}
