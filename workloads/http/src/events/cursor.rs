//! The progress of a stream: the next offset of every partition of every topic, the log, and the last record
//! seen in each partition.

use std::fmt;
use std::str::FromStr;

use kbnt_application::{Position, Topic};
use kbnt_domain::EventId;
use thiserror::Error;

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the id of an event of this stream")]
pub(super) struct InvalidCursor;

/// Identifies a log: 64 bits of a hash of its topics' ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogName(pub(super) u64);

/// Identifies a record within a cursor: 24 bits of its event id. It distinguishes cursors of two histories
/// with the same number of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u32);

/// The size of a tag in bits.
const TAG_BITS: u32 = 24;

impl Tag {
    pub(super) fn of(id: &EventId) -> Self {
        // The last bytes of a version 5 UUID are hash bits.
        let [.., a, b, c] = *id.as_uuid().as_bytes();
        Self(u32::from_be_bytes([0, a, b, c]))
    }
}

/// The progress of a stream in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The next offset.
    pub(super) next: u64,
    /// The record before it, if the stream knows it.
    pub(super) last: Option<Tag>,
}

impl Place {
    /// Before the record at `offset`; the record before that is unknown.
    pub(super) const fn before(offset: u64) -> Self {
        Self { next: offset, last: None }
    }
}

/// The progress of a stream in every partition, in the order of [`Topic::EVENTS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The log; `None` if an earlier version, which did not include it, gave the id out.
    pub(super) log: Option<LogName>,
    rows: Vec<Vec<Place>>,
}

impl Cursor {
    /// The cursor at these places of `log`.
    pub(super) fn at(log: LogName, mut place: impl FnMut(Topic, u32) -> Place) -> Self {
        let of_topic =
            |topic: &Topic| (0..topic.partitions()).map(|partition| place(*topic, partition)).collect();
        Self { log: Some(log), rows: Topic::EVENTS.iter().map(of_topic).collect() }
    }

    /// The progress in a partition.
    pub(super) fn place(&self, topic: Topic, partition: u32) -> Option<&Place> {
        let row = Topic::EVENTS.iter().position(|candidate| *candidate == topic)?;
        self.rows.get(row)?.get(partition as usize)
    }

    /// Whether the stream has not passed the record yet.
    pub(super) fn awaits(&self, at: Position) -> bool {
        self.place(at.topic, at.partition).is_some_and(|place| at.offset >= place.next)
    }

    /// Passes the record.
    pub(super) fn pass(&mut self, at: Position, id: &EventId) {
        let row = Topic::EVENTS.iter().position(|candidate| *candidate == at.topic);
        if let Some(place) = row.and_then(|row| self.rows.get_mut(row)?.get_mut(at.partition as usize))
            && at.offset >= place.next
        {
            *place = Place { next: at.offset + 1, last: Some(Tag::of(id)) };
        }
    }

    /// The next position of every partition of these topics.
    pub(super) fn positions(&self, of: impl Fn(Topic) -> bool) -> Vec<Position> {
        Topic::event_partitions()
            .filter(|(topic, _)| of(*topic))
            .filter_map(|(topic, partition)| {
                Some(Position { topic, partition, offset: self.place(topic, partition)?.next })
            })
            .collect()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(LogName(name)) = self.log {
            write!(f, "{name:016x}_")?;
        }
        for (index, topic) in self.rows.iter().enumerate() {
            if index > 0 {
                f.write_str("-")?;
            }
            for (partition, place) in topic.iter().enumerate() {
                if partition > 0 {
                    f.write_str(".")?;
                }
                write!(f, "{}", place.next)?;
                if let Some(Tag(tag)) = place.last {
                    write!(f, ":{tag:06x}")?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Place {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (next, tag) = match text.split_once(':') {
            Some((next, tag)) => (next, Some(tag)),
            None => (text, None),
        };
        let next: u64 = next.parse().map_err(|_| InvalidCursor)?;
        let last = match tag.map(|tag| u32::from_str_radix(tag, 16)) {
            None => None,
            Some(Ok(tag)) if tag >> TAG_BITS == 0 && next > 0 => Some(Tag(tag)),
            Some(_) => return Err(InvalidCursor),
        };
        // Kafka's offsets have 63 bits.
        let fits = i64::try_from(next).is_ok_and(|next| next < i64::MAX);
        if fits { Ok(Self { next, last }) } else { Err(InvalidCursor) }
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (log, places) = match text.split_once('_') {
            Some((log, places)) => (Some(log), places),
            None => (None, text),
        };
        let log = log.map(|log| u64::from_str_radix(log, 16)).transpose().map_err(|_| InvalidCursor)?;
        let rows: Vec<Vec<Place>> = places
            .split('-')
            .map(|row| row.split('.').map(str::parse).collect::<Result<_, _>>())
            .collect::<Result<_, _>>()?;
        let fits = rows.len() == Topic::EVENTS.len()
            && rows.iter().zip(Topic::EVENTS).all(|(row, topic)| row.len() == topic.partitions() as usize);
        if fits { Ok(Self { log: log.map(LogName), rows }) } else { Err(InvalidCursor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u32) -> EventId {
        EventId::named(&number.to_string())
    }

    #[test]
    fn a_cursor_reads_as_it_was_written() {
        let next = |topic: Topic, partition| u64::from(topic.partitions() * 10 + partition);
        let mut cursor = Cursor::at(LogName(7), |topic, partition| Place::before(next(topic, partition)));
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        let at = Position { topic: Topic::PaymentEvents, partition: 1, offset: 40 };
        assert!(cursor.awaits(at));
        cursor.pass(at, &event(1));
        assert!(!cursor.awaits(at) && cursor.awaits(Position { offset: 41, ..at }));
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        let place = *cursor.place(at.topic, at.partition).unwrap();
        assert_eq!(place, Place { next: 41, last: Some(Tag::of(&event(1))) });
        cursor.pass(Position { offset: 3, ..at }, &event(2));
        assert_eq!(*cursor.place(at.topic, at.partition).unwrap(), place, "it never goes back");
    }

    #[test]
    fn an_id_of_an_earlier_version_names_no_log() {
        let old: Cursor = "12.0.3-9.1.4-15.2.8-4.0.1-3.0.1-47".parse().unwrap();
        assert_eq!((old.log, old.positions(|_| true).len()), (None, 16));
    }

    #[test]
    fn anything_else_is_refused() {
        let zeros = "0.0-0.0.0-0.0.0-0.0.0-0.0.0-0";
        for text in [
            "",
            "1",
            "1.2.3",
            "x",
            "1.2.3-1.2.3-1.2.3-1.2.3-1.2.3-1.2",
            "-1.0.0-0.0.0-0.0.0-0.0.0-0.0.0-0",
            &format!("{}.{zeros}", u64::MAX),
            &format!("g_0.{zeros}"),
            &format!("_0.{zeros}"),
            &format!("7_0:000001.{zeros}"),
            &format!("7_1:1000000.{zeros}"),
            &format!("7_1:.{zeros}"),
            &format!("7_7_1.{zeros}"),
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }
}
