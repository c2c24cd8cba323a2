//! Orders that are asked for again after they have ended, perhaps by a service that has forgotten them.

use crate::event::{OrderRepeated, PlaceOrder};
use crate::order::OrderStatus;
use crate::{Reason, ReservationId, Timestamp};

use super::closed_orders::{ClosedOrder, End};
use super::decision::{EmittedEvent, Outcome};
use super::index::Place;
use super::ledger::Ledger;

impl Ledger {
    /// An order was asked for at `asked_at`. If it had ended for good before, tells how; it is not decided again. Of the first
    /// command of an order there is nothing to tell: what the order asks for comes by its user.
    pub fn repeat(
        &mut self,
        command: &PlaceOrder,
        asked_at: Timestamp,
        now: Timestamp,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Outcome {
        if !self.begin(now, emitted) {
            return Outcome::Closed;
        }
        let closed = self.find(command.order).and_then(|known| match known.place {
            Place::Closed(number) => self.closed_orders.get(number),
            Place::Active(_) => None,
        });
        let Some(closed) = closed.filter(|closed| closed.at < asked_at) else { return Outcome::Repeated };
        let Some((status, reason)) = closed.conclusion() else { return Outcome::Repeated };
        let reservation = closed.attempts.checked_sub(1);
        let event = OrderRepeated {
            order: command.order,
            user: command.basket.user.clone(),
            status,
            reason,
            reservation: reservation.map(|last| ReservationId::derive(&command.order, last)),
            fingerprint: closed.fingerprint.unwrap_or_else(|| command.basket.fingerprint()),
        };
        emitted.push(event.into());
        Outcome::Decided
    }
}

impl ClosedOrder {
    /// How order-service has concluded or will conclude the order; `None` as long as something may change that.
    fn conclusion(&self) -> Option<(OrderStatus, Option<Reason>)> {
        let undone = |reason| Some((OrderStatus::Cancelled, Some(reason)));
        match self.end {
            End::Confirmed => Some((OrderStatus::Confirmed, None)),
            End::Refused(reason) => Some((refusal(reason), Some(reason))),
            // A late request for it is refused, as was promised.
            End::Released(reason) if self.attempts == 0 => {
                self.fingerprint.map(|_| (refusal(reason), Some(reason)))
            }
            End::Released(reason) => undone(reason),
            End::Expired if self.may_revive() => None,
            End::Expired => undone(match self.reason() {
                Reason::PaymentUnavailable => Reason::PaymentUnavailable,
                Reason::CancelledByClient => Reason::CancelledByClient,
                _ => Reason::ReservationExpired,
            }),
        }
    }
}

/// What a customer has undone in time is cancelled, though nothing was reserved.
fn refusal(reason: Reason) -> OrderStatus {
    if reason == Reason::CancelledByClient { OrderStatus::Cancelled } else { OrderStatus::Rejected }
}
