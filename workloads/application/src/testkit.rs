//! For the tests of machines: events with few words, and a machine driven by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use kbnt_domain::event::*;
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{
    Currency, EventId, Money, OrderId, Quantity, Reason, ReservationId, Timestamp, TransactionId, UserId,
};

use crate::event::RecordedEvent;
use crate::machine::{Append, Delivered, Effect, EffectOutcome, Follows, Machine, Outbox, Position};
use crate::message::{Classification, Message, Topic, Trace};

pub(crate) fn order(n: u128) -> OrderId {
    OrderId::from_uuid(uuid::Uuid::from_u128(n))
}

pub(crate) fn user() -> UserId {
    "ana".parse().unwrap()
}

pub(crate) fn amount() -> Money {
    Money::from_minor(59_999, Currency::BRL).unwrap()
}

pub(crate) fn transaction() -> TransactionId {
    "tx-1".parse().unwrap()
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn reservation(n: u128) -> ReservationId {
    ReservationId::derive(&order(n), 0)
}

pub(crate) fn basket() -> Basket {
    let line = Line { product: "PROD-001".parse().unwrap(), quantity: Quantity::new(1).unwrap() };
    let payment = PaymentMethod { method: "credit_card".into(), token: None };
    Basket { user: user(), lines: vec![line], payment }
}

pub(crate) fn placed(n: u128) -> Event {
    PlaceOrder { order: order(n), basket: basket() }.into()
}

pub(crate) fn validated(n: u128) -> Event {
    UserValidated { order: order(n), basket: basket(), placed_at: at(0) }.into()
}

pub(crate) fn rejected(n: u128, reason: Reason) -> Event {
    UserRejected { order: order(n), user: user(), reason, repeated: false }.into()
}

pub(crate) fn rejected_before(n: u128, reason: Reason) -> Event {
    UserRejected { order: order(n), user: user(), reason, repeated: true }.into()
}

/// Reserved until `expires_at`.
pub(crate) fn reserved(n: u128, expires_at: i64) -> Event {
    VirtualStockReserved {
        order: order(n),
        reservation: reservation(n),
        user: user(),
        attempt: 0,
        lines: vec![PricedLine { product: "PROD-001".parse().unwrap(), units: 1, unit_price: amount() }],
        amount: amount(),
        payment: Some(basket().payment),
        expires_at: at(expires_at),
        fingerprint: 1,
    }
    .into()
}

pub(crate) fn refused(n: u128, reason: Reason) -> Event {
    ReservationRefused { order: order(n), user: user(), reason, fingerprint: 1 }.into()
}

pub(crate) fn insufficient(n: u128) -> Event {
    let product = "PROD-001".parse().unwrap();
    let (order, user) = (order(n), user());
    InsufficientStock { order, user, product, requested: 2, available: 1, fingerprint: 1 }.into()
}

pub(crate) fn no_product(n: u128) -> Event {
    let product = "PROD-009".parse().unwrap();
    ProductNotFound { order: order(n), user: user(), product, fingerprint: 1 }.into()
}

/// Asked for again, after it was confirmed.
pub(crate) fn repeated(n: u128) -> Event {
    OrderRepeated {
        order: order(n),
        user: user(),
        status: OrderStatus::Confirmed,
        reason: None,
        reservation: Some(reservation(n)),
        fingerprint: basket().fingerprint(),
    }
    .into()
}

pub(crate) fn confirmed(n: u128) -> Event {
    ReservationConfirmed {
        order: order(n),
        reservation: reservation(n),
        user: user(),
        amount: amount(),
        transaction: transaction(),
    }
    .into()
}

pub(crate) fn released(n: u128, reason: Reason) -> Event {
    ReservationReleased { order: order(n), reservation: Some(reservation(n)), reason }.into()
}

pub(crate) fn promised(n: u128) -> Event {
    ReservationReleased { order: order(n), reservation: None, reason: Reason::CancelledByClient }.into()
}

pub(crate) fn expired(n: u128, deadline: i64) -> Event {
    ReservationExpired { order: order(n), reservation: reservation(n), deadline: at(deadline) }.into()
}

pub(crate) fn lost(n: u128, reason: Reason) -> Event {
    let (order, reservation) = (order(n), Some(reservation(n)));
    ReservationLost { order, reservation, amount: amount(), transaction: transaction(), reason }.into()
}

pub(crate) fn processed(n: u128) -> Event {
    let (order, reservation) = (order(n), reservation(n));
    PaymentProcessed { order, reservation, amount: amount(), transaction: transaction() }.into()
}

pub(crate) fn failed(n: u128, reason: Reason) -> Event {
    PaymentFailed {
        order: order(n),
        reservation: reservation(n),
        amount: amount(),
        reason,
        refund_due: false,
    }
    .into()
}

pub(crate) fn refunded(n: u128, reason: Reason) -> Event {
    PaymentRefunded { order: order(n), amount: amount(), transaction: transaction(), reason }.into()
}

pub(crate) fn created(n: u128) -> Event {
    OrderCreated {
        order: order(n),
        user: user(),
        reservation: reservation(n),
        amount: amount(),
        transaction: transaction(),
    }
    .into()
}

pub(crate) fn cancelled(n: u128, kind: CancelKind, reason: Reason) -> Event {
    OrderCancelled { order: order(n), user: user(), kind, reason }.into()
}

/// A record as read, in partition 0. Its id follows from its place.
pub(crate) fn record(offset: u64, written: Timestamp, event: impl Into<RecordedEvent>) -> Delivered {
    let event = event.into();
    let topic = Classification::of(&event).topic();
    let id = EventId::named(&format!("{}/{offset}", topic.name()));
    let service = Classification::of(&event).owner;
    let trace = Trace::root(&id);
    let message = Message { id, at: written, service, cause: None, trace, writer: None, event };
    Delivered {
        at: Position { topic, partition: 0, offset },
        message: Arc::new(message),
        source: None,
        raw: None,
    }
}

/// What a step wrote and did.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Did {
    pub(crate) events: Vec<RecordedEvent>,
    pub(crate) effects: Vec<Effect>,
}

