//! One order as queries see it.

use std::num::NonZeroU32;

use kbnt_domain::event::{
    Basket, Event, EventKind, OrderCreated, OrderRepeated, PlaceOrder, VirtualStockReserved,
};
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{EventId, Money, OrderId, Reason, ReservationId, Timestamp, UserId};

use crate::machine::{Delivered, Position};
use crate::message::{Classification, Topic};

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// The order.
    pub order: OrderId,
    /// Whose.
    pub user: UserId,
    /// When it was placed, by the clock of the process that took it.
    pub placed_at: Timestamp,
    /// Where it stands.
    pub status: OrderStatus,
    /// Why it was not confirmed.
    pub reason: Option<Reason>,
    /// Its last reservation.
    pub reservation: Option<ReservationId>,
    /// What it costs, known since the reservation.
    pub amount: Option<Money>,
    /// Whether it was placed and had ended before, and was forgotten until it was placed again.
    pub repeated: bool,
    /// Everything that happened to it, each cause before its effects.
    pub timeline: Vec<TimelineEntry>,
}

/// Something that happened to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// `eventName`.
    pub event_name: &'static str,
    /// Where it lies.
    pub at: Position,
    /// The writer's clock.
    pub timestamp: Timestamp,
}

/// What placing an order under an id comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// No order has this id yet.
    New,
    /// It was placed before, with this very basket.
    Same(Box<OrderView>),
    /// The id stands for another basket.
    Conflict,
}

/// What is kept of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderEntry {
    /// How it was placed; `None` if only something else was heard of it so far.
    pub placed: Option<Placed>,
    /// Where it stands.
    pub status: OrderStatus,
    /// Why it was not confirmed.
    pub reason: Option<Reason>,
    /// Its last reservation.
    pub reservation: Option<ReservationId>,
    /// What it costs, known since the reservation.
    pub amount: Option<Money>,
    /// It had ended and was forgotten, and somebody has asked for it again.
    pub repeated: bool,
    /// Its records, in the order in which they were read.
    pub events: Vec<OrderEvent>,
}

/// How the order was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// When, by the clock of the process that took it.
    pub at: Timestamp,
    /// Tells its basket from others.
    pub fingerprint: u64,
    /// Whose it is.
    pub user: UserId,
}

/// A record of an order, as small as it can be kept. Event ids are shortened: they only tell apart the few records of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderEvent {
    /// What happened.
    pub kind: EventKind,
    /// The topic of the record.
    pub topic: Topic,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
    /// The writer's clock.
    pub timestamp: Timestamp,
    /// The event's id, shortened.
    pub id: NonZeroU32,
    /// The id of its cause, shortened.
    pub cause: Option<NonZeroU32>,
}

fn short(id: &EventId) -> NonZeroU32 {
    // The last bytes of a version 5 UUID are hash bits.
    let bits = id.as_uuid().as_fields().3[4..].iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
    NonZeroU32::new(bits).unwrap_or(NonZeroU32::MIN)
}

impl Default for OrderEntry {
    fn default() -> Self {
        Self {
            placed: None,
            status: OrderStatus::Pending,
            reason: None,
            reservation: None,
            amount: None,
            repeated: false,
            events: Vec::new(),
        }
    }
}

