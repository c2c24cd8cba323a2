//! What this process wrote a moment ago, for its own readers: what they read back need not be decoded again. A third of all
//! that the services read is their own, as state machines wait until the log says what they decided.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kbnt_application::{Delivered, Position, Topic};

/// Records that are kept of one partition. Readers are a few batches behind; one that is further behind decodes.
const MOST: usize = 4_000;

/// Records that are written and were not read back yet, of topics that are read.
#[derive(Debug, Default)]
pub(super) struct Own(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    readers: HashMap<Topic, usize>,
    records: HashMap<(Topic, u32), BTreeMap<u64, Record>>,
}

#[derive(Debug)]
struct Record {
    value: Vec<u8>,
    delivered: Delivered,
}

/// A reader of topics; they count as read until it is dropped.
pub(super) struct Reading {
    own: Arc<Own>,
    topics: BTreeSet<Topic>,
}

impl Own {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody reads these topics.
    pub(super) fn read(self: &Arc<Self>, topics: BTreeSet<Topic>) -> Reading {
        let mut kept = self.kept();
        for topic in &topics {
            *kept.readers.entry(*topic).or_default() += 1;
        }
        Reading { own: Arc::clone(self), topics }
    }

    /// Whether anybody reads the topic.
    pub(super) fn is_read(&self, topic: Topic) -> bool {
        self.kept().readers.contains_key(&topic)
    }

    /// Keeps what was written, with the bytes of its value.
    pub(super) fn keep(&self, written: impl IntoIterator<Item = (Delivered, Vec<u8>)>) {
        let mut kept = self.kept();
        for (delivered, value) in written {
            let Position { topic, partition, offset } = delivered.at;
            if kept.readers.contains_key(&topic) {
                let records = kept.records.entry((topic, partition)).or_default();
                records.insert(offset, Record { value, delivered });
                while records.len() > MOST {
                    records.pop_first();
                }
            }
        }
    }

    /// The record at `at`, if it was kept and is the one with this value. A topic that was made anew has others at the same
    /// places.
    fn take(&self, at: Position, value: &[u8]) -> Option<Delivered> {
        let mut kept = self.kept();
        let records = kept.records.get_mut(&(at.topic, at.partition))?;
        while records.first_key_value().is_some_and(|(offset, _)| *offset < at.offset) {
            records.pop_first();
        }
        records.remove(&at.offset).filter(|record| record.value == value).map(|record| record.delivered)
    }
}

impl Reading {
    /// What the record at `at` with this value says, if this process wrote it a moment ago.
    pub(super) fn known(&self, at: Position, value: Option<&[u8]>) -> Option<Delivered> {
        self.own.take(at, value?)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut kept = self.own.kept();
        for topic in &self.topics {
            let readers = kept.readers.get_mut(topic).map_or(0, |readers| {
                *readers -= 1;
                *readers
            });
            if readers == 0 {
                kept.readers.remove(topic);
                kept.records.retain(|(kept, _), _| kept != topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kbnt_application::{Message, Service, Trace};
    use kbnt_domain::event::OrderCancelRequested;
    use kbnt_domain::{EventId, OrderId, Timestamp};

    use super::*;

    const TOPIC: Topic = Topic::OrderEvents;

    fn at(offset: u64) -> Position {
        Position { topic: TOPIC, partition: 1, offset }
    }

    fn written(offset: u64) -> (Delivered, Vec<u8>) {
        let id = EventId::named(&offset.to_string());
        let event = OrderCancelRequested { order: OrderId::from_uuid(*id.as_uuid()) }.into();
        let (at_time, trace) = (Timestamp::from_millis(1), Trace::root(&id));
        let message =
            Message { id, at: at_time, service: Service::Order, cause: None, trace, writer: None, event };
        (
            Delivered { at: at(offset), message: Arc::new(message), source: None },
            offset.to_string().into_bytes(),
        )
    }

    /// Whether this record is known; what is known must be that record.
    fn known(reading: &Reading, offset: u64, value: &[u8]) -> bool {
        let known = reading.known(at(offset), Some(value));
        assert!(known.iter().all(|known| known.message == written(offset).0.message));
        known.is_some()
    }

    #[test]
    fn what_was_written_is_known_once_when_it_is_read_back() {
        let own = Arc::new(Own::default());
        let reading = own.read([TOPIC].into());
        own.keep((0..4).map(written));
        assert!(known(&reading, 1, b"1"));
        assert!(!known(&reading, 1, b"1"), "it was read back");
        assert!(!known(&reading, 0, b"0"), "the reader is behind it");
        assert!(!known(&reading, 2, b"of another topic of that name"));
        assert!(reading.known(at(3), None).is_none());
    }

    #[test]
    fn what_nobody_reads_is_not_kept() {
        let own = Arc::new(Own::default());
        own.keep([written(0)]);
        let (first, second) = (own.read([TOPIC].into()), own.read([TOPIC, Topic::UserEvents].into()));
        assert!(!known(&first, 0, b"0"), "it was written before");
        own.keep([written(1)]);
        drop(second);
        assert!(own.is_read(TOPIC) && !own.is_read(Topic::UserEvents));
        drop(first);
        assert!(!own.is_read(TOPIC));
        assert!(!known(&own.read([TOPIC].into()), 1, b"1"));
    }

    #[test]
    fn the_newest_are_kept() {
        let own = Arc::new(Own::default());
        let reading = own.read([TOPIC].into());
        own.keep((0..=MOST as u64).map(written));
        assert!(!known(&reading, 0, b"0"));
        assert!(known(&reading, 1, b"1"));
    }
}
