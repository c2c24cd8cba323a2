//! The ledger's state and the few moves of which all its decisions consist.

use crate::event::{LowStock, ReservationExpired};
use crate::{OrderId, ReservationId, Span, Timestamp};

use super::closed_orders::{ClosedOrder, ClosedOrders};
use super::copies::Copies;
use super::credit::{CreditId, Credits, Freed};
use super::decision::{EmittedEvent, SKEW, StockTerms};
use super::index::{Index, Known, Place};
use super::product::{Catalogue, Counters, ProductIx};
use super::reservations::{Active, Claim, Line, Reservations, Slot};
use super::verify::Violation;

/// Forgotten at most in one step: more than a step can add, and little enough not to be felt.
const FORGET_MOST: usize = 16;

/// All stock and all reservations. See the [module](super).
#[derive(Debug)]
pub struct Ledger {
    pub(super) terms: StockTerms,
    /// The latest time that was given; it goes back only where the clock was wrong and has been put right.
    pub(super) clock: Timestamp,
    /// The present, as it was given last.
    pub(super) present: Option<Timestamp>,
    pub(super) catalogue: Catalogue,
    pub(super) reservations: Reservations,
    pub(super) closed_orders: ClosedOrders,
    pub(super) index: Index,
    pub(super) credits: Credits,
    pub(super) copies: Copies,
    pub(super) violations: Vec<Violation>,
    pub(super) open: bool,
    pub(super) changes: u64,
}

impl Ledger {
    /// An empty ledger, to be [recovered](Ledger::recover) from its events and then [opened](Ledger::open).
    pub fn new(terms: StockTerms) -> Self {
        Self {
            terms: StockTerms { ttl: terms.ttl.max(Span::from_millis(1)), ..terms },
            clock: Timestamp::MIN,
            present: None,
            catalogue: Catalogue::default(),
            reservations: Reservations::default(),
            closed_orders: ClosedOrders::default(),
            index: Index::default(),
            credits: Credits::default(),
            copies: Copies::default(),
            violations: Vec::new(),
            open: false,
            changes: 0,
        }
    }

