//! How far a stream has come: the next offset of every partition of every topic.

use std::fmt;
use std::str::FromStr;

use kbnt_application::{Position, Topic};
use thiserror::Error;

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the id of an event of this stream")]
pub(super) struct InvalidCursor;

/// The next offset of every partition, in the order of [`Topic::EVENTS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor(Vec<Vec<u64>>);

/// Every partition of every topic.
fn partitions() -> impl Iterator<Item = (Topic, u32)> {
    Topic::EVENTS.iter().flat_map(|topic| (0..topic.partitions()).map(|partition| (*topic, partition)))
}

impl Cursor {
    /// A cursor with these next offsets.
    pub(super) fn at(mut next: impl FnMut(Topic, u32) -> u64) -> Self {
        let of_topic =
            |topic: &Topic| (0..topic.partitions()).map(|partition| next(*topic, partition)).collect();
        Self(Topic::EVENTS.iter().map(of_topic).collect())
    }

    fn offset(&self, topic: Topic, partition: u32) -> Option<&u64> {
        let row = Topic::EVENTS.iter().position(|candidate| *candidate == topic)?;
        self.0.get(row)?.get(partition as usize)
    }

    /// Whether the record is still to come.
    pub(super) fn awaits(&self, at: Position) -> bool {
        self.offset(at.topic, at.partition).is_some_and(|next| at.offset >= *next)
    }

    /// The record has been passed.
    pub(super) fn pass(&mut self, at: Position) {
        let row = Topic::EVENTS.iter().position(|candidate| *candidate == at.topic);
        if let Some(next) = row.and_then(|row| self.0.get_mut(row)?.get_mut(at.partition as usize)) {
            *next = (*next).max(at.offset + 1);
        }
    }

    /// The next position of every partition of these topics.
    pub(super) fn positions(&self, of: impl Fn(Topic) -> bool) -> Vec<Position> {
        partitions()
            .filter(|(topic, _)| of(*topic))
            .filter_map(|(topic, partition)| {
                Some(Position { topic, partition, offset: *self.offset(topic, partition)? })
            })
            .collect()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, topic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("-")?;
            }
            for (partition, offset) in topic.iter().enumerate() {
                if partition > 0 {
                    f.write_str(".")?;
                }
                write!(f, "{offset}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let rows: Vec<Vec<u64>> = text
            .split('-')
            .map(|row| row.split('.').map(str::parse).collect::<Result<_, _>>())
            .collect::<Result<_, _>>()
            .map_err(|_| InvalidCursor)?;
        let fits = rows.len() == Topic::EVENTS.len()
            && rows.iter().zip(Topic::EVENTS).all(|(row, topic)| row.len() == topic.partitions() as usize)
            // Kafka's offsets have 63 bits.
            && rows.iter().flatten().all(|offset| i64::try_from(*offset).is_ok_and(|offset| offset < i64::MAX));
        if fits { Ok(Self(rows)) } else { Err(InvalidCursor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_as_it_was_written() {
        let mut cursor = Cursor::at(|topic, partition| u64::from(topic.partitions() * 10 + partition));
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        let at = Position { topic: Topic::PaymentEvents, partition: 1, offset: 40 };
        assert!(cursor.awaits(at));
        cursor.pass(at);
        assert!(!cursor.awaits(at) && cursor.awaits(Position { offset: 41, ..at }));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "1", "1.2.3", "x", "1.2.3-1.2.3-1.2.3-1.2.3-1.2.3-1.2", "-1.0.0-0.0.0-0.0.0-0.0.0-0.0.0-0"]
        {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
        let huge = format!("{}.0.0-0.0.0-0.0.0-0.0.0-0.0.0-0", u64::MAX);
        assert_eq!(huge.parse::<Cursor>(), Err(InvalidCursor));
    }
}
