//! Orders: when one has come to its end, and to which.

use crate::event::{CancelKind, Event, OrderCancelled, OrderCreated, PaymentFailed, ReservationConfirmed};
use crate::{OrderId, Reason, UserId};

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderStatus {
    /// Not decided yet.
    Pending,
    /// Paid, and the stock is diminished.
    Confirmed,
    /// Refused before anything was reserved.
    Rejected,
    /// Undone after.
    Cancelled,
}

impl OrderStatus {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Confirmed, Self::Rejected, Self::Cancelled];

    /// The code as it is written.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Confirmed => "CONFIRMED",
            Self::Rejected => "REJECTED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The status of this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

impl From<CancelKind> for OrderStatus {
    fn from(kind: CancelKind) -> Self {
        match kind {
            CancelKind::Rejected => Self::Rejected,
            CancelKind::Cancelled => Self::Cancelled,
        }
    }
}

/// What is known of an order that has not ended: the facts that the table of `docs/saga.md` speaks of.
///
/// Facts of different services come in any order; those of one service come in the order in which it wrote them, and there the
/// first answer to a question stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    user: Option<UserId>,
    validated: bool,
    reserved: bool,
    expired: bool,
    payment: Option<Payment>,
    verdict: Option<Verdict>,
}

/// The first outcome of the payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payment {
    Processed,
    Failed(Reason),
}

/// The first fact that settles the order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Confirmed(Box<ReservationConfirmed>),
    Ended(CancelKind, Reason),
}

impl Facts {
    /// Whether [`Facts::learn`] makes anything of such an event.
    pub const fn matters(event: &Event) -> bool {
        matches!(
            event,
            Event::UserValidated(_)
                | Event::UserRejected(_)
                | Event::VirtualStockReserved(_)
                | Event::InsufficientStock(_)
                | Event::ProductNotFound(_)
                | Event::ReservationRefused(_)
                | Event::ReservationConfirmed(_)
                | Event::ReservationReleased(_)
                | Event::ReservationExpired(_)
                | Event::PaymentProcessed(_)
                | Event::PaymentFailed(_)
                | Event::PaymentRefunded(_)
        )
    }

    /// Whose order it is, if a fact has said so.
    pub const fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// Whether nothing is known but that the user may order.
    pub const fn only_validated(&self) -> bool {
        let Self { validated, expired, payment, verdict, .. } = self;
        *validated && !*expired && payment.is_none() && verdict.is_none() && !self.reserved
    }

    /// Takes in a fact; events that decide nothing change nothing.
    pub fn learn(&mut self, event: &Event) {
        match event {
            Event::UserValidated(e) => {
                self.know(&e.basket.user);
                // A rejection that came first has set the verdict; this one then changes nothing.
                self.validated = true;
            }
            Event::UserRejected(e) => {
                self.know(&e.user);
                // An answer that contradicts the first one does not count.
                if !self.validated {
                    self.settle(Verdict::Ended(CancelKind::Rejected, e.reason));
                }
            }
            Event::VirtualStockReserved(e) => {
                self.know(&e.user);
                self.reserved = true;
            }
            Event::InsufficientStock(e) => self.refuse(&e.user, Reason::InsufficientStock),
            Event::ProductNotFound(e) => self.refuse(&e.user, Reason::ProductNotFound),
            Event::ReservationRefused(e) => self.refuse(&e.user, e.reason),
            Event::ReservationConfirmed(e) => {
                self.know(&e.user);
                self.settle(Verdict::Confirmed(Box::new(e.clone())));
            }
            Event::ReservationReleased(e) => self.settle(Verdict::Ended(CancelKind::Cancelled, e.reason)),
            Event::ReservationExpired(_) => {
                self.expired = true;
                self.settle_expiry();
            }
            Event::PaymentProcessed(_) => self.paid(Payment::Processed),
            Event::PaymentFailed(PaymentFailed { reason, .. }) => self.paid(Payment::Failed(*reason)),
            Event::PaymentRefunded(e) => self.settle(Verdict::Ended(CancelKind::Cancelled, e.reason)),
            _ => {}
        }
    }

    /// The event that ends `order`, if the facts suffice.
    pub fn conclusion(&self, order: OrderId) -> Option<Event> {
        let user = self.user.clone()?;
        Some(match self.verdict.as_ref()? {
            Verdict::Confirmed(e) => OrderCreated {
                order,
                user,
                reservation: e.reservation,
                amount: e.amount,
                transaction: e.transaction.clone(),
            }
            .into(),
            Verdict::Ended(kind, reason) => {
                OrderCancelled { order, user, kind: *kind, reason: *reason }.into()
            }
        })
    }

    fn know(&mut self, user: &UserId) {
        if self.user.is_none() {
            self.user = Some(user.clone());
        }
    }

    fn settle(&mut self, verdict: Verdict) {
        if self.verdict.is_none() {
            self.verdict = Some(verdict);
        }
    }

    /// Refused by the inventory. What the customer cancelled in time is cancelled, whichever fact is seen first.
    fn refuse(&mut self, user: &UserId, reason: Reason) {
        self.know(user);
        let kind = match reason {
            Reason::CancelledByClient => CancelKind::Cancelled,
            _ => CancelKind::Rejected,
        };
        self.settle(Verdict::Ended(kind, reason));
    }

    fn paid(&mut self, payment: Payment) {
        if self.payment.is_none() {
            self.payment = Some(payment);
        }
        self.settle_expiry();
    }

    /// An expiry ends the order only once it is certain that nothing was charged.
    fn settle_expiry(&mut self) {
        if let (true, Some(Payment::Failed(reason))) = (self.expired, self.payment) {
            let reason = match reason {
                Reason::PaymentUnavailable => Reason::PaymentUnavailable,
                _ => Reason::ReservationExpired,
            };
            self.settle(Verdict::Ended(CancelKind::Cancelled, reason));
        }
    }
}
