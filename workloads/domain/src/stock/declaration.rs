//! Declaring stock: a cumulative count of units ever received, per source.

use thiserror::Error;

use crate::{Money, ProductId, SourceId};

/// The most units that all sources together may have received of one product: what JSON readers keep exact.
pub const UNITS_MOST: u64 = 1 << 53;

/// What a source says about a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The product.
    pub product: ProductId,
    /// What it is called.
    pub name: String,
    /// For one unit.
    pub unit_price: Money,
    /// All units that this source has ever received.
    pub received: u64,
    /// Available below this is low; `None` keeps what is set.
    pub low_stock_threshold: Option<u64>,
    /// Who says so.
    pub source: SourceId,
}

/// Why a declaration has no effect.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DeclareError {
    /// It would write off units that are promised (or sold).
    #[error(
        "{product}: {source_id} had received {received} units; {declared} would take away more than the {available} that \
         are available"
    )]
    WriteOffRefused {
        /// The product.
        product: ProductId,
        /// Who declared.
        source_id: SourceId,
        /// What this source had declared before.
        received: u64,
        /// What it declares now.
        declared: u64,
        /// What could be written off at most.
        available: u64,
    },
    /// It needs units that were freed a moment ago and whose record is not safe yet: try again in a moment.
    #[error("{product}: units were freed a moment ago; try again")]
    Unsettled {
        /// The product.
        product: ProductId,
    },
    /// More than [`UNITS_MOST`] in all.
    #[error("{product}: more than {max} units in all", max = UNITS_MOST)]
    TooMany {
        /// The product.
        product: ProductId,
    },
    /// The ledger decides nothing: it is not open (any more).
    #[error("the stock ledger is not open")]
    NotOpen,
}
