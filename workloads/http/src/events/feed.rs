//! The newest events of the read models' topics, kept in memory and shared by all streams.

use std::collections::{BTreeMap, VecDeque};

use kbnt_application::{Delivered, Position, Topic};

use super::cursor::{Cursor, Place, Tag};

/// The most events that are kept; a stream that is further behind reads the log.
const KEPT: usize = 2048;

/// The most bytes that they may take, roughly.
const WEIGHT_MOST: usize = 16 << 20;

/// The newest events, in the order in which they were read.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    events: VecDeque<Delivered>,
    /// How many bytes they take.
    weight: usize,
    /// How many were dropped, which is the number of the oldest one that is kept.
    dropped: u64,
    /// For each partition, the offset from which everything is kept.
    kept_from: BTreeMap<(Topic, u32), u64>,
    /// How far each partition has been read.
    next: BTreeMap<(Topic, u32), Place>,
}

impl Feed {
    /// Events are added from these positions on.
    pub(crate) fn begin(&mut self, from: &[Position]) {
        for at in from.iter().filter(|at| at.offset > 0) {
            self.kept_from.insert((at.topic, at.partition), at.offset);
        }
    }

    /// Adds an event.
    pub(crate) fn push(&mut self, record: &Delivered) {
        let at = record.at;
        let place = self.next.entry((at.topic, at.partition)).or_insert(Place::before(0));
        if at.offset >= place.next {
            *place = Place { next: at.offset + 1, last: Some(Tag::of(&record.message.id)) };
        }
        self.weight += record.message.weight();
        self.events.push_back(record.clone());
        while (self.events.len() > KEPT || self.weight > WEIGHT_MOST)
            && let Some(dropped) = self.events.pop_front()
        {
            self.weight -= dropped.message.weight();
            self.dropped += 1;
            self.kept_from.insert((dropped.at.topic, dropped.at.partition), dropped.at.offset + 1);
        }
    }

    /// The offset after the last event of a partition.
    pub(crate) fn next(&self, topic: Topic, partition: u32) -> u64 {
        self.place(topic, partition).next
    }

    /// The same, with the tag of that event.
    pub(super) fn place(&self, topic: Topic, partition: u32) -> Place {
        self.next.get(&(topic, partition)).copied().unwrap_or(Place::before(0))
    }

    /// The number of the oldest event that is kept, if the feed still has everything that `cursor` awaits. There is no more of that before
    /// `read`: up to there a partition was read, in which there may be records that are no events.
    pub(super) fn covers(&self, cursor: &Cursor, read: &[Position]) -> Option<u64> {
        let kept = |at: &Position| {
            let here = |read: &&Position| (read.topic, read.partition) == (at.topic, at.partition);
            let next = read.iter().find(here).map_or(at.offset, |read| read.offset.max(at.offset));
            self.kept_from.get(&(at.topic, at.partition)).is_none_or(|kept_from| next >= *kept_from)
        };
        let all_kept = cursor.positions(|_| true).iter().all(kept);
        all_kept.then_some(self.dropped)
    }

    /// At most `most` events from number `from`, and the number after them; `None` if some of them were
    /// dropped.
    pub(super) fn since(&self, from: u64, most: usize) -> Option<(Vec<Delivered>, u64)> {
        let skip = usize::try_from(from.checked_sub(self.dropped)?).ok()?;
        let events: Vec<_> = self.events.iter().skip(skip).take(most).cloned().collect();
        let after = from + events.len() as u64;
        Some((events, after))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::cursor::LogName;
    use super::*;
    use kbnt_application::event::DeadLetterStored;
    use kbnt_application::{Message, Position, Service, Trace};
    use kbnt_domain::{EventId, Timestamp};

    fn dead_letter(offset: u64, bytes: usize) -> Delivered {
        let at = Position { topic: Topic::AuditLogs, partition: 0, offset };
        let (id, now) = (EventId::named(&at.to_string()), Timestamp::default());
        let value = vec![b'x'; bytes];
        let event = DeadLetterStored::new(at.location(), String::new(), now, None, Some(&value), []).into();
        let (service, trace) = (Service::Audit, Trace::root(&id));
        let message = Message { id, at: now, service, cause: None, trace, writer: None, event };
        Delivered { at, message: Arc::new(message), source: None, raw: None }
    }

    #[test]
    fn a_feed_has_what_is_awaited_where_it_begins_or_where_all_before_was_read() {
        let at = |offset| Position { topic: Topic::AuditLogs, partition: 0, offset };
        let start = Cursor::at(LogName(7), |_, _| Place::before(0));
        let mut feed = Feed::default();
        feed.push(&dead_letter(7, 10));
        assert_eq!(feed.covers(&start, &[]), Some(0), "what lies before is no event");
        feed.begin(&[at(7)]);
        assert_eq!(feed.covers(&start, &[]), None, "nobody knows what lies before");
        assert_eq!(feed.covers(&start, &[at(6)]), None);
        assert_eq!(feed.covers(&start, &[at(7)]), Some(0));
    }

    #[test]
    fn large_events_push_older_ones_out() {
        let mut feed = Feed::default();
        for offset in 0..100 {
            feed.push(&dead_letter(offset, 1 << 20));
        }
        assert_eq!(feed.next(Topic::AuditLogs, 0), 100);
        assert!(feed.events.len() > 5 && feed.events.len() < 17, "{}", feed.events.len());
        let (kept, after) = feed.since(feed.dropped, 1_000).unwrap();
        assert_eq!((kept.len() as u64 + feed.dropped, after), (100, 100));
        for offset in 100..5_000 {
            feed.push(&dead_letter(offset, 1));
        }
        assert_eq!((feed.events.len(), feed.dropped), (KEPT, 5_000 - KEPT as u64));
    }
}
