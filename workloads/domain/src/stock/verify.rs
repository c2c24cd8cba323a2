//! The invariants: available is never negative, reserved is the sum of the active reservations, and real is what was
//! received less what was confirmed.

use std::fmt;

use super::closed_orders::ClosedOrders;
use super::index::Place;
use super::ledger::Ledger;
use super::product::ProductIx;

/// A bug that would break the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// More is reserved, or not safe yet, than there is.
    AvailableNegative {
        /// Its place in the catalogue.
        product: u32,
    },
    /// What is reserved is not the sum of the active reservations.
    ReservedOff {
        /// Its place in the catalogue.
        product: u32,
    },
    /// What is not safe yet is not the sum of the open credits.
    UnsettledOff {
        /// Its place in the catalogue.
        product: u32,
    },
    /// A reservation in the log holds more units than an order may have.
    UnitsOutOfRange {
        /// Its place in the catalogue.
        product: u32,
    },
    /// The sums over all products are off.
    TotalsOff,
    /// Real is not what was received less what was confirmed, over all products.
    RealOff,
    /// An order is not found where it is.
    IndexOff,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AvailableNegative { product } => write!(f, "available is negative (product {product})"),
            Self::ReservedOff { product } => {
                write!(f, "reserved is not the sum of the active reservations (product {product})")
            }
            Self::UnsettledOff { product } => {
                write!(f, "unsettled is not the sum of the open credits (product {product})")
            }
            Self::UnitsOutOfRange { product } => {
                write!(f, "a reservation holds more units than an order may have (product {product})")
            }
            Self::TotalsOff => f.write_str("the totals are not the sums over the products"),
            Self::RealOff => f.write_str("real is not what was received less what was confirmed"),
            Self::IndexOff => f.write_str("an order is not found where it is"),
        }
    }
}

impl Ledger {
    /// What is wrong with the books; empty unless there is a bug.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Checks everything from scratch, in time proportional to what there is. A violation closes the ledger. While it
    /// recovers there is nothing to check: it may have folded a reservation, and not the receipt of its units yet.
    pub fn verify(&mut self) -> bool {
        if !self.open {
            return self.violations.is_empty();
        }
        let mut found = Vec::new();
        let (mut reserved, mut unsettled) = (self.zeros(), self.zeros());
        for line in self.reservations.iter().flat_map(|active| &active.claim.lines) {
            reserved[line.product as usize] += u64::from(line.units);
        }
        for &(product, units) in self.credits.iter().flatten() {
            unsettled[product as usize] += units;
        }
        let (mut received_total, mut real_total, mut reserved_total) = (0_u64, 0_u64, 0_u64);
        for (product, counters) in self.catalogue.all() {
            self.verify_product(product, reserved[product as usize], unsettled[product as usize], &mut found);
            real_total += u64::try_from(counters.real).unwrap_or_default();
            received_total += self.catalogue.particulars(product).received();
            reserved_total += counters.reserved;
        }
        let totals = self.catalogue.totals;
        let active = self.reservations.len() as u64;
        if (totals.real, totals.reserved, totals.active_reservations) != (real_total, reserved_total, active)
        {
            found.push(Violation::TotalsOff);
        }
        if received_total.checked_sub(self.catalogue.confirmed) != Some(real_total) {
            found.push(Violation::RealOff);
        }
        if !self.index_sound() {
            found.push(Violation::IndexOff);
        }
        for &violation in &found {
            self.violate(violation);
        }
        found.is_empty()
    }

    fn zeros(&self) -> Vec<u64> {
        self.catalogue.all().map(|_| 0).collect()
    }

    fn verify_product(&self, product: ProductIx, reserved: u64, unsettled: u64, found: &mut Vec<Violation>) {
        let counters = self.catalogue.at(product);
        if counters.reserved != reserved {
            found.push(Violation::ReservedOff { product });
        }
        if self.catalogue.unsettled(product) != unsettled {
            found.push(Violation::UnsettledOff { product });
        }
        if counters.level().is_none_or(|level| level.available() < unsettled) {
            found.push(Violation::AvailableNegative { product });
        }
    }

    /// Whether each order is found where it is.
    fn index_sound(&self) -> bool {
        let found = |order, is: &dyn Fn(Place) -> bool| self.find(order).is_some_and(|known| is(known.place));
        let active =
            self.reservations.iter().all(|active| found(active.order, &|at| matches!(at, Place::Active(_))));
        let mut closed = self.closed_orders.standing();
        active
            && closed.all(|(place, closed)| {
                found(closed.order, &|at| at == Place::Closed(ClosedOrders::number(place)))
            })
    }
}
