//! Drives one [`Payment`] per order; see "Payment" in `docs/saga.md`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;

use kbnt_domain::event::{ReservationLost, VirtualStockReserved};
use kbnt_domain::payment::{Action, Conclusion, Ending, Outcome, Payment, Refund};
use kbnt_domain::{Event, OrderId, Reason, Timestamp};

use super::partition::{Open, PartitionState, Settled};
use crate::machine::{Delivered, EffectOutcome, Follows, Machine, Outbox, PaymentOutcome};
use crate::message::{Service, Topic};
use crate::partition_state::{Limits, Present};

/// Charges and refunds.
#[derive(Debug, Default)]
pub struct PaymentMachine {
    limits: Limits,
    partitions: BTreeMap<u32, PartitionState>,
    open: HashMap<OrderId, Open>,
    /// How many of them wait for the inventory to say that their reservation has expired.
    awaiting_expiry: usize,
    pauses: BTreeSet<(Timestamp, OrderId)>,
    /// What reading the log back has set off, to be done at the next step.
    set_off: Vec<(OrderId, Action)>,
    present: Present,
}

impl PaymentMachine {
    /// A machine that remembers paid and failed orders for 24 hours.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with other limits of its memory.
    #[must_use]
    pub fn remembering(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    fn reserved(&mut self, record: &Delivered, event: &VirtualStockReserved, outbox: &mut Outbox) {
        let Some(state) = self.partitions.get_mut(&record.at.partition) else { return };
        let order = event.order;
        if self.open.contains_key(&order) {
            return;
        }
        let (payment, action) = match state.settled.get(&order) {
            // Written by a process that may not have come to make sure of it.
            Some(Settled::Failed { reason, refund_due })
                if *reason != Reason::PaymentDeclined || *refund_due =>
            {
                Payment::seal(*reason, *refund_due)
            }
            Some(_) => return,
            None => Payment::start(event.expires_at, record.message.at >= state.since, outbox.now()),
        };
        if let Some(open) = Open::reserved(record, event, payment) {
            self.begin(record, order, open, action, outbox);
        }
    }

    fn lost(&mut self, record: &Delivered, event: &ReservationLost, outbox: &mut Outbox) {
        let Some(state) = self.partitions.get_mut(&record.at.partition) else { return };
        let order = event.order;
        if state.settled.get(&order) == Some(&Settled::Refunded) {
            return;
        }
        let refund = Refund { transaction: Some(event.transaction.clone()), reason: event.reason };
        if let Some(open) = self.open.get_mut(&order) {
            open.because_of(record);
            let action = open.payment.lost(refund);
            state.holds.add(record.at, order);
            self.act(order, action, outbox);
        } else {
            let (payment, action) = Payment::refund(refund);
            self.begin(record, order, Open::lost(record, event, payment), action, outbox);
        }
    }

    fn begin(&mut self, record: &Delivered, order: OrderId, open: Open, action: Action, outbox: &mut Outbox) {
        self.open.insert(order, open);
        if let Some(state) = self.partitions.get_mut(&record.at.partition) {
            state.holds.add(record.at, order);
        }
        self.act(order, action, outbox);
    }

    /// Steps an order's payment, if there is anything left to do for it.
    fn step(&mut self, order: OrderId, outbox: &mut Outbox, step: impl FnOnce(&mut Payment) -> Action) {
        if let Some(open) = self.open.get_mut(&order) {
            let action = step(&mut open.payment);
            self.act(order, action, outbox);
        }
    }

    fn act(&mut self, order: OrderId, action: Action, outbox: &mut Outbox) {
        let Some(open) = self.open.get(&order) else { return };
        match action {
            Action::Wait => {}
            Action::Try(attempt) => {
                if let Some(request) = open.request(order, attempt) {
                    outbox.perform(request);
                }
            }
            Action::Write(conclusion) => {
                if let (Conclusion::Refunded(_), Some(state)) =
                    (&conclusion, self.partitions.get_mut(&open.partition))
                {
                    state.settled.insert(order, outbox.now(), Settled::Refunded);
                }
                open.write(order, conclusion, outbox);
            }
        }
        self.arrange(order);
    }

    /// Sees to whatever follows from the state of an order's payment.
    fn arrange(&mut self, order: OrderId) {
        let Some(open) = self.open.get_mut(&order) else { return };
        if let Some(at) = open.payment.wakes_at() {
            self.pauses.insert((at, order));
        }
        match (open.awaits_expiry, open.payment.awaits_expiry()) {
            (false, true) => self.awaiting_expiry += 1,
            (true, false) => self.awaiting_expiry -= 1,
            _ => {}
        }
        open.awaits_expiry = open.payment.awaits_expiry();
        if open.payment.is_settled() {
            if let Some(state) = self.partitions.get_mut(&open.partition) {
                state.holds.release(&order);
            }
            self.open.remove(&order);
        }
    }

    /// A record of payment-events: of an assigned partition, by whichever process.
    fn learn(&mut self, record: &Delivered) {
        let Some(state) = self.partitions.get_mut(&record.at.partition) else { return };
        let Some(order) = record.message.order() else { return };
        let at = self.present.cap(record.message.at);
        let Some(first) = state.learn(order, &record.message, at) else { return };
        if let Some(open) = self.open.get_mut(&order) {
            let action = open.payment.read_back(first);
            self.set_off.push((order, action));
        }
    }

    fn catch_up(&mut self, outbox: &mut Outbox) {
        for (order, action) in std::mem::take(&mut self.set_off) {
            self.act(order, action, outbox);
        }
    }
}

impl Machine for PaymentMachine {
    type Sole = Infallible;
    type Imaged = Infallible;

