//! What is known of a log's topics: where each partition begins and ends, which topic of a name it is, and what is wrong with a
//! log that is not the one that a service knows.
//!
//! A service decides from what it has read. Where records are gone that it would have to read, or that it knows to have been there,
//! its decisions would be made on another past than the one that it has acknowledged: it must not decide.

mod ids;
mod registry;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use crate::message::{Position, Service, Topic};

pub use ids::{InvalidTopicIds, TopicIds};
pub use registry::Integrity;

/// What a log keeps of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The offset of the first record that is kept; where none is kept, the same as `end`.
    pub first: u64,
    /// The offset after the last record.
    pub end: u64,
}

/// Which topic it is: one that was deleted and made again under its name has another id. Its text is base64url without
/// padding, as Kafka prints it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId([u8; 16]);

/// The text is no topic id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no topic id: 22 characters of base64url, as Kafka prints it, are one")]
pub struct InvalidTopicId(String);

impl TopicId {
    /// The id of these bytes, the most significant one first.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, the most significant one first.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TopicId {
    type Err = InvalidTopicId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| InvalidTopicId(text.chars().take(64).collect()))
    }
}

impl Bounds {
    /// Whether no offset is kept.
    pub const fn is_empty(self) -> bool {
        self.first >= self.end
    }

    /// What a service misses that goes on at `from`: how many records it passes over, or what is wrong.
    ///
    /// Records of a topic that is no event store expire. Whoever starts at its first record misses none of them; whoever goes on
    /// where it stopped passes them over, and that is to be made known.
    pub const fn passed_over(self, from: Position) -> Result<u64, Fault> {
        let Position { partition, offset: wanted, .. } = from;
        if wanted > self.end {
            return Err(Fault::Short { partition, wanted, found: self.end });
        }
        if wanted >= self.first {
            return Ok(0);
        }
        if from.topic.is_event_store() {
            return Err(Fault::Cut { partition, wanted, found: self.first });
        }
        Ok(if wanted == 0 { 0 } else { self.first - wanted })
    }
}

/// What is wrong with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A partition begins after the position from which it must be read.
    Cut {
        /// The partition.
        partition: u32,
        /// The first offset that must be read.
        wanted: u64,
        /// The first offset that is there.
        found: u64,
    },
    /// A partition ends before a position that is known to have been in it.
    Short {
        /// The partition.
        partition: u32,
        /// The offset after the last record that is known.
        wanted: u64,
        /// The offset after the last record that is there.
        found: u64,
    },
    /// It is another topic of the same name.
    Replaced {
        /// The id of the topic that is known.
        known: TopicId,
        /// The id of the topic that is there.
        found: TopicId,
    },
}

impl Fault {
    /// One word for programs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Cut { .. } => "cut",
            Self::Short { .. } => "short",
            Self::Replaced { .. } => "replaced",
        }
    }

    /// The partition; `None` if it is about the whole topic.
    pub const fn partition(&self) -> Option<u32> {
        match *self {
            Self::Cut { partition, .. } | Self::Short { partition, .. } => Some(partition),
            Self::Replaced { .. } => None,
        }
    }

    /// The offsets that are wanted and found, if it is about offsets.
    pub const fn offsets(&self) -> Option<(u64, u64)> {
        match *self {
            Self::Cut { wanted, found, .. } | Self::Short { wanted, found, .. } => Some((wanted, found)),
            Self::Replaced { .. } => None,
        }
    }

    /// The ids that are known and found, if it is about ids.
    pub const fn ids(&self) -> Option<(TopicId, TopicId)> {
        match *self {
            Self::Replaced { known, found } => Some((known, found)),
            Self::Cut { .. } | Self::Short { .. } => None,
        }
    }
}

/// Why a service does not decide any more: a topic is not the one that it knows, or not all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub struct Damage {
    /// Who does not decide.
    pub service: Service,
    /// The topic, its own or one that it reads.
    pub topic: Topic,
    /// What is wrong with it.
    pub fault: Fault,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, topic) = (self.service.name(), self.topic.name());
        match self.fault {
            Fault::Cut { partition, wanted, found } => write!(
                f,
                "{service} does not decide: {topic}/{partition} begins at offset {found}, and it must read from {wanted} on"
            ),
            Fault::Short { partition, wanted, found } => write!(
                f,
                "{service} does not decide: {topic}/{partition} ends at offset {found}, and it knows records up to {wanted}"
            ),
            Fault::Replaced { known, found } => write!(
                f,
                "{service} does not decide: {topic} is another topic of the same name, {found} instead of {known}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(topic: Topic, offset: u64) -> Position {
        Position { topic, partition: 1, offset }
    }

    #[test]
    fn an_event_store_must_have_all_from_where_a_service_starts() {
        let kept = Bounds { first: 5, end: 9 };
        for topic in [Topic::UserEvents, Topic::OrderEvents, Topic::PaymentEvents, Topic::InventoryEvents] {
            for wanted in [0, 4] {
                let cut = Fault::Cut { partition: 1, wanted, found: 5 };
                assert_eq!(kept.passed_over(at(topic, wanted)), Err(cut), "{topic:?}");
            }
            assert_eq!(kept.passed_over(at(topic, 5)), Ok(0));
            assert_eq!(kept.passed_over(at(topic, 9)), Ok(0));
        }
    }

    #[test]
    fn where_records_expire_they_are_passed_over_and_counted() {
        let kept = Bounds { first: 5, end: 9 };
        for topic in [Topic::NotificationEvents, Topic::AuditLogs, Topic::ApplicationLogs] {
            assert_eq!(kept.passed_over(at(topic, 0)), Ok(0), "whoever starts with the first misses none");
            assert_eq!(kept.passed_over(at(topic, 3)), Ok(2));
            assert_eq!(kept.passed_over(at(topic, 7)), Ok(0));
        }
    }

    #[test]
    fn no_topic_may_end_before_what_is_known() {
        for topic in Topic::ALL {
            let short = Fault::Short { partition: 1, wanted: 10, found: 9 };
            assert_eq!(Bounds { first: 0, end: 9 }.passed_over(at(topic, 10)), Err(short));
            assert_eq!(Bounds::default().passed_over(at(topic, 0)), Ok(0));
        }
    }

    #[test]
    fn damage_says_topic_partition_and_offsets() {
        let fault = Fault::Cut { partition: 2, wanted: 7, found: 58 };
        let damage = Damage { service: Service::Inventory, topic: Topic::InventoryEvents, fault };
        let said = damage.to_string();
        assert!(
            ["inventory-service", "inventory-events/2", " 58", " 7 "].iter().all(|part| said.contains(part)),
            "{said}"
        );
        assert_eq!((fault.kind(), fault.partition(), fault.offsets()), ("cut", Some(2), Some((7, 58))));
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let text = "WOl_vM4-QU2HyDFeU4Yg0w";
        let id: TopicId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(TopicId::from_bytes(*id.as_bytes()), id);
    }

    #[test]
    fn other_text_is_no_id() {
        for text in ["", "WOl_vM4-QU2HyDFeU4Yg0", "WOl_vM4-QU2HyDFeU4Yg0w==", "WOl/vM4+QU2HyDFeU4Yg0w", "a b"]
        {
            assert!(text.parse::<TopicId>().unwrap_err().to_string().contains("no topic id"), "{text}");
        }
    }
}
