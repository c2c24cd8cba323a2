//! Notifies customers, with a bounded number of attempts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;

use kbnt_domain::event::{CancelKind, NotificationFailed, NotificationSent};
use kbnt_domain::payment::{PAUSE_MOST, pause_after};
use kbnt_domain::{Event, OrderId, Timestamp, UserId};

use crate::machine::{Delivered, EffectOutcome, Machine, NotificationOutcome, NotificationRequest, Outbox};
use crate::message::{Message, Service, Topic};
use crate::partition_state::{Holds, Inputs, Limits, Memory, Present};

/// Attempts before it gives up: about two minutes with the pauses between them.
const ATTEMPTS: u32 = 9;

/// Notifies customers.
#[derive(Debug, Default)]
pub struct NotificationMachine {
    limits: Limits,
    partitions: BTreeMap<u32, PartitionState>,
    open: HashMap<OrderId, Notice>,
    pauses: BTreeSet<(Timestamp, OrderId)>,
    present: Present,
}

/// What is known of one partition.
#[derive(Debug)]
struct PartitionState {
    notified: Memory<()>,
    inputs: Inputs,
    holds: Holds,
}

/// A customer to be notified.
#[derive(Debug)]
struct Notice {
    partition: u32,
    about: Arc<Message>,
    user: UserId,
    template: &'static str,
    failures: u32,
    /// When to try again; `None` while an attempt is under way.
    again_at: Option<Timestamp>,
}

impl Notice {
    /// The notice of an event that ends an order.
    fn about(record: &Delivered) -> Option<Self> {
        let (user, template) = match record.message.event.business()? {
            Event::OrderCreated(e) => (e.user.clone(), "order-confirmed"),
            Event::OrderCancelled(e) => match e.kind {
                CancelKind::Rejected => (e.user.clone(), "order-rejected"),
                CancelKind::Cancelled => (e.user.clone(), "order-cancelled"),
            },
            _ => return None,
        };
        let (about, partition) = (Arc::clone(&record.message), record.at.partition);
        Some(Self { partition, about, user, template, failures: 0, again_at: None })
    }

    fn request(&self, order: OrderId) -> NotificationRequest {
        let (user, about) = (self.user.clone(), Arc::clone(&self.about));
        NotificationRequest { order, user, template: self.template, about }
    }
}

impl NotificationMachine {
    /// A machine that remembers for 24 hours whom it notified.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with other limits of its memory.
    #[must_use]
    pub fn remembering(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    fn close(&mut self, order: OrderId, now: Timestamp) -> Option<Notice> {
        let notice = self.open.remove(&order)?;
        if let Some(state) = self.partitions.get_mut(&notice.partition) {
            state.notified.insert(order, now, ());
            state.holds.release(&order);
        }
        Some(notice)
    }
}

impl Machine for NotificationMachine {
    type Sole = Infallible;
    type Imaged = Infallible;

    fn service(&self) -> Service {
        Service::Notification
    }

    /// A clock that was wrong may have had attempts put off for hours: after it is put back, they are due.
    fn set_clock(&mut self, now: Timestamp) {
        if self.present.set(now) {
            self.partitions.values_mut().for_each(|state| state.notified.put_back(now));
            self.pauses.clear();
            for (order, notice) in &mut self.open {
                notice.again_at = notice.again_at.map(|at| if at > now + PAUSE_MOST { now } else { at });
                self.pauses.extend(notice.again_at.map(|at| (at, *order)));
            }
        }
    }

    fn looks_back(&self) -> Option<u64> {
        Some(self.limits.looks_back())
    }

    fn assigned(&mut self, partition: u32) {
        let notified = Memory::new(self.limits);
        self.partitions.insert(
            partition,
            PartitionState { notified, inputs: Inputs::default(), holds: Holds::default() },
        );
    }

    fn revoked(&mut self, partition: u32) {
        self.partitions.remove(&partition);
        self.open.retain(|_, notice| notice.partition != partition);
        let open = &self.open;
        self.pauses.retain(|(_, order)| open.contains_key(order));
    }

    fn fold(&mut self, record: &Delivered) {
        if let (Some(order), Some(state)) =
            (record.message.order(), self.partitions.get_mut(&record.at.partition))
        {
            state.notified.insert(order, self.present.cap(record.message.at), ());
        }
    }

    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox) {
        let Some(state) = self.partitions.get_mut(&record.at.partition) else { return };
        if !state.inputs.advance(record.at) {
            return;
        }
        let (Some(order), Some(notice)) = (record.message.order(), Notice::about(record)) else { return };
        // The first end of an order is its end: a customer who was notified of it is not notified of another.
        if state.notified.contains(&order) || self.open.contains_key(&order) {
            return;
        }
        outbox.perform(notice.request(order));
        self.open.insert(order, notice);
        state.holds.add(record.at, order);
    }

    fn completed(&mut self, order: OrderId, outcome: EffectOutcome, outbox: &mut Outbox) {
        let EffectOutcome::Notification(outcome) = outcome else { return };
        let Some(notice) = self.open.get_mut(&order).filter(|notice| notice.again_at.is_none()) else {
            return;
        };
        match outcome {
            NotificationOutcome::NotNotified { retry: true, .. } if notice.failures + 1 < ATTEMPTS => {
                notice.failures += 1;
                let again_at = outbox.now() + pause_after(notice.failures);
                notice.again_at = Some(again_at);
                self.pauses.insert((again_at, order));
            }
            NotificationOutcome::Notified { channel } => {
                let Some(Notice { about, user, template, .. }) = self.close(order, outbox.now()) else {
                    return;
                };
                outbox.answer_earlier(about.id, about.trace);
                let (channel, template) = (channel.to_owned(), template.to_owned());
                outbox.emit(NotificationSent { order, user, channel, template });
            }
            NotificationOutcome::NotNotified { channel, detail, .. } => {
                let Some(Notice { about, user, .. }) = self.close(order, outbox.now()) else { return };
                outbox.answer_earlier(about.id, about.trace);
                outbox.emit(NotificationFailed { order, user, channel: channel.to_owned(), detail });
            }
        }
    }

    fn tick(&mut self, outbox: &mut Outbox) {
        while let Some((at, order)) = self.pauses.first().copied().filter(|(at, _)| *at <= outbox.now()) {
            self.pauses.remove(&(at, order));
            if let Some(notice) = self.open.get_mut(&order).filter(|notice| notice.again_at == Some(at)) {
                notice.again_at = None;
                outbox.perform(notice.request(order));
            }
        }
    }

    fn next_tick(&self) -> Option<Timestamp> {
        self.pauses.first().map(|(at, _)| *at)
    }

    fn in_hand(&self) -> usize {
        self.open.len()
    }

    fn hold(&self, topic: Topic, partition: u32) -> Option<u64> {
        self.partitions.get(&partition)?.holds.lowest(topic)
    }
}
