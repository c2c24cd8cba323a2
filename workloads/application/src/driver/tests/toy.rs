//! A machine that answers each order once: at once, or after an effect; one of many, or the only writer.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use kbnt_domain::event::{Basket, NotificationSent, ReservationRefused};
use kbnt_domain::{Event, OrderId, Reason, Timestamp};

use crate::event::{RecordedEvent, Writer, WriterElected};
use crate::machine::{
    Append, Auditor, Delivered, EffectOutcome, Follows, Halt, Imaged, Machine, Outbox, PaymentRequest,
    Position, SoleWriter, Unreadable,
};
use crate::message::{Service, Topic};
use crate::testkit::{amount, basket, placed, reservation, user};

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each test switches on what it needs")]
pub(super) struct Toy {
    pub(super) sole: bool,
    /// Whether its state can be copied.
    pub(super) images: bool,
    pub(super) with_effect: bool,
    /// Its effects are charges, of reservations that end then.
    pub(super) charges_until: Option<Timestamp>,
    pub(super) by_time: bool,
    pub(super) drains: bool,
    pub(super) follows: Follows,
    pub(super) looks_back: Option<u64>,
    /// Whether a tick answers what is under way.
    pub(super) ticks: bool,
    pub(super) gap: Option<Range<u64>>,
    /// What is written in place of what is too large.
    pub(super) shorter: Option<Append>,
    pub(super) folded: usize,
    pub(super) present: Timestamp,
    /// The present time when each record was folded.
    pub(super) folded_at: Vec<Timestamp>,
    /// The partitions that were recovered, and how many records were folded by then.
    pub(super) recovered: Vec<(u32, usize)>,
    pub(super) followed: usize,
    pub(super) handled: Vec<OrderId>,
    pub(super) outcomes: Vec<EffectOutcome>,
    pub(super) partitions: BTreeSet<u32>,
    pub(super) under_way: BTreeMap<OrderId, u64>,
    pub(super) restored: bool,
    pub(super) term: u64,
    pub(super) newest: u64,
}

/// What it takes in.
pub(super) fn input(n: u128) -> Event {
    crate::testkit::created(n)
}

/// What a writer takes in.
pub(super) fn asked(n: u128) -> Event {
    placed(n)
}

/// What it writes, if it is not a writer.
pub(super) fn answer(order: OrderId) -> Event {
    let (channel, template) = ("log".into(), "order-confirmed".into());
    NotificationSent { order, user: user(), channel, template }.into()
}

impl Toy {
    fn answer(&self, order: OrderId, outbox: &mut Outbox) {
        let name = format!("answer/{order}");
        if self.sole {
            outbox.sign(Arc::new(Writer { term: self.term, name: "toy".into() }));
            let (user, reason) = (user(), Reason::StaleCommand);
            outbox.emit_to(0, &name, ReservationRefused { order, user, reason, fingerprint: 1 });
        } else {
            outbox.emit_to(0, &name, answer(order));
        }
    }

    pub(super) fn refuse(&mut self, outbox: &mut Outbox) {
        self.answer(crate::testkit::order(99), outbox);
    }
}

impl Machine for Toy {
    type Sole = Self;
    type Imaged = Self;

    fn service(&self) -> Service {
        if self.sole { Service::Inventory } else { Service::Notification }
    }

    fn set_clock(&mut self, now: Timestamp) {
        self.present = now;
    }

    fn decides_by_time(&self) -> bool {
        self.by_time
    }

    fn looks_back(&self) -> Option<u64> {
        self.looks_back
    }

    fn assigned(&mut self, partition: u32) {
        self.partitions.insert(partition);
    }

    fn revoked(&mut self, partition: u32) {
        self.partitions.remove(&partition);
    }

    fn fold(&mut self, record: &Delivered) {
        self.folded += 1;
        self.folded_at.push(self.present);
        if let RecordedEvent::WriterElected(elected) = &record.message.event {
            self.newest = self.newest.max(elected.writer.term);
        }
    }

