//! Recovering the ledger from its events.
//!
//! Events of different orders and products come in any order; those of one order, and those of one product's declarations,
//! come in theirs. An event that comes twice changes nothing, however much later than that the fold is.

use crate::event::{Event, StockDeclared, VirtualStockReserved};
use crate::{OrderId, Reason, ReservationId, Timestamp};

use super::clock::SETTING;
use super::closed_orders::{ClosedOrder, End};
use super::copies::Copies;
use super::decision::EmittedEvent;
use super::index::{Known, Place};
use super::ledger::Ledger;
use super::product::Terms;
use super::reservations::{Claim, Line, Lines, Slot};
use super::verify::Violation;

impl Ledger {
    /// Takes in an event that was decided at `at`, before the ledger is opened.
    pub fn recover(&mut self, event: &Event, at: Timestamp) {
        let (written, at) = (at, self.cap(at));
        // The window moves with the log, so that what is remembered stays bounded however long the log is.
        self.clock = self.clock.max(at);
        match event {
            Event::StockDeclared(declared) => self.recover_declared(declared),
            Event::LowStock(low) => {
                let product = self.catalogue.intern(&low.product);
                let alerted_at = &mut self.catalogue.particulars_mut(product).alerted_at;
                *alerted_at = (*alerted_at).max(Some(at));
            }
            Event::VirtualStockReserved(reserved) => self.recover_reserved(reserved, written),
            Event::ReservationConfirmed(confirmed) => {
                if let Some((known, slot)) = self.active(confirmed.order, confirmed.reservation)
                    && let Some(active) = self.take(slot)
                {
                    self.hand_out(&active.claim, &mut Vec::new());
                    self.end(ClosedOrder::of(active.order, &active.claim, End::Confirmed, at), Some(known));
                }
            }
            Event::ReservationReleased(released) => match released.reservation {
                Some(reservation) => {
                    self.recover_freed(released.order, reservation, End::Released(released.reason), at);
                }
                None => self.recover_promise(released.order, released.reason, at),
            },
            Event::ReservationExpired(expired) => {
                self.recover_freed(expired.order, expired.reservation, End::Expired, at);
            }
            Event::ReservationLost(lost) => self.recover_lost(lost.order, lost.reason, at),
            Event::InsufficientStock(refused) => {
                self.recover_refused(refused.order, Reason::InsufficientStock, refused.fingerprint, at);
            }
            Event::ProductNotFound(refused) => {
                self.recover_refused(refused.order, Reason::ProductNotFound, refused.fingerprint, at);
            }
            Event::ReservationRefused(refused) => {
                self.recover_refused(refused.order, refused.reason, refused.fingerprint, at);
            }
            // Nothing else is the ledger's.
            _ => {}
        }
        self.forget();
    }

    /// All events are folded: from now on the ledger decides. Emits what a crash kept from being emitted.
    pub fn open(&mut self, now: Timestamp, emitted: &mut Vec<EmittedEvent>) {
        self.clock = now;
        self.open = true;
        self.copies = Copies::default();
        self.verify();
        for product in self.catalogue.places() {
            let particulars = self.catalogue.particulars(product);
            // Where the order of the last alert and the last rise is not known, the alert is given again.
            self.catalogue.at_mut(product).low =
                particulars.alerted_at.is_some_and(|alerted_at| particulars.freed_at < Some(alerted_at));
        }
        self.sweep(emitted);
        for product in self.catalogue.places() {
            self.inspect(product, emitted);
        }
        self.changes += 1;
    }

    fn recover_declared(&mut self, declared: &StockDeclared) {
        let product = self.catalogue.intern(&declared.product);
        let terms = Terms {
            name: &declared.name,
            unit_price: declared.unit_price,
            threshold: declared.low_stock_threshold,
        };
        self.catalogue.declare(product, terms, &declared.source, declared.received);
        if declared.level.real.saturating_sub(declared.level.reserved) >= declared.low_stock_threshold {
            self.catalogue.particulars_mut(product).alerted_at = None;
        }
    }

