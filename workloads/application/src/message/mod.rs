//! What a log record holds: an event in its envelope.

mod classify;
mod place;
mod position;
mod topic;

use std::sync::Arc;

use kbnt_domain::{EventId, OrderId, Timestamp};

use crate::event::{RecordedEvent, Writer};

pub use classify::{Classification, EventType, Layer, Level, Subject};
pub use place::{Misplaced, home_of, in_place};
pub use position::{Location, Position};
pub use topic::{Service, Topic, partition_of};

/// An event in its envelope, as every topic but application-logs carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Deterministic, so that a repeated step writes the same id again; readers drop ids that they have seen.
    pub id: EventId,
    /// The writer's clock when it decided.
    pub at: Timestamp,
    /// Who wrote it.
    pub service: Service,
    /// The event that caused it; `None` where a person or a clock did.
    pub cause: Option<EventId>,
    /// One trace per order, from the HTTP request to the audit record.
    pub trace: Trace,
    /// Who decided over shared stock; on inventory-events only, where readers drop records of older writers.
    pub writer: Option<Arc<Writer>>,
    /// What happened.
    pub event: RecordedEvent,
}

impl Message {
    /// The order that it is about.
    pub fn order(&self) -> Option<OrderId> {
        match Subject::of(&self.event) {
            Subject::Order(order) => Some(order),
            _ => None,
        }
    }

    /// How many bytes it takes as a record, roughly: only dead letters can be large.
    pub fn weight(&self) -> usize {
        match &self.event {
            RecordedEvent::DeadLetterStored(letter) => letter.size(),
            _ => 1_024,
        }
    }
}

/// W3C trace context (<https://www.w3.org/TR/trace-context/>): which trace, and which span of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trace {
    /// Never zero.
    pub trace_id: u128,
    /// Never zero.
    pub span_id: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl Trace {
    /// A trace that starts with event `id`.
    pub fn root(id: &EventId) -> Self {
        Self { trace_id: id.as_uuid().as_u128().max(1), span_id: span_of(id), sampled: true }
    }

    /// The span of event `id` within this trace.
    #[must_use]
    pub fn child(self, id: &EventId) -> Self {
        Self { span_id: span_of(id), ..self }
    }
}

/// A span id that anybody can derive from the event's id.
fn span_of(id: &EventId) -> u64 {
    (id.as_uuid().as_u64_pair().0 ^ id.as_uuid().as_u64_pair().1).max(1)
}
