//! What steps write and do.

use std::sync::Arc;

use kbnt_domain::{EventId, Timestamp};

use super::effect::Effect;
use super::record::{Append, Delivered, Route};
use crate::event::{RecordedEvent, Writer};
use crate::message::{Message, Position, Service, Subject, Trace};

/// Collects what a step writes and does. Made anew by the runtime for each step or batch of steps.
#[derive(Debug)]
pub struct Outbox {
    service: Service,
    now: Timestamp,
    writer: Option<Arc<Writer>>,
    cause: Option<Cause>,
    appends: Vec<Append>,
    effects: Vec<Effect>,
}

/// What a step answers.
#[derive(Clone, Debug)]
struct Cause {
    id: EventId,
    trace: Trace,
    source: Option<Position>,
    ordinal: u32,
}

impl Outbox {
    /// An empty outbox at time `now`.
    pub const fn new(service: Service, now: Timestamp) -> Self {
        Self { service, now, writer: None, cause: None, appends: Vec::new(), effects: Vec::new() }
    }

    /// The time of this step.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Sets the time of the steps that follow; never back.
    pub fn set_now(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// Marks what is written from now on as `writer`'s.
    pub fn sign(&mut self, writer: Arc<Writer>) {
        self.writer = Some(writer);
    }

    /// What is emitted from now on answers `record`.
    pub fn answer(&mut self, record: &Delivered) {
        self.cause = Some(Cause {
            id: record.message.id,
            trace: record.message.trace,
            source: Some(record.at),
            ordinal: 0,
        });
    }

    /// What is emitted from now on answers an event that was handled in an earlier step.
    pub fn answer_earlier(&mut self, id: EventId, trace: Trace) {
        self.cause = Some(Cause { id, trace, source: None, ordinal: 0 });
    }

    /// What is emitted from now on answers no record: a person or a clock asked for it.
    pub fn unprompted(&mut self) {
        self.cause = None;
    }

    /// Writes `event` as the next answer to the current cause; its id follows from the cause and the ordinal.
    ///
    /// # Panics
    /// Where there is no cause: a step that answers nothing must name its events.
    pub fn emit(&mut self, event: impl Into<RecordedEvent>) -> EventId {
        let ordinal = self.cause.as_ref().map_or(0, |cause| cause.ordinal);
        self.emit_as(ordinal, event)
    }

    /// Writes `event` as the answer number `ordinal` to the current cause. For answers of which a crash may keep the first
    /// and lose the second: the one that is made good must not get the id of the one that is there.
    ///
    /// # Panics
    /// Where there is no cause: a step that answers nothing must name its events.
    pub fn emit_as(&mut self, ordinal: u32, event: impl Into<RecordedEvent>) -> EventId {
        let Some(cause) = &mut self.cause else {
            unreachable!("an event without a cause must be named");
        };
        let id = EventId::caused_by(&cause.id, self.service.name(), ordinal);
        cause.ordinal = ordinal + 1;
        self.push(id, event.into());
        id
    }

    /// Writes `event` under the id that stands for `name`; whoever repeats the step writes the same id.
    pub fn emit_named(&mut self, name: &str, event: impl Into<RecordedEvent>) -> EventId {
        let id = EventId::named(name);
        self.push(id, event.into());
        id
    }

    /// Writes `event` to a given partition, under the id that stands for `name`.
    pub fn emit_to(&mut self, partition: u32, name: &str, event: impl Into<RecordedEvent>) -> EventId {
        let id = self.emit_named(name, event);
        if let Some(append) = self.appends.last_mut() {
            append.route = Route::Partition(partition);
        }
        id
    }

    /// Does `effect` once everything written so far is acknowledged.
    pub fn perform(&mut self, effect: impl Into<Effect>) {
        self.effects.push(effect.into());
    }

    /// Hands over what was collected.
    pub fn take(&mut self) -> (Vec<Append>, Vec<Effect>) {
        self.cause = None;
        (std::mem::take(&mut self.appends), std::mem::take(&mut self.effects))
    }

    /// As [`Outbox::take`], into these.
    pub fn take_into(&mut self, appends: &mut Vec<Append>, effects: &mut Vec<Effect>) {
        self.cause = None;
        appends.append(&mut self.appends);
        effects.append(&mut self.effects);
    }

    fn push(&mut self, id: EventId, event: RecordedEvent) {
        let key = Subject::of(&event).key();
        let (cause, trace, source) = match &self.cause {
            Some(cause) => (Some(cause.id), cause.trace.child(&id), cause.source),
            None => (None, Trace::root(&id), None),
        };
        let writer = if event_is_shared_stock(self.service) { self.writer.clone() } else { None };
        let message = Message { id, at: self.now, service: self.service, cause, trace, writer, event };
        let route = key.map_or(Route::Partition(0), Route::Key);
        self.appends.push(Append { message: Arc::new(message), route, source });
    }
}

/// Only inventory-service decides over shared state, so only its records name their writer.
const fn event_is_shared_stock(service: Service) -> bool {
    matches!(service, Service::Inventory)
}
