//! What a record of the event log holds: an event of the business, or one about the log itself.

mod dead_letter;
mod link;

pub use dead_letter::{Bytes, DeadLetterResolved, DeadLetterStored, Resolution};
pub use link::AuditLogCreated;

use kbnt_domain::Event;

/// An event as the log records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordedEvent {
    /// Something that happened to an order, a user, stock or a payment, or is asked for.
    Business(Event),
    /// From here on only this writer's records count in this partition.
    WriterElected(WriterElected),
    /// One link of the audit chain.
    AuditLogCreated(AuditLogCreated),
    /// A record that nobody understands, kept for a person to look at.
    DeadLetterStored(DeadLetterStored),
    /// A person is done with a dead letter.
    DeadLetterResolved(DeadLetterResolved),
}

impl RecordedEvent {
    /// The event of the business, if it is one.
    pub const fn business(&self) -> Option<&Event> {
        match self {
            Self::Business(event) => Some(event),
            _ => None,
        }
    }
}

impl<E: Into<Event>> From<E> for RecordedEvent {
    fn from(event: E) -> Self {
        Self::Business(event.into())
    }
}

macro_rules! about_the_log {
    ($($event:ident)+) => {
        $(impl From<$event> for RecordedEvent {
            fn from(event: $event) -> Self {
                Self::$event(event)
            }
        })+
    };
}

about_the_log!(WriterElected AuditLogCreated DeadLetterStored DeadLetterResolved);

/// A writer of the inventory: its term and its name. The greater one is the newer one; the name only breaks ties.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Writer {
    /// Grows by one with each election.
    pub term: u64,
    /// The process.
    pub name: String,
}

/// From here on only this writer's records count in this partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterElected {
    /// The new writer.
    pub writer: Writer,
}
