//! How many units of a product one order line asks for.

use std::fmt;

use thiserror::Error;

/// Units in one order line: 1 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(u32);

/// A quantity outside 1 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("quantity must be 1 to {max}", max = Quantity::MAX)]
pub struct QuantityOutOfRange;

impl Quantity {
    /// The most units that one line may ask for.
    pub const MAX: u32 = 1_000_000;

    /// Checks the range.
    pub fn new(units: u64) -> Result<Self, QuantityOutOfRange> {
        match u32::try_from(units) {
            Ok(units @ 1..=Self::MAX) => Ok(Self(units)),
            _ => Err(QuantityOutOfRange),
        }
    }

    /// The number of units.
    pub const fn units(self) -> u64 {
        self.0 as u64
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
