//! Two machines that answer each order once: one that shares its work, one that is the only writer.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use kbnt_application::event::{RecordedEvent, Writer, WriterElected};
use kbnt_application::machine::Halt;
use kbnt_application::message::{Service, Topic, Trace, partition_of};
use kbnt_application::{Delivered, EffectOutcome, Machine, Outbox, PaymentRequest, Position, SoleWriter};
use kbnt_domain::event::{NotificationSent, ReservationRefused};
use kbnt_domain::{Event, EventId, OrderId, Reason};

/// Answers each `OrderCreated` with one `NotificationSent`, at once or after an effect.
#[derive(Default)]
pub struct Echo {
    /// Whether the answer waits for an effect.
    pub with_effect: bool,
    pub answered: HashSet<OrderId>,
    pub folded: usize,
    pub assigned: BTreeSet<u32>,
    pub under_way: HashMap<OrderId, (Position, EventId, Trace)>,
}

impl Echo {
    fn sent(order: OrderId) -> NotificationSent {
        let user = "USER-1".parse().unwrap();
        NotificationSent { order, user, channel: "log".into(), template: "order-confirmed".into() }
    }
}

impl Machine for Echo {
    type Sole = Infallible;
    type Imaged = Infallible;

    fn service(&self) -> Service {
        Service::Notification
    }

    fn assigned(&mut self, partition: u32) {
        self.assigned.insert(partition);
    }

    fn revoked(&mut self, partition: u32) {
        self.assigned.remove(&partition);
        self.answered.retain(|order| partition_of(order.to_string(), 3) != partition);
        self.under_way.retain(|_, (at, ..)| at.partition != partition);
    }

    fn fold(&mut self, record: &Delivered) {
        self.folded += 1;
        if let Some(Event::NotificationSent(sent)) = record.message.event.business() {
            self.answered.insert(sent.order);
        }
    }

    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox) {
        assert!(self.assigned.contains(&record.at.partition), "{:?} is not ours", record.at);
        let Some(Event::OrderCreated(created)) = record.message.event.business() else { return };
        if self.answered.contains(&created.order) {
            return;
        }
        if self.with_effect {
            let message = &record.message;
            let waiting = (record.at, message.id, message.trace);
            if self.under_way.insert(created.order, waiting).is_none() {
                outbox.perform(PaymentRequest::Query { order: created.order });
            }
        } else {
            self.answered.insert(created.order);
            outbox.answer(record);
            outbox.emit(Self::sent(created.order));
        }
    }

    fn completed(&mut self, order: OrderId, _outcome: EffectOutcome, outbox: &mut Outbox) {
        if let Some((_, id, trace)) = self.under_way.remove(&order) {
            self.answered.insert(order);
            outbox.answer_earlier(id, trace);
            outbox.emit(Self::sent(order));
        }
    }

    fn in_hand(&self) -> usize {
        self.under_way.len()
    }

    fn hold(&self, topic: Topic, partition: u32) -> Option<u64> {
        let here = |at: &&Position| at.topic == topic && at.partition == partition;
        self.under_way.values().map(|(at, ..)| at).filter(here).map(|at| at.offset).min()
    }
}

/// Refuses each order once, as the one elected writer; counts what it read back.
pub struct Solo {
    pub name: String,
    pub term: u64,
    pub refused: HashSet<OrderId>,
    pub followed: usize,
    pub resume: BTreeMap<(Topic, u32), u64>,
    pub broken: bool,
    newest: Option<Writer>,
}

impl Solo {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            term: 0,
            refused: HashSet::new(),
            followed: 0,
            resume: BTreeMap::new(),
            broken: false,
            newest: None,
        }
    }

    fn writer(&self) -> Writer {
        Writer { term: self.term, name: self.name.clone() }
    }

    pub fn refuse(&mut self, order: OrderId, outbox: &mut Outbox) {
        self.refused.insert(order);
        outbox.sign(Arc::new(self.writer()));
        let user = "USER-1".parse().unwrap();
        let event = ReservationRefused { order, user, reason: Reason::StaleCommand, fingerprint: 7 };
        outbox.emit_named(&format!("refused/{order}"), event);
    }
}

impl Machine for Solo {
    type Sole = Self;
    type Imaged = Infallible;

    fn service(&self) -> Service {
        Service::Inventory
    }

    fn assigned(&mut self, _partition: u32) {}

    fn revoked(&mut self, _partition: u32) {}

    fn fold(&mut self, record: &Delivered) {
        match &record.message.event {
            RecordedEvent::WriterElected(elected) => {
                self.newest = self.newest.clone().max(Some(elected.writer.clone()));
            }
            RecordedEvent::Business(Event::ReservationRefused(refused)) => {
                self.refused.insert(refused.order);
            }
            _ => {}
        }
        if let Some(at) = record.source {
            let next = self.resume.entry((at.topic, at.partition)).or_default();
            *next = (*next).max(at.offset + 1);
        }
    }

    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox) {
        let Some(Event::PlaceOrder(placed)) = record.message.event.business() else { return };
        if self.refused.insert(placed.order) {
            outbox.sign(Arc::new(self.writer()));
            outbox.answer(record);
            let user = placed.basket.user.clone();
            let (order, reason) = (placed.order, Reason::StaleCommand);
            outbox.emit(ReservationRefused { order, user, reason, fingerprint: 7 });
        }
    }

    fn hold(&self, _topic: Topic, _partition: u32) -> Option<u64> {
        None
    }

    fn sole_writer(&mut self) -> Option<&mut Self> {
        Some(self)
    }

    fn follow(&mut self, record: &Delivered) {
        self.followed += 1;
        if let RecordedEvent::WriterElected(elected) = &record.message.event {
            self.newest = self.newest.clone().max(Some(elected.writer.clone()));
        }
    }
}

impl SoleWriter for Solo {
    fn elect(&mut self, outbox: &mut Outbox) {
        self.term = self.newest.as_ref().map_or(0, |writer| writer.term) + 1;
        let writer = self.writer();
        outbox.sign(Arc::new(writer.clone()));
        for partition in 0..3 {
            let name = format!("elected/{}/{}/{partition}", writer.term, writer.name);
            outbox.emit_to(partition, &name, WriterElected { writer: writer.clone() });
        }
    }

    fn resume(&self) -> Vec<Position> {
        let position =
            |(&(topic, partition), &offset): (&(Topic, u32), &u64)| Position { topic, partition, offset };
        self.resume.iter().map(position).collect()
    }

    fn halted(&self) -> Option<Halt> {
        if self.broken {
            return Some(Halt::Broken("on purpose".into()));
        }
        self.newest.clone().filter(|newest| self.term > 0 && *newest > self.writer()).map(Halt::Fenced)
    }
}
