//! Reserving: all lines of an order, or nothing.

use crate::event::{
    Basket, Event, InsufficientStock, PaymentMethod, PricedLine, ProductNotFound, ReservationRefused,
    VirtualStockReserved,
};
use crate::{Money, MoneyError, OrderId, ProductId, Reason, ReservationId, Timestamp, UserId};

use super::closed_orders::{ClosedOrder, End};
use super::decision::{EmittedEvent, Outcome, Request, SKEW};
use super::index::{Known, Place};
use super::ledger::Ledger;
use super::product::ProductIx;
use super::reservations::{Claim, Line, Lines};

/// The most lines of an order.
const LINES_MOST: usize = 100;

/// Why an order cannot be priced.
enum Unpriced {
    /// Nobody declared this product.
    NotFound(ProductId),
    /// No lines, too many, or no valid total.
    Invalid,
}

/// Whether there are enough units.
pub(super) enum Cover {
    /// Yes.
    Enough,
    /// Yes, once what was freed is safe.
    Later,
    /// No; the first product that falls short.
    Short(ProductIx, u64),
}

impl Ledger {
    /// Decides whether an order gets its units.
    pub fn reserve(
        &mut self,
        request: &Request<'_>,
        now: Timestamp,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Outcome {
        if !self.begin(now, emitted) {
            return Outcome::Closed;
        }
        let fingerprint = request.basket.fingerprint();
        if let Some(known) = self.find(request.order) {
            return self.reserve_again(known, request, fingerprint, emitted);
        }
        let user = &request.basket.user;
        if request.placed_at < self.clock - self.terms.window || request.placed_at > self.clock + SKEW {
            return self.refuse(request.order, user, Reason::StaleCommand, fingerprint, emitted);
        }
        let (lines, amount) = match self.price(request.basket) {
            Ok(priced) => priced,
            Err(Unpriced::Invalid) => {
                return self.refuse(request.order, user, Reason::AmountInvalid, fingerprint, emitted);
            }
            Err(Unpriced::NotFound(product)) => {
                let order = request.order;
                emitted.push(ProductNotFound { order, user: user.clone(), product, fingerprint }.into());
                return self.refused(order, Reason::ProductNotFound, fingerprint);
            }
        };
        match self.cover(&lines) {
            Cover::Later => Outcome::Waits,
            Cover::Short(product, requested) => {
                let available = self.catalogue.at(product).available();
                let product = self.catalogue.at(product).id.clone();
                let (order, user) = (request.order, user.clone());
                emitted.push(
                    InsufficientStock { order, user, product, requested, available, fingerprint }.into(),
                );
                self.refused(order, Reason::InsufficientStock, fingerprint)
            }
            Cover::Enough => {
                let claim = Claim {
                    fingerprint,
                    user: user.clone(),
                    lines,
                    amount: amount.minor(),
                    currency: amount.currency(),
                    deadline: self.clock + self.terms.ttl,
                    attempt: 0,
                };
                self.emit_reserved(request.order, &claim, Some(&request.basket.payment), emitted);
                self.hold(request.order, claim, None, emitted);
                Outcome::Decided
            }
        }
    }

    /// The order has ended, as its user may not order: should another process let the user pass after that, it is refused.
    /// That is no event, so a rejection must be seen again after a restart.
    pub fn reject(
        &mut self,
        order: OrderId,
        reason: Reason,
        rejected_at: Timestamp,
        now: Timestamp,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Outcome {
        if !self.begin(now, emitted) {
            return Outcome::Closed;
        }
        if self.knows(order) || rejected_at < self.clock - self.terms.window {
            return Outcome::Repeated;
        }
        self.end(self.unknown(order, End::Refused(reason), false), None);
        Outcome::Decided
    }

    /// Answers a request for an order that was decided before.
    fn reserve_again(
        &mut self,
        order: Known,
        request: &Request<'_>,
        fingerprint: u64,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Outcome {
        let place = order.place;
        let known = match place {
            Place::Active(slot) => self.reservations.get(slot).map(|active| active.claim.fingerprint),
            Place::Closed(number) => self.closed_orders.get(number).and_then(|closed| closed.fingerprint),
        };
        match (known, place) {
            (Some(known), _) if known == fingerprint || request.basket.has_fingerprint(known) => {
                Outcome::Repeated
            }
            (Some(_), _) => Outcome::Conflict,
            (None, Place::Active(_)) => Outcome::Repeated,
            // A release came before: this is the late request that it promised to refuse.
            (None, Place::Closed(number)) => {
                let reason = self.closed_orders.get(number).map_or(Reason::StaleCommand, ClosedOrder::reason);
                let user = request.basket.user.clone();
                emitted.push(ReservationRefused { order: request.order, user, reason, fingerprint }.into());
                self.amend(order, self.clock, |closed| closed.fingerprint = Some(fingerprint));
                Outcome::Decided
            }
        }
    }

    fn refuse(
        &mut self,
        order: OrderId,
        user: &UserId,
        reason: Reason,
        fingerprint: u64,
        emitted: &mut Vec<EmittedEvent>,
    ) -> Outcome {
        emitted.push(ReservationRefused { order, user: user.clone(), reason, fingerprint }.into());
        self.refused(order, reason, fingerprint)
    }

    /// Remembers a refusal, so that the same request is not asked again when stock has come.
    fn refused(&mut self, order: OrderId, reason: Reason, fingerprint: u64) -> Outcome {
        let closed = ClosedOrder {
            order,
            fingerprint: Some(fingerprint),
            at: self.clock,
            end: End::Refused(reason),
            lost: false,
            barred: None,
            attempts: 0,
            claim: None,
        };
        self.end(closed, None);
        Outcome::Decided
    }

    /// Sums up the lines by product, in the order of their first lines, and the total.
    fn price(&self, basket: &Basket) -> Result<(Lines, Money), Unpriced> {
        if basket.lines.is_empty() || basket.lines.len() > LINES_MOST {
            return Err(Unpriced::Invalid);
        }
        let mut lines = Lines::new();
        let mut total = Ok(None);
        for asked in &basket.lines {
            let product = self.catalogue.find(&asked.product);
            let product = product.ok_or_else(|| Unpriced::NotFound(asked.product.clone()))?;
            let price = self.catalogue.at(product).price();
            total = total.and_then(|total| sum(total, price.times(asked.quantity.units())?));
            // Quantities are at most 1,000,000 and lines at most 100.
            let units = u32::try_from(asked.quantity.units()).map_err(|_| Unpriced::Invalid)?;
            if let Some(line) = lines.iter_mut().find(|line| line.product == product) {
                line.units += units;
            } else {
                lines.push(Line { product, units, unit_price: price.minor() });
            }
        }
        // A product that is not there is reported before a total that does not fit.
        let total = total.ok().flatten().ok_or(Unpriced::Invalid)?;
        Ok((lines, total))
    }

    /// Whether there is enough for all of `lines`.
    pub(super) fn cover(&self, lines: &[Line]) -> Cover {
        let mut cover = Cover::Enough;
        for line in lines {
            let counters = self.catalogue.at(line.product);
            let units = u64::from(line.units);
            if units > counters.available() {
                return Cover::Short(line.product, units);
            }
            if units > self.catalogue.grantable(line.product) {
                cover = Cover::Later;
            }
        }
        cover
    }

    pub(super) fn emit_reserved(
        &self,
        order: OrderId,
        claim: &Claim,
        payment: Option<&PaymentMethod>,
        emitted: &mut Vec<EmittedEvent>,
    ) {
        let event = Event::VirtualStockReserved(VirtualStockReserved {
            order,
            reservation: ReservationId::derive(&order, claim.attempt),
            user: claim.user.clone(),
            attempt: claim.attempt,
            lines: self.priced_lines(claim),
            amount: claim.money(claim.amount),
            payment: payment.cloned(),
            expires_at: claim.deadline,
            fingerprint: claim.fingerprint,
        });
        emitted.push(EmittedEvent { event, frees: None });
    }

    pub(super) fn priced_lines(&self, claim: &Claim) -> Vec<PricedLine> {
        let priced = |line: &Line| PricedLine {
            product: self.catalogue.at(line.product).id.clone(),
            units: u64::from(line.units),
            unit_price: claim.money(line.unit_price),
        };
        claim.lines.iter().map(priced).collect()
    }
}

fn sum(total: Option<Money>, line: Money) -> Result<Option<Money>, MoneyError> {
    total.map_or(Ok(line), |total| total.plus(line)).map(Some)
}

impl Claim {
    /// Minor units in the claim's currency.
    pub(super) fn money(&self, minor: i64) -> Money {
        // Holds by construction: amounts come from `Money`, which is never negative.
        Money::from_minor(minor, self.currency).unwrap_or(Money::zero(self.currency))
    }
}