    fn recovered(&mut self, partition: u32, _outbox: &mut Outbox) {
        self.recovered.push((partition, self.folded));
    }

    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox) {
        let Some(order) = record.message.order() else { return };
        self.handled.push(order);
        if self.with_effect {
            self.under_way.insert(order, record.at.offset);
            outbox.perform(self.charges_until.map_or(PaymentRequest::Query { order }, |expires_at| {
                let Basket { user, payment, .. } = basket();
                let (reservation, amount) = (reservation(0), amount());
                PaymentRequest::Charge { order, reservation, user, amount, payment, expires_at }
            }));
        } else {
            self.answer(order, outbox);
        }
    }

    fn completed(&mut self, order: OrderId, outcome: EffectOutcome, outbox: &mut Outbox) {
        self.outcomes.push(outcome);
        if self.under_way.remove(&order).is_some() {
            self.answer(order, outbox);
        }
    }

    fn tick(&mut self, outbox: &mut Outbox) {
        for order in std::mem::take(&mut self.under_way).into_keys() {
            self.answer(order, outbox);
        }
    }

    fn next_tick(&self) -> Option<Timestamp> {
        (self.ticks && !self.under_way.is_empty()).then_some(Timestamp::MIN)
    }

    fn in_hand(&self) -> usize {
        self.under_way.len()
    }

    fn hold(&self, _topic: Topic, _partition: u32) -> Option<u64> {
        self.under_way.values().min().copied()
    }

    fn auditor(&mut self) -> Option<&mut dyn Auditor> {
        let audits = self.drains || self.gap.is_some() || self.shorter.is_some();
        if audits { Some(self) } else { None }
    }

    fn sole_writer(&mut self) -> Option<&mut Self> {
        self.sole.then_some(self)
    }

    fn imaged(&mut self) -> Option<&mut Self> {
        self.images.then_some(self)
    }

    fn follows(&self) -> Follows {
        self.follows
    }

    fn follow(&mut self, record: &Delivered) {
        self.followed += 1;
        if let RecordedEvent::WriterElected(elected) = &record.message.event {
            self.newest = self.newest.max(elected.writer.term);
        }
    }
}

impl Auditor for Toy {
    fn unreadable(&mut self, _record: &Unreadable, _outbox: &mut Outbox) {}

    fn shortened(&self, _append: &Append) -> Option<Append> {
        self.shorter.clone()
    }

    fn unanswered(&self, topic: Topic, _partition: u32, committed: u64) -> Vec<Range<u64>> {
        let of = |gap: &Range<u64>| topic == Topic::OrderEvents && gap.end <= committed && !gap.is_empty();
        self.gap.clone().filter(of).into_iter().collect()
    }

    fn witnessed(&self) -> Vec<Position> {
        Vec::new()
    }
}

impl SoleWriter for Toy {
    fn elect(&mut self, outbox: &mut Outbox) {
        self.term = self.newest + 1;
        let writer = Writer { term: self.term, name: "toy".into() };
        outbox.sign(Arc::new(writer.clone()));
        outbox.emit_to(0, &format!("elected/{}/toy", self.term), WriterElected { writer });
    }

    fn resume(&self) -> Vec<Position> {
        Vec::new()
    }

    fn halted(&self) -> Option<Halt> {
        let newer = Writer { term: self.newest, name: "other".into() };
        (self.term > 0 && self.newest > self.term).then_some(Halt::Fenced(newer))
    }
}

impl Imaged for Toy {
    type Image = ();
    type Error = Infallible;

    fn image(&self) -> Option<()> {
        self.images.then_some(())
    }

    fn restore(&mut self, (): ()) -> Result<Option<Writer>, Infallible> {
        self.restored = true;
        Ok(self.sole.then(|| Writer { term: self.newest, name: "other".into() }))
    }
}
