//! From the ledger's events to records: who signs them, what they answer and what they are called.

use std::sync::Arc;

use kbnt_domain::event::Event;
use kbnt_domain::stock::EmittedEvent;

use crate::event::{Writer, WriterElected};
use crate::machine::{Delivered, Halt, Outbox};

use super::InventoryMachine;

impl InventoryMachine {
    /// Writes the election to every partition.
    pub(super) fn emit_election(&mut self, writer: &Arc<Writer>, outbox: &mut Outbox) {
        outbox.sign(Arc::clone(writer));
        outbox.unprompted();
        for partition in self.partitions() {
            let name = format!("writer-elected/{}/{}/{partition}", writer.term, writer.name);
            outbox.emit_to(partition, &name, WriterElected { writer: Writer::clone(writer) });
        }
    }

    /// Writes the election once more, as the answer to an input that has led to no other record: so whoever folds the log finds that it
    /// was handled. The name holds the writer, as another one that does the same writes another record.
    pub(super) fn emit_progress(&mut self, record: &Delivered, outbox: &mut Outbox) {
        let Some(writer) = self.writer.clone() else { return };
        outbox.sign(Arc::clone(&writer));
        outbox.answer(record);
        let name = format!("writer-elected/{}/{}/{}", writer.term, writer.name, record.at);
        outbox.emit_to(record.at.partition, &name, WriterElected { writer: Writer::clone(&writer) });
        outbox.unprompted();
    }

    /// Writes what the ledger emitted, as the answer to `record` if there is one. Expiries come first and answer nothing: they
    /// would have happened without it, and they must not pass for its answer after a crash.
    pub(super) fn emit_events(&mut self, record: Option<&Delivered>, outbox: &mut Outbox) {
        if let Some(violation) = self.ledger.violations().first() {
            self.halted.get_or_insert_with(|| Halt::Broken(violation.to_string()));
        }
        if self.emitted.is_empty() {
            return;
        }
        let Some(writer) = self.writer.clone() else { return };
        outbox.sign(Arc::clone(&writer));
        outbox.unprompted();
        let at = record.map(|record| record.at);
        let mut record = record;
        let mut emitted = std::mem::take(&mut self.emitted);
        for EmittedEvent { event, frees } in emitted.drain(..) {
            if !matches!(event, Event::ReservationExpired(_))
                && let Some(record) = record.take()
            {
                outbox.answer(record);
            }
            let id = match naming(&event) {
                Naming::Answer(ordinal) => outbox.emit_as(ordinal, event),
                Naming::Place(kind) => {
                    let place = at.map_or_else(String::new, |at| at.to_string());
                    outbox.emit_named(&format!("{kind}/{place}"), event)
                }
                Naming::Once(name) => outbox.emit_named(&name, event),
                Naming::Number(kind) => {
                    self.named += 1;
                    let name = format!("{kind}/{}/{}/{}", writer.term, writer.name, self.named);
                    outbox.emit_named(&name, event)
                }
            };
            if let Some(credit) = frees {
                self.credits.insert(id, credit);
            }
        }
        outbox.unprompted();
        self.emitted = emitted;
    }
}

/// Where an event's id comes from.
enum Naming {
    /// From the input and the kind of answer, so that an answer of which a crash kept one half is made good under the
    /// right id.
    Answer(u32),
    /// From where the input lies: each is answered anew, though they may all be the same record.
    Place(&'static str),
    /// It happens once.
    Once(String),
    /// It may happen again: numbered within the writer's term.
    Number(&'static str),
}

fn naming(event: &Event) -> Naming {
    match event {
        Event::ReservationExpired(expired) => Naming::Once(format!("expired/{}", expired.reservation)),
        Event::StockDeclared(_) => Naming::Number("stock-declared"),
        Event::OrderRepeated(_) => Naming::Place("order-repeated"),
        Event::LowStock(_) => Naming::Number("low-stock"),
        // A payment may be answered by one reservation, of which a crash keeps only that and not the confirmation, and
        // after its expiry by the next one.
        Event::VirtualStockReserved(reserved) => Naming::Answer(4 * reserved.attempt),
        Event::ReservationConfirmed(_) => Naming::Answer(1),
        Event::ReservationReleased(_) => Naming::Answer(2),
        Event::ReservationLost(_) => Naming::Answer(3),
        _ => Naming::Answer(0),
    }
}