impl OrderEntry {
    /// Takes in a record about the order. Whoever answers a question writes the answer under the same id as anybody
    /// else who does, so the first record of an id is the answer that counts.
    pub(crate) fn apply(&mut self, record: &Delivered) {
        let message = &record.message;
        let Some(event) = message.event.business() else { return };
        let id = short(&message.id);
        if self.events.iter().any(|seen| seen.id == id) {
            return;
        }
        if matches!(event, Event::OrderCreated(_) | Event::OrderCancelled(_)) {
            self.repeated = false;
        }
        match event {
            Event::PlaceOrder(PlaceOrder { basket, .. }) => {
                if self.placed.is_some() {
                    // Another basket under the same id: it is not this order.
                    return;
                }
                let (at, user) = (message.at, basket.user.clone());
                self.placed = Some(Placed { at, fingerprint: basket.fingerprint(), user });
            }
            Event::VirtualStockReserved(VirtualStockReserved { reservation, amount, .. }) => {
                self.reservation = Some(*reservation);
                self.amount = Some(*amount);
            }
            Event::OrderCreated(OrderCreated { reservation, amount, .. }) => {
                (self.status, self.reason) = (OrderStatus::Confirmed, None);
                self.reservation = Some(*reservation);
                self.amount = Some(*amount);
            }
            Event::OrderRepeated(e) => self.repeat(e),
            Event::UserRejected(e) if e.repeated && self.status == OrderStatus::Pending => {
                (self.status, self.reason, self.repeated) = (OrderStatus::Rejected, Some(e.reason), true);
            }
            Event::OrderCancelled(e) => {
                self.status = e.kind.into();
                self.reason = Some(e.reason);
            }
            _ => {}
        }
        let kind = event.kind();
        let (timestamp, cause) = (message.at, message.cause.as_ref().map(short));
        let Position { topic, partition, offset } = record.at;
        self.events.push(OrderEvent { kind, topic, partition, offset, timestamp, id, cause });
    }

    /// As what it counts. One that was placed again was counted when it ended.
    pub(super) fn counted(&self) -> Option<OrderStatus> {
        self.placed.as_ref().filter(|_| !self.repeated).map(|_| self.status)
    }

    /// It was asked for again, and this is how it ended. What is known of that stands; that nobody remembers it says less.
    fn repeat(&mut self, event: &OrderRepeated) {
        let unknown = self.repeated && self.reason == Some(Reason::StaleCommand);
        if self.status != OrderStatus::Pending && !unknown {
            return;
        }
        (self.status, self.reason, self.repeated) = (event.status, event.reason, true);
        self.reservation = event.reservation.or(self.reservation);
        if let Some(placed) = &mut self.placed {
            placed.fingerprint = event.fingerprint;
        }
    }

    /// What placing `basket` under the id of this order comes to.
    pub fn placement(&self, order: OrderId, basket: &Basket) -> Placement {
        match (&self.placed, self.view(order)) {
            (Some(placed), Some(view)) if placed.fingerprint == basket.fingerprint() => {
                Placement::Same(Box::new(view))
            }
            (Some(_), _) => Placement::Conflict,
            (None, _) => Placement::New,
        }
    }

    /// The order as it is shown, if it was placed.
    pub fn view(&self, order: OrderId) -> Option<OrderView> {
        let placed = self.placed.as_ref()?;
        Some(OrderView {
            order,
            user: placed.user.clone(),
            placed_at: placed.at,
            status: self.status,
            reason: self.reason,
            reservation: self.reservation,
            amount: self.amount,
            repeated: self.repeated,
            timeline: self.timeline(),
        })
    }

    /// Sorted by time, except that a record never stands before its cause nor before an earlier one of its partition,
    /// whatever the clocks of the writers said.
    fn timeline(&self) -> Vec<TimelineEntry> {
        let mut left: Vec<&OrderEvent> = self.events.iter().collect();
        left.sort_by_key(|event| (event.timestamp, event.at()));
        let mut sorted = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let free = left.iter().position(|event| !left.iter().any(|other| other.precedes(event)));
            // There is always one, as causes come before their effects; a forged circle is shown as it is.
            sorted.push(left.remove(free.unwrap_or(0)));
        }
        sorted
            .into_iter()
            .map(|event| TimelineEntry {
                event_name: Classification::of_kind(event.kind).name,
                at: event.at(),
                timestamp: event.timestamp,
            })
            .collect()
    }
}

impl OrderEvent {
    const fn at(&self) -> Position {
        Position { topic: self.topic, partition: self.partition, offset: self.offset }
    }

    fn precedes(&self, other: &Self) -> bool {
        let same_partition = (self.topic, self.partition) == (other.topic, other.partition);
        (other.cause == Some(self.id) && self.id != other.id)
            || (same_partition && self.offset < other.offset)
    }
}
