//! Reserving: all lines of an order, or nothing.

use crate::event::{
    Basket, InsufficientStock, PricedLine, ProductNotFound, ReservationRefused, VirtualStockReserved,
};
use crate::{Money, OrderId, ProductId, Reason, ReservationId, Timestamp, UserId};

use super::decision::{Outcome, Request, SKEW, Told};
use super::ended::{End, Ended};
use super::held::{Claim, Line, Lines, Slot};
use super::index::Place;
use super::ledger::Ledger;
use super::product::ProductIx;

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
    pub fn reserve(&mut self, request: &Request<'_>, now: Timestamp, told: &mut Vec<Told>) -> Outcome {
        if !self.begin(now, told) {
            return Outcome::Closed;
        }
        let fingerprint = request.basket.fingerprint();
        if let Some(place) = self.find(request.order) {
            return self.reserve_again(place, request, fingerprint, told);
        }
        let user = &request.basket.user;
        if request.placed_at < self.clock - self.terms.window || request.placed_at > self.clock + SKEW {
            return self.refuse(request.order, user, Reason::StaleCommand, fingerprint, told);
        }
        let (lines, amount) = match self.price(request.basket) {
            Ok(priced) => priced,
            Err(Unpriced::Invalid) => {
                return self.refuse(request.order, user, Reason::AmountInvalid, fingerprint, told);
            }
            Err(Unpriced::NotFound(product)) => {
                let order = request.order;
                told.push(ProductNotFound { order, user: user.clone(), product, fingerprint }.into());
                return self.refused(order, Reason::ProductNotFound, fingerprint);
            }
        };
        match self.cover(&lines) {
            Cover::Later => Outcome::Waits,
            Cover::Short(product, requested) => {
                let available = self.catalogue.at(product).available();
                let product = self.catalogue.at(product).id.clone();
                let (order, user) = (request.order, user.clone());
                told.push(
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
                let payment = Some(request.basket.payment.clone());
                told.push(self.reserved_event(request.order, &claim, payment).into());
                self.grant(request.order, claim, None, told);
                Outcome::Decided
            }
        }
    }

    /// The order has ended, as its user may not order: should another process let the user pass after that, it is refused.
    /// That is not told, so a rejection must be seen again after a restart.
    pub fn reject(
        &mut self,
        order: OrderId,
        reason: Reason,
        rejected_at: Timestamp,
        now: Timestamp,
        told: &mut Vec<Told>,
    ) -> Outcome {
        if !self.begin(now, told) {
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
        place: Place,
        request: &Request<'_>,
        fingerprint: u64,
        told: &mut Vec<Told>,
    ) -> Outcome {
        let known = match place {
            Place::Active(slot) => self.reservations.get(slot).map(|active| active.claim.fingerprint),
            Place::Ended(number) => self.memory.get(number).and_then(|ended| ended.fingerprint),
        };
        match (known, place) {
            (Some(known), _) if known == fingerprint => Outcome::Repeated,
            (Some(_), _) => Outcome::Conflict,
            (None, Place::Active(_)) => Outcome::Repeated,
            // A release came before: this is the late request that it promised to refuse.
            (None, Place::Ended(number)) => {
                let reason = self.memory.get(number).map_or(Reason::StaleCommand, Ended::reason);
                let (order, user) = (request.order, request.basket.user.clone());
                told.push(ReservationRefused { order, user, reason, fingerprint }.into());
                self.amend(number, self.clock, |ended| ended.fingerprint = Some(fingerprint));
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
        told: &mut Vec<Told>,
    ) -> Outcome {
        told.push(ReservationRefused { order, user: user.clone(), reason, fingerprint }.into());
        self.refused(order, reason, fingerprint)
    }

    /// Remembers a refusal, so that the same request is not asked again when stock has come.
    fn refused(&mut self, order: OrderId, reason: Reason, fingerprint: u64) -> Outcome {
        let ended = Ended {
            order,
            fingerprint: Some(fingerprint),
            at: self.clock,
            end: End::Refused(reason),
            lost: false,
            barred: None,
            attempts: 0,
            claim: None,
        };
        self.end(ended, None);
        Outcome::Decided
    }

    /// Sums up the lines by product, in the order of their first lines, and the total.
    fn price(&self, basket: &Basket) -> Result<(Lines, Money), Unpriced> {
        let mut lines = Lines::new();
        let mut total: Option<Money> = None;
        if basket.lines.is_empty() || basket.lines.len() > LINES_MOST {
            return Err(Unpriced::Invalid);
        }
        for asked in &basket.lines {
            let product = self.catalogue.find(&asked.product);
            let product = product.ok_or_else(|| Unpriced::NotFound(asked.product.clone()))?;
            // Quantities are at most 1,000,000 and lines at most 100.
            let units = u32::try_from(asked.quantity.units()).map_err(|_| Unpriced::Invalid)?;
            if let Some(line) = lines.iter_mut().find(|line| line.product == product) {
                line.units = line.units.checked_add(units).ok_or(Unpriced::Invalid)?;
            } else {
                let unit_price = self.catalogue.at(product).unit_price;
                lines.push(Line { product, units, unit_price });
            }
        }
        for line in &lines {
            let price = self.catalogue.at(line.product).price();
            let sum = price.times(u64::from(line.units)).map_err(|_| Unpriced::Invalid)?;
            total = Some(match total {
                Some(total) => total.plus(sum).map_err(|_| Unpriced::Invalid)?,
                None => sum,
            });
        }
        Ok((lines, total.ok_or(Unpriced::Invalid)?))
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

    /// Gives an order its units.
    pub(super) fn grant(
        &mut self,
        order: OrderId,
        claim: Claim,
        from: Option<Place>,
        told: &mut Vec<Told>,
    ) -> Slot {
        let slot = self.hold(order, claim, from);
        let mut next = 0;
        while let Some(product) = self.reservations.product(slot, next) {
            self.watch(product, told);
            next += 1;
        }
        slot
    }

    pub(super) fn reserved_event(
        &self,
        order: OrderId,
        claim: &Claim,
        payment: Option<crate::event::PaymentMethod>,
    ) -> VirtualStockReserved {
        VirtualStockReserved {
            order,
            reservation: ReservationId::derive(&order, claim.attempt),
            user: claim.user.clone(),
            attempt: claim.attempt,
            lines: self.priced_lines(claim),
            amount: claim.money(claim.amount),
            payment,
            expires_at: claim.deadline,
            fingerprint: claim.fingerprint,
        }
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

impl Claim {
    /// Minor units in the claim's currency.
    pub(super) fn money(&self, minor: i64) -> Money {
        // Holds by construction: amounts come from `Money`, which is never negative.
        Money::from_minor(minor, self.currency).unwrap_or(Money::zero(self.currency))
    }
}
