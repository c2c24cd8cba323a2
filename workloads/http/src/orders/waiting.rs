//! Requests that wait for a record, or for the end of an order. Each is woken once, and nobody else is: a thousand
//! buyers who wait at once cost no more than a thousand wake-ups.

use std::collections::{BTreeMap, HashMap};

use kbnt_application::{Delivered, Position};
use kbnt_domain::{Event, OrderId};
use tokio::sync::oneshot;

/// Who waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    records: BTreeMap<Position, Vec<oneshot::Sender<()>>>,
    ends: HashMap<OrderId, Vec<oneshot::Sender<()>>>,
}

impl Waiting {
    /// Is told once the record at `position` is folded.
    pub(super) fn for_record(&mut self, position: Position) -> oneshot::Receiver<()> {
        let (send, receive) = oneshot::channel();
        self.records.entry(position).or_default().push(send);
        receive
    }

    /// Is told once the order has ended.
    pub(super) fn for_end(&mut self, order: OrderId) -> oneshot::Receiver<()> {
        let (send, receive) = oneshot::channel();
        let waiting = self.ends.entry(order).or_default();
        // Those who gave up would pile up under an order that never ends.
        waiting.retain(|other| !other.is_closed());
        waiting.push(send);
        receive
    }

    /// A record of order-events is folded: wakes whom it concerns.
    pub(super) fn folded(&mut self, record: &Delivered) {
        let at = record.at;
        let partition = Position { offset: 0, ..at }..=at;
        while let Some((position, _)) = self.records.range(partition.clone()).next() {
            let position = *position;
            for waiting in self.records.remove(&position).unwrap_or_default() {
                // Whoever gave up need not be told.
                let _ = waiting.send(());
            }
        }
    }

    /// A record is folded: wakes those who wait for the end that it tells.
    pub(super) fn ended(&mut self, record: &Delivered) {
        let ended = match &record.message.event {
            Event::OrderCreated(event) => event.order,
            Event::OrderCancelled(event) => event.order,
            Event::OrderRepeated(event) => event.order,
            _ => return,
        };
        for waiting in self.ends.remove(&ended).unwrap_or_default() {
            let _ = waiting.send(());
        }
    }
}
