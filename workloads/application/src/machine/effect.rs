//! What machines ask of the world outside, and what comes of it.

use std::sync::Arc;

use kbnt_domain::event::PaymentMethod;
use kbnt_domain::{Money, OrderId, ReservationId, Timestamp, TransactionId, UserId};

use crate::message::Message;

/// Something to be done outside the log. Every effect carries an idempotency key: the order id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Asked of the payment gateway.
    Payment(PaymentRequest),
    /// Asked of whoever tells customers.
    Notification(NotificationRequest),
}

/// What is asked of the payment gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentRequest {
    /// Charge the customer: one attempt.
    Charge {
        /// The order, and idempotency key.
        order: OrderId,
        /// What it pays.
        reservation: ReservationId,
        /// Whom.
        user: UserId,
        /// How much.
        amount: Money,
        /// How.
        payment: PaymentMethod,
        /// When the reservation ends: from then on the charge must not start.
        expires_at: Timestamp,
    },
    /// Say what became of the charge of an order.
    Query {
        /// The order, and idempotency key.
        order: OrderId,
    },
    /// See to it that an order is not charged any more, and say whether it was.
    Close {
        /// The order, and idempotency key.
        order: OrderId,
    },
    /// Undo a charge: one attempt.
    Refund {
        /// The order, and idempotency key.
        order: OrderId,
        /// The charge; `None` where the gateway gave it no name that can be used.
        transaction: Option<TransactionId>,
        /// How much.
        amount: Money,
    },
}

/// What is to be told to a customer: one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationRequest {
    /// The order, and idempotency key.
    pub order: OrderId,
    /// Whom.
    pub user: UserId,
    /// Which kind of message, such as `order-confirmed`.
    pub template: &'static str,
    /// The event to tell about.
    pub about: Arc<Message>,
}

impl Effect {
    /// The order that it is for.
    pub const fn order(&self) -> OrderId {
        match self {
            Self::Payment(request) => request.order(),
            Self::Notification(request) => request.order,
        }
    }

    /// Whether it is too late to start it.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        matches!(self, Self::Payment(PaymentRequest::Charge { expires_at, .. }) if *expires_at <= now)
    }
}

impl PaymentRequest {
    /// The order that it is for.
    pub const fn order(&self) -> OrderId {
        match self {
            Self::Charge { order, .. }
            | Self::Query { order }
            | Self::Close { order }
            | Self::Refund { order, .. } => *order,
        }
    }
}

impl From<PaymentRequest> for Effect {
    fn from(request: PaymentRequest) -> Self {
        Self::Payment(request)
    }
}

impl From<NotificationRequest> for Effect {
    fn from(request: NotificationRequest) -> Self {
        Self::Notification(request)
    }
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectOutcome {
    /// Of a request to the payment gateway.
    Payment(PaymentOutcome),
    /// Of a notification.
    Notification(NotificationOutcome),
}

/// What came of a request to the payment gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentOutcome {
    /// The charge is made.
    Charged {
        /// The gateway's name for it.
        transaction: TransactionId,
    },
    /// The charge is made, and the gateway's name for it is no [`TransactionId`].
    ChargedUnnamed {
        /// For people.
        detail: String,
    },
    /// The gateway refused for good; nothing was charged.
    Declined,
    /// Nothing was charged, and another attempt may succeed (unreachable, overloaded, or a query that found nothing).
    NotCharged {
        /// For people.
        detail: String,
    },
    /// The charge did not start: its reservation ended before its turn came.
    Overdue,
    /// Nobody knows whether the charge was made: it must be queried.
    Unknown {
        /// For people.
        detail: String,
    },
    /// As [`PaymentOutcome::Unknown`], but the gateway has answered: with something that makes no sense.
    Senseless {
        /// For people.
        detail: String,
    },
    /// Nothing was charged and nothing will be: a later charge under this key is refused.
    Closed,
    /// The refund is made (or was before).
    Refunded,
    /// The refund did not go through, or nobody knows; it is safe to try again.
    NotRefunded {
        /// For people.
        detail: String,
    },
}

/// What came of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotificationOutcome {
    /// The customer has it.
    Notified {
        /// By which way.
        channel: &'static str,
    },
    /// The customer does not have it.
    NotNotified {
        /// By which way.
        channel: &'static str,
        /// For people.
        detail: String,
        /// Whether another attempt may succeed.
        retry: bool,
    },
}

impl From<PaymentOutcome> for EffectOutcome {
    fn from(outcome: PaymentOutcome) -> Self {
        Self::Payment(outcome)
    }
}

impl From<NotificationOutcome> for EffectOutcome {
    fn from(outcome: NotificationOutcome) -> Self {
        Self::Notification(outcome)
    }
}
