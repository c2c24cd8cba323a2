//! What each input asks of the ledger.

use kbnt_domain::OrderId;
use kbnt_domain::event::Event;
use kbnt_domain::stock::{Outcome, Request};

use crate::machine::{Delivered, Outbox, Position};
use crate::message::Message;

use super::InventoryMachine;

impl InventoryMachine {
    /// Takes a step that answers `record`; false if it must wait.
    pub(super) fn step(&mut self, record: &Delivered, outbox: &mut Outbox) -> bool {
        if let Some(order) = asking_order(&record.message) {
            // What is to be forgotten now is forgotten first, or an order could be known here and not when it is decided on.
            self.ledger.expire(outbox.now(), &mut self.emitted);
            self.recall(order);
        }
        // What is not recalled must not be decided: it would be taken for new.
        if self.halted.is_some() {
            return true;
        }
        let outcome = self.decide(record, outbox);
        self.emit_events(Some(record), outbox);
        if matches!(outcome, Some(Outcome::Repeated | Outcome::Conflict)) && self.must_be_noted(record) {
            self.emit_progress(record, outbox);
        }
        self.archive_surplus();
        match outcome {
            Some(Outcome::Waits) => {
                self.counts.waits += 1;
                self.retry = false;
                return false;
            }
            Some(Outcome::Repeated) => self.counts.repeated += 1,
            Some(Outcome::Conflict) => self.counts.conflicts += 1,
            Some(Outcome::Stale) => self.counts.stale += 1,
            Some(Outcome::Decided | Outcome::Closed) | None => {}
        }
        self.note_answered(record.at);
        true
    }

    /// `None` for what asks nothing of the inventory.
    fn decide(&mut self, record: &Delivered, outbox: &Outbox) -> Option<Outcome> {
        let (now, message) = (outbox.now(), &record.message);
        let (order, event) = (asking_order(message)?, message.event.business()?);
        if let Event::UserRejected(event) = event {
            return Some(self.ledger.reject(order, event.reason, message.at, now, &mut self.emitted));
        }
        // It was answered, and the order's end is forgotten since: to take it as new would undo what was done. So it would if the
        // order's user was rejected or the order was released after that.
        if self.was_answered(record.at) && !self.ledger.has_decided(order) {
            return Some(Outcome::Stale);
        }
        let asked_before = self.was_answered(record.at);
        let (ledger, emitted) = (&mut self.ledger, &mut self.emitted);
        match event {
            Event::UserValidated(event) => {
                let request = Request { order, basket: &event.basket, placed_at: event.placed_at };
                Some(ledger.reserve(&request, now, emitted))
            }
            Event::PaymentProcessed(event) => Some(ledger.pay(event, now, emitted)),
            Event::PaymentFailed(event) => Some(ledger.fail(event, message.at, now, emitted)),
            Event::PlaceOrder(_) if asked_before => Some(Outcome::Repeated),
            Event::PlaceOrder(command) => Some(ledger.repeat(command, message.at, now, emitted)),
            Event::OrderCancelRequested(_) => Some(ledger.cancel(order, message.at, now, emitted)),
            _ => None,
        }
    }

    /// Takes the steps that waited, until one must wait on.
    pub(super) fn go_on(&mut self, outbox: &mut Outbox) {
        while self.retry
            && let Some(record) = self.waiting.pop_front()
        {
            if !self.step(&record, outbox) {
                self.waiting.push_front(record);
            }
        }
    }

    /// Whether a start without a snapshot must learn from the log that this input, which led to no record, was handled: read again after
    /// its order is forgotten, it would be taken for new. A rejection must be read again, and the first command asks for nothing.
    fn must_be_noted(&self, record: &Delivered) -> bool {
        let event = record.message.event.business();
        let is_harmless = matches!(event, Some(Event::UserRejected(_) | Event::PlaceOrder(_)));
        !is_harmless && !self.was_answered(record.at)
    }

    fn was_answered(&self, at: Position) -> bool {
        self.answered.get(&(at.topic, at.partition)).is_some_and(|&answered| at.offset <= answered)
    }

    /// The last input that was answered, of each partition.
    pub(super) fn answered(&self) -> impl Iterator<Item = Position> {
        self.answered.iter().map(|(&(topic, partition), &offset)| Position { topic, partition, offset })
    }

    pub(super) fn note_answered(&mut self, at: Position) {
        let answered = self.answered.entry((at.topic, at.partition)).or_insert(at.offset);
        *answered = at.offset.max(*answered);
    }
}

/// The order that an input is about, if it asks anything of the inventory.
pub(super) fn asking_order(message: &Message) -> Option<OrderId> {
    let asks = matches!(
        message.event.business()?,
        Event::UserRejected(_)
            | Event::UserValidated(_)
            | Event::PaymentProcessed(_)
            | Event::PaymentFailed(_)
            | Event::PlaceOrder(_)
            | Event::OrderCancelRequested(_)
    );
    if asks { message.order() } else { None }
}
