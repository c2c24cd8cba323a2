//! What the payment machine knows of one partition, and of one order that it has to do with.

use std::sync::Arc;

use kbnt_domain::event::{
    PaymentFailed, PaymentMethod, PaymentProcessed, PaymentRefunded, ReservationLost, VirtualStockReserved,
};
use kbnt_domain::payment::{Attempt, Conclusion, First, Payment};
use kbnt_domain::{Event, Money, OrderId, Reason, ReservationId, Timestamp, TransactionId, UserId};

use crate::machine::{Delivered, Outbox, PaymentRequest};
use crate::message::Message;
use crate::partition_state::{Holds, Inputs, Limits, Memory};

/// What the log says came of an order's payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Processed,
    Failed { reason: Reason, refund_due: bool },
    Refunded,
}

/// One partition.
#[derive(Debug)]
pub(super) struct PartitionState {
    pub(super) settled: Memory<Settled>,
    pub(super) inputs: Inputs,
    pub(super) holds: Holds,
    /// When this process took over. What was written before may have been tried by others.
    pub(super) since: Timestamp,
}

impl PartitionState {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            settled: Memory::new(limits),
            inputs: Inputs::default(),
            holds: Holds::default(),
            since: Timestamp::MIN,
        }
    }

    /// Takes in a record of payment-events, written at `at`; gives the outcome that stands first in the log, if it is one.
    pub(super) fn learn(&mut self, order: OrderId, message: &Message, at: Timestamp) -> Option<First> {
        let settled = match message.event.business()? {
            Event::PaymentProcessed(_) => Settled::Processed,
            Event::PaymentFailed(e) => Settled::Failed { reason: e.reason, refund_due: e.refund_due },
            Event::PaymentRefunded(_) => {
                self.settled.insert(order, at, Settled::Refunded);
                return None;
            }
            _ => return None,
        };
        if !self.settled.contains(&order) {
            self.settled.insert(order, at, settled);
        }
        match self.settled.get(&order)? {
            Settled::Processed => Some(First::Processed),
            Settled::Failed { reason, refund_due } => {
                Some(First::Failed { reason: *reason, refund_due: *refund_due })
            }
            Settled::Refunded => None,
        }
    }
}

/// An order with something left to do.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) partition: u32,
    pub(super) payment: Payment,
    /// It is counted among those that await their expiry.
    pub(super) awaits_expiry: bool,
    /// The record that is answered.
    cause: Arc<Message>,
    bill: Bill,
}

/// What is to be paid or was.
#[derive(Debug)]
enum Bill {
    Reserved {
        reservation: ReservationId,
        user: UserId,
        amount: Money,
        payment: PaymentMethod,
        expires_at: Timestamp,
    },
    /// Only a refund is left to do.
    Lost { amount: Money },
}

impl Open {
    /// For a reservation; `None` where it is paid already.
    pub(super) fn reserved(
        record: &Delivered,
        event: &VirtualStockReserved,
        payment: Payment,
    ) -> Option<Self> {
        let bill = Bill::Reserved {
            reservation: event.reservation,
            user: event.user.clone(),
            amount: event.amount,
            payment: event.payment.clone()?,
            expires_at: event.expires_at,
        };
        Some(Self::new(record, payment, bill))
    }

    /// For a charge without a reservation.
    pub(super) fn lost(record: &Delivered, event: &ReservationLost, payment: Payment) -> Self {
        Self::new(record, payment, Bill::Lost { amount: event.amount })
    }

    fn new(record: &Delivered, payment: Payment, bill: Bill) -> Self {
        let (partition, cause) = (record.at.partition, Arc::clone(&record.message));
        Self { partition, payment, awaits_expiry: false, cause, bill }
    }

    /// From here on what is written answers this record.
    pub(super) fn because_of(&mut self, record: &Delivered) {
        self.cause = Arc::clone(&record.message);
    }

    const fn amount(&self) -> Money {
        match &self.bill {
            Bill::Reserved { amount, .. } | Bill::Lost { amount } => *amount,
        }
    }

    /// What the attempt asks of the gateway. A bill without a reservation has nothing to charge.
    pub(super) fn request(&self, order: OrderId, attempt: Attempt) -> Option<PaymentRequest> {
        Some(match (attempt, &self.bill) {
            (Attempt::Charge, Bill::Reserved { reservation, user, amount, payment, expires_at }) => {
                PaymentRequest::Charge {
                    order,
                    reservation: *reservation,
                    user: user.clone(),
                    amount: *amount,
                    payment: payment.clone(),
                    expires_at: *expires_at,
                }
            }
            (Attempt::Charge, Bill::Lost { .. }) => return None,
            (Attempt::Query, _) => PaymentRequest::Query { order },
            (Attempt::Close, _) => PaymentRequest::Close { order },
            (Attempt::Refund(refund), _) => {
                PaymentRequest::Refund { order, transaction: refund.transaction, amount: self.amount() }
            }
        })
    }

    /// Writes it. Two processes that come to different outcomes of an order write the same event id, and the
    /// first of them in the log stands; the same goes for its refund.
    pub(super) fn write(&self, order: OrderId, conclusion: Conclusion, outbox: &mut Outbox) {
        let amount = self.amount();
        outbox.answer_earlier(self.cause.id, self.cause.trace);
        let outcome = format!("payment/{order}");
        match (conclusion, &self.bill) {
            (Conclusion::Processed(transaction), Bill::Reserved { reservation, .. }) => {
                let reservation = *reservation;
                outbox.emit_named(&outcome, PaymentProcessed { order, reservation, amount, transaction });
            }
            (Conclusion::Failed { reason, refund_due }, Bill::Reserved { reservation, .. }) => {
                let reservation = *reservation;
                let event = PaymentFailed { order, reservation, amount, reason, refund_due };
                outbox.emit_named(&outcome, event);
            }
            (Conclusion::Refunded(refund), _) => {
                let transaction = refund.transaction.unwrap_or_else(|| TransactionId::of_order(&order));
                let reason = refund.reason;
                let event = PaymentRefunded { order, amount, transaction, reason };
                outbox.emit_named(&format!("refund/{order}"), event);
            }
            (Conclusion::Processed(_) | Conclusion::Failed { .. }, Bill::Lost { .. }) => {}
        }
    }
}