/// A machine with one partition, whose own records come back only when it is told so.
pub(crate) struct Driven<M> {
    pub(crate) machine: M,
    pub(crate) now: Timestamp,
    /// Next offsets of the topics.
    next: BTreeMap<Topic, u64>,
    /// What it wrote and has not read back.
    pub(crate) unread: Vec<Append>,
}

impl<M: Machine> Driven<M> {
    /// A machine that has recovered from `own` records at time 0.
    pub(crate) fn recovered(machine: M, own: &[Event]) -> (Self, Did) {
        let mut driven = Self { machine, now: at(0), next: BTreeMap::new(), unread: Vec::new() };
        let own: Vec<Delivered> = own.iter().map(|event| driven.place(at(0), event.clone())).collect();
        if driven.machine.follows() != Follows::Nothing {
            for record in &own {
                driven.machine.follow(record);
            }
        }
        driven.machine.assigned(0);
        for record in &own {
            driven.machine.fold(record);
        }
        let did = driven.step(|machine, outbox| machine.recovered(0, outbox));
        (driven, did)
    }

    /// A fresh machine.
    pub(crate) fn new(machine: M) -> Self {
        Self::recovered(machine, &[]).0
    }

    pub(crate) fn place(&mut self, written: Timestamp, event: impl Into<RecordedEvent>) -> Delivered {
        let event = event.into();
        let next = self.next.entry(Classification::of(&event).topic()).or_default();
        *next += 1;
        record(*next - 1, written, event)
    }

    pub(crate) fn step(&mut self, step: impl FnOnce(&mut M, &mut Outbox)) -> Did {
        let mut outbox = Outbox::new(self.machine.service(), self.now);
        step(&mut self.machine, &mut outbox);
        let (appends, effects) = outbox.take();
        let events = appends.iter().map(|append| append.message.event.clone()).collect();
        self.unread.extend(appends);
        Did { events, effects }
    }

    pub(crate) fn deliver(&mut self, record: &Delivered) -> Did {
        self.step(|machine, outbox| machine.handle(record, outbox))
    }

    /// The next record of its topic, written now.
    pub(crate) fn input(&mut self, event: Event) -> Did {
        let record = self.place(self.now, event);
        self.deliver(&record)
    }

    pub(crate) fn completed(&mut self, n: u128, outcome: impl Into<EffectOutcome>) -> Did {
        self.step(|machine, outbox| machine.completed(order(n), outcome.into(), outbox))
    }

    /// Lets the time come, and whatever is due.
    pub(crate) fn tick_at(&mut self, millis: i64) -> Did {
        self.now = at(millis);
        self.step(Machine::tick)
    }

    /// A record of its own topic appears.
    pub(crate) fn appears(&mut self, event: Event) -> Did {
        let record = self.place(self.now, event);
        self.machine.follow(&record);
        self.catch_up()
    }

    /// All that it wrote appears.
    pub(crate) fn read_back(&mut self) -> Did {
        for append in std::mem::take(&mut self.unread) {
            let mut record = self.place(self.now, append.message.event.clone());
            record.message = append.message;
            self.machine.follow(&record);
        }
        self.catch_up()
    }

    fn catch_up(&mut self) -> Did {
        let due = self.machine.next_tick().is_some_and(|due| due <= self.now);
        if due { self.step(Machine::tick) } else { Did::default() }
    }

    pub(crate) fn hold(&self, topic: Topic) -> Option<u64> {
        self.machine.hold(topic, 0)
    }
}

/// Nothing was written or done.
pub(crate) fn nothing() -> Did {
    Did::default()
}

/// This was written, and nothing done.
pub(crate) fn wrote(events: impl IntoIterator<Item = Event>) -> Did {
    Did { events: events.into_iter().map(RecordedEvent::from).collect(), effects: Vec::new() }
}
