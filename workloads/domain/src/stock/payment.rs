//! What follows a reservation: confirmation, release, and payments that come too late.

use crate::event::{
    Event, PaymentFailed, PaymentProcessed, ReservationConfirmed, ReservationLost, ReservationReleased,
};
use crate::{OrderId, Reason, ReservationId, Timestamp};

use super::closed_orders::{ClosedOrder, End, Number};
use super::decision::{EmittedEvent, Outcome};
use super::index::{Known, Place};
use super::ledger::Ledger;
use super::reservations::{Active, Slot};
use super::reserve::Cover;

impl Ledger {
    /// An order is paid: its reservation is confirmed. If it expired it is made again, at the price that was paid; where
    /// that cannot be, and where there is none, the charge must be undone.
    ///
    /// A payment that does not fit the reservation, in its amount or its id, undoes both.
    pub fn pay(
        &mut self,
        payment: &PaymentProcessed,
        now: Timestamp,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Outcome {
        if !self.begin(now, emitted) {
            return Outcome::Closed;
        }
        let Some(known) = self.find(payment.order) else {
            let end = End::Refused(Reason::StaleCommand);
            self.end(self.unknown(payment.order, end, true), None);
            emitted.push(lost(payment, None, Reason::StaleCommand).into());
            return Outcome::Decided;
        };
        match known.place {
            Place::Active(slot) => self.pay_active(known, slot, payment, emitted),
            Place::Closed(number) => self.pay_ended(known, number, payment, emitted),
        }
    }

    fn pay_active(
        &mut self,
        known: Known,
        slot: Slot,
        payment: &PaymentProcessed,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Outcome {
        let Some(active) = self.reservations.get(slot) else { return Outcome::Closed };
        let reservation = active.id();
        let amount = active.claim.money(active.claim.amount);
        let fits = payment.reservation == reservation
            || is_of(payment.reservation, payment.order, active.claim.attempt);
        if amount == payment.amount && fits {
            self.confirm(known, slot, payment, emitted);
        } else {
            self.release_active(known, slot, Reason::AmountInvalid, emitted);
            if let Some(known) = self.find(payment.order) {
                self.amend(known, self.clock, ClosedOrder::lose);
            }
            emitted.push(lost(payment, Some(reservation), Reason::AmountInvalid).into());
        }
        Outcome::Decided
    }

    fn confirm(
        &mut self,
        known: Known,
        slot: Slot,
        payment: &PaymentProcessed,
        emitted: &mut Vec<EmittedEvent>,
    ) {
        let Some(Active { order, claim }) = self.take(slot) else { return };
        self.hand_out(&claim, emitted);
        self.end(ClosedOrder::of(order, &claim, End::Confirmed, self.clock), Some(known));
        let event = Event::ReservationConfirmed(ReservationConfirmed {
            order,
            reservation: ReservationId::derive(&order, claim.attempt),
            user: claim.user,
            amount: payment.amount,
            transaction: payment.transaction.clone(),
        });
        emitted.push(EmittedEvent { event, frees: None });
    }

    fn pay_ended(
        &mut self,
        known: Known,
        number: Number,
        payment: &PaymentProcessed,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Outcome {
        let Some(closed) = self.closed_orders.get(number) else { return Outcome::Closed };
        if closed.lost || closed.end == End::Confirmed {
            return Outcome::Repeated;
        }
        let mut reason = closed.reason();
        let attempts = closed.attempts;
        if let Some(claim) = closed.claim.as_deref() {
            let fits = claim.money(claim.amount) == payment.amount
                && is_of(payment.reservation, payment.order, attempts);
            match self.cover(&claim.lines) {
                Cover::Later if fits => return Outcome::Waits,
                Cover::Enough if fits => return self.revive(known, number, payment, emitted),
                _ if fits => {}
                _ => reason = Reason::AmountInvalid,
            }
        }
        let reservation = attempts.checked_sub(1).map(|last| ReservationId::derive(&payment.order, last));
        self.amend(known, self.clock, ClosedOrder::lose);
        emitted.push(lost(payment, reservation, reason).into());
        Outcome::Decided
    }

    /// Reserves again what expired, and confirms it.
    fn revive(
        &mut self,
        known: Known,
        number: Number,
        payment: &PaymentProcessed,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Outcome {
        let Some(claim) = self.closed_orders.get_mut(number).and_then(|closed| closed.claim.take()) else {
            return Outcome::Closed;
        };
        let mut claim = *claim;
        claim.attempt += 1;
        claim.deadline = self.clock + self.terms.ttl;
        self.emit_reserved(payment.order, &claim, None, emitted);
        let low_stock_from = emitted.len();
        let slot = self.hold(payment.order, claim, Some(known), emitted);
        let low_stock = emitted.split_off(low_stock_from);
        self.confirm(known.moved(Place::Active(slot)), slot, payment, emitted);
        emitted.extend(low_stock);
        Outcome::Decided
    }

    /// No charge was made and none will be: the reservation is released.
    pub fn fail(
        &mut self,
        failure: &PaymentFailed,
        failed_at: Timestamp,
        now: Timestamp,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Outcome {
        if !self.begin(now, emitted) {
            return Outcome::Closed;
        }
        let Some(known) = self.find(failure.order) else {
            return self.release_unknown(failure.order, failure.reason, failed_at, emitted);
        };
        match known.place {
            Place::Active(slot) => {
                let attempts = self.reservations.get(slot).map_or(0, |active| active.claim.attempt + 1);
                if !is_of(failure.reservation, failure.order, attempts) {
                    return Outcome::Conflict;
                }
                self.release_active(known, slot, failure.reason, emitted);
                Outcome::Decided
            }
            Place::Closed(number) => {
                // Whoever says later that it is paid after all says so too late: nothing revives it. That is no event, so
                // a failure must be seen again after a restart.
                if self.closed_orders.get(number).is_some_and(ClosedOrder::may_revive) {
                    self.amend(known, self.clock, |closed| closed.bar(failure.reason));
                }
                Outcome::Repeated
            }
        }
    }

    /// The customer asks to undo the order.
    pub fn cancel(
        &mut self,
        order: OrderId,
        asked_at: Timestamp,
        now: Timestamp,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Outcome {
        if !self.begin(now, emitted) {
            return Outcome::Closed;
        }
        let reason = Reason::CancelledByClient;
        let Some(known) = self.find(order) else {
            return self.release_unknown(order, reason, asked_at, emitted);
        };
        match known.place {
            Place::Active(slot) => {
                self.release_active(known, slot, reason, emitted);
                Outcome::Decided
            }
            // An expired one may still be revived by a payment under way: not after this.
            Place::Closed(number) => match self.closed_orders.get(number) {
                Some(closed) if closed.may_revive() => {
                    self.amend(known, self.clock, |closed| closed.bar(reason));
                    emitted.push(ReservationReleased { order, reservation: None, reason }.into());
                    Outcome::Decided
                }
                _ => Outcome::Repeated,
            },
        }
    }

    fn release_active(&mut self, known: Known, slot: Slot, reason: Reason, emitted: &mut Vec<EmittedEvent>) {
        let Some(active) = self.take(slot) else { return };
        let (order, reservation) = (active.order, Some(active.id()));
        let frees = Some(self.give_back(&active.claim, emitted));
        emitted
            .push(EmittedEvent { event: ReservationReleased { order, reservation, reason }.into(), frees });
        self.end(ClosedOrder::of(order, &active.claim, End::Released(reason), self.clock), Some(known));
    }

    /// A release before its reservation: the promise that a late one is refused. One that is older than the window needs
    /// none, as the order that it is for is older still and will be refused for that.
    fn release_unknown(
        &mut self,
        order: OrderId,
        reason: Reason,
        asked_at: Timestamp,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Outcome {
        if asked_at < self.clock - self.terms.window {
            return Outcome::Stale;
        }
        self.end(self.unknown(order, End::Released(reason), false), None);
        emitted.push(ReservationReleased { order, reservation: None, reason }.into());
        Outcome::Decided
    }

    /// What is remembered of an order that was never asked for.
    pub(super) fn unknown(&self, order: OrderId, end: End, lost: bool) -> ClosedOrder {
        ClosedOrder {
            order,
            fingerprint: None,
            at: self.clock,
            end,
            lost,
            barred: None,
            attempts: 0,
            claim: None,
        }
    }
}

/// Whether `reservation` is one of the first `attempts` of `order`.
pub(super) fn is_of(reservation: ReservationId, order: OrderId, attempts: u32) -> bool {
    (0..attempts).any(|attempt| ReservationId::derive(&order, attempt) == reservation)
}

fn lost(payment: &PaymentProcessed, reservation: Option<ReservationId>, reason: Reason) -> ReservationLost {
    ReservationLost {
        order: payment.order,
        reservation,
        amount: payment.amount,
        transaction: payment.transaction.clone(),
        reason,
    }
}