    /// Grows with every change of what is shown.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// When the next reservation expires.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.reservations.next().map(|(deadline, _)| deadline)
    }

    /// Expires what is due at `now`.
    pub fn expire(&mut self, now: Timestamp, emitted: &mut Vec<EmittedEvent>) {
        self.begin(now, emitted);
    }

    /// The record of what `credit` freed is safe: the units may be promised. The second time changes nothing.
    pub fn settle(&mut self, credit: CreditId) {
        for (product, units) in self.credits.settle(credit).unwrap_or_default() {
            self.catalogue.unsettle(product, |unsettled| unsettled.saturating_sub(units));
        }
    }

    /// Starts a decision at `now`; false if there can be none.
    pub(super) fn begin(&mut self, now: Timestamp, emitted: &mut Vec<EmittedEvent>) -> bool {
        if !self.open {
            return false;
        }
        // A reservation is due later than it is made, so in one instant nothing more falls due.
        if now > self.clock {
            self.clock = now;
            self.sweep(emitted);
        }
        self.open
    }

    /// Expires all that is due and forgets some of what is old.
    pub(super) fn sweep(&mut self, emitted: &mut Vec<EmittedEvent>) {
        while let Some((deadline, slot)) = self.reservations.next()
            && deadline <= self.clock
        {
            self.expire_one(slot, emitted);
        }
        self.forget();
    }

    fn expire_one(&mut self, slot: Slot, emitted: &mut Vec<EmittedEvent>) {
        let Some(active) = self.take(slot) else { return };
        let known = self.known_at(active.order, Place::Active(slot));
        let reservation = active.id();
        let (order, deadline) = (active.order, active.claim.deadline);
        let frees = Some(self.give_back(&active.claim, emitted));
        emitted
            .push(EmittedEvent { event: ReservationExpired { order, reservation, deadline }.into(), frees });
        self.end(ClosedOrder::expired(active, self.clock), known);
    }

    /// Forgets some of what ended before the horizon.
    pub(super) fn forget(&mut self) {
        let horizon = self.horizon();
        for _ in 0..FORGET_MOST {
            if !self.closed_orders.forget(horizon) {
                return;
            }
        }
    }

    /// What ended before this is forgotten.
    pub(super) fn horizon(&self) -> Timestamp {
        self.clock - self.terms.window - SKEW
    }

    /// Where an order stands.
    pub(super) fn find(&self, order: OrderId) -> Option<Known> {
        self.index.get(order, |place| match place {
            Place::Active(slot) => self.reservations.get(slot).map(|active| active.order),
            Place::Closed(number) => self.closed_orders.get(number).map(|closed| closed.order),
        })
    }

    /// Whether the order holds units or is remembered.
    pub fn knows(&self, order: OrderId) -> bool {
        self.find(order).is_some()
    }

    /// Whether it is remembered that the order got its units or was refused them: more than that its user was rejected or that it
    /// was released before it came.
    pub fn has_decided(&self, order: OrderId) -> bool {
        self.find(order).is_some_and(|known| match known.place {
            Place::Active(_) => true,
            Place::Closed(number) => {
                self.closed_orders.get(number).is_some_and(|closed| closed.fingerprint.is_some())
            }
        })
    }

    /// Where an order is known to stand whose place was just emptied.
    pub(super) fn known_at(&self, order: OrderId, place: Place) -> Option<Known> {
        self.index.get(order, |other| (other == place).then_some(order))
    }

    /// Sets where an order stands, given where it stood before.
    pub(super) fn stand(&mut self, order: OrderId, from: Option<Known>, to: Place) {
        if let Some(from) = from {
            self.leave(from.place);
            self.index.shift(from, to);
            return;
        }
        let known = self.reservations.len() + self.closed_orders.len();
        let memory = &self.closed_orders;
        self.index.insert(order, to, known, |place| match place {
            // Whatever ends a reservation moves its order on.
            Place::Active(_) => true,
            Place::Closed(number) => memory.holds(number),
        });
    }

    /// An order stands there no longer.
    fn leave(&mut self, place: Place) {
        if let Place::Closed(number) = place {
            self.closed_orders.leave(number);
        }
    }

    /// Takes a claim's units out of what is available.
    pub(super) fn hold(
        &mut self,
        order: OrderId,
        claim: Claim,
        from: Option<Known>,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Slot {
        for line in &claim.lines {
            self.catalogue.at_mut(line.product).reserved += u64::from(line.units);
            self.inspect(line.product, emitted);
        }
        self.catalogue.totals.reserved += claim.units();
        self.catalogue.totals.active_reservations += 1;
        self.changes += 1;
        let slot = self.reservations.insert(order, claim);
        self.stand(order, from, Place::Active(slot));
        slot
    }

    /// Takes a hold out; the caller says where its units go and where the order stands from now on.
    pub(super) fn take(&mut self, slot: Slot) -> Option<Active> {
        let active = self.reservations.remove(slot)?;
        self.catalogue.totals.active_reservations -= 1;
        self.changes += 1;
        Some(active)
    }

    /// The units of a hold that has ended are available again, and may be promised once that is safe.
    pub(super) fn give_back(&mut self, claim: &Claim, emitted: &mut Vec<EmittedEvent>) -> CreditId {
        self.free(claim, emitted);
        let freed: Freed = claim.lines.iter().map(|line| (line.product, u64::from(line.units))).collect();
        for &(product, units) in &freed {
            self.catalogue.unsettle(product, |unsettled| unsettled + units);
        }
        self.credits.note(freed)
    }

    /// The units of a hold that has ended are available again.
    pub(super) fn free(&mut self, claim: &Claim, emitted: &mut Vec<EmittedEvent>) {
        for line in &claim.lines {
            self.unreserve(line);
            self.inspect(line.product, emitted);
        }
        self.catalogue.totals.reserved = self.catalogue.totals.reserved.wrapping_sub(claim.units());
    }

    /// The units of a hold that has ended leave the stock.
    pub(super) fn hand_out(&mut self, claim: &Claim, emitted: &mut Vec<EmittedEvent>) {
        for line in &claim.lines {
            self.unreserve(line).real -= i64::from(line.units);
            self.inspect(line.product, emitted);
        }
        let (units, totals) = (claim.units(), &mut self.catalogue.totals);
        totals.reserved = totals.reserved.wrapping_sub(units);
        totals.real = totals.real.wrapping_sub(units);
        self.catalogue.confirmed += units;
    }

    /// Less is reserved; less than nothing shows at once as more than is available.
    fn unreserve(&mut self, line: &Line) -> &mut Counters {
        let counters = self.catalogue.at_mut(line.product);
        counters.reserved = counters.reserved.wrapping_sub(u64::from(line.units));
        counters
    }

    /// Remembers how an order ended.
    pub(super) fn end(&mut self, closed: ClosedOrder, from: Option<Known>) {
        let order = closed.order;
        // The archive may have an end of it that was before this one, by a clock that was ahead: that must not count again.
        if closed.at < self.horizon() && self.closed_orders.archived().is_empty() {
            if let Some(from) = from {
                self.leave(from.place);
                self.index.remove(from);
            }
            return;
        }
        let number = self.closed_orders.push(closed);
        self.stand(order, from, Place::Closed(number));
    }

    /// Something more happened to an ended order at `at`: it is remembered anew from then on.
    pub(super) fn amend(&mut self, known: Known, at: Timestamp, change: impl FnOnce(&mut ClosedOrder)) {
        let Place::Closed(number) = known.place else { return };
        let Some(closed) = self.closed_orders.get_mut(number) else { return };
        let mut closed = ClosedOrder { claim: closed.claim.take(), at, ..*closed };
        change(&mut closed);
        self.end(closed, Some(known));
    }

    /// Looks at a product whose units have changed: whether its books are sound, and whether its stock is low.
    pub(super) fn inspect(&mut self, product: ProductIx, emitted: &mut Vec<EmittedEvent>) {
        if self.open && self.catalogue.wants_attention(product) {
            self.attend(product, emitted);
        }
    }

    /// Tells low stock, once for each time that available falls below the threshold.
    #[cold]
    fn attend(&mut self, product: ProductIx, emitted: &mut Vec<EmittedEvent>) {
        let unsettled = self.catalogue.unsettled(product);
        let counters = self.catalogue.at_mut(product);
        let Some(level) = counters.level().filter(|level| unsettled <= level.available()) else {
            self.violate(Violation::AvailableNegative { product });
            return;
        };
        let low = level.available() < counters.threshold;
        if low && !counters.low {
            let (product, threshold) = (counters.id.clone(), counters.threshold);
            emitted.push(LowStock { product, threshold, level }.into());
        }
        counters.low = low;
    }

    /// Notes a violation and closes the ledger: its books cannot be trusted.
    pub(super) fn violate(&mut self, violation: Violation) {
        self.open = false;
        self.changes += 1;
        self.violations.push(violation);
    }
}

impl Active {
    /// The reservation's id.
    pub(super) fn id(&self) -> ReservationId {
        ReservationId::derive(&self.order, self.claim.attempt)
    }
}
