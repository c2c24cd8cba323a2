//! Where records lie.

use std::fmt;
use std::str::FromStr;

use super::Topic;

/// Where a record lies, as it stands in records: topic, partition and offset.
pub type Location = (String, u32, u64);

/// Where a record lies in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The topic.
    pub topic: Topic,
    /// The partition, from 0.
    pub partition: u32,
    /// The offset in it, from 0.
    pub offset: u64,
}

impl Position {
    /// As it stands in records.
    pub fn location(self) -> Location {
        (self.topic.name().to_owned(), self.partition, self.offset)
    }

    /// The position that stands in a record; `None` where it names no topic of ours.
    pub fn of((topic, partition, offset): &Location) -> Option<Self> {
        Some(Self { topic: Topic::from_name(topic)?, partition: *partition, offset: *offset })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.topic.name(), self.partition, self.offset)
    }
}

impl FromStr for Position {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (topic, rest) = text.split_once('/')?;
            let (partition, offset) = rest.split_once('@')?;
            let topic = Topic::from_name(topic)?;
            Some(Self { topic, partition: partition.parse().ok()?, offset: offset.parse().ok()? })
        };
        read().ok_or("expected TOPIC/PARTITION@OFFSET, such as order-events/0@17")
    }
}
