//! Concludes orders from the facts of three topics; see the table in `docs/saga.md`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;

use kbnt_domain::order::Facts;
use kbnt_domain::{Event, OrderId, Span, Timestamp};

use crate::machine::{Delivered, Machine, Outbox};
use crate::message::{Service, Topic};
use crate::partition_state::{Holds, Inputs, Limits, Memory, Present};

/// How much the clocks of two services may differ before a fact is taken for one of a forgotten order.
const SKEW: Span = Span::from_minutes(60);

/// Concludes orders.
#[derive(Debug, Default)]
pub struct OrderMachine {
    limits: Limits,
    partitions: BTreeMap<u32, PartitionState>,
    present: Present,
}

impl OrderMachine {
    /// A machine that remembers ended orders for 24 hours.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with other limits of its memory.
    #[must_use]
    pub fn remembering(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}

/// What is known of one partition.
#[derive(Debug)]
struct PartitionState {
    open: HashMap<OrderId, Facts>,
    ended: Memory<()>,
    /// Orders that had ended before and are forgotten, and that somebody has asked for again.
    repeated: Memory<()>,
    inputs: Inputs,
    holds: Holds,
    /// Orders whose user is not known, by the time of the fact that opened them.
    strangers: VecDeque<(Timestamp, OrderId)>,
}

impl PartitionState {
    fn new(limits: Limits) -> Self {
        Self {
            open: HashMap::new(),
            ended: Memory::new(limits),
            repeated: Memory::new(limits),
            inputs: Inputs::default(),
            holds: Holds::default(),
            strangers: VecDeque::new(),
        }
    }

    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox) {
        let Some(event) = record.message.event.business() else { return };
        let Some(order) = record.message.order().filter(|order| !self.ended.contains(order)) else {
            return;
        };
        match event {
            Event::OrderRepeated(_) => return self.asked_again(order, outbox.now()),
            Event::UserRejected(e) if e.repeated => return self.asked_again(order, outbox.now()),
            // The customer may order, and it is known how it ended: inventory-service decides nothing again.
            Event::UserValidated(_) if self.repeated.contains(&order) && !self.open.contains_key(&order) => {
                return;
            }
            _ => {}
        }
        // A promise to refuse a late reservation decides nothing by itself: the refusal follows, and names the user.
        let promise = matches!(event, Event::ReservationReleased(e) if e.reservation.is_none());
        if !Facts::matters(event) || (promise && !self.open.contains_key(&order)) {
            return;
        }
        let facts = self.open.entry(order).or_default();
        facts.learn(event);
        if let Some(conclusion) = facts.conclusion(order) {
            outbox.answer(record);
            outbox.emit_named(&format!("order-end/{order}"), conclusion);
            self.end(order, outbox.now());
            return;
        }
        if facts.user().is_none() {
            self.strangers.push_back((record.message.at, order));
        }
        self.holds.add(record.at, order);
    }

    /// The order had ended before, which was concluded then. All else that is heard of it was heard before, except that its
    /// user may order, where user-service has forgotten it, too.
    fn asked_again(&mut self, order: OrderId, at: Timestamp) {
        self.repeated.insert(order, at, ());
        if self.open.get(&order).is_some_and(Facts::only_validated) {
            self.close(&order);
        }
    }

    fn end(&mut self, order: OrderId, at: Timestamp) {
        self.close(&order);
        self.ended.insert(order, at, ());
    }

    fn close(&mut self, order: &OrderId) {
        self.open.remove(order);
        self.holds.release(order);
    }

    /// Every order's first fact names its user. A fact whose order's first one has not come although later ones of
    /// that topic have belongs to an order that ended so long ago that it is forgotten, such as a late refund.
    fn forget_strangers(&mut self, user_events_at: Timestamp) {
        while let Some((at, order)) = self.strangers.front().copied() {
            if user_events_at.since(at) <= SKEW {
                return;
            }
            self.strangers.pop_front();
            if self.open.get(&order).is_some_and(|facts| facts.user().is_none()) {
                self.close(&order);
            }
        }
    }
}

impl Machine for OrderMachine {
    type Sole = Infallible;
    type Imaged = Infallible;

    fn service(&self) -> Service {
        Service::Order
    }

    fn set_clock(&mut self, now: Timestamp) {
        if self.present.set(now) {
            for state in self.partitions.values_mut() {
                state.ended.put_back(now);
                state.repeated.put_back(now);
            }
        }
    }

    fn looks_back(&self) -> Option<u64> {
        Some(self.limits.looks_back())
    }

    fn assigned(&mut self, partition: u32) {
        self.partitions.insert(partition, PartitionState::new(self.limits));
    }

    fn revoked(&mut self, partition: u32) {
        self.partitions.remove(&partition);
    }

    fn fold(&mut self, record: &Delivered) {
        let ends = matches!(
            record.message.event.business(),
            Some(Event::OrderCreated(_) | Event::OrderCancelled(_))
        );
        if let (true, Some(order), Some(state)) =
            (ends, record.message.order(), self.partitions.get_mut(&record.at.partition))
        {
            state.end(order, self.present.cap(record.message.at));
        }
    }

    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox) {
        let Some(state) = self.partitions.get_mut(&record.at.partition) else { return };
        if state.inputs.advance(record.at) {
            state.handle(record, outbox);
            if record.at.topic == Topic::UserEvents {
                state.forget_strangers(record.message.at.min(outbox.now()));
            }
        }
    }

    fn hold(&self, topic: Topic, partition: u32) -> Option<u64> {
        self.partitions.get(&partition)?.holds.lowest(topic)
    }
}
