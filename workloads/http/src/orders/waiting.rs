//! Requests that wait for a record, or for the end of an order. Each is woken once, and no other is: a
//! thousand waiting buyers cost no more than a thousand wake-ups.

use std::collections::{BTreeMap, HashMap};

use kbnt_application::{Delivered, Position};
use kbnt_domain::{Event, OrderId};
use tokio::sync::oneshot;

/// The waiting requests.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    records: BTreeMap<Position, Vec<oneshot::Sender<()>>>,
    ends: HashMap<OrderId, Vec<oneshot::Sender<()>>>,
}

impl Waiting {
    /// Resolves once the record at `position` is folded.
    pub(super) fn for_record(&mut self, position: Position) -> oneshot::Receiver<()> {
        let (send, receive) = oneshot::channel();
        self.records.entry(position).or_default().push(send);
        receive
    }

    /// Resolves once the order has ended.
    pub(super) fn for_end(&mut self, order: OrderId) -> oneshot::Receiver<()> {
        let (send, receive) = oneshot::channel();
        let waiting = self.ends.entry(order).or_default();
        // Abandoned waiters would pile up under an order that never ends.
        waiting.retain(|other| !other.is_closed());
        waiting.push(send);
        receive
    }

    /// A record of order-events is folded: wakes the requests that wait for it.
    pub(super) fn folded(&mut self, record: &Delivered) {
        let at = record.at;
        let partition = Position { offset: 0, ..at }..=at;
        while let Some((position, _)) = self.records.range(partition.clone()).next() {
            let position = *position;
            for waiting in self.records.remove(&position).unwrap_or_default() {
                // A failed send means that the request was abandoned.
                let _ = waiting.send(());
            }
        }
    }

    /// A record is folded: if it ends an order, wakes the requests that wait for that.
    pub(super) fn ended(&mut self, record: &Delivered) {
        let ended = match record.message.event.business() {
            Some(Event::OrderCreated(event)) => event.order,
            Some(Event::OrderCancelled(event)) => event.order,
            Some(Event::OrderRepeated(event)) => event.order,
            _ => return,
        };
        for waiting in self.ends.remove(&ended).unwrap_or_default() {
            let _ = waiting.send(());
        }
    }
}