    /// A reservation that a clock ahead of the present has made lasts from now on as long as it was to last from then on.
    fn recover_reserved(&mut self, reserved: &VirtualStockReserved, written: Timestamp) {
        let deadline = match self.present {
            Some(now) if written.since(now) > SETTING => now + reserved.expires_at.since(written),
            _ => reserved.expires_at,
        };
        if self.copies.is_one(reserved.reservation, written) {
            return;
        }
        let from = self.find(reserved.order);
        let attempts = match from.map(|known| known.place) {
            None => 0,
            Some(Place::Active(_)) => return,
            Some(Place::Closed(number)) => self.closed_orders.get(number).map_or(0, |closed| closed.attempts),
        };
        if reserved.attempt < attempts {
            return;
        }
        let mut lines = Lines::new();
        for line in &reserved.lines {
            let product = self.catalogue.intern(&line.product);
            let Ok(units) = u32::try_from(line.units) else {
                self.violate(Violation::UnitsOutOfRange { product });
                return;
            };
            lines.push(Line { product, units, unit_price: line.unit_price.minor() });
        }
        let claim = Claim {
            fingerprint: reserved.fingerprint,
            user: reserved.user.clone(),
            lines,
            amount: reserved.amount.minor(),
            currency: reserved.amount.currency(),
            deadline,
            attempt: reserved.attempt,
        };
        self.hold(reserved.order, claim, from, &mut Vec::new());
    }

    /// This very reservation, if it is active.
    fn active(&self, order: OrderId, reservation: ReservationId) -> Option<(Known, Slot)> {
        let known = self.find(order)?;
        let Place::Active(slot) = known.place else { return None };
        (self.reservations.get(slot)?.id() == reservation).then_some((known, slot))
    }

    fn recover_freed(&mut self, order: OrderId, reservation: ReservationId, end: End, at: Timestamp) {
        let Some((known, slot)) = self.active(order, reservation) else { return };
        let Some(active) = self.take(slot) else { return };
        for line in &active.claim.lines {
            let freed_at = &mut self.catalogue.particulars_mut(line.product).freed_at;
            *freed_at = (*freed_at).max(Some(at));
        }
        self.free(&active.claim, &mut Vec::new());
        let closed = match end {
            End::Expired => ClosedOrder::expired(active, at),
            _ => ClosedOrder::of(order, &active.claim, end, at),
        };
        self.end(closed, Some(known));
    }

    /// What is remembered of an order that holds nothing; none where it holds something, which no such event is about.
    fn closed(&self, known: Known) -> Option<&ClosedOrder> {
        match known.place {
            Place::Closed(number) => self.closed_orders.get(number),
            Place::Active(_) => None,
        }
    }

    /// A release without a reservation: of an order that is not there yet, or that has expired.
    fn recover_promise(&mut self, order: OrderId, reason: Reason, at: Timestamp) {
        let Some(known) = self.find(order) else {
            let closed = ClosedOrder { at, ..self.unknown(order, End::Released(reason), false) };
            return self.end(closed, None);
        };
        if self.closed(known).is_some_and(ClosedOrder::may_revive) {
            self.amend(known, at, |closed| closed.bar(reason));
        }
    }

    fn recover_lost(&mut self, order: OrderId, reason: Reason, at: Timestamp) {
        let Some(known) = self.find(order) else {
            let closed = ClosedOrder { at, ..self.unknown(order, End::Refused(reason), true) };
            return self.end(closed, None);
        };
        self.amend(known, at, ClosedOrder::lose);
    }

    fn recover_refused(&mut self, order: OrderId, reason: Reason, fingerprint: u64, at: Timestamp) {
        let Some(known) = self.find(order) else {
            let mut closed = self.unknown(order, End::Refused(reason), false);
            (closed.at, closed.fingerprint) = (at, Some(fingerprint));
            return self.end(closed, None);
        };
        if self.closed(known).is_some_and(|closed| closed.fingerprint.is_none()) {
            self.amend(known, at, |closed| closed.fingerprint = Some(fingerprint));
        }
    }
}