    fn service(&self) -> Service {
        Service::Payment
    }

    /// A clock that was wrong may have had attempts put off for hours: after it is put back, they are due.
    fn set_clock(&mut self, now: Timestamp) {
        if self.present.set(now) {
            for state in self.partitions.values_mut() {
                state.settled.put_back(now);
                state.since = state.since.min(now);
            }
            self.pauses.clear();
            for (order, open) in &mut self.open {
                open.payment.put_back(now);
                self.pauses.extend(open.payment.wakes_at().map(|at| (at, *order)));
            }
        }
    }

    fn decides_by_time(&self) -> bool {
        true
    }

    fn looks_back(&self) -> Option<u64> {
        Some(self.limits.looks_back())
    }

    fn assigned(&mut self, partition: u32) {
        self.partitions.insert(partition, PartitionState::new(self.limits));
    }

    fn revoked(&mut self, partition: u32) {
        self.partitions.remove(&partition);
        self.open.retain(|_, open| open.partition != partition);
        self.awaiting_expiry = self.open.values().filter(|open| open.awaits_expiry).count();
        let open = &self.open;
        self.pauses.retain(|(_, order)| open.contains_key(order));
        self.set_off.retain(|(order, _)| open.contains_key(order));
    }

    fn fold(&mut self, record: &Delivered) {
        self.learn(record);
    }

    fn recovered(&mut self, partition: u32, outbox: &mut Outbox) {
        if let Some(state) = self.partitions.get_mut(&partition) {
            state.since = outbox.now();
        }
    }

    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox) {
        self.catch_up(outbox);
        let Some(state) = self.partitions.get_mut(&record.at.partition) else { return };
        if !state.inputs.advance(record.at) {
            return;
        }
        match record.message.event.business() {
            Some(Event::VirtualStockReserved(e)) => self.reserved(record, e, outbox),
            Some(Event::ReservationExpired(e)) => {
                self.step(e.order, outbox, |payment| payment.end(Ending::Expired));
            }
            Some(Event::ReservationReleased(e)) => {
                self.step(e.order, outbox, |payment| payment.end(Ending::Released(e.reason)));
            }
            Some(Event::ReservationLost(e)) => self.lost(record, e, outbox),
            _ => {}
        }
    }

    fn completed(&mut self, order: OrderId, outcome: EffectOutcome, outbox: &mut Outbox) {
        let EffectOutcome::Payment(outcome) = outcome else { return };
        let outcome = match outcome {
            PaymentOutcome::Charged { transaction } => Outcome::Charged(transaction),
            PaymentOutcome::ChargedUnnamed { .. } => Outcome::ChargedUnnamed,
            PaymentOutcome::Declined => Outcome::Declined,
            PaymentOutcome::NotCharged { .. } => Outcome::NotCharged,
            PaymentOutcome::Overdue => Outcome::Overdue,
            PaymentOutcome::Unknown { .. } => Outcome::Unknown,
            PaymentOutcome::Senseless { .. } => Outcome::Senseless,
            PaymentOutcome::Closed => Outcome::Closed,
            PaymentOutcome::Refunded => Outcome::Refunded,
            PaymentOutcome::NotRefunded { .. } => Outcome::NotRefunded,
        };
        let now = outbox.now();
        self.step(order, outbox, |payment| payment.outcome(outcome, now));
        // What the log had set off may have come to its end by that.
        self.catch_up(outbox);
    }

    fn tick(&mut self, outbox: &mut Outbox) {
        self.catch_up(outbox);
        let now = outbox.now();
        while let Some((at, order)) = self.pauses.first().copied().filter(|(at, _)| *at <= now) {
            self.pauses.remove(&(at, order));
            self.step(order, outbox, |payment| payment.wake(now));
        }
    }

    fn next_tick(&self) -> Option<Timestamp> {
        if self.set_off.is_empty() { self.pauses.first().map(|(at, _)| *at) } else { Some(Timestamp::MIN) }
    }

    /// Those that wait only for the end of their reservation do not count: an input that comes after theirs brings it, and it
    /// would never be read if they kept the machine from reading on. There are no more of them than open reservations.
    fn in_hand(&self) -> usize {
        self.open.len() - self.awaiting_expiry
    }

    fn stuck(&self) -> usize {
        self.open.values().filter(|open| open.payment.is_stuck()).count()
    }

    fn hold(&self, topic: Topic, partition: u32) -> Option<u64> {
        self.partitions.get(&partition)?.holds.lowest(topic)
    }

    /// Another process may have written another outcome before; only the log says which one stands.
    fn follows(&self) -> Follows {
        Follows::Newest
    }

    fn follow(&mut self, record: &Delivered) {
        self.learn(record);
    }
}
